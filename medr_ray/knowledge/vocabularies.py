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
from medr_ray.knowledge.vocabulary_reading import Entry, MeshRecords, Reading, open_vocabulary

Reader = Callable[[BinaryIO, Reading], Iterator[Entry]]
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
) -> tuple[list[Entry], Reading]:
    """The entries of a source and the report on reading it.

    ``mesh`` is what earlier sources of MeSH say; this one adds to it if it is one. DataError when
    the file is missing, broken, of another format, or has nothing to offer.
    """
    reading = Reading(source.path, source.entity_type, MeshRecords() if mesh is None else mesh)
    read, expected = READERS[source.format]
    with open_vocabulary(source.path) as stream:
        entries = list(_wanted(read(stream, reading), source, reading))
    if not entries:
        raise reading.wrong(expected, f"no usable entry{_why_none(reading)}")
    reading.entries = len(entries)
    return entries, reading


def _wanted(entries: Iterable[Entry], source: LexiconSource, reading: Reading) -> Iterator[Entry]:
    """Those of the wanted types, each id once."""
    seen: set[str] = set()
    for entry in entries:
        if source.types and entry.entity_type not in source.types:
            reading.leave_out(f"a {entry.entity_type}, not among the types wanted")
        elif entry.concept_id in seen:
            reading.skip(entry.concept_id, "this id again; its first record counts")
        else:
            seen.add(entry.concept_id)
            yield entry


def _why_none(reading: Reading) -> str:
    """What became of the records instead."""
    reasons = [
        f"{count:,} left out ({reason})" for reason, count in reading.left_out.most_common(2)
    ]
    if reading.skipped:
        first = reading.skipped[0]
        reasons.append(f"{reading.bad:,} bad, the first at {first.where}: {first.reason}")
    return f" ({'; '.join(reasons)})" if reasons else " and no record"
