"""Which findings diseases have and how often, row by row: ``phenotype.hpoa`` and Orphadata product
4.

``phenotype.hpoa`` is read as the Human Phenotype Ontology publishes it
(https://obophenotype.github.io/ human-phenotype-ontology/annotations/phenotype_hpoa/), in its form
since 2018 and, with the header in a comment, before
2023. Product 4 (``en_product4.xml``, "rare diseases and associated phenotypes", CC BY 4.0) lists
the same for Orphanet.

What holds: every sound row is kept as it stands, negated ones too; a bad row is counted and named
with its place; a disease is called by the most readable of the names its rows give.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from medr_ray.core.errors import DataError
from medr_ray.knowledge.hpo import describe_frequency
from medr_ray.knowledge.shares import parse_share
from medr_ray.knowledge.vocabulary_reading import (
    Skipped,
    VocabularyReport,
    as_text,
    open_vocabulary,
    read_elements,
    text_of,
)

# Aspects of a row; C also has other courses, which are no ages.
FINDING, ONSET, INHERITANCE = (
    "P",
    "C",
    "I",
)
_HPOA_COLUMNS = 12
_HPOA_EXPECTED = "phenotype.hpoa of the Human Phenotype Ontology, 12 columns under a header"
_PRODUCT4_EXPECTED = "the XML of Orphadata product 4, phenotypes"
_COUNT = re.compile(r"(\d+)/(\d+)")
# "#614856 OSTEOGENESIS ...", as OMIM's own titles begin.
_NUMBERED = re.compile(r"^[#%*+^]?\d{6}\s+|^[#%*+^]\s*")
_TERM = re.compile(r"HP:\d{7}")
_CLASSES = {  # of product 4, as words that ``shares`` understands
    "Obligate (100%)": "all patients",
    "Very frequent (99-80%)": "80-99% of patients",
    "Frequent (79-30%)": "30-79% of patients",
    "Occasional (29-5%)": "5-29% of patients",
    "Very rare (<4-1%)": "1-4% of patients",
    "Excluded (0%)": "0% of patients",
}


@dataclass(frozen=True, slots=True)
class Frequency:
    """The ``share`` of patients with a finding, in [0, 1]; how many ``patients`` it was counted in,
    0 when it is a percentage or a class that names no number."""

    share: float
    patients: int = 0


@dataclass(frozen=True, slots=True)
class Annotation:
    """One row: ``frequency`` is None where the source gives none, and then says nothing about how
    often."""

    disease: str
    term: str
    aspect: str
    negated: bool
    frequency: Frequency | None
    references: tuple[str, ...]


@dataclass(frozen=True)
class AnnotationTable:
    """The rows in file order, the name of each disease, how many rows make no sense and the first
    of those."""

    rows: tuple[Annotation, ...]
    names: Mapping[str, str]
    bad_count: int
    skipped: tuple[Skipped, ...]


@functools.lru_cache(maxsize=10_000)
def parse_frequency(text: str) -> Frequency | None:
    """The frequency column of ``phenotype.hpoa``: "3/7", "45%", a term below HP:0040279, or ""
    (None).

    Raises ValueError for anything else, and for a count of no patients.
    """
    if counted := _COUNT.fullmatch(text):
        affected, patients = int(counted[1]), int(counted[2])
        if not 0 <= affected <= patients or not patients:
            raise ValueError(f"frequency {text!r}")
        return Frequency(affected / patients, patients)
    try:
        words = describe_frequency(text)
    except DataError:
        raise ValueError(f"frequency {text!r}") from None
    bounds = parse_share(words) if words else (0.0, 0.0)
    if bounds is None:
        return None
    if not 0 <= bounds[0] <= bounds[1] <= 1:
        raise ValueError(f"frequency {text!r}")
    return Frequency(sum(bounds) / 2)


def read_hpoa(path: str) -> AnnotationTable:
    """The table of a ``phenotype.hpoa``, plain or gzip, at a path or a URI. DataError when it is
    missing, damaged or another format."""
    report = VocabularyReport(path)
    names: dict[str, str] = {}
    with open_vocabulary(path) as stream:
        rows = tuple(_read_hpoa_rows(stream, report, names))
    return _build_table(rows, names, report, _HPOA_EXPECTED)


def _read_hpoa_rows(
    stream: BinaryIO, report: VocabularyReport, names: dict[str, str]
) -> Iterator[Annotation]:
    headed = False
    for number, line in enumerate(as_text(stream), 1):
        if not headed and line.lower().startswith(("#databaseid\t", "database_id\t")):
            headed = True
        elif not line.startswith("#") and line.strip():
            if not headed:
                raise report.format_error(_HPOA_EXPECTED, f"line {number}: {line[:60]!r}")
            try:
                yield _parse_hpoa_row(line.rstrip("\r\n").split("\t"), names)
            except ValueError as error:
                report.skip_record(f"line {number}", str(error))


def _parse_hpoa_row(cells: list[str], names: dict[str, str]) -> Annotation:
    if len(cells) != _HPOA_COLUMNS:
        raise ValueError(f"{len(cells)} columns, {_HPOA_COLUMNS} expected")
    disease, name, qualifier, term, reference, _, _, frequency, _, _, aspect, _ = cells
    if not _TERM.fullmatch(term) or ":" not in disease:
        raise ValueError(f"disease {disease!r} with the term {term!r}")
    names[disease] = _choose_readable_name(names.get(disease, ""), _clean_title(name))
    references = tuple(part.strip() for part in reference.split(";") if part.strip()) or (disease,)
    return Annotation(
        disease, term, aspect, qualifier == "NOT", parse_frequency(frequency), references
    )


def _clean_title(name: str) -> str:
    """A preferred title without OMIM's number and mark before it and the alternative titles behind
    it."""
    return " ".join(_NUMBERED.sub("", name).split(";")[0].split())


def _choose_readable_name(known: str, other: str) -> str:
    """The first name that is not all capitals, else the first."""
    return other if not known or (known.isupper() and not other.isupper()) else known


def read_product4(path: str) -> AnnotationTable:
    """The table of Orphadata product 4, plain XML or gzip, at a path or a URI; each row cites its
    disorder. DataError when it is missing, damaged or another product."""
    report = VocabularyReport(path)
    names: dict[str, str] = {}
    rows: list[Annotation] = []
    with open_vocabulary(path) as stream:
        for where, disorder in read_elements(stream, report, ("Disorder",), _PRODUCT4_EXPECTED):
            disease = f"ORPHA:{text_of(disorder, 'OrphaCode')}"
            names[disease] = text_of(disorder, "Name")
            for association in disorder.iterfind(
                "HPODisorderAssociationList/HPODisorderAssociation"
            ):
                term, label = (
                    text_of(association, "HPO/HPOId"),
                    text_of(association, "HPOFrequency/Name"),
                )
                if label not in _CLASSES or not _TERM.fullmatch(term):
                    report.skip_record(
                        where, f"{disease}: the term {term!r} with the frequency {label!r}"
                    )
                    continue
                low, high = parse_share(_CLASSES[label]) or (0.0, 0.0)
                rows.append(
                    Annotation(
                        disease, term, FINDING, False, Frequency((low + high) / 2), (disease,)
                    )
                )
    return _build_table(tuple(rows), names, report, _PRODUCT4_EXPECTED)


def _build_table(
    rows: tuple[Annotation, ...], names: Mapping[str, str], report: VocabularyReport, expected: str
) -> AnnotationTable:
    if not rows:
        raise report.format_error(expected, "no row that can be used")
    return AnnotationTable(rows, names, report.bad_count, tuple(report.skipped))
