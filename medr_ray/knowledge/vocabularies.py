"""The configured sources of the lexicon: which reader reads which format, and how a source becomes
entries.

A source gives every sound entry of the selected types, in file order, each id once. Bad records are
counted and named in its ``VocabularyReport``. A file of another format, or without a usable entry,
raises a DataError that says what was expected.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from medr_ray.core.config import LexiconSource
from medr_ray.knowledge.mesh import read_mesh
from medr_ray.knowledge.mondo import read_mondo
from medr_ray.knowledge.orphanet import read_orphanet
from medr_ray.knowledge.tables import read_csv, read_drugbank, read_hgnc
from medr_ray.knowledge.vocabulary_reading import (
    MeshRecords,
    VocabularyEntry,
    VocabularyReport,
    open_vocabulary,
)

Reader = Callable[[BinaryIO, VocabularyReport], Iterator[VocabularyEntry]]
# By the ``format`` of the configuration: the reader, and what its file is, for error messages.
READERS: dict[str, tuple[Reader, str]] = {
    "mesh": (
        read_mesh,
        "MeSH descriptors or supplementary concepts, as NLM's XML or as tab-separated rows",
    ),
    "mondo": (read_mondo, "Mondo's human diseases, as mondo.json or as a JSON list of terms"),
    "orphanet": (read_orphanet, "Orphadata XML with Disorder elements, such as en_product1.xml"),
    "hgnc": (
        read_hgnc,
        "HGNC's complete set or a custom download of approved genes, tab-separated",
    ),
    "drugbank": (read_drugbank, "DrugBank's open vocabulary, CSV"),
    "csv": (read_csv, "a table with the columns id, name and synonyms"),
}


def read_source(
    source: LexiconSource, mesh: MeshRecords | None = None
) -> tuple[list[VocabularyEntry], VocabularyReport]:
    """The entries of a source and the report on its records.

    ``mesh`` has what earlier MeSH files contain; a MeSH source adds to it. Raises DataError when
    the file is missing, broken, of another format, or has no usable entry.
    """
    report = VocabularyReport(
        source.path, source.entity_type, MeshRecords() if mesh is None else mesh
    )
    read, expected = READERS[source.format]
    with open_vocabulary(source.path) as stream:
        entries = list(_select_entries(read(stream, report), source, report))
    if not entries:
        raise report.build_format_error(expected, f"no usable entry{_explain_no_entry(report)}")
    report.entry_count = len(entries)
    return entries, report


def _select_entries(
    entries: Iterable[VocabularyEntry], source: LexiconSource, report: VocabularyReport
) -> Iterator[VocabularyEntry]:
    """The entries of the selected types, each id once."""
    seen: set[str] = set()
    for entry in entries:
        if source.types and entry.entity_type not in source.types:
            report.omit_record(f"a {entry.entity_type}, not among the types wanted")
        elif entry.concept_id in seen:
            report.skip_record(entry.concept_id, "this id again; its first record counts")
        else:
            seen.add(entry.concept_id)
            yield entry


def _explain_no_entry(report: VocabularyReport) -> str:
    """What became of the records, for the error about a file without a usable entry."""
    reasons = [f"{count:,} left out ({reason})" for reason, count in report.omitted.most_common(2)]
    if report.skipped:
        first = report.skipped[0]
        reasons.append(f"{report.bad_count:,} bad, the first at {first.where}: {first.reason}")
    return f" ({'; '.join(reasons)})" if reasons else " and no record"
