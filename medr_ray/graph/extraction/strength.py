"""Estimates how strongly a document ties two entities together.

The strength is the probability that they are related, computed from plain counts.

A cue says how two entities are related, but many documents say it in words that no cue covers.
Other signals show that the two belong together: one sentence names both, several sentences do, the
title names them, or the document is about both. The weighted signals add up to log odds, as in a
logistic regression. A sentence does not tie entities of different types in one enumeration
("cardiac arrest, seizures and ataxia"), a class ("is a rare disorder") and what the sentence says
about its member, names that overlap, or two entities whose relation it denies.
"""

import itertools
import math
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass

from medr_ray.graph.extraction.assertion import DENIED, compute_assertion_factor, may_deny
from medr_ray.graph.extraction.sentences import Sentence, SentenceItem
from medr_ray.graph.extraction.statements import RelationStatement
from medr_ray.knowledge.predicates import DISEASE, DRUG, GENE, PHENOTYPE

Kinds = tuple[str, str]

# The corpora that the weights were fitted on annotate signs as diseases.
_KIND_OF_TYPE = {DISEASE: DISEASE, PHENOTYPE: DISEASE, DRUG: DRUG, GENE: GENE}

# Stems of the words with which texts relate entities of these two kinds.
_STEMS: Mapping[Kinds, str] = {
    (DISEASE, DRUG): (
        r"induc|treat|therap|caus|effect|toxic|associat|reduc|prevent|protect|attenuat|increas|"
        r"adverse|risk|develop|after|following|receiv|dose|administ|level"
    ),
    (DISEASE, GENE): (
        r"mutat|polymorphi|varia|allele|genotyp|associat|gene\b|locus|loci|caus|risk|suscept|"
        r"express|deficien|role|involv|pathogen|promot|inhibit|marker|deletion|carrier|"
        r"patients? with"
    ),
    (GENE, GENE): (
        r"interact|bind|complex|phosphorylat|activat|inhibit|regulat|express|induc|suppress|"
        r"target|pathway|signal|associat|mediat"
    ),
    (DRUG, GENE): (
        r"inhibit|activat|express|induc|bind|block|level|agonist|antagonist|receptor|regulat|"
        r"increas|decreas|reduc|phosphorylat|signal|suppress|release"
    ),
    (DRUG, DRUG): (
        r"combin|plus|\+|interact|with|antagon|potentiat|enhanc|reduc|compar|versus|induc|block|"
        r"increas|attenuat"
    ),
    (DISEASE, DISEASE): (
        r"caus|characteri|present|symptom|sign|feature|manifest|includ|result|lead|with|associat|"
        r"due to|occur|develop|affect"
    ),
}
_RELATION_WORDS: Mapping[Kinds, re.Pattern[str]] = {
    kinds: re.compile(stems, re.IGNORECASE) for kinds, stems in _STEMS.items()
}
# Words before a disease that show that it is the condition of the patients.
_BEFORE_PATIENTS_DISEASE = re.compile(
    r"(?:patients?|children|women|men|adults|subjects|people|individuals|cases?|rats|mice|infants|"
    r"volunteers) (?:\w+ )?(?:with|suffering from|having) (?:[\w-]+ ){0,3}$|"
    r"(?:treatment|therapy|management|history|prevention|prophylaxis|diagnosis) of "
    r"(?:[\w-]+ ){0,3}$|"
    r"\b(?:treated|treatment|therapy|given|used|indicated) for (?:[\w-]+ ){0,2}$",
    re.IGNORECASE,
)
_LOOK_BACK = 60  # characters before a disease that are searched for these words


@dataclass(frozen=True)
class PairFeatures:
    """What ties two concepts of a document.

    ``first`` is of the kind that sorts first; of one kind, it is the concept with more mentions.
    ``sentences`` are the numbers of the sentences that name both. ``listed`` is true where all of
    these name the two in one enumeration, ``direct`` where one of them names nothing else between
    the two, ``worded`` where the words between the two typically relate their kinds. ``title_...``
    is true for a concept in the first sentence, ``main_...`` for one that is mentioned as often as
    any concept of its kind. ``opening`` is the place where ``first`` is first named, from 0 to 1,
    and ``patients`` the share of its mentions as the condition of the patients. ``cues`` has the
    best confidence of a statement between the two, by predicate.
    """

    first: str
    second: str
    kinds: Kinds
    sentences: tuple[int, ...]
    listed: bool
    direct: bool
    worded: bool
    title_first: bool
    title_second: bool
    main_first: bool
    main_second: bool
    opening: float
    patients: float
    cues: Mapping[str, float]


@dataclass(frozen=True)
class StrengthWeights:
    """What each feature adds to the log odds.

    ``cue`` and ``other_cue`` count per unit of confidence of a statement with one of the requested
    predicates, or with another one. The order of the fields is that of ``compute_feature_values``.
    """

    base: float
    sentences: float  # per ln(1 + how many)
    listed: float
    direct: float
    worded: float
    title_first: float
    title_second: float
    main_first: float
    main_second: float
    opening: float
    patients: float
    cue: float
    other_cue: float

    def compute_probability(self, pair: PairFeatures, predicates: Collection[str] = ()) -> float:
        """The probability that the two are related by one of ``predicates``, or by any predicate
        where none is given."""
        values = compute_feature_values(pair, predicates)
        terms = [weight * value for weight, value in zip(astuple(self), values, strict=True)]
        return 1 / (1 + math.exp(-math.fsum(terms)))


def compute_feature_values(
    pair: PairFeatures, predicates: Collection[str] = ()
) -> tuple[float, ...]:
    """The values of the features in the order of ``StrengthWeights``."""
    cue = 0.0
    other_cue = 0.0
    for predicate, confidence in pair.cues.items():
        if not predicates or predicate in predicates:
            cue = max(cue, confidence)
        else:
            other_cue = max(other_cue, confidence)
    return (
        1.0,
        math.log1p(len(pair.sentences)),
        pair.listed,
        pair.direct,
        pair.worded,
        pair.title_first,
        pair.title_second,
        pair.main_first,
        pair.main_second,
        pair.opening,
        pair.patients,
        cue,
        other_cue,
    )


# Fitted by tests/support/fit_strength.py: RELATED_WEIGHTS on the training set of BioRED (Luo et
# al., Briefings in Bioinformatics 2022, bbac282), INDUCED_WEIGHTS on that of BC5CDR (Li et al.,
# Database 2016, baw068).
RELATED_WEIGHTS: Mapping[Kinds, StrengthWeights] = {
    (DISEASE, DRUG): StrengthWeights(
        -2.8, 2.24, 0.0, 0.7, 0.82, -0.16, 0.8, 0.5, 0.45, -0.83, -0.34, 2.21, 0.0
    ),
    (DISEASE, GENE): StrengthWeights(
        -3.8, 3.31, 0.0, 0.52, -0.29, 0.81, 0.96, 0.74, 0.75, 0.49, -0.97, 1.77, 0.0
    ),
    (GENE, GENE): StrengthWeights(
        -4.23, 1.16, -1.67, 0.27, 1.97, 1.14, -0.56, 1.17, -1.03, -2.0, 0.0, 2.53, 0.0
    ),
    (DRUG, GENE): StrengthWeights(
        -3.43, 2.59, 0.0, 0.66, 0.59, 0.55, 0.42, 0.88, 0.1, -0.66, 0.0, 3.21, 0.0
    ),
    (DRUG, DRUG): StrengthWeights(
        -3.42, 1.97, -0.39, 0.49, 0.96, 0.42, -0.05, 0.4, -0.68, -1.11, 0.0, 1.26, 0.0
    ),
}
INDUCED_WEIGHTS = StrengthWeights(
    -3.47, 0.34, 0.0, 0.44, 0.2, 0.04, 0.47, 0.71, 1.19, 0.86, -1.63, 1.79, -2.07
)
INDUCED_PREDICATES = ("induced_by", "sign_induced_by")

# Probabilities from which two concepts count as related, and as induced by the other: where F1 was
# best on those training sets in five-fold cross-validation.
MIN_RELATED = 0.26
MIN_INDUCED = 0.22
# The same between the mentions that a matcher finds there; the F1 of 0.3 to 0.45 is within 0.002 of
# the best.
MIN_RELATED_IF_MATCHED = 0.35


@dataclass(frozen=True)
class Tie:
    """Two concepts of a document.

    ``related`` is the probability that they are related in any way. ``induced`` is the probability
    that the second, a drug, induces the first; None for other kinds. ``sentences`` are the numbers
    of the sentences that name both.
    """

    first: str
    second: str
    related: float
    induced: float | None
    sentences: tuple[int, ...]


def compute_ties(
    sentences: Sequence[Sentence], statements: Iterable[RelationStatement]
) -> list[Tie]:
    """The ties between any two concepts of a document, however weak."""
    ties = []
    for pair in compute_features(sentences, statements):
        # No training set has relations between diseases, so those of disease and drug stand in.
        weights = RELATED_WEIGHTS.get(pair.kinds, RELATED_WEIGHTS[DISEASE, DRUG])
        induced = None
        if pair.kinds == (DISEASE, DRUG):
            induced = INDUCED_WEIGHTS.compute_probability(pair, INDUCED_PREDICATES)
        related = weights.compute_probability(pair)
        ties.append(Tie(pair.first, pair.second, related, induced, pair.sentences))
    return ties


@dataclass(frozen=True)
class _Concept:
    """A concept in a document: its items by the number of their sentence, and the number of its
    mentions."""

    concept_id: str
    kind: str
    items: Mapping[int, Sequence[SentenceItem]]
    mentions: int


def compute_features(
    sentences: Sequence[Sentence], statements: Iterable[RelationStatement]
) -> Iterator[PairFeatures]:
    """The features of each pair of concepts in a document, from its sentences and the statements of
    the cues."""
    concepts = _collect_concepts(sentences)
    most_mentions: dict[str, int] = defaultdict(int)  # by kind
    for concept in concepts:
        most_mentions[concept.kind] = max(most_mentions[concept.kind], concept.mentions)
    # Computed once: most sentences deny nothing, and the test for each pair is slow.
    denies = [may_deny(sentence.text) for sentence in sentences]
    patient_shares = {
        concept.concept_id: _compute_patient_share(sentences, concept)
        for concept in concepts
        if concept.kind == DISEASE
    }
    cues = _collect_cues(statements)
    for pair in itertools.combinations(concepts, 2):
        first, second = sorted(pair, key=_order_in_pair)
        shared = _find_shared_sentences(sentences, denies, first, second)
        yield PairFeatures(
            first=first.concept_id,
            second=second.concept_id,
            kinds=(first.kind, second.kind),
            sentences=tuple(sentence.number for sentence in shared),
            listed=bool(shared) and all(sentence.listed for sentence in shared),
            direct=any(sentence.direct for sentence in shared),
            worded=any(sentence.worded for sentence in shared),
            title_first=0 in first.items,
            title_second=0 in second.items,
            main_first=first.mentions == most_mentions[first.kind],
            main_second=second.mentions == most_mentions[second.kind],
            opening=min(first.items) / len(sentences),
            patients=patient_shares.get(first.concept_id, 0.0),
            cues=cues.get(frozenset((first.concept_id, second.concept_id)), {}),
        )


def _order_in_pair(concept: _Concept) -> tuple[str, int, str]:
    """Sorts a pair as ``PairFeatures`` requires: by kind, the more often mentioned first."""
    return concept.kind, -concept.mentions, concept.concept_id


def _collect_concepts(sentences: Sequence[Sentence]) -> list[_Concept]:
    """The concepts of a document, sorted by id and kind."""
    items_by_concept: dict[tuple[str, str], dict[int, list[SentenceItem]]] = {}
    for number, sentence in enumerate(sentences):
        for item in sentence.items:
            if item.entity_type in _KIND_OF_TYPE:
                key = (item.concept_id, _KIND_OF_TYPE[item.entity_type])
                items_by_concept.setdefault(key, {}).setdefault(number, []).append(item)
    return [
        _Concept(concept_id, kind, items, sum(map(len, items.values())))
        for (concept_id, kind), items in sorted(items_by_concept.items())
    ]


def _collect_cues(
    statements: Iterable[RelationStatement],
) -> dict[frozenset[str], dict[str, float]]:
    """The best confidence by predicate, for each pair of concepts."""
    cues: dict[frozenset[str], dict[str, float]] = defaultdict(dict)
    for statement in statements:
        best = cues[frozenset((statement.subject, statement.object))]
        earlier = best.get(statement.predicate, 0.0)
        best[statement.predicate] = max(earlier, statement.confidence)
    return cues


@dataclass(frozen=True)
class _SharedSentence:
    """A sentence that ties two concepts, by its number; see ``PairFeatures`` for the flags."""

    number: int
    listed: bool
    direct: bool
    worded: bool


def _find_shared_sentences(
    sentences: Sequence[Sentence], denies: Sequence[bool], first: _Concept, second: _Concept
) -> list[_SharedSentence]:
    words = _RELATION_WORDS[first.kind, second.kind]
    shared = []
    for number in sorted(first.items.keys() & second.items.keys()):
        sentence = sentences[number]
        pairs = list(_pair_items(first.items[number], second.items[number]))
        if denies[number]:
            pairs = [pair for pair in pairs if _is_asserted(sentence.text, *pair)]
        if not pairs:
            continue
        shared.append(
            _SharedSentence(
                number,
                listed=all(_are_enumerated_together(*pair) for pair in pairs),
                direct=any(_is_direct(sentence, *pair) for pair in pairs),
                worded=any(
                    words.search(sentence.text, left.mention.end, right.mention.start)
                    for left, right in pairs
                ),
            )
        )
    return shared


def _pair_items(
    first_items: Iterable[SentenceItem], second_items: Iterable[SentenceItem]
) -> Iterator[tuple[SentenceItem, SentenceItem]]:
    """The pairs (left, right) of items that a sentence may tie; see the module's docstring."""
    for first, second in itertools.product(first_items, second_items):
        is_in_order = first.mention.start <= second.mention.start
        left, right = (first, second) if is_in_order else (second, first)
        if left.mention.end > right.mention.start or left.is_class or right.is_class:
            continue
        if left.entity_type != right.entity_type and _are_enumerated_together(left, right):
            continue
        yield left, right


def _is_asserted(text: str, left: SentenceItem, right: SentenceItem) -> bool:
    return compute_assertion_factor(text, left.mention.span, right.mention.span) != DENIED


def _is_direct(sentence: Sentence, left: SentenceItem, right: SentenceItem) -> bool:
    """Whether nothing else is named between the lists of the two."""
    return not any(
        left.group_end <= item.mention.start and item.mention.end <= right.group_start
        for item in sentence.items
    )


def _are_enumerated_together(left: SentenceItem, right: SentenceItem) -> bool:
    return left.enumeration == right.enumeration >= 0


def _compute_patient_share(sentences: Sequence[Sentence], disease: _Concept) -> float:
    """The share of a disease's mentions that name it as the condition of the patients."""
    patient_mentions = 0
    for number, items in disease.items.items():
        for item in items:
            start = item.mention.start
            before = sentences[number].text[max(0, start - _LOOK_BACK) : start]
            if _BEFORE_PATIENTS_DISEASE.search(before):
                patient_mentions += 1
    return patient_mentions / disease.mentions
