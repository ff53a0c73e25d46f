"""The index stage: citations with abstracts and HPO disease records into one LanceDB table.

Ray Data hands out units of work: a slice of a citation file, or of the disease records. Whoever takes a unit writes
its documents, their vectors and their word counts as one part, so a killed stage goes on with the missing
units. The division into units depends on the input alone and each unit is embedded by itself, so the parts are the
same whatever the number of workers. The table is then written from the parts in order.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from medr_ray.core.config import PipelineConfig
from medr_ray.core.data import one_per_call
from medr_ray.core.progress import Bar
from medr_ray.core.records import Citation, from_table
from medr_ray.core.run import Counts, Directory, Stage, StageContext
from medr_ray.knowledge.hpo import load_hpo
from medr_ray.retrieval import index
from medr_ray.retrieval.documents import HPO, PUBMED, Document, with_abstract
from medr_ray.retrieval.rarity import common_words, count_words
from medr_ray.retrieval.records import from_disease

_UNIT_ROWS = 2000  # a few seconds of embedding: little to lose, enough to batch by length
_PARTS, _WORDS = "parts/documents", "parts/words"
_CITATIONS = "citations"


@dataclass(frozen=True)
class Unit:
    """Rows [start, stop) of a citation file, or of the sorted disease records (``file`` is "")."""

    source: str
    file: str
    start: int
    stop: int

    @property
    def part(self) -> str:
        return f"{self.file.removesuffix('.parquet') or self.source}-{self.start:08d}.parquet"


def plan_units(corpus: Directory) -> list[Unit]:
    """Every unit, in the order of the table: citation files by name, then the disease records."""
    units = []
    for file in corpus.names(_CITATIONS):
        rows = pq.read_metadata(f"{corpus.path}/{_CITATIONS}/{file}", filesystem=corpus.fs).num_rows
        units += _slices(PUBMED, file, rows)
    return units + _slices(HPO, "", len(_records()))


def _slices(source: str, file: str, rows: int) -> list[Unit]:
    return [Unit(source, file, start, min(start + _UNIT_ROWS, rows)) for start in range(0, rows, _UNIT_ROWS)]


def _records() -> list[str]:
    return [one for one, record in sorted(load_hpo().diseases.items()) if record.facts]


class Worker:
    """Makes parts. Loads the encoder once, and only when something is to be embedded."""

    def __init__(self, config: PipelineConfig, corpus: Directory, directory: Directory) -> None:
        self._config, self._corpus, self._directory = config.index, corpus, directory
        self._encoder: Any = None
        self._read: tuple[str, pa.Table] | None = None  # the last citation file: its units come one after another
        if config.index.embed != "none" and config.index.embed_sources:
            from medr_ray.engines.encoder import Encoder

            threads = max(1, config.engine.threads // config.index.workers)  # they embed at the same time
            self._encoder = Encoder(config.models.encoder, config.index.batch_size, threads)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Make the part of the unit whose fields are the row."""
        return {"documents": self._make(Unit(**row))}

    def _make(self, unit: Unit) -> int:
        documents = self._documents(unit)
        vectors, dimensions = None, index.DIMENSIONS
        if self._encoder is not None:
            dimensions = self._encoder.dimensions
            if unit.source in self._config.embed_sources:
                vectors = self._encoder.encode([self._embedded_text(one) for one in documents])
        self._directory.write_table(f"{_WORDS}/{unit.part}", count_words(documents))
        self._directory.write_table(f"{_PARTS}/{unit.part}", index.to_batch(documents, vectors, dimensions))
        return len(documents)

    def _documents(self, unit: Unit) -> list[Document]:
        if unit.source == HPO:
            diseases = load_hpo().diseases
            return [from_disease(diseases[one]) for one in _records()[unit.start : unit.stop]]
        if self._read is None or self._read[0] != unit.file:
            self._read = unit.file, self._corpus.read_table(f"{_CITATIONS}/{unit.file}")
        table = self._read[1].slice(unit.start, unit.stop - unit.start)
        return with_abstract(from_table(Citation, table.filter(pc.not_equal(table["abstract"], ""))))

    def _embedded_text(self, document: Document) -> str:
        return document.title if self._config.embed == "titles" else document.text


def make_parts(context: StageContext, units: list[Unit]) -> None:
    """Make the units' missing parts through Ray Data."""
    missing = [unit for unit in units if not context.directory.exists(f"{_PARTS}/{unit.part}")]
    with Bar(context.console, "index", len(units), "parts") as bar:
        bar.resume(len(units) - len(missing))
        results = one_per_call(
            [asdict(unit) for unit in missing], Worker, context.config.index.workers,
            config=context.config, corpus=context.upstream("corpus"), directory=context.directory)
        for row in results:
            bar.advance(1, f"{row['documents']:,} documents in the last one")


def _part_tables(directory: Directory, units: list[Unit]) -> Iterator[pa.Table]:
    for unit in units:
        yield directory.read_table(f"{_PARTS}/{unit.part}")


def execute(context: StageContext) -> Counts:
    """Write the index; see the module's docstring."""
    started = time.monotonic()
    units = plan_units(context.upstream("corpus"))
    make_parts(context, units)
    parted = time.monotonic()
    counts = write_index(context, units)
    built = time.monotonic()
    seconds = {"parts": round(parted - started, 1), "table": round(built - parted, 1)}
    context.console.print(
        f"index: {counts['documents']:,} documents ({counts['pubmed']:,} citations, {counts['hpo']:,} disease records),"
        f" {counts['embedded']:,} with a vector", highlight=False)
    return {**counts, "seconds_by_part": seconds}


def write_index(context: StageContext, units: list[Unit]) -> dict[str, int]:
    """The LanceDB table and the common words, from the parts."""
    directory = context.directory
    words = (directory.read_table(f"{_WORDS}/{unit.part}") for unit in units)
    schema = next(_part_tables(directory, units)).schema
    rows = index.build(directory, _part_tables(directory, units), context.config.index,
                       schema.field("vector").type.list_size)
    directory.write_table(index.COMMON_WORDS, common_words(words, rows))
    table = index.open_table(directory)
    return {
        "documents": rows,
        "pubmed": table.count_rows(f"source = '{PUBMED}'"),
        "hpo": table.count_rows(f"source = '{HPO}'"),
        "embedded": table.count_rows("vector IS NOT NULL"),
    }


def _encoder_inputs(config: PipelineConfig) -> Any:
    """What the vectors depend on beside the index section."""
    return {"encoder": config.models.encoder} if config.index.embed != "none" else None


INDEX = Stage(name="index", needs=("corpus",), sections=("index",), execute=execute, inputs=_encoder_inputs)
