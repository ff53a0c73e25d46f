"""Which findings diseases have and how often: rows of ``phenotype.hpoa`` and Orphadata product 4.

``phenotype.hpoa`` is the Human Phenotype Ontology's
(https://obophenotype.github.io/human-phenotype-ontology/annotations/phenotype_hpoa/), in its format
since 2018; before 2023 its header was a comment. Product 4 (``en_product4.xml``, "rare diseases and
associated phenotypes", CC BY 4.0) is Orphanet's own list.

Every sound row is kept unchanged, negated rows too. A bad row is counted and reported with its
place. A disease has the most readable of the names in its rows.
"""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lxml import etree

from medr_ray.knowledge.hpo import ORPHANET_FREQUENCIES, describe_frequency
from medr_ray.knowledge.registries.hpo_annotations import (
    HPOA_EXPECTED,
    HpoaRow,
    clean_disease_title,
    is_frequency,
    is_term,
    read_hpoa_rows,
    split_references,
)
from medr_ray.knowledge.registries.orphanet_records import read_phenotypes
from medr_ray.knowledge.shares import parse_share
from medr_ray.knowledge.vocabulary_reading import (
    SkippedRecord,
    VocabularyReport,
    open_vocabulary,
    read_disorder_name,
    read_elements,
    text_of,
)

# Aspects of a row. C also covers other clinical courses, which are not ages at onset.
FINDING = "P"
ONSET = "C"
INHERITANCE = "I"
_PRODUCT4_EXPECTED = "the XML of Orphadata product 4, phenotypes"
# The frequency classes of product 4, as qualifiers that ``shares`` understands.
_QUALIFIER_OF_CLASS = {**ORPHANET_FREQUENCIES, "Excluded (0%)": "0% of patients"}


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
    if not is_frequency(text):
        raise ValueError(f"frequency {text!r}")
    affected, slash, patients = text.partition("/")
    if slash:
        return Frequency(int(affected) / int(patients), int(patients))
    qualifier = describe_frequency(text)
    # No qualifier stands for no patient; a qualifier without a number for no frequency.
    bounds = parse_share(qualifier) if qualifier else (0.0, 0.0)
    if bounds is None:
        return None
    return Frequency(sum(bounds) / 2)


def read_hpoa(path: str) -> AnnotationTable:
    """The table of a ``phenotype.hpoa``, plain or gzip, at a path or a URI.

    Raises DataError when the file is missing, damaged or of another format.
    """
    report = VocabularyReport(path)
    names: dict[str, str] = {}
    rows = []
    for where, row in read_hpoa_rows(path, report.skip_record):
        name = clean_disease_title(row.disease_name)
        names[row.database_id] = _choose_readable_name(names.get(row.database_id, ""), name)
        try:
            rows.append(_parse_hpoa_row(row))
        except ValueError as error:
            report.skip_record(where, str(error))
    return _build_table(tuple(rows), names, report, HPOA_EXPECTED)


def _parse_hpoa_row(row: HpoaRow) -> Annotation:
    return Annotation(
        row.database_id,
        row.hpo_id,
        row.aspect,
        row.qualifier == "NOT",
        parse_frequency(row.frequency),
        tuple(split_references(row.reference)) or (row.database_id,),
    )


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
    for phenotype in read_phenotypes(disorder):
        term = phenotype.term_id
        label = phenotype.frequency
        if label not in _QUALIFIER_OF_CLASS or not is_term(term):
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
