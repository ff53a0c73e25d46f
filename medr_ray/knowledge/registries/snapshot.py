"""The snapshot: facts of registries as tables small enough to be inside the package.

It holds facts and no prose, and is a folder: ``manifest.json`` and three Parquet tables for each
source. ``<source>.records`` are its records, ``<source>.facts`` their facts in order, and
``<source>.entities`` what these name. Guarantees: what is read has the facts that the parsers gave,
with the same ids, but those of predicates that the manifest lists as left out; equal records make
byte-equal files (with one version of pyarrow).

Ids of facts are made anew when they are read. What evidence prints is not stored where it is the
text of the literal, or the first name or the id of the object. An entity has one row, with all
names that its source has for it.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from medr_ray.core.errors import DataError
from medr_ray.core.json_text import parse_json
from medr_ray.core.records import (
    Fact,
    FactEvidence,
    FactSource,
    LiteralValue,
    NodeType,
    Qualifier,
    RegistryEntity,
    content_id,
)
from medr_ray.core.run import Directory
from medr_ray.knowledge.registries.companies import find_shared_names
from medr_ray.knowledge.registries.fact_predicates import FACT_PREDICATES
from medr_ray.knowledge.registries.record_facts import RecordFacts
from medr_ray.knowledge.registries.record_reading import UnusableRecords
from medr_ray.knowledge.registries.sources import REGISTRIES

MANIFEST = "manifest.json"
# Raise this with every change of the tables.
FORMAT = 1
MAX_PACKAGED_BYTES = 6_000_000  # of all files of the snapshot inside the package

_PRECISIONS = ("", "year", "month", "day")
_ROWS_AT_A_TIME = 65_536  # of facts, as plain values: some tens of MB
_COMPRESSION_LEVEL = 19  # 15 % smaller than the default; the tables are written rarely
_PARTS = ("records", "facts", "entities")
_STRING = pa.string()
_STRINGS = pa.list_(pa.field("item", _STRING, nullable=False))
_RECORD_SCHEMA = pa.schema(
    [("record_id", _STRING), ("title", _STRING), ("as_of", _STRING), ("facts", pa.int32())]
)
_FACT_SCHEMA = pa.schema(
    [
        ("subject", _STRING),
        ("predicate", _STRING),
        ("object", _STRING),
        ("kind", _STRING),
        ("text", _STRING),
        ("unit", _STRING),
        ("qualifiers", _STRINGS),  # name, value, name, value …
        ("field", _STRING),
        ("value", _STRING),  # null where it is one of what ``_list_printed`` gives
        ("printed", pa.int8()),  # which of these
    ]
)
_ENTITY_SCHEMA = pa.schema(
    [
        ("entity_id", _STRING),
        ("entity_type", _STRING),
        ("names", _STRINGS),
        ("identifiers", _STRINGS),
    ]
)


@dataclass(frozen=True)
class SourceFile:
    """A file that a snapshot was made from; ``sha256`` is of the file as stored."""

    name: str
    sha256: str


# --- writing --------------------------------------------------------------------------


def write_source(
    directory: Path,
    source: FactSource,
    records: Iterable[RecordFacts],
    files: Sequence[SourceFile],
    unusable: UnusableRecords,
) -> dict[str, Any]:
    """Write the tables of a source, and return its entry in the manifest.

    ``unusable`` is what the parser could not use, so far as ``records`` was read; fields of records
    that could not be used are added to it.
    """
    registry = REGISTRIES[source]
    prose = {name for name, predicate in FACT_PREDICATES.items() if predicate.prose}
    tables = _SourceTables(registry.left_out | prose)
    for record in records:
        tables.add_record(record)
        for field, reason in record.problems:
            unusable.add_record(source, f"{record.record_id}: {field}", reason)
    directory.mkdir(parents=True, exist_ok=True)
    sizes = {}
    for part, table in tables.build().items():
        path = directory / _name_table(source, part)
        pq.write_table(
            table,
            path,
            compression="zstd",
            compression_level=_COMPRESSION_LEVEL,
            row_group_size=max(1, table.num_rows),
            write_statistics=False,
        )
        sizes[part] = path.stat().st_size
    shared_names = find_shared_names(tables.entities.values())
    return {
        "title": registry.title,
        "publisher": registry.publisher,
        "page": registry.page,
        "licence": registry.licence,
        "attribution": registry.attribution,
        "files": [{"name": file.name, "sha256": file.sha256} for file in files],
        "as_of": {"oldest": tables.oldest, "newest": tables.newest},
        "records": len(tables.records),
        "facts": sum(tables.predicates.values()),
        "entities": len(tables.entities),
        "by_predicate": dict(sorted(tables.predicates.items())),
        "left_out": dict(sorted(tables.left_out.items())),
        "unusable": len(unusable),
        "names_of_several_companies": {key: list(names) for key, names in shared_names.items()},
        "bytes": sizes,
        "sha256": _digest_tables(directory, source),
    }


def write_manifest(directory: Path, entries: Mapping[str, dict[str, Any]]) -> None:
    """Write the manifest, last: what it describes is there."""
    manifest = {"format": FORMAT, "sources": dict(sorted(entries.items()))}
    Directory(str(directory)).write_json(MANIFEST, manifest)


class _SourceTables:
    """The rows of a source, gathered record by record."""

    def __init__(self, left_out: frozenset[str]) -> None:
        self._left_out = left_out
        self.records: list[dict[str, Any]] = []
        self.facts: list[dict[str, Any]] = []
        self.entities: dict[str, RegistryEntity] = {}
        self.predicates: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        self.oldest = ""
        self.newest = ""

    def add_record(self, record: RecordFacts) -> None:
        kept = [fact for fact in record.facts if fact.predicate not in self._left_out]
        self.left_out.update(
            fact.predicate for fact in record.facts if fact.predicate in self._left_out
        )
        if not kept:
            return
        self.predicates.update(fact.predicate for fact in kept)
        self.facts += map(_make_fact_row, kept)
        self.records.append(
            {
                "record_id": record.record_id,
                "title": record.title,
                "as_of": record.as_of,
                "facts": len(kept),
            }
        )
        named = {end for fact in kept for end in (fact.subject, fact.object)}
        for entity in record.entities:
            if entity.entity_id in named:
                self._add_entity(entity)
        if record.as_of:
            self.oldest = min(self.oldest or record.as_of, record.as_of)
            self.newest = max(self.newest, record.as_of)

    def _add_entity(self, entity: RegistryEntity) -> None:
        earlier = self.entities.get(entity.entity_id)
        if earlier is None:
            self.entities[entity.entity_id] = entity
            return
        names = tuple(dict.fromkeys((*earlier.names, *entity.names)))
        identifiers = tuple(dict.fromkeys((*earlier.identifiers, *entity.identifiers)))
        if (names, identifiers) != (earlier.names, earlier.identifiers):
            self.entities[entity.entity_id] = RegistryEntity(
                entity.entity_id, earlier.entity_type, names, identifiers, entity.source
            )

    def build(self) -> dict[str, pa.Table]:
        entities = [
            {
                "entity_id": entity.entity_id,
                "entity_type": entity.entity_type,
                "names": list(entity.names),
                "identifiers": list(entity.identifiers),
            }
            for _, entity in sorted(self.entities.items())
        ]
        for row in self.facts:
            printed = _list_printed(row, self.entities)
            if row["value"] in printed:
                row["printed"] = printed.index(row["value"])
                row["value"] = None
        return {
            "records": pa.Table.from_pylist(self.records, schema=_RECORD_SCHEMA),
            "facts": pa.Table.from_pylist(self.facts, schema=_FACT_SCHEMA),
            "entities": pa.Table.from_pylist(entities, schema=_ENTITY_SCHEMA),
        }


def _list_printed(
    row: Mapping[str, Any], entities: Mapping[str, RegistryEntity]
) -> tuple[str, ...]:
    """What evidence mostly prints: the text of the literal, or the object's id, what follows the
    kind in it, and its first name."""
    if row["kind"]:
        return (row["text"],)
    obj = row["object"]
    entity = entities.get(obj)
    return (obj, obj.partition(":")[2], *(entity.names[:1] if entity else ()))


def _make_fact_row(fact: Fact) -> dict[str, Any]:
    literal = fact.literal
    qualifiers: list[str] = []
    for qualifier in fact.qualifiers:
        qualifiers += (qualifier.name, qualifier.value)
    return {
        "subject": fact.subject,
        "predicate": fact.predicate,
        "object": fact.object or None,
        "kind": literal.kind if literal else None,
        "text": literal.text if literal else None,
        "unit": literal.unit or None if literal else None,
        "qualifiers": qualifiers,
        "field": fact.evidence.field,
        "value": fact.evidence.value,
        "printed": None,
    }


# --- reading --------------------------------------------------------------------------


def find_packaged_snapshot() -> Path:
    """The folder of the snapshot inside the package."""
    return Path(str(resources.files("medr_ray.knowledge.registries"))) / "data"


def locate_snapshot(folder: str) -> Path | None:
    """The folder of a setting as ``directory`` of the functions below: "" is the packaged one."""
    return Path(folder) if folder else None


def snapshot_manifest(directory: Path | None = None) -> dict[str, Any]:
    """Sources, dates, licences and counts. The packaged snapshot's, unless a folder is given.

    Raises DataError for a folder without a snapshot, or with one of another format.
    """
    path = (directory or find_packaged_snapshot()) / MANIFEST
    try:
        manifest = parse_json(path.read_bytes(), str(path))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): no snapshot") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise DataError(
            f"{path}: not of format {FORMAT}: build it again with `medr registries build`"
        )
    return cast(dict[str, Any], manifest)


def list_snapshot_sources(directory: Path | None = None) -> list[FactSource]:
    """The registries that a snapshot has facts of."""
    return cast(list[FactSource], list(snapshot_manifest(directory)["sources"]))


def snapshot_digest(source: str, directory: Path | None = None) -> str:
    """What identifies the content of a source in the snapshot."""
    return str(_find_source(source, directory)["sha256"])


def read_snapshot(
    source: str, directory: Path | None = None, record_ids: Collection[str] | None = None
) -> Iterator[RecordFacts]:
    """The records of a source, in the order in which its parser gave them; only those of some ids
    where these are given, which takes as long as they are many.

    Raises DataError for a source that the snapshot does not have, and for tables that are not those
    of its manifest.
    """
    folder = directory or find_packaged_snapshot()
    entry = _find_source(source, directory)
    if _digest_tables(folder, source) != entry["sha256"]:
        raise DataError(f"{folder}: the tables of {source} are not those of {MANIFEST}")
    name = cast(FactSource, source)
    paths = [folder / _name_table(source, part) for part in _PARTS]
    records, facts, entities = map(pq.read_table, paths)
    if record_ids is not None:
        is_wanted = pc.is_in(records["record_id"], pa.array(sorted(record_ids), _STRING))
        # The facts of a record follow those of the one before it.
        facts = facts.filter(np.repeat(is_wanted.to_numpy(), records["facts"].to_numpy()))
        records = records.filter(is_wanted)
        ends = pa.chunked_array([*facts["subject"].chunks, *facts["object"].chunks])
        entities = entities.filter(pc.is_in(entities["entity_id"], ends.unique()))
    entity_by_id = _build_entities(entities, name)
    rows = _iterate_rows(facts)
    for row in records.to_pylist():
        yield _build_record(name, row, [next(rows) for _ in range(row["facts"])], entity_by_id)


def list_record_ids(source: str, directory: Path | None = None) -> list[str]:
    """The ids of the records of a source, in order; an id that has several editions as often.

    Raises DataError for a source that the snapshot does not have.
    """
    _find_source(source, directory)
    path = (directory or find_packaged_snapshot()) / _name_table(source, "records")
    ids: list[str] = pq.read_table(path, columns=["record_id"])["record_id"].to_pylist()
    return ids


class Statement(NamedTuple):
    """A fact with a typed value, without its evidence: ``text`` is the value's normal form,
    ``field`` the path of the field that states it."""

    subject: str
    predicate: str
    text: str
    field: str
    qualifiers: Mapping[str, str]


def read_statements(
    source: str, predicates: Sequence[str], directory: Path | None = None
) -> Iterator[Statement]:
    """The facts of some predicates with a typed value. It takes a fraction of the time of
    ``read_snapshot``; raises DataError for a source that the snapshot does not have."""
    _find_source(source, directory)
    path = (directory or find_packaged_snapshot()) / _name_table(source, "facts")
    is_wanted = pc.field("predicate").isin(list(predicates))
    columns = [*Statement._fields]
    for row in pq.read_table(path, columns=columns, filters=is_wanted).to_pylist():
        printed = iter(row.pop("qualifiers"))
        yield Statement(**row, qualifiers=dict(zip(printed, printed, strict=True)))


def read_titles(source: str, directory: Path | None = None) -> dict[str, str]:
    """The title of each record of a source, by record id."""
    _find_source(source, directory)
    path = (directory or find_packaged_snapshot()) / _name_table(source, "records")
    rows = pq.read_table(path, columns=["record_id", "title"]).to_pylist()
    return {row["record_id"]: row["title"] for row in rows}


def _find_source(source: str, directory: Path | None) -> dict[str, Any]:
    sources: Mapping[str, dict[str, Any]] = snapshot_manifest(directory)["sources"]
    if source not in sources:
        raise DataError(f"the snapshot has no {source}; it has {', '.join(sources)}")
    return sources[source]


def _build_entities(table: pa.Table, source: FactSource) -> dict[str, RegistryEntity]:
    return {
        row["entity_id"]: RegistryEntity(
            row["entity_id"],
            cast(NodeType, row["entity_type"]),
            tuple(row["names"]),
            tuple(row["identifiers"]),
            source,
        )
        for row in table.to_pylist()
    }


def _iterate_rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    """The rows as plain values, of which only some are in memory at a time."""
    for batch in table.to_batches(max_chunksize=_ROWS_AT_A_TIME):
        yield from batch.to_pylist()


def _build_record(
    source: FactSource,
    row: Mapping[str, Any],
    facts: Sequence[Mapping[str, Any]],
    entities: Mapping[str, RegistryEntity],
) -> RecordFacts:
    record_id, as_of = row["record_id"], row["as_of"]
    ends = dict.fromkeys(end for fact in facts for end in (fact["subject"], fact["object"]))
    return RecordFacts(
        source,
        record_id,
        row["title"],
        as_of,
        tuple(_build_fact(source, record_id, as_of, fact, entities) for fact in facts),
        tuple(entities[end] for end in ends if end in entities),
        (),
    )


def _build_fact(
    source: FactSource,
    record_id: str,
    as_of: str,
    row: Mapping[str, Any],
    entities: Mapping[str, RegistryEntity],
) -> Fact:
    subject, predicate, obj = row["subject"], row["predicate"], row["object"] or ""
    literal = _build_literal(row) if row["kind"] else None
    printed = iter(row["qualifiers"])
    qualifiers = tuple(Qualifier(name, value) for name, value in zip(printed, printed, strict=True))
    value = row["value"]
    if value is None:
        value = _list_printed(row, entities)[row["printed"]]
    fact_id = content_id("fact", source, record_id, subject, predicate, obj, literal, qualifiers)
    evidence = FactEvidence(source, record_id, row["field"], value)
    return Fact(fact_id, subject, predicate, obj, literal, as_of, qualifiers, evidence)


def _build_literal(row: Mapping[str, Any]) -> LiteralValue:
    kind, text = row["kind"], row["text"]
    number = float(text) if kind in ("number", "money") else None
    precision = _PRECISIONS[text.count("-") + 1] if kind == "date" else ""
    return LiteralValue(kind, text, number, row["unit"] or "", precision)  # type: ignore[arg-type]


# --- files ----------------------------------------------------------------------------


def _name_table(source: str, part: str) -> str:
    return f"{source}.{part}.parquet"


def _digest_tables(folder: Path, source: str) -> str:
    """SHA-256 over the tables of a source."""
    digest = hashlib.sha256()
    for part in _PARTS:
        path = folder / _name_table(source, part)
        try:
            digest.update(path.read_bytes())
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from None
    return digest.hexdigest()
