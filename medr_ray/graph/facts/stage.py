"""The facts stage: what registries, curated tables and citations state, as facts of record.

Ray Data hands the units (``fact_units``) to actors that keep the lexicon open. A worker reads the
records of a unit, resolves what they name to concepts (``entity_resolution``), and writes facts,
entities and records as one part, so a killed stage continues with the missing units, and a newer
file of a registry makes only its own part anew. The store is then built over all parts.

Of several editions of one record, in one part or in several, the newest one counts (see
``knowledge.registries.editions``). Parts keep their editions, the store has the newest.

A record or a field that cannot be used is listed in ``quarantine.jsonl`` with its file or record,
its place and the reason; the rest of its file is complete.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from medr_ray.core.config import PipelineConfig
from medr_ray.core.data import map_in_actors
from medr_ray.core.parts import Parts, digest
from medr_ray.core.progress import Bar
from medr_ray.core.records import Fact, RegistryEntity, arrow_schema, from_table, to_table
from medr_ray.core.run import Counts, Directory, RunDirectory, Stage, StageContext
from medr_ray.entities.form_patterns import LEXICON
from medr_ray.graph.facts.artifacts import FACT_ENTITIES, FACTS, SOURCE_RECORDS, SourceRecord
from medr_ray.graph.facts.entity_resolution import EntityResolver
from medr_ray.graph.facts.fact_store import build_fact_store
from medr_ray.graph.facts.fact_units import (
    FactUnit,
    identify_inputs,
    list_unit_files,
    plan_units,
    read_unit,
)
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.hpo import load_hpo
from medr_ray.knowledge.registries import RecordFacts, UnusableRecords
from medr_ray.knowledge.registries.companies import match_short_names
from medr_ray.knowledge.registries.editions import keep_newest

_ENTITY_PARTS = "parts/entities"
_QUARANTINE_PARTS = "parts/quarantine"
_QUARANTINE = "quarantine.jsonl"
# Only the FDA prints short names of companies; elsewhere "Takeda" is Takeda itself.
_SOURCES_OF_SHORT_NAMES = ("drugs_at_fda", "orange_book")
# Columns that say whose edition a fact is of; the facts of a part have one source.
_EDITION_COLUMNS = ("record_id", "subject", "predicate")
_MOST_LISTED_PREDICATES = 6  # in the summary line; the manifest has all


class FactWorker:
    """Makes parts. The lexicon is indexed once, for all units that it gets."""

    def __init__(self, run: RunDirectory, directory: Directory) -> None:
        self._corpus = run.stage("corpus")
        self._directory = directory
        self._parts = Parts(directory, FACTS.name)
        entities = run.stage("entities")
        self._vocabulary = Vocabulary.from_directory(entities, load_hpo().replacements)
        self._resolver = EntityResolver(self._vocabulary)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Write the part of the unit ``row["unit"]``; returns the number of its facts."""
        unit = FactUnit(**{**row["unit"], "uris": tuple(row["unit"]["uris"])})
        unusable = UnusableRecords()
        facts: list[Fact] = []
        entities: dict[str, RegistryEntity] = {}
        records: dict[tuple[str, str], SourceRecord] = {}
        for record in read_unit(unit, self._corpus, unusable):
            for field, reason in record.problems:
                unusable.add_record(record.source, f"{record.record_id}: {field}", reason)
            key = (record.source, record.record_id)
            records[key] = SourceRecord(*key, record.title, record.as_of)
            facts += self._resolve_record(record, entities)
        self._write_records(unit, list(entities.values()), list(records.values()), unusable)
        in_order = sorted(keep_newest(facts), key=lambda fact: fact.fact_id)
        report = {
            "facts": len(in_order),
            "superseded": len({fact.fact_id for fact in facts}) - len(in_order),
            "files": list_unit_files(unit),
            "records": len(records),
            "unusable": len(unusable),
            "by_predicate": _count_by_predicate(in_order),
        }
        # The facts come last: their marker says that the whole unit is there.
        self._parts.write(unit.name, row["made_from"], to_table(Fact, in_order), report)
        return {"facts": len(in_order)}

    def _resolve_record(
        self, record: RecordFacts, entities: dict[str, RegistryEntity]
    ) -> Iterator[Fact]:
        """The record's facts between resolved ids; the entities that they name are added to
        ``entities``."""
        resolved: dict[str, str] = {}
        for entity in record.entities:
            entity_id = self._resolver.resolve(entity)
            resolved[entity.entity_id] = entity_id
            if entity_id in self._vocabulary:
                entity = replace(
                    entity,
                    entity_type=self._vocabulary.type_of(entity_id),
                    names=(self._vocabulary.name_of(entity_id), *entity.names),
                )
            entities[entity_id] = _join_entities(entities.get(entity_id), entity, entity_id)
        for fact in record.facts:
            subject, obj = (
                resolved.get(end) or self._resolver.resolve_id(end)
                for end in (fact.subject, fact.object)
            )
            if (subject, obj) == (fact.subject, fact.object):
                yield fact
            else:
                yield replace(fact, subject=subject, object=obj)

    def _write_records(
        self,
        unit: FactUnit,
        entities: Sequence[RegistryEntity],
        records: Sequence[SourceRecord],
        unusable: UnusableRecords,
    ) -> None:
        ordered_entities = sorted(entities, key=lambda entity: entity.entity_id)
        ordered_records = sorted(records, key=lambda record: (record.source, record.record_id))
        for folder, table in (
            (_ENTITY_PARTS, to_table(RegistryEntity, ordered_entities)),
            (SOURCE_RECORDS.name, to_table(SourceRecord, ordered_records)),
        ):
            self._directory.write_table(f"{folder}/{unit.name}.parquet", table)
        self._directory.write_jsonl(f"{_QUARANTINE_PARTS}/{unit.name}.jsonl", unusable)


def _join_entities(
    earlier: RegistryEntity | None, entity: RegistryEntity, entity_id: str
) -> RegistryEntity:
    """The entity under its resolved id, with what another record calls it."""
    names = (*(earlier.names if earlier else ()), *entity.names)
    identifiers = [*(earlier.identifiers if earlier else ()), *entity.identifiers]
    if entity.entity_id != entity_id:
        identifiers.append(entity.entity_id)
    return replace(
        entity,
        entity_id=entity_id,
        names=tuple(dict.fromkeys(names)),
        identifiers=tuple(sorted(set(identifiers))),
    )


def _count_by_predicate(facts: Sequence[Fact]) -> dict[str, dict[str, int]]:
    """Facts by source and predicate, sorted."""
    counts: dict[str, Counter[str]] = {}
    for fact in facts:
        counts.setdefault(fact.evidence.source, Counter())[fact.predicate] += 1
    return {source: dict(sorted(counts[source].items())) for source in sorted(counts)}


# --- the stage ------------------------------------------------------------------------


def execute_facts(context: StageContext) -> Counts:
    """Bring the parts up to date and build the store; returns the figures of the report."""
    directory = context.directory
    units = plan_units(context.config.facts, context.upstream("corpus"))
    parts_made = _make_parts(context, units)
    parts = Parts(directory, FACTS.name)
    markers = {unit.name: parts.read_marker(unit.name) for unit in units}
    entities, full_ids = _merge_entities(directory, list(markers))
    directory.write_table(FACT_ENTITIES.name, entities)
    newest_rows, superseded = _find_newest_rows(directory, units)
    facts = _read_facts(directory, list(markers), full_ids, newest_rows)
    build_fact_store(directory, facts, [entities])
    quarantine = [directory.read_bytes(f"{_QUARANTINE_PARTS}/{name}.jsonl") for name in markers]
    directory.write_bytes(_QUARANTINE, b"".join(quarantine))
    by_source = _count_newest(markers.values(), superseded)
    counts = {
        "facts": sum(sum(counts.values()) for counts in by_source.values()),
        "records": sum(marker["records"] for marker in markers.values()),
        "entities": entities.num_rows,
        "set_aside": sum(marker["unusable"] for marker in markers.values()),
        "superseded": sum(marker["superseded"] for marker in markers.values())
        + sum(sum(counts.values()) for counts in superseded.values()),
        "by_source": by_source,
        "parts": len(units),
        "parts_made": parts_made,
    }
    _print_summary(context, counts)
    return counts


def _make_parts(context: StageContext, units: Sequence[FactUnit]) -> int:
    """Make the parts that are missing or of another input; returns their number."""
    lexicon = hashlib.sha256(context.upstream("entities").read_bytes(LEXICON)).hexdigest()
    made_from = {unit.name: digest(unit.input, lexicon) for unit in units}
    stale = set(Parts(context.directory, FACTS.name).discard_stale(made_from))
    _remove_other_parts(context.directory, made_from)
    waiting = [unit for unit in units if unit.name in stale]
    rows = [{"unit": asdict(unit), "made_from": made_from[unit.name]} for unit in waiting]
    with Bar(context.console, "facts", len(units), "parts") as bar:
        bar.resume(len(units) - len(waiting))
        making = map_in_actors(
            rows,
            FactWorker,
            context.config.facts.workers,
            run=context.run,
            directory=context.directory,
        )
        with making as results:
            for row in results:
                bar.advance(1, f"{row['facts']:,} facts in the last one")
    return len(waiting)


def _remove_other_parts(directory: Directory, required: dict[str, str]) -> None:
    """Remove what belongs to units that are no longer required."""
    for folder in (_ENTITY_PARTS, SOURCE_RECORDS.name, _QUARANTINE_PARTS):
        for file in directory.list_files(folder):
            if file.rpartition(".")[0] not in required:
                directory.remove(f"{folder}/{file}")


def _merge_entities(directory: Directory, names: Sequence[str]) -> tuple[pa.Table, dict[str, str]]:
    """(All entities of the parts, each once, sorted by id; the id of each company that is known by
    a short name as well, by the id of the short one). Names come in the order of the units."""
    schema = arrow_schema(RegistryEntity)
    tables = [directory.read_table(f"{_ENTITY_PARTS}/{name}.parquet") for name in names]
    if not tables:
        return schema.empty_table(), {}
    named = pa.concat_tables(tables)
    # Only all sources together tell which short name is whose.
    companies = named.filter(pc.equal(named["entity_type"], "company"))
    full_ids = match_short_names(from_table(RegistryEntity, companies))
    is_short_name = pl.col("source").is_in(_SOURCES_OF_SHORT_NAMES)
    full_id = pl.col("entity_id").replace(full_ids)
    frame = pl.DataFrame(pl.from_arrow(named)).with_columns(
        pl.when(is_short_name).then(full_id).otherwise("entity_id").alias("entity_id")
    )
    merged = frame.group_by("entity_id", maintain_order=True).agg(
        pl.first("entity_type"),
        pl.col("names").explode().drop_nulls().unique(maintain_order=True),
        pl.col("identifiers").explode().drop_nulls().unique().sort(),
        pl.first("source"),
    )
    table = merged.sort("entity_id").to_arrow().select(schema.names).cast(schema)
    return table, full_ids


def _find_newest_rows(
    directory: Directory, units: Sequence[FactUnit]
) -> tuple[dict[str, pa.Array], dict[str, Counter[str]]]:
    """(By part, the rows of the newest editions, only of parts whose registry has several; by
    source and predicate, the facts that another part states again or replaces)."""
    names: dict[str, list[str]] = {}
    for unit in units:
        if unit.has_editions:
            names.setdefault(unit.source, []).append(unit.name)
    newest_rows: dict[str, pa.Array] = {}
    superseded: dict[str, Counter[str]] = {}
    for source, parts in names.items():
        if len(parts) < 2:
            continue
        facts = pl.concat([_read_edition_keys(directory, name) for name in parts])
        is_newest = pl.col("as_of") == pl.col("as_of").max().over(_EDITION_COLUMNS)
        kept = facts.filter(is_newest).unique("fact_id", keep="first", maintain_order=True)
        for name in parts:
            rows = kept.filter(pl.col("part") == name)["row"]
            newest_rows[name] = rows.cast(pl.Int64).sort().to_arrow()
        superseded[source] = Counter(facts["predicate"].to_list())
        superseded[source].subtract(kept["predicate"].to_list())
    return newest_rows, superseded


def _read_edition_keys(directory: Directory, name: str) -> pl.DataFrame:
    """The facts of a part without their values: whose edition each is of, and its row."""
    columns = ["fact_id", "subject", "predicate", "as_of", "evidence"]
    table = directory.read_table(f"{FACTS.name}/{name}.parquet", columns)
    record_ids = pc.struct_field(table["evidence"], "record_id")
    table = table.drop_columns("evidence").append_column("record_id", record_ids)
    frame = pl.DataFrame(table).with_columns(pl.lit(name).alias("part"))
    return frame.with_row_index("row")


def _read_facts(
    directory: Directory,
    names: Sequence[str],
    full_ids: dict[str, str],
    newest_rows: Mapping[str, pa.Array],
) -> Iterator[pa.Table]:
    """The facts of the parts, one part after another, with companies under their full names.

    Of a part in ``newest_rows`` only these.
    """
    for name in names:
        table = directory.read_table(f"{FACTS.name}/{name}.parquet")
        if name in newest_rows:
            table = table.take(newest_rows[name])
        # The facts of a part have one source.
        source = table["evidence"][0]["source"].as_py() if table.num_rows else ""
        has_short_names = source in _SOURCES_OF_SHORT_NAMES
        for column in ("subject", "object") if has_short_names else ():
            ids = pl.Series(table[column].to_pylist(), dtype=pl.String).replace(full_ids)
            position = table.schema.get_field_index(column)
            renamed = pa.array(ids.to_list(), pa.string())
            table = table.set_column(position, table.schema.field(column), renamed)
        yield table


def _count_newest(
    markers: Iterable[Mapping[str, Any]], superseded: Mapping[str, Counter[str]]
) -> dict[str, dict[str, int]]:
    """Facts by source and predicate over all parts, without those that other parts replace."""
    totals: dict[str, Counter[str]] = {}
    for marker in markers:
        for source, counts in marker["by_predicate"].items():
            totals.setdefault(source, Counter()).update(counts)
    for source, counts in superseded.items():
        totals[source] -= counts  # leaves out what comes to nothing
    return {source: dict(sorted(totals[source].items())) for source in sorted(totals)}


def _print_summary(context: StageContext, counts: Counts) -> None:
    line = (
        f"facts: {counts['facts']:,} facts of {counts['records']:,} records about "
        f"{counts['entities']:,} entities"
    )
    if counts["set_aside"]:
        line += f"; {counts['set_aside']:,} records or fields set aside, see {_QUARANTINE}"
    context.console.print(line, highlight=False)
    for source, by_predicate in counts["by_source"].items():
        usual = Counter(by_predicate).most_common(_MOST_LISTED_PREDICATES)
        listed = ", ".join(f"{predicate} {count:,}" for predicate, count in usual)
        further = len(by_predicate) - len(usual)
        rest = f" and {further} further predicates" if further > 0 else ""
        total = sum(by_predicate.values())
        context.console.print(f"  {source}: {total:,} ({listed}{rest})", highlight=False)


def _list_inputs(config: PipelineConfig) -> Any:
    return identify_inputs(config.facts)


FACTS_STAGE = Stage(
    name="facts",
    needs=("corpus", "entities"),
    sections=("facts",),
    execute=execute_facts,
    inputs=_list_inputs,
    incremental=True,
)
