"""Links the name that a model writes to the concept it means: first by the lexicon, then by
similarity of names.

Guaranteed: a name that the lexicon has always means the concept of the lexicon. Similarity applies
to two types only. A disease is compared with all diseases that share the beginning of a word with
the name. A sign is compared with the document's own signs only, because among ten thousand names
many differ in one word. Drugs and genes are never compared, because one letter makes another drug
or gene. Two names are never linked across words that distinguish siblings ("type 2", "hypo-",
"dominant"), below the threshold, or where a second concept is about as near. The encoder is made
when it is first needed, so without similarity no model is loaded.
"""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np

from medr_ray.core.records import NodeType
from medr_ray.entities.matching import Matcher
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.lexicon import Concept, normalise
from medr_ray.knowledge.name_normalization import fold_name
from medr_ray.knowledge.predicates import DISEASE, PHENOTYPE

# Types compared by similarity: with all concepts of the vocabulary, or with those of the document.
_TYPES_COMPARED_WITH_ALL = frozenset({DISEASE})
_TYPES_COMPARED = frozenset({DISEASE, PHENOTYPE})
_MIN_LEAD = 0.05  # of cosine by which the nearest concept must be nearer than the next
_PREFIX_LETTERS = 4  # two words with the same beginning of this length may be the same word
_SHORTLIST = 32  # names compared by similarity: a tenth of a second of one core
_MAX_NAMES_OF_PREFIX = 3000  # a beginning that more names share does not narrow the search
_WORD = re.compile(r"[^\W_]+")
_DISTINGUISHING_PREFIX = re.compile(
    r"(hyper|hypo|macro|micro|brady|tachy|poly|oligo|pre|post|anti|non|pseudo)"
)
_DISTINGUISHING_WORDS = frozenset(
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

NamedConcept = tuple[str, str]  # a normalised name or form, and the id of its concept


class NameEncoder(Protocol):
    """The part of ``engines.encoder.Encoder`` that linking uses."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors, float32 of shape (len(texts), dimensions)."""
        ...


class Linker:
    """Links names to concepts of the vocabulary.

    Names with a cosine of at least ``similarity`` count as the same. With None or 1 only names of
    the lexicon are linked. ``encoder`` makes the encoder; it is called at most once.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        matcher: Matcher,
        similarity: float | None = None,
        encoder: Callable[[], NameEncoder] | None = None,
    ) -> None:
        self._vocabulary = vocabulary
        self._matcher = matcher
        self._similarity = similarity
        self._make_encoder = encoder if uses_similarity(similarity) else None
        self._encoder: NameEncoder | None = None
        self._vectors: dict[str, np.ndarray] = {}  # by normalised name
        self._indexes: dict[str, NameIndex] = {}  # by entity type

    def find_by_name(
        self, name: str, among: Collection[str], entity_type: NodeType | None = None
    ) -> str | None:
        """The concept with that name or form, of that type where one is given.

        The document's concepts (``among``) come first, then the concept that the matcher finds in
        the name, then the one with that preferred name.
        """
        concept_id = self._find_among(name, among, entity_type)
        if concept_id is None:
            concept_id = self._find_by_matcher(name, entity_type)
        if concept_id is None and entity_type:
            concept_id = self._vocabulary.find_by_name(entity_type, name)
        return concept_id

    def _find_among(
        self, name: str, among: Collection[str], entity_type: NodeType | None
    ) -> str | None:
        """One of the document's concepts, by its preferred name before any by another form."""
        key = fold_name(name)
        concept_ids = [
            concept_id for concept_id in sorted(among) if self._has_type(concept_id, entity_type)
        ]
        for concept_id in concept_ids:
            if fold_name(self._vocabulary.name_of(concept_id)) == key:
                return concept_id
        for concept_id in concept_ids:
            forms = self._vocabulary.concepts[concept_id].forms
            if key in map(fold_name, forms):
                return concept_id
        return None

    def _find_by_matcher(self, name: str, entity_type: NodeType | None) -> str | None:
        """The concept that the matcher finds, where its mention is the whole name."""
        for mention in self._matcher.find_mentions(name):
            is_whole = (mention.start, mention.end) == (0, len(name))
            if not is_whole or mention.concept_id not in self._vocabulary:
                continue
            if self._has_type(mention.concept_id, entity_type):
                return mention.concept_id
        return None

    def _has_type(self, concept_id: str, entity_type: NodeType | None) -> bool:
        return entity_type is None or self._vocabulary.type_of(concept_id) == entity_type

    def find_similar(self, name: str, among: Collection[str], entity_type: NodeType) -> str | None:
        """The concept of that type whose name is most similar to ``name``; None where none is
        similar enough, or two are about equally similar."""
        if self._make_encoder is None or self._similarity is None:
            return None
        if entity_type not in _TYPES_COMPARED:
            return None
        candidates = self._find_candidates(name, among, entity_type)
        if not candidates:
            return None
        forms = [form for form, _ in candidates]
        query, *vectors = self._embed_names([normalise(name), *forms], self._make_encoder)
        similarities: dict[str, float] = {}  # the best of each concept's names
        for vector, (_, concept_id) in zip(vectors, candidates, strict=True):
            similarity = float(query @ vector)
            similarities[concept_id] = max(similarities.get(concept_id, -1.0), similarity)
        return _find_clear_winner(similarities, self._similarity)

    def _find_candidates(
        self, name: str, among: Collection[str], entity_type: NodeType
    ) -> list[NamedConcept]:
        """The names to compare: those of the document's concepts, and the nearest ones of all."""
        candidates = [
            (form, concept_id)
            for concept_id in sorted(among)
            if self._has_type(concept_id, entity_type)
            for form in _list_comparable_names(self._vocabulary.concepts[concept_id])
        ]
        if entity_type in _TYPES_COMPARED_WITH_ALL:
            candidates += self._get_index(entity_type).find_nearest(name)
        # Vectors of siblings ("type 1", "type 2") are nearly equal, so words decide between them.
        words = find_distinguishing_words(name)
        return [
            (form, concept_id)
            for form, concept_id in dict.fromkeys(candidates)
            if find_distinguishing_words(form) == words
        ]

    def _get_index(self, entity_type: NodeType) -> "NameIndex":
        """The index of all names of a type, built once (half a second for the embedded
        diseases)."""
        if entity_type not in self._indexes:
            self._indexes[entity_type] = NameIndex(
                (form, concept.concept_id)
                for concept in self._vocabulary.concepts.values()
                if concept.entity_type == entity_type
                for form in _list_comparable_names(concept)
            )
        return self._indexes[entity_type]

    def _embed_names(
        self, names: Sequence[str], make_encoder: Callable[[], NameEncoder]
    ) -> list[np.ndarray]:
        """Vectors of names; each name is embedded once."""
        new_names = [name for name in dict.fromkeys(names) if name not in self._vectors]
        if new_names:
            if self._encoder is None:
                self._encoder = make_encoder()
            self._vectors |= zip(new_names, self._encoder.encode(new_names), strict=True)
        return [self._vectors[name] for name in names]


class NameIndex:
    """An index of names by the beginnings of their words. It finds the few names that may be
    another wording of a given name."""

    def __init__(self, names: Iterable[NamedConcept]) -> None:
        self._names = list(names)
        self._prefixes = [frozenset(_list_prefixes(form)) for form, _ in self._names]
        self._numbers_by_prefix: dict[str, list[int]] = defaultdict(list)
        for number, prefixes in enumerate(self._prefixes):
            for prefix in prefixes:
                self._numbers_by_prefix[prefix].append(number)

    def find_nearest(self, name: str) -> list[NamedConcept]:
        """At most ``_SHORTLIST`` names, best first: those whose words overlap most with the words
        of ``name``, where rare words weigh more."""
        prefixes = _list_prefixes(name)
        numbers: set[int] = set()
        for prefix in prefixes:
            with_prefix = self._numbers_by_prefix.get(prefix, [])
            if len(with_prefix) <= _MAX_NAMES_OF_PREFIX:
                numbers.update(with_prefix)

        def order_by_overlap(number: int) -> tuple[float, NamedConcept]:
            return -self._measure_overlap(prefixes, self._prefixes[number]), self._names[number]

        return [
            self._names[number] for number in sorted(numbers, key=order_by_overlap)[:_SHORTLIST]
        ]

    def _measure_overlap(self, prefixes: Collection[str], others: Collection[str]) -> float:
        """The weight of the shared beginnings relative to that of all, from 0 to 1 (a weighted
        Jaccard index)."""
        # ``fsum``, because sets have another order in every process and the result must not.
        shared = math.fsum(self._weigh_prefix(prefix) for prefix in prefixes if prefix in others)
        return shared / math.fsum(self._weigh_prefix(prefix) for prefix in {*prefixes, *others})

    def _weigh_prefix(self, prefix: str) -> float:
        """The inverse document frequency of a beginning: ln(1 + N / (1 + names with it))."""
        frequency = len(self._numbers_by_prefix.get(prefix, ()))
        return math.log(1 + len(self._names) / (1 + frequency))


def uses_similarity(similarity: float | None) -> bool:
    """Whether names are compared by their vectors at all (``graph.link_similarity``)."""
    return similarity is not None and similarity < 1


def find_distinguishing_words(name: str) -> frozenset[str]:
    """The words that two names of one concept must share: numbers, single letters, words with an
    opposite, and prefixes with an opposite."""
    distinguishing = set()
    for word in _split_words(name):
        if word == "s":
            continue  # of a possessive, "Marfan's"
        has_digit = any(map(str.isdigit, word))
        if has_digit or len(word) == 1 or word in _DISTINGUISHING_WORDS:
            distinguishing.add(word)
        prefix = _DISTINGUISHING_PREFIX.match(word)
        if prefix:
            distinguishing.add(prefix.group())
    return frozenset(distinguishing)


def _split_words(name: str) -> list[str]:
    return _WORD.findall(normalise(name))


def _list_prefixes(name: str) -> set[str]:
    return {word[:_PREFIX_LETTERS] for word in _split_words(name) if len(word) >= _PREFIX_LETTERS}


def _list_comparable_names(concept: Concept) -> list[str]:
    """The normalised names of a concept, sorted."""
    return sorted({normalise(concept.name), *map(normalise, concept.forms)})


def _find_clear_winner(similarities: Mapping[str, float], least: float) -> str | None:
    """The most similar concept, where its similarity is at least ``least`` and no other concept is
    within ``_MIN_LEAD`` of it."""
    ranked = sorted((-similarity, concept_id) for concept_id, similarity in similarities.items())
    if not ranked or -ranked[0][0] < least:
        return None
    has_rival = len(ranked) > 1 and ranked[1][0] - ranked[0][0] < _MIN_LEAD
    return None if has_rival else ranked[0][1]
