"""From the name a model writes to the concept it means: first by the lexicon, then by similarity of
names.

What holds: a name the lexicon has is never read as anything else. Similarity decides about
diseases, of which all are compared whose names share a word's beginning with the one asked about,
and about signs, of which only the document's own are (signs differ by one word in ten thousand
names); never about drugs and genes, where one letter makes another. It does not decide across words
that tell siblings apart ("type 2", "hypo-", "dominant"), below the threshold, or where a second
concept is about as near. The encoder is made when it is first needed: without similarity no model
is loaded.
"""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np

from medr_ray.core.records import EntityType
from medr_ray.entities.matching import Matcher
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.lexicon import Concept, normalise
from medr_ray.knowledge.predicates import DISEASE, PHENOTYPE

_EVERYWHERE, _IN_DOCUMENT = (
    frozenset({DISEASE}),
    frozenset({DISEASE, PHENOTYPE}),
)  # types compared by similarity
_LEAD = 0.05  # of cosine by which the nearest concept must be nearer than the next
_PREFIX = 4  # letters two words must share at their beginning to be looked at as the same
_SHORTLIST = 32  # names compared by similarity: a tenth of a second of one core
_COMMON = 3000  # names; a beginning that more of them share singles out nothing
_WORD = re.compile(r"[^\W_]+")
_OPPOSED = re.compile(r"(hyper|hypo|macro|micro|brady|tachy|poly|oligo|pre|post|anti|non|pseudo)")
_TELLING = frozenset(
    (
        "i",
        "ii",
        "iii",
        "iv",
        "v",
        "vi",
        "vii",
        "viii",
        "ix",
        "x",
        "xi",
        "xii",
        "alpha",
        "beta",
        "gamma",
        "delta",
        "dominant",
        "recessive",
        "linked",
        "acute",
        "chronic",
        "left",
        "right",
        "upper",
        "lower",
        "primary",
        "secondary",
        "benign",
        "malignant",
        "proximal",
        "distal",
        "anterior",
        "posterior",
        "increased",
        "decreased",
        "elevated",
        "reduced",
        "high",
        "low",
        "short",
        "long",
        "congenital",
        "acquired",
        "neonatal",
        "infantile",
        "juvenile",
        "adult",
        "early",
        "late",
        "maternal",
        "paternal",
        "familial",
        "sporadic",
        "partial",
        "complete",
        "unilateral",
        "bilateral",
        "no",
        "not",
        "without",
        "absent",
        "absence",
        "except",
    )
)


class NameEncoder(Protocol):
    """The part of ``engines.encoder.Encoder`` that is used here."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors, float32 of shape (len(texts), dimensions)."""
        ...


class Linker:
    """Links names to concepts of the vocabulary. Names at least ``similarity`` alike (cosine) are
    the same; None or 1 for names of the lexicon alone, and so without an ``encoder``, which is
    called once, when it is first needed."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        matcher: Matcher,
        similarity: float | None = None,
        encoder: Callable[[], NameEncoder] | None = None,
    ) -> None:
        self._vocabulary, self._matcher, self._similarity = vocabulary, matcher, similarity
        self._make_encoder = encoder if is_by_similarity(similarity) else None
        self._encoder: NameEncoder | None = None
        self._vectors: dict[str, np.ndarray] = {}
        self._near: dict[str, NearNames] = {}

    def known(
        self, name: str, among: Collection[str], entity_type: EntityType | None = None
    ) -> str | None:
        """The concept with that name or form, of that type where one is asked for: of those
        ``among`` the document's concepts first, then as the matcher reads the name, then by
        preferred name."""
        wanted = normalise(name)
        fitting = [one for one in sorted(among) if self._is(one, entity_type)]
        by_name = (one for one in fitting if normalise(self._vocabulary.name_of(one)) == wanted)
        by_form = (
            one for one in fitting if wanted in map(normalise, self._vocabulary.concepts[one].forms)
        )
        whole = (
            one.concept_id
            for one in self._matcher.find(name)
            if (one.start, one.end) == (0, len(name))
        )
        read = (one for one in whole if one in self._vocabulary and self._is(one, entity_type))
        named = self._vocabulary.named(entity_type, name) if entity_type else None
        return next((one for ids in (by_name, by_form, read) for one in ids), named)

    def _is(self, concept_id: str, entity_type: EntityType | None) -> bool:
        return entity_type is None or self._vocabulary.type_of(concept_id) == entity_type

    def similar(self, name: str, among: Collection[str], entity_type: EntityType) -> str | None:
        """The concept of that type with the name most like ``name``; None where none is alike
        enough, or two are."""
        if (
            self._make_encoder is None
            or self._similarity is None
            or entity_type not in _IN_DOCUMENT
        ):
            return None
        names = self._candidates(name, among, entity_type)
        if not names:
            return None
        query, *vectors = self._embed([normalise(name), *(form for form, _ in names)])
        nearest: dict[str, float] = {}
        for vector, (_, concept_id) in zip(vectors, names, strict=True):
            nearest[concept_id] = max(nearest.get(concept_id, -1.0), float(query @ vector))
        return _clear_winner(nearest, self._similarity)

    def _candidates(
        self, name: str, among: Collection[str], entity_type: EntityType
    ) -> list[tuple[str, str]]:
        """(form, concept) of the document's concepts, and of the names nearest by their words."""
        telling = telling_words(name)
        own = [
            (form, one)
            for one in sorted(among)
            if self._is(one, entity_type)
            for form in _names(self._vocabulary.concepts[one])
        ]
        others = self._index(entity_type).near(name) if entity_type in _EVERYWHERE else []
        return [
            (form, one)
            for form, one in dict.fromkeys([*own, *others])
            if telling_words(form) == telling
        ]

    def _index(self, entity_type: EntityType) -> "NearNames":
        """All names of a type, read once (half a second for the embedded diseases)."""
        if entity_type not in self._near:
            self._near[entity_type] = NearNames(
                (form, one.concept_id)
                for one in self._vocabulary.concepts.values()
                if one.entity_type == entity_type
                for form in _names(one)
            )
        return self._near[entity_type]

    def _embed(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Vectors of names; each name is embedded once."""
        new = [one for one in dict.fromkeys(texts) if one not in self._vectors]
        if new:
            if self._make_encoder is None:
                raise RuntimeError("names are embedded only where there is an encoder")
            self._encoder = self._encoder or self._make_encoder()
            self._vectors |= zip(new, self._encoder.encode(new), strict=True)
        return [self._vectors[one] for one in texts]


class NearNames:
    """An index of names by the beginnings of their words, for the few that a name may be another
    wording of."""

    def __init__(self, names: Iterable[tuple[str, str]]) -> None:
        self._names = list(names)
        self._keys = [frozenset(_beginnings(form)) for form, _ in self._names]
        self._holding: dict[str, list[int]] = defaultdict(list)
        for number, keys in enumerate(self._keys):
            for key in keys:
                self._holding[key].append(number)

    def near(self, name: str) -> list[tuple[str, str]]:
        """At most 32 (form, concept), those that share the largest part of their telling words with
        ``name`` first."""
        keys = _beginnings(name)
        numbers = {
            number
            for key in keys
            if len(self._holding.get(key, ())) <= _COMMON
            for number in self._holding.get(key, ())
        }
        ranked = sorted(
            numbers,
            key=lambda number: (-self._shared(keys, self._keys[number]), self._names[number]),
        )
        return [self._names[number] for number in ranked[:_SHORTLIST]]

    def _shared(self, keys: Collection[str], others: Collection[str]) -> float:
        """Weight of the shared beginnings in that of all (0 to 1); a rare beginning weighs more."""
        both = math.fsum(self._weight(one) for one in keys if one in others)
        return both / math.fsum(self._weight(one) for one in {*keys, *others})

    def _weight(self, key: str) -> float:
        return math.log(1 + len(self._names) / (1 + len(self._holding.get(key, ()))))


def is_by_similarity(similarity: float | None) -> bool:
    """Whether names are compared by their vectors at all (``graph.link_similarity``)."""
    return similarity is not None and similarity < 1


def telling_words(name: str) -> frozenset[str]:
    """What must be the same in two names of one thing: numbers, single letters, opposites and their
    prefixes."""
    words = [word for word in _words(name) if word != "s"]
    telling = {
        word for word in words if word in _TELLING or len(word) == 1 or any(map(str.isdigit, word))
    }
    return frozenset(telling | {match.group() for word in words if (match := _OPPOSED.match(word))})


def _words(name: str) -> list[str]:
    return _WORD.findall(normalise(name))


def _beginnings(name: str) -> set[str]:
    return {word[:_PREFIX] for word in _words(name) if len(word) >= _PREFIX}


def _names(concept: Concept) -> list[str]:
    """The names of a concept as they are compared."""
    return sorted({normalise(concept.name), *map(normalise, concept.forms)})


def _clear_winner(nearest: Mapping[str, float], least: float) -> str | None:
    """The concept that is nearest by a lead, where it is near enough."""
    ranked = sorted((-similarity, concept_id) for concept_id, similarity in nearest.items())
    if (
        not ranked
        or -ranked[0][0] < least
        or (len(ranked) > 1 and ranked[1][0] - ranked[0][0] < _LEAD)
    ):
        return None
    return ranked[0][1]
