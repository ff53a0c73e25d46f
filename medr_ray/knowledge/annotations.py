"""Which findings diseases have and how often: rows of ``phenotype.hpoa`` and Orphadata product 4.

``phenotype.hpoa`` is the Human Phenotype Ontology's
(https://obophenotype.github.io/human-phenotype-ontology/annotations/phenotype_hpoa/), in its format
since 2018; before 2023 its header was a comment. Product 4 (``en_product4.xml``, "rare diseases and
associated phenotypes", CC BY 4.0) is Orphanet's own list.

Every sound row is kept unchanged, negated rows too. A bad row is counted and reported with its
place. A disease has the most readable of the names in its rows.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from lxml import etree

from medr_ray.core.errors import DataError
from medr_ray.knowledge.hpo import describe_frequency
from medr_ray.knowledge.shares import parse_share
from medr_ray.knowledge.vocabulary_reading import (
    SkippedRecord,
    VocabularyReport,
    as_text,
    open_vocabulary,
    read_disorder_name,
    read_elements,
    text_of,
)

# Aspects of a row. C also covers other clinical courses, which are not ages at onset.
FINDING = "P"
ONSET = "C"
INHERITANCE = "I"
_HPOA_COLUMNS = 12
_HPOA_EXPECTED = "phenotype.hpoa of the Human Phenotype Ontology, 12 columns under a header"
# The first column is called "DatabaseID" in old files, after a comment sign.
_HPOA_HEADERS = ("#databaseid\t", "database_id\t")
_PRODUCT4_EXPECTED = "the XML of Orphadata product 4, phenotypes"
_COUNT = re.compile(r"(\d+)/(\d+)")
# The beginning of an OMIM title, its mark and number: "#614856 OSTEOGENESIS ...".
_OMIM_PREFIX = re.compile(r"^[#%*+^]?\d{6}\s+|^[#%*+^]\s*")
_TERM = re.compile(r"HP:\d{7}")
# The frequency classes of product 4, as qualifiers that ``shares`` understands.
_QUALIFIER_OF_CLASS = {
    "Obligate (100%)": "all patients",
    "Very frequent (99-80%)": "80-99% of patients",
    "Frequent (79-30%)": "30-79% of patients",
    "Occasional (29-5%)": "5-29% of patients",
    "Very rare (<4-1%)": "1-4% of patients",
    "Excluded (0%)": "0% of patients",
}


@dataclass(frozen=True, slots=True)
class Frequency:
    """The ``share`` of patients with a finding, in [0, 1].

    ``patients`` is how many were counted; 0 for a percentage or a class, which give no number.
    """

    share: float
    patients: int = 0


@dataclass(frozen=True, slots=True)
class Annotation:
    """One row. ``frequency`` is None where the source gives none, which does not mean rare."""

    disease: str
    term: str
    aspect: str
    negated: bool
    frequency: Frequency | None
    references: tuple[str, ...]


@dataclass(frozen=True)
class AnnotationTable:
    """The rows in file order, the names of diseases by id, the number of bad rows, and the first
    of those."""

    rows: tuple[Annotation, ...]
    names: Mapping[str, str]
    bad_count: int
    skipped: tuple[SkippedRecord, ...]


@functools.lru_cache(maxsize=10_000)
def parse_frequency(text: str) -> Frequency | None:
    """The frequency column of ``phenotype.hpoa``: "3/7", "45%", a term below HP:0040279, or ""
    (None). A class counts as the middle of its range.

    Raises ValueError for anything else, and for a count of no patients.
    """
    if count := _COUNT.fullmatch(text):
        affected = int(count[1])
        patients = int(count[2])
        if not 0 <= affected <= patients or not patients:
            raise ValueError(f"frequency {text!r}")
        return Frequency(affected / patients, patients)
    try:
        qualifier = describe_frequency(text)
    except DataError:
        raise ValueError(f"frequency {text!r}") from None
    # No qualifier stands for no patient; a qualifier without a number for no frequency.
    bounds = parse_share(qualifier) if qualifier else (0.0, 0.0)
    if bounds is None:
        return None
    if not 0 <= bounds[0] <= bounds[1] <= 1:
        raise ValueError(f"frequency {text!r}")
    return Frequency(sum(bounds) / 2)


def read_hpoa(path: str) -> AnnotationTable:
    """The table of a ``phenotype.hpoa``, plain or gzip, at a path or a URI.

    Raises DataError when the file is missing, damaged or of another format.
    """
    report = VocabularyReport(path)
    names: dict[str, str] = {}
    with open_vocabulary(path) as stream:
        rows = tuple(_read_hpoa_rows(stream, report, names))
    return _build_table(rows, names, report, _HPOA_EXPECTED)


def _read_hpoa_rows(
    stream: BinaryIO, report: VocabularyReport, names: dict[str, str]
) -> Iterator[Annotation]:
    """The sound rows; the names of diseases are added to ``names``."""
    has_header = False
    for number, line in enumerate(as_text(stream), 1):
        # The header comes first: in old files it looks like one of the comments.
        if not has_header and line.lower().startswith(_HPOA_HEADERS):
            has_header = True
        elif not line.startswith("#") and line.strip():
            if not has_header:
                raise report.build_format_error(_HPOA_EXPECTED, f"line {number}: {line[:60]!r}")
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
    cited = tuple(part.strip() for part in reference.split(";") if part.strip())
    return Annotation(
        disease,
        term,
        aspect,
        qualifier == "NOT",
        parse_frequency(frequency),
        cited or (disease,),
    )


def _clean_title(name: str) -> str:
    """The preferred title of an OMIM title: without the number before it and the alternative
    titles after it."""
    return " ".join(_OMIM_PREFIX.sub("", name).split(";")[0].split())


def _choose_readable_name(first: str, second: str) -> str:
    """The first of two names, unless it is empty or alone is all capitals."""
    is_better = first.isupper() and not second.isupper()
    return second if not first or is_better else first


def read_product4(path: str) -> AnnotationTable:
    """The table of Orphadata product 4, plain XML or gzip, at a path or a URI.

    Each row cites its disorder. Raises DataError when the file is missing, damaged or another
    product.
    """
    report = VocabularyReport(path)
    names: dict[str, str] = {}
    rows: list[Annotation] = []
    with open_vocabulary(path) as stream:
        for where, disorder in read_elements(stream, report, ("Disorder",), _PRODUCT4_EXPECTED):
            disease = f"ORPHA:{text_of(disorder, 'OrphaCode')}"
            names[disease] = read_disorder_name(disorder)
            rows += _read_associations(where, disorder, disease, report)
    return _build_table(tuple(rows), names, report, _PRODUCT4_EXPECTED)


def _read_associations(
    where: str, disorder: etree._Element, disease: str, report: VocabularyReport
) -> Iterator[Annotation]:
    """The annotations of a <Disorder> of product 4."""
    for association in disorder.iterfind("HPODisorderAssociationList/HPODisorderAssociation"):
        term = text_of(association, "HPO/HPOId")
        label = text_of(association, "HPOFrequency/Name")
        if label not in _QUALIFIER_OF_CLASS or not _TERM.fullmatch(term):
            report.skip_record(where, f"{disease}: the term {term!r} with the frequency {label!r}")
            continue
        low, high = parse_share(_QUALIFIER_OF_CLASS[label]) or (0.0, 0.0)
        frequency = Frequency((low + high) / 2)
        yield Annotation(disease, term, FINDING, False, frequency, (disease,))


def _build_table(
    rows: tuple[Annotation, ...],
    names: Mapping[str, str],
    report: VocabularyReport,
    expected: str,
) -> AnnotationTable:
    if not rows:
        raise report.build_format_error(expected, "no row that can be used")
    return AnnotationTable(rows, names, report.bad_count, tuple(report.skipped))
