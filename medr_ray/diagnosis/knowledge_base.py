"""The annotated findings of diseases, in arrays that compare all diseases with a patient at once.

Terms and diseases have numbers. Diseases are numbered in the ``record_order`` of their ids. An
obsolete or alternative term id counts as the current id. Findings that a source negates or counts
in no patient are left out, and so are diseases without any finding.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medr_ray.core.errors import DataError
from medr_ray.diagnosis.belief import MAX_SHARE, Belief, pool_frequencies
from medr_ray.diagnosis.hypotheses import Hypotheses
from medr_ray.diagnosis.probability_table import FloatArray, IntArray, ProbabilityTable, noisy_or
from medr_ray.knowledge.annotations import FINDING, Annotation
from medr_ray.knowledge.hpo import Hpo, record_order
from medr_ray.knowledge.hpo_terms import PHENOTYPIC_ABNORMALITY

_UNANNOTATED_FINDINGS = 1  # expected of a patient beside the annotated ones


@dataclass(frozen=True, slots=True)
class AnnotatedFinding:
    """One finding of one disease: the term's number, how often it occurs, and the references.

    ``overall`` is true when patients were counted with the finding in any form. More specific
    findings then add nothing to it.
    """

    term: int
    belief: Belief
    references: tuple[str, ...]
    overall: bool = False


@dataclass(frozen=True)
class FindingTerms:
    """The findings of the ontology.

    The number of a term is its index in ``ids`` and ``names``. ``numbers`` has the number of every
    id, also of obsolete and alternative ids. ``ancestors`` has the numbers of each term's
    ancestors; the first is the term itself.
    """

    ids: tuple[str, ...]
    names: tuple[str, ...]
    numbers: Mapping[str, int]
    ancestors: tuple[IntArray, ...]

    def with_ancestors(self, term: int) -> frozenset[int]:
        """The term and everything more general."""
        return frozenset(self.ancestors[term].tolist())


def build_finding_terms(hpo: Hpo) -> FindingTerms:
    """The phenotypic abnormalities, sorted by id, without their root."""
    ancestor_ids = {term_id: hpo.ancestors(term_id) for term_id in hpo.terms}
    ids = tuple(
        sorted(
            term_id
            for term_id, above in ancestor_ids.items()
            if PHENOTYPIC_ABNORMALITY in above and term_id != PHENOTYPIC_ABNORMALITY
        )
    )
    numbers = {term_id: number for number, term_id in enumerate(ids)}
    ancestors = []
    for number, term_id in enumerate(ids):
        others = ancestor_ids[term_id] - {term_id}
        numbers_above = sorted(numbers[other] for other in others if other in numbers)
        ancestors.append(np.array([number, *numbers_above]))
    # ``replacements`` also has merged disease records, which are not terms.
    for obsolete, current in hpo.replacements.items():
        if current in numbers:
            numbers.setdefault(obsolete, numbers[current])
    names = tuple(hpo.terms[term_id].name for term_id in ids)
    return FindingTerms(ids, names, numbers, tuple(ancestors))


@dataclass(frozen=True)
class FindingTable:
    """The annotated findings of all diseases, disease by disease.

    ``starts`` [diseases + 1] bounds each disease's part of the other arrays [findings].
    ``affected`` and ``unaffected`` are those of ``Belief``. ``counted`` are the patients who were
    examined for the finding; the beliefs assume a few more.
    """

    starts: IntArray
    terms: IntArray
    affected: FloatArray
    unaffected: FloatArray
    counted: FloatArray
    references: tuple[tuple[str, ...], ...]

    def expected_shares(self) -> FloatArray:
        """[findings] the expected share of patients with each finding, as ``Belief.share``."""
        return np.minimum(self.affected / (self.affected + self.unaffected), MAX_SHARE)

    def max_patients(self) -> FloatArray:
        """[diseases] the largest number of patients in which one finding was counted."""
        # reduceat needs every part to have a row; a disease without findings is never listed.
        return np.maximum.reduceat(self.counted, self.starts[:-1])

    def findings_of(self, disease: int) -> tuple[AnnotatedFinding, ...]:
        """The annotated findings of a disease, by the number of the term."""
        return tuple(
            AnnotatedFinding(
                int(self.terms[row]),
                Belief(float(self.affected[row]), float(self.unaffected[row])),
                self.references[row],
            )
            for row in range(self.starts[disease], self.starts[disease + 1])
        )


@dataclass(frozen=True)
class KnowledgeBase:
    """Diseases by number, with the shares of their patients who have each finding.

    ``records`` are the ids that were merged into each disease; the first is its own. ``numbers``
    has the number of the disease for all of these ids. ``annotated_shares`` has the shares as
    annotated. ``propagated_shares`` also gives them to all ancestors of a finding.
    ``broader_shares`` has the propagated shares of broader records. ``background_shares`` [terms]
    is the mean of ``propagated_shares`` over diseases: how often a patient with any disease has the
    finding. ``expected_findings`` [diseases] is the expected number of findings of a patient.
    """

    terms: FindingTerms
    ids: tuple[str, ...]
    names: tuple[str, ...]
    records: tuple[tuple[str, ...], ...]
    numbers: Mapping[str, int]
    annotated_shares: ProbabilityTable
    propagated_shares: ProbabilityTable
    broader_shares: ProbabilityTable
    background_shares: FloatArray
    expected_findings: FloatArray
    finding_table: FindingTable

    def findings_of(self, disease: int) -> tuple[AnnotatedFinding, ...]:
        """The annotated findings of a disease, by the number of the term."""
        return self.finding_table.findings_of(disease)


RowsByTerm = Mapping[int, Sequence[Annotation]]  # of one disease, by the number of the term


def build_knowledge_base(
    hpo: Hpo, rows: Iterable[Annotation], names: Mapping[str, str], hypotheses: Hypotheses
) -> KnowledgeBase:
    """The knowledge base of the hypotheses that have a finding.

    Raises DataError when no hypothesis has a finding.
    """
    terms = build_finding_terms(hpo)
    rows_by_record = _group_finding_rows(rows, terms)
    records, rows_by_disease = _group_by_hypothesis(names, hypotheses, rows_by_record)
    annotated = [disease for disease, rows_by_term in rows_by_disease.items() if rows_by_term]
    ids = tuple(sorted(annotated, key=record_order))
    if not ids:
        raise DataError(
            "the annotations have no finding that the ontology knows: they do not fit together"
        )
    finding_table = _build_finding_table([rows_by_disease[disease] for disease in ids])
    annotated_shares, propagated_shares = _build_share_tables(finding_table, terms)
    broader_rows = []
    for disease in ids:
        broader_records = hypotheses.broader_records.get(disease, ())
        broader_rows.append(
            _join_rows(rows_by_record.get(broader, {}) for broader in broader_records)
        )
    # Of broader records only the propagated shares are used.
    _, broader_shares = _build_share_tables(_build_finding_table(broader_rows), terms)
    merged_records = tuple(
        (disease, *(record for record in records[disease] if record != disease)) for disease in ids
    )
    numbers = {record: number for number, group in enumerate(merged_records) for record in group}
    return KnowledgeBase(
        terms=terms,
        ids=ids,
        names=tuple(names[disease] for disease in ids),
        records=merged_records,
        numbers=numbers,
        annotated_shares=annotated_shares,
        propagated_shares=propagated_shares,
        broader_shares=broader_shares,
        background_shares=propagated_shares.mean_shares(),
        expected_findings=_expect_findings(finding_table),
        finding_table=finding_table,
    )


def _group_finding_rows(
    rows: Iterable[Annotation], terms: FindingTerms
) -> dict[str, dict[int, list[Annotation]]]:
    """The rows of findings that patients have, by record and term."""
    rows_by_record: dict[str, dict[int, list[Annotation]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        is_never_seen = row.frequency is not None and row.frequency.share == 0
        is_finding = row.aspect == FINDING and row.term in terms.numbers
        if is_finding and not row.negated and not is_never_seen:
            rows_by_record[row.disease][terms.numbers[row.term]].append(row)
    return rows_by_record


def _group_by_hypothesis(
    names: Mapping[str, str],
    hypotheses: Hypotheses,
    rows_by_record: Mapping[str, Mapping[int, list[Annotation]]],
) -> tuple[dict[str, list[str]], dict[str, dict[int, list[Annotation]]]]:
    """(records, rows by term) of each hypothesis; records in their fixed order."""
    records: dict[str, list[str]] = defaultdict(list)
    rows_by_disease: dict[str, dict[int, list[Annotation]]] = defaultdict(lambda: defaultdict(list))
    for record in sorted(names, key=record_order):
        disease = hypotheses.hypothesis_of_record.get(record)
        if disease is None:
            continue
        records[disease].append(record)
        for term, term_rows in rows_by_record.get(record, {}).items():
            rows_by_disease[disease][term] += term_rows
    return records, rows_by_disease


def _join_rows(groups: Iterable[RowsByTerm]) -> RowsByTerm:
    joined: dict[int, list[Annotation]] = defaultdict(list)
    for group in groups:
        for term, rows in group.items():
            joined[term] += rows
    return joined


def _build_finding_table(diseases: Sequence[RowsByTerm]) -> FindingTable:
    starts = np.cumsum([0, *(len(rows_by_term) for rows_by_term in diseases)], dtype=np.int64)
    terms = []
    affected = []
    unaffected = []
    counted = []
    references = []
    # Neighbouring findings mostly cite the same article: keeping equal tuples once saves memory.
    shared_references: dict[tuple[str, ...], tuple[str, ...]] = {}
    for rows_by_term in diseases:
        for term in sorted(rows_by_term):
            frequencies = tuple(row.frequency for row in rows_by_term[term])
            belief = pool_frequencies(frequencies)
            terms.append(term)
            affected.append(belief.affected)
            unaffected.append(belief.unaffected)
            patients = [frequency.patients for frequency in frequencies if frequency is not None]
            counted.append(sum(patients))
            cited = _collect_references(rows_by_term[term])
            references.append(shared_references.setdefault(cited, cited))
    return FindingTable(
        starts,
        np.array(terms, dtype=np.int64),
        np.array(affected),
        np.array(unaffected),
        np.array(counted, dtype=np.float64),
        tuple(references),
    )


def _collect_references(rows: Sequence[Annotation]) -> tuple[str, ...]:
    """Articles before records, each once."""
    references = dict.fromkeys(reference for row in rows for reference in row.references)
    return tuple(sorted(references, key=lambda reference: not reference.startswith("PMID:")))


def _build_share_tables(
    table: FindingTable, terms: FindingTerms
) -> tuple[ProbabilityTable, ProbabilityTable]:
    """(the shares as annotated, the shares propagated to every ancestor)."""
    disease_count = len(table.starts) - 1
    term_count = len(terms.ids)
    shares = table.expected_shares()
    diseases = np.repeat(np.arange(disease_count), np.diff(table.starts))
    annotated = noisy_or(table.terms, diseases, shares, term_count, disease_count)
    ancestor_counts = np.array([len(terms.ancestors[term]) for term in table.terms], dtype=np.int64)
    if len(ancestor_counts):
        ancestors = np.concatenate([terms.ancestors[term] for term in table.terms])
    else:  # concatenate refuses an empty list
        ancestors = table.terms
    propagated = noisy_or(
        ancestors,
        np.repeat(diseases, ancestor_counts),
        np.repeat(shares, ancestor_counts),
        term_count,
        disease_count,
    )
    return annotated, propagated


def _expect_findings(table: FindingTable) -> FloatArray:
    """[diseases] the expected number of findings of a patient."""
    disease_count = len(table.starts) - 1
    disease_of_finding = np.repeat(np.arange(disease_count), np.diff(table.starts))
    expected = np.bincount(
        disease_of_finding, weights=table.expected_shares(), minlength=disease_count
    )
    return expected.astype(np.float64) + _UNANNOTATED_FINDINGS
