"""What is known of diseases, laid out so that all of them are compared with a patient at once.

Terms and diseases are numbered. What holds: obsolete and alternative term ids count as the current
one; a finding that a source negates, or counts in no patient, is none; a disease without a finding
is not there. Diseases are sorted by id.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medr_ray.core.errors import DataError
from medr_ray.diagnosis.belief import CEILING, Belief, belief_of
from medr_ray.diagnosis.hypotheses import Hypotheses
from medr_ray.diagnosis.probability_table import Columns, Floats, Ints, noisy_or
from medr_ray.knowledge.annotations import FINDING, Annotation
from medr_ray.knowledge.hpo import PHENOTYPIC_ABNORMALITY, Hpo, record_order

_PER_DISEASE = 1  # what every disease has beside its annotated findings, in findings


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known of one finding of one disease: the term's number, how often, and who says so.
    ``overall`` says that patients were counted with the finding in whatever form, so that more
    specific findings add nothing to it."""

    term: int
    belief: Belief
    references: tuple[str, ...]
    overall: bool = False


@dataclass(frozen=True)
class Terms:
    """The findings of the ontology: ids and names by number, numbers by id (obsolete and
    alternative ids too), and the numbers of each term's ancestors, itself first."""

    ids: tuple[str, ...]
    names: tuple[str, ...]
    numbers: Mapping[str, int]
    ancestors: tuple[Ints, ...]

    def above(self, term: int) -> frozenset[int]:
        """The term and everything more general."""
        return frozenset(self.ancestors[term].tolist())


def terms_of(hpo: Hpo) -> Terms:
    """The phenotypic abnormalities, sorted by id, without their root."""
    above = {one: hpo.ancestors(one) for one in hpo.terms}
    ids = tuple(
        sorted(
            one
            for one, ancestors in above.items()
            if PHENOTYPIC_ABNORMALITY in ancestors and one != PHENOTYPIC_ABNORMALITY
        )
    )
    numbers = {one: number for number, one in enumerate(ids)}
    ancestors = tuple(
        np.array(
            [
                number,
                *sorted(numbers[each] for each in above[one] if each != one and each in numbers),
            ]
        )
        for number, one in enumerate(ids)
    )
    for old, new in hpo.replaced.items():
        if new in numbers:
            numbers.setdefault(old, numbers[new])
    return Terms(ids, tuple(hpo.terms[one].name for one in ids), numbers, ancestors)


@dataclass(frozen=True)
class KnowledgeBase:
    """Diseases by number: ``ids``, ``names``, the ``records`` merged into each (its own id first),
    and what each has.

    ``own`` has the share of patients with each annotated finding, ``closed`` the same with all
    ancestors, ``broader`` the closed findings of broader records; ``background`` [terms] is the
    mean of ``closed`` over diseases: how often a patient with some disease has the finding.
    ``breadth`` [diseases] is the expected number of findings of a patient.
    """

    terms: Terms
    ids: tuple[str, ...]
    names: tuple[str, ...]
    records: tuple[tuple[str, ...], ...]
    numbers: Mapping[str, int]
    own: Columns
    closed: Columns
    broader: Columns
    background: Floats
    breadth: Floats
    beliefs: "Beliefs"

    def findings(self, disease: int) -> tuple[Finding, ...]:
        """The annotated findings of a disease, by the number of the term."""
        return self.beliefs.of(disease)


@dataclass(frozen=True)
class Beliefs:
    """The annotated findings of all diseases, by disease: ``starts`` bounds each one's part of the
    other arrays. ``counted`` are patients that were looked at for the finding; the beliefs imagine
    a few more."""

    starts: Ints
    terms: Ints
    affected: Floats
    unaffected: Floats
    counted: Floats
    cited: tuple[tuple[str, ...], ...]

    def shares(self) -> Floats:
        """[findings] as ``Belief.share`` has them."""
        return np.minimum(self.affected / (self.affected + self.unaffected), CEILING)

    def patients(self) -> Floats:
        """[diseases] the most patients that one finding of each was counted in."""
        return np.maximum.reduceat(self.counted, self.starts[:-1])

    def of(self, disease: int) -> tuple[Finding, ...]:
        return tuple(
            Finding(
                int(self.terms[one]),
                Belief(float(self.affected[one]), float(self.unaffected[one])),
                self.cited[one],
            )
            for one in range(self.starts[disease], self.starts[disease + 1])
        )


Rows = Mapping[int, Sequence[Annotation]]  # of one disease, by the number of the term


def build(
    hpo: Hpo, rows: Iterable[Annotation], names: Mapping[str, str], hypotheses: Hypotheses
) -> KnowledgeBase:
    """The knowledge base of the hypotheses that have a finding. DataError when none has."""
    terms = terms_of(hpo)
    by_record = _by_record(rows, terms)
    by_disease: dict[str, dict[int, list[Annotation]]] = defaultdict(lambda: defaultdict(list))
    records: dict[str, list[str]] = defaultdict(list)
    for record in sorted(names, key=record_order):
        if record in hypotheses.of_record:
            records[hypotheses.of_record[record]].append(record)
            for term, found in by_record.get(record, {}).items():
                by_disease[hypotheses.of_record[record]][term] += found
    ids = tuple(sorted((one for one, found in by_disease.items() if found), key=record_order))
    if not ids:
        raise DataError(
            "the annotations have no finding that the ontology knows: they do not fit together"
        )
    beliefs = _beliefs([by_disease[one] for one in ids])
    own, closed = _columns(beliefs, terms)
    wider = _beliefs(
        [
            _joined([by_record.get(each, {}) for each in hypotheses.broader.get(one, ())])
            for one in ids
        ]
    )
    _, broader = _columns(wider, terms)
    disease_of = np.repeat(np.arange(len(ids)), np.diff(beliefs.starts))
    expected = np.bincount(disease_of, weights=beliefs.shares(), minlength=len(ids))
    merged = tuple((one, *(each for each in records[one] if each != one)) for one in ids)
    return KnowledgeBase(
        terms,
        ids,
        tuple(names[one] for one in ids),
        merged,
        {each: number for number, group in enumerate(merged) for each in group},
        own,
        closed,
        broader,
        closed.means(),
        expected.astype(np.float64) + _PER_DISEASE,
        beliefs,
    )


def _by_record(rows: Iterable[Annotation], terms: Terms) -> dict[str, dict[int, list[Annotation]]]:
    """The rows that state a finding of the ontology."""
    found: dict[str, dict[int, list[Annotation]]] = defaultdict(lambda: defaultdict(list))
    for one in rows:
        never = one.frequency is not None and one.frequency.share == 0
        if one.aspect == FINDING and not one.negated and not never and one.term in terms.numbers:
            found[one.disease][terms.numbers[one.term]].append(one)
    return found


def _joined(groups: Iterable[Rows]) -> Rows:
    joined: dict[int, list[Annotation]] = defaultdict(list)
    for group in groups:
        for term, rows in group.items():
            joined[term] += rows
    return joined


def _beliefs(diseases: Sequence[Rows]) -> Beliefs:
    starts = np.cumsum([0, *(len(one) for one in diseases)], dtype=np.int64)
    terms, affected, unaffected, counted, cited = [], [], [], [], []
    shared: dict[
        tuple[str, ...], tuple[str, ...]
    ] = {}  # most findings cite what their neighbours do
    for rows in diseases:
        for term in sorted(rows):
            frequencies = tuple(one.frequency for one in rows[term])
            belief = belief_of(frequencies)
            counted.append(sum(one.patients for one in frequencies if one is not None))
            terms.append(term)
            affected.append(belief.affected)
            unaffected.append(belief.unaffected)
            references = _cited(rows[term])
            cited.append(shared.setdefault(references, references))
    return Beliefs(
        starts,
        np.array(terms, dtype=np.int64),
        np.array(affected),
        np.array(unaffected),
        np.array(counted, dtype=np.float64),
        tuple(cited),
    )


def _cited(rows: Sequence[Annotation]) -> tuple[str, ...]:
    """Articles before records, each once."""
    references = dict.fromkeys(reference for one in rows for reference in one.references)
    return tuple(sorted(references, key=lambda one: not one.startswith("PMID:")))


def _columns(beliefs: Beliefs, terms: Terms) -> tuple[Columns, Columns]:
    """The shares as they are annotated, and with every ancestor."""
    count, shares = len(beliefs.starts) - 1, beliefs.shares()
    diseases = np.repeat(np.arange(count), np.diff(beliefs.starts))
    own = noisy_or(beliefs.terms, diseases, shares, len(terms.ids), count)
    reach = np.array([len(terms.ancestors[term]) for term in beliefs.terms], dtype=np.int64)
    above = (
        np.concatenate([terms.ancestors[term] for term in beliefs.terms])
        if len(reach)
        else beliefs.terms
    )
    return own, noisy_or(
        above, np.repeat(diseases, reach), np.repeat(shares, reach), len(terms.ids), count
    )
