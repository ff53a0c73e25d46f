"""Reads the files of other publishers into documents, once, and stores them in parts.

Guaranteed: the part of a document depends only on the document's id and the size of its file, and a
part is sorted by id. So a new edition of a file changes few parts. Of several records with one id
the last one counts. Records that could not be used are listed with file, place and reason. Parts of
files that are no longer configured are removed.
"""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, astuple, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from medr_ray.core.config import DocumentSource
from medr_ray.core.data import map_in_tasks
from medr_ray.core.parts import Parts, digest
from medr_ray.core.progress import Bar
from medr_ray.core.records import arrow_schema, from_table, to_table
from medr_ray.core.run import Directory, StageContext
from medr_ray.corpus.corpus_files import CorpusFile, list_source_files
from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.readers import READ_TOGETHER, READERS, UnusableRecords

READ_DOCUMENTS_FOLDER = "parts/read"
_QUARANTINE = "quarantine.jsonl"
_PART_BYTES = 4 * 2**20  # of a packed file: some thousand documents
_MOST_PARTS = 256  # files that are open at once while a batch is read
_DOCUMENTS_AT_ONCE = 512  # held before they are handed to their parts
_VERSION = 2  # of what the readers make of a record; a new one reads all files again


@dataclass(frozen=True)
class FileBatch:
    """Files that are read together, and the number of parts that their documents are stored in."""

    name: str
    source: str
    uris: tuple[str, ...]
    parts: int
    made_from: str

    def part_name(self, part_number: int) -> str:
        return f"{self.name}-{part_number:03d}"

    @property
    def part_names(self) -> list[str]:
        return [self.part_name(part_number) for part_number in range(self.parts)]


# --- which files ----------------------------------------------------------------------


def plan_batches(sources: Sequence[DocumentSource]) -> list[FileBatch]:
    """The batches of the configured files. Raises DataError for a path that names no file."""
    batches = []
    for source in sources:
        groups = _group_files(source.source, list_source_files("index.sources", source))
        for batch_number, files in enumerate(groups):
            batches.append(_plan_batch(source.source, batch_number, files))
    return batches


def _group_files(source: str, files: list[CorpusFile]) -> list[list[CorpusFile]]:
    if files and source in READ_TOGETHER:
        return [files]
    return [[file] for file in files]


def _plan_batch(source: str, batch_number: int, files: list[CorpusFile]) -> FileBatch:
    size = sum(file.size for file in files)
    # A power of two, so that a file that grows a little keeps its division into parts.
    parts = min(_MOST_PARTS, 1 << max(0, (size - 1) // _PART_BYTES).bit_length())
    made_from = digest(_VERSION, source, parts, [file.content for file in files])
    uris = tuple(file.uri for file in files)
    return FileBatch(f"{source}-{batch_number:03d}", source, uris, parts, made_from)


# --- reading --------------------------------------------------------------------------


def read_batches(context: StageContext, batches: Sequence[FileBatch]) -> None:
    """Bring the parts up to date, one Ray task a batch, and list what could not be used."""
    directory = context.directory
    fingerprints: dict[str, str] = {}
    for batch in batches:
        fingerprints |= dict.fromkeys(batch.part_names, batch.made_from)
    # A batch is read as a whole, so one stale part has all of its files read again.
    stale = set(Parts(directory, READ_DOCUMENTS_FOLDER).discard_stale(fingerprints))
    waiting = [batch for batch in batches if stale & set(batch.part_names)]

    def read(row: dict[str, Any]) -> dict[str, Any]:
        batch = FileBatch(**{**row, "uris": tuple(row["uris"])})
        return {"documents": read_batch(batch, directory)}

    if batches:
        with Bar(context.console, "reading", len(batches), "files") as bar:
            bar.resume(len(batches) - len(waiting))
            with map_in_tasks([asdict(batch) for batch in waiting], read) as results:
                for row in results:
                    bar.advance(1, f"{row['documents']:,} documents in the last one")
    unusable = [directory.read_bytes(_unusable_path(batch)) for batch in batches]
    directory.write_bytes(_QUARANTINE, b"".join(unusable))


def read_batch(batch: FileBatch, directory: Directory) -> int:
    """Write a batch's parts; returns the number of its documents."""
    parts = Parts(directory, READ_DOCUMENTS_FOLDER)
    unusable = UnusableRecords()
    total = 0
    documents = READERS[batch.source](batch.uris, unusable)
    # Sorting needs all documents of a part. They are divided on disk first, so that one part is in
    # memory at a time, however large the file is.
    with tempfile.TemporaryDirectory() as folder:
        _divide_documents(documents, batch.parts, Path(folder))
        for part_number in range(batch.parts):
            unsorted = from_table(Document, pq.read_table(_share_path(Path(folder), part_number)))
            part = _sort_without_duplicates(unsorted, ", ".join(batch.uris), unusable)
            report = {"documents": len(part), "content": hash_documents(part)}
            table = to_table(Document, part)
            parts.write(batch.part_name(part_number), batch.made_from, table, report)
            total += len(part)
    directory.write_jsonl(_unusable_path(batch), unusable)
    return total


def read_part(directory: Directory, name: str) -> list[Document]:
    return directory.read_records(f"{READ_DOCUMENTS_FOLDER}/{name}.parquet", Document)


def hash_documents(documents: Sequence[Document]) -> str:
    """A hash over the documents in their order."""
    content = hashlib.sha256()
    for document in documents:
        # ``repr`` quotes every text, so that no two documents can run into the same bytes.
        content.update(repr(astuple(document)).encode())
    return content.hexdigest()


def count_unusable(directory: Directory) -> int:
    """How many records could not be used."""
    return directory.read_bytes(_QUARANTINE).count(b"\n")


def _unusable_path(batch: FileBatch) -> str:
    return f"{READ_DOCUMENTS_FOLDER}/{batch.name}.jsonl"


def _divide_documents(documents: Iterator[Document], parts: int, folder: Path) -> None:
    """Write the documents to a file per part, with few of them in memory at a time."""
    schema = arrow_schema(Document)
    with ExitStack() as stack:
        writers = []
        for part_number in range(parts):
            writer = pq.ParquetWriter(_share_path(folder, part_number), schema)
            writers.append(stack.enter_context(writer))
        while group := list(islice(documents, _DOCUMENTS_AT_ONCE)):
            documents_by_part: dict[int, list[Document]] = {}
            for document in group:
                part_number = _choose_part(document.document_id, parts)
                documents_by_part.setdefault(part_number, []).append(document)
            for part_number, part_documents in documents_by_part.items():
                writers[part_number].write_table(to_table(Document, part_documents))


def _share_path(folder: Path, part_number: int) -> Path:
    return folder / f"{part_number}.parquet"


def _choose_part(document_id: str, parts: int) -> int:
    # Python's own ``hash`` of a text differs from process to process.
    return int.from_bytes(hashlib.sha256(document_id.encode()).digest()[:4], "big") % parts


def _sort_without_duplicates(
    documents: Sequence[Document], file: str, unusable: UnusableRecords
) -> list[Document]:
    """Sort by id and keep the last of several documents with one id.

    The last one is the latest edition, because editions of a record follow each other.
    """
    latest = {document.document_id: document for document in documents}
    for document in documents:
        if latest[document.document_id] is not document:
            unusable.add_record(file, document.document_id, "a later record has the same id")
    return sorted(latest.values(), key=lambda document: document.document_id)
