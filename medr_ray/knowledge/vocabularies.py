"""Foreign vocabularies as sources of the lexicon: which format is read by which reader, and what
came of it.

What holds: a source yields every sound entry of the wanted types, in file order; bad records are
counted and named in its ``Reading``; a file with no usable entry, or of another format, is a
DataError that says what was expected.
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

    ``mesh`` is what earlier sources of MeSH say; this one adds to it if it is one. DataError when
    the file is missing, broken, of another format, or has nothing to offer.
    """
    report = VocabularyReport(
        source.path, source.entity_type, MeshRecords() if mesh is None else mesh
    )
    read, expected = READERS[source.format]
    with open_vocabulary(source.path) as stream:
        entries = list(_select_entries(read(stream, report), source, report))
    if not entries:
        raise report.format_error(expected, f"no usable entry{_explain_no_entry(report)}")
    report.entry_count = len(entries)
    return entries, report


def _select_entries(
    entries: Iterable[VocabularyEntry], source: LexiconSource, report: VocabularyReport
) -> Iterator[VocabularyEntry]:
    """Those of the wanted types, each id once."""
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
    """What became of the records instead."""
    reasons = [f"{count:,} left out ({reason})" for reason, count in report.omitted.most_common(2)]
    if report.skipped:
        first = report.skipped[0]
        reasons.append(f"{report.bad_count:,} bad, the first at {first.where}: {first.reason}")
    return f" ({'; '.join(reasons)})" if reasons else " and no record"
