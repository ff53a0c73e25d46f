"""How strongly a document ties two entities together, whatever it says of them: a probability out
of plain counts.

A cue says what two entities have to do with each other, and many documents say it in words no cue
knows. What is left are signals that the two are meant together: one sentence, again and again, in
the title, both what the document is about. They add up to log odds. What holds: entities in one
enumeration ("cardiac arrest, seizures and ataxia") are not tied by it where their types differ, nor
a class ("is a rare disorder") to what is said of its member, nor a name to one that overlaps it,
nor two of which a sentence denies what it says.
"""

import itertools
import math
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass

from medr_ray.graph.extraction.assertion import DENIED, certainty, may_deny
from medr_ray.graph.extraction.sentences import Item, Sentence
from medr_ray.graph.extraction.statements import Statement
from medr_ray.knowledge.predicates import DISEASE, DRUG, GENE, PHENOTYPE

Kinds = tuple[str, str]

_KINDS = {
    DISEASE: DISEASE,
    PHENOTYPE: DISEASE,
    DRUG: DRUG,
    GENE: GENE,
}  # the corpora tell no sign from a disease
_WORDS: Mapping[Kinds, re.Pattern[str]] = {
    kinds: re.compile(words, re.IGNORECASE)
    for kinds, words in {
        (
            DISEASE,
            DRUG,
        ): r"induc|treat|therap|caus|effect|toxic|associat|reduc|prevent|protect|attenuat|increas|adverse|"
        r"risk|develop|after|following|receiv|dose|administ|level",
        (
            DISEASE,
            GENE,
        ): r"mutat|polymorphi|varia|allele|genotyp|associat|gene\b|locus|loci|caus|risk|suscept|express|"
        r"deficien|role|involv|pathogen|promot|inhibit|marker|deletion|carrier|patients? with",
        (
            GENE,
            GENE,
        ): r"interact|bind|complex|phosphorylat|activat|inhibit|regulat|express|induc|suppress|target|pathway|"
        r"signal|associat|mediat",
        (
            DRUG,
            GENE,
        ): r"inhibit|activat|express|induc|bind|block|level|agonist|antagonist|receptor|regulat|increas|"
        r"decreas|reduc|phosphorylat|signal|suppress|release",
        (
            DRUG,
            DRUG,
        ): r"combin|plus|\+|interact|with|antagon|potentiat|enhanc|reduc|compar|versus|induc|block|increas|"
        r"attenuat",
        (
            DISEASE,
            DISEASE,
        ): r"caus|characteri|present|symptom|sign|feature|manifest|includ|result|lead|with|associat|"
        r"due to|occur|develop|affect",
    }.items()
}  # stems of what is said of two of these kinds
_PATIENTS = re.compile(
    r"(?:patients?|children|women|men|adults|subjects|people|individuals|cases?|rats|mice|infants|volunteers) (?:\w+ )?"
    r"(?:with|suffering from|having) (?:[\w-]+ ){0,3}$|(?:treatment|therapy|management|history|prevention|prophylaxis|"
    r"diagnosis) of (?:[\w-]+ ){0,3}$|\b(?:treated|treatment|therapy|given|used|indicated) for (?:[\w-]+ ){0,2}$",
    re.IGNORECASE,
)
_LOOK_BACK = 60  # characters before a disease that may say whose it is


@dataclass(frozen=True)
class Features:
    """What ties two concepts of a document. ``first`` is of the kind that sorts first; of one kind,
    the more named.

    ``sentences`` are the numbers of those that name both, ``listed`` whether they only do so in one
    enumeration; ``direct`` whether one of them names nothing else between the two, ``worded``
    whether the words between the two are such as speak of their kinds. ``title_...``: named in the
    first sentence; ``main_...``: named as often as any concept of the kind. ``opening``: where
    ``first`` is first named, from 0 to 1; ``patients``: share of its mentions that say whom the
    document is about. ``cues``: the confidence of the best statement between the two, by predicate.
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
class Weights:
    """What each feature adds to the log odds; ``cue`` and ``other_cue`` per unit of confidence of a
    statement that names the relation asked for or another one."""

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

    def probability(self, pair: Features, predicates: Collection[str] = ()) -> float:
        """That the two are related by one of ``predicates``, by any where none is given."""
        terms = zip(astuple(self), values(pair, predicates), strict=True)
        return 1 / (1 + math.exp(-math.fsum(weight * value for weight, value in terms)))


def values(pair: Features, predicates: Collection[str] = ()) -> tuple[float, ...]:
    """The numbers that ``Weights`` weighs, in its order."""
    meant = [
        confidence for name, confidence in pair.cues.items() if not predicates or name in predicates
    ]
    other = [
        confidence
        for name, confidence in pair.cues.items()
        if predicates and name not in predicates
    ]
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
        max(meant, default=0.0),
        max(other, default=0.0),
    )


# Fitted by tests/support/fit_strength.py: RELATED on the training set of BioRED (Luo et al.,
# Briefings in
# Bioinformatics 2022, bbac282), INDUCED on that of BC5CDR (Li et al., Database 2016, baw068).
# *_LEAST are where F1 was
# best there in five-fold cross-validation.
RELATED: Mapping[Kinds, Weights] = {
    (DISEASE, DRUG): Weights(
        -2.82, 2.32, 0.0, 0.67, 0.81, -0.15, 0.79, 0.51, 0.47, -0.8, -0.42, 2.07, 0.0
    ),
    (DISEASE, GENE): Weights(
        -3.79, 3.33, 0.0, 0.61, -0.25, 0.84, 0.94, 0.7, 0.73, 0.53, -1.02, 1.7, 0.0
    ),
    (GENE, GENE): Weights(
        -4.21, 1.23, -1.71, 0.29, 2.06, 1.08, -0.55, 1.21, -1.13, -2.04, 0.0, 2.82, 0.0
    ),
    (DRUG, GENE): Weights(
        -3.39, 2.54, 0.0, 0.8, 0.72, 0.55, 0.34, 0.88, 0.15, -0.75, 0.0, 3.23, 0.0
    ),
    (DRUG, DRUG): Weights(
        -3.42, 1.95, -0.39, 0.5, 0.98, 0.41, -0.05, 0.41, -0.68, -1.12, 0.0, 0.69, 0.0
    ),
}
INDUCED = Weights(-3.48, 0.32, 0.0, 0.54, 0.25, 0.05, 0.45, 0.69, 1.22, 0.86, -1.68, 1.76, -2.06)
RELATED_LEAST, INDUCED_LEAST = 0.23, 0.23
FOUND_LEAST = 0.35  # between the mentions a matcher finds there: the F1 of 0.3 to 0.45 is within 0.002 of the best
INDUCED_BY = ("induced_by", "sign_induced_by")


@dataclass(frozen=True)
class Tie:
    """Two concepts of a document. ``related`` in [0, 1] is how surely they are related somehow,
    ``induced`` that the second, a drug, brings on the first, None for other kinds; ``sentences``
    are the numbers of those that name both."""

    first: str
    second: str
    related: float
    induced: float | None
    sentences: tuple[int, ...]


def ties(sentences: Sequence[Sentence], statements: Iterable[Statement]) -> list[Tie]:
    """The ties between any two concepts of a document, the loosest too. Disease and finding, which
    no training set relates, weigh like disease and drug."""
    return [
        Tie(
            one.first,
            one.second,
            RELATED.get(one.kinds, RELATED[DISEASE, DRUG]).probability(one),
            INDUCED.probability(one, INDUCED_BY) if one.kinds == (DISEASE, DRUG) else None,
            one.sentences,
        )
        for one in features(sentences, statements)
    ]


@dataclass(frozen=True)
class _Concept:
    """A concept in a document: its items by the number of their sentence, and how many there
    are."""

    concept_id: str
    kind: str
    items: Mapping[int, Sequence[Item]]
    mentions: int


def features(sentences: Sequence[Sentence], statements: Iterable[Statement]) -> Iterator[Features]:
    """Of each pair of concepts in a document, out of its sentences and what the cues read there."""
    concepts = _concepts(sentences)
    most: dict[str, int] = defaultdict(int)
    for one in concepts:
        most[one.kind] = max(most[one.kind], one.mentions)
    denies = [may_deny(one.text) for one in sentences]
    patients = {
        one.concept_id: _share_of_patients(sentences, one)
        for one in concepts
        if one.kind == DISEASE
    }
    cues = _cues(statements)
    for pair in itertools.combinations(concepts, 2):
        first, second = sorted(pair, key=lambda one: (one.kind, -one.mentions, one.concept_id))
        shared = _meetings(sentences, denies, first, second)
        yield Features(
            first.concept_id,
            second.concept_id,
            (first.kind, second.kind),
            tuple(one.sentence for one in shared),
            bool(shared) and all(one.listed for one in shared),
            any(one.direct for one in shared),
            any(one.worded for one in shared),
            0 in first.items,
            0 in second.items,
            first.mentions == most[first.kind],
            second.mentions == most[second.kind],
            min(first.items) / len(sentences),
            patients.get(first.concept_id, 0.0),
            cues.get(frozenset((first.concept_id, second.concept_id)), {}),
        )


def _concepts(sentences: Sequence[Sentence]) -> list[_Concept]:
    found: dict[tuple[str, str], dict[int, list[Item]]] = defaultdict(lambda: defaultdict(list))
    for number, sentence in enumerate(sentences):
        for item in sentence.items:
            if item.kind in _KINDS:
                found[item.concept_id, _KINDS[item.kind]][number].append(item)
    return [
        _Concept(*key, dict(items), sum(map(len, items.values())))
        for key, items in sorted(found.items())
    ]


def _cues(statements: Iterable[Statement]) -> dict[frozenset[str], dict[str, float]]:
    found: dict[frozenset[str], dict[str, float]] = defaultdict(dict)
    for one in statements:
        best = found[frozenset((one.subject, one.object))]
        best[one.predicate] = max(best.get(one.predicate, 0.0), one.confidence)
    return found


@dataclass(frozen=True)
class _Meeting:
    """A sentence, by its number, that ties two concepts; what it is like is said in
    ``Features``."""

    sentence: int
    listed: bool
    direct: bool
    worded: bool


def _meetings(
    sentences: Sequence[Sentence], denies: Sequence[bool], one: _Concept, other: _Concept
) -> list[_Meeting]:
    words = _WORDS[one.kind, other.kind]
    found = []
    for number in sorted(one.items.keys() & other.items.keys()):
        sentence = sentences[number]
        pairs = [
            (left, right)
            for left, right in _side_by_side(one.items[number], other.items[number])
            if not denies[number] or _is_said(sentence.text, left, right)
        ]
        if pairs:
            found.append(
                _Meeting(
                    number,
                    all(_is_listed(*pair) for pair in pairs),
                    any(_is_direct(sentence, *pair) for pair in pairs),
                    any(
                        words.search(sentence.text, left.mention.end, right.mention.start)
                        for left, right in pairs
                    ),
                )
            )
    return found


def _side_by_side(some: Iterable[Item], others: Iterable[Item]) -> Iterator[tuple[Item, Item]]:
    for one, other in itertools.product(some, others):
        left, right = (one, other) if one.mention.start <= other.mention.start else (other, one)
        listed = left.kind != right.kind and _is_listed(left, right)
        if left.mention.end <= right.mention.start and not (
            left.is_class or right.is_class or listed
        ):
            yield left, right


def _is_said(text: str, left: Item, right: Item) -> bool:
    return certainty(text, left.mention.span, right.mention.span, named=False) != DENIED


def _is_direct(sentence: Sentence, left: Item, right: Item) -> bool:
    """Whether nothing else is named between the lists of the two."""
    return not any(
        left.end <= one.mention.start and one.mention.end <= right.start for one in sentence.items
    )


def _is_listed(left: Item, right: Item) -> bool:
    return left.enumeration == right.enumeration >= 0


def _share_of_patients(sentences: Sequence[Sentence], disease: _Concept) -> float:
    before = [
        sentences[number].text[max(0, item.mention.start - _LOOK_BACK) : item.mention.start]
        for number, items in disease.items.items()
        for item in items
    ]
    return sum(_PATIENTS.search(one) is not None for one in before) / len(before)
