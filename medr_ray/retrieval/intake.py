"""Files of foreign sources to documents: read once, kept in parts that change only where their
documents do.

What holds: which part a document is in depends on its id and the size of its file alone, and a part
is sorted by id, so that a new edition of a file changes few parts; of several records with one id
the last counts. What could not be used is listed with file, place and reason. Parts of files that
are no longer configured are removed.
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
from medr_ray.core.errors import DataError
from medr_ray.core.parts import Parts, digest
from medr_ray.core.progress import Bar
from medr_ray.core.records import arrow_schema, from_table, to_table
from medr_ray.core.run import Directory, StageContext
from medr_ray.corpus.corpus_files import CorpusFile, list_corpus_files
from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.readers import READ_TOGETHER, READERS, Aside

FOLDER = "parts/read"
_PART_BYTES = 4 * 2**20  # of a packed file: some thousand documents
_MOST_PARTS = 256  # they are all open while a file is read
_AT_ONCE = 512  # documents held before they are handed to their parts
_VERSION = 1  # of what the readers make of a record


@dataclass(frozen=True)
class Batch:
    """Files that are read together, and the parts they make."""

    name: str
    source: str
    uris: tuple[str, ...]
    parts: int
    made_from: str

    def part(self, number: int) -> str:
        return f"{self.name}-{number:03d}"

    @property
    def names(self) -> list[str]:
        return [self.part(number) for number in range(self.parts)]


def batches(sources: Sequence[DocumentSource]) -> list[Batch]:
    """What the configured files are read as. DataError for a path that names no file."""
    return [
        _batch(one.source, number, files)
        for one in sources
        for number, files in enumerate(_together(one.source, source_files(one)))
    ]


def source_files(source: DocumentSource) -> list[CorpusFile]:
    """The files of a source, in the order of its paths. DataError for a path that names none."""
    found: list[CorpusFile] = []
    for path in source.paths:
        try:
            found += list_corpus_files([path])
        except DataError:
            raise DataError(f"index.sources: {source.source}: {path!r} names no file") from None
    return list({one.uri: one for one in found}.values())


def _together(source: str, files: list[CorpusFile]) -> list[list[CorpusFile]]:
    return [files] if files and source in READ_TOGETHER else [[one] for one in files]


def _batch(source: str, number: int, files: list[CorpusFile]) -> Batch:
    size = sum(one.size for one in files)
    parts = min(_MOST_PARTS, 1 << max(0, (size - 1) // _PART_BYTES).bit_length())
    made_from = digest(_VERSION, source, parts, [one.content for one in files])
    return Batch(
        f"{source}-{number:03d}", source, tuple(one.uri for one in files), parts, made_from
    )


def read_batches(context: StageContext, wanted: Sequence[Batch]) -> None:
    """Bring the parts up to date, one Ray task a batch, and list what was set aside."""
    directory = context.directory
    stale = set(
        Parts(directory, FOLDER).discard_stale(
            {name: one.made_from for one in wanted for name in one.names}
        )
    )
    waiting = [one for one in wanted if stale & set(one.names)]

    def work(row: dict[str, Any]) -> dict[str, Any]:
        return {"documents": read_batch(Batch(**{**row, "uris": tuple(row["uris"])}), directory)}

    if wanted:
        with Bar(context.console, "reading", len(wanted), "files") as bar:
            bar.resume(len(wanted) - len(waiting))
            for row in map_in_tasks([asdict(one) for one in waiting], work):
                bar.advance(1, f"{row['documents']:,} documents in the last one")
    aside = [
        line
        for one in wanted
        for line in directory.read_bytes(_aside(one)).splitlines(keepends=True)
    ]
    directory.write_bytes("quarantine.jsonl", b"".join(aside))


def read_batch(batch: Batch, directory: Directory) -> int:
    """Write a batch's parts; returns the number of its documents."""
    parts, aside, total = Parts(directory, FOLDER), Aside(), 0
    documents = READERS[batch.source](batch.uris, aside)
    with tempfile.TemporaryDirectory() as folder:
        _divide(documents, batch.parts, Path(folder))
        for number in range(batch.parts):
            piece = from_table(Document, pq.read_table(_piece(Path(folder), number)))
            found = _sorted_once(piece, ", ".join(batch.uris), aside)
            report = {"documents": len(found), "content": content_of(found)}
            parts.write(batch.part(number), batch.made_from, to_table(Document, found), report)
            total += len(found)
    directory.write_jsonl(_aside(batch), aside)
    return total


def read_part(directory: Directory, name: str) -> list[Document]:
    return directory.read_records(f"{FOLDER}/{name}.parquet", Document)


def content_of(documents: Sequence[Document]) -> str:
    """The same for the same documents in the same order."""
    known = hashlib.sha256()
    for one in documents:
        known.update(repr(astuple(one)).encode())
    return known.hexdigest()


def set_aside(directory: Directory) -> int:
    """How many records could not be used."""
    return directory.read_bytes("quarantine.jsonl").count(b"\n")


def _aside(batch: Batch) -> str:
    return f"{FOLDER}/{batch.name}.jsonl"


def _divide(documents: Iterator[Document], parts: int, folder: Path) -> None:
    """The documents to a file per part, holding few of them at a time."""
    schema = arrow_schema(Document)
    with ExitStack() as stack:
        writers = [
            stack.enter_context(pq.ParquetWriter(_piece(folder, i), schema)) for i in range(parts)
        ]
        while some := list(islice(documents, _AT_ONCE)):
            shares: dict[int, list[Document]] = {}
            for one in some:
                shares.setdefault(_share(one.document_id, parts), []).append(one)
            for number, share in shares.items():
                writers[number].write_table(to_table(Document, share))


def _piece(folder: Path, number: int) -> Path:
    return folder / f"{number}.parquet"


def _share(document_id: str, parts: int) -> int:
    return int.from_bytes(hashlib.sha256(document_id.encode()).digest()[:4], "big") % parts


def _sorted_once(documents: Sequence[Document], file: str, aside: Aside) -> list[Document]:
    """By id; of several with one id the last, for editions of a record follow each other."""
    latest = {one.document_id: one for one in documents}
    for one in documents:
        if latest[one.document_id] is not one:
            aside.put(file, one.document_id, "a later record has the same id")
    return sorted(latest.values(), key=lambda one: one.document_id)
