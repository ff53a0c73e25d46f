"""Finds near-duplicates among questions, by the chains they follow and by their words.

Two questions are near-duplicates when

- their texts are the same after normalisation, or
- they follow the same facts (equal ``fingerprint``) to the same answer, or one starts at the
  other's answer (the same chain from its other end), or
- they start from the same names, have the same answer, and their texts share most of their words in
  sequence (Jaccard similarity of word 3-shingles of at least 0.8).

Questions of one template about different entities are not duplicates, even if they read alike. Nor
are questions that ask different things of one chain, such as the entity and the share of patients.
Of two duplicates the earlier question stays.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from math import ceil
from typing import Generic, TypeVar

from medr_ray.questions.answer_matching import canonical_form, normalize_words

# Jaccard similarity of word 3-shingles from which two wordings count as the same question.
MIN_WORDING_SIMILARITY = 0.8
_WORDS_PER_SHINGLE = 3
# ``most_similar`` looks at one more element for every so many that must be shared. A candidate must
# then share more of the elements looked at, so fewer sets are compared.
_SHARED_PER_EXTRA_ELEMENT = 4
# Tolerance for products and quotients of the threshold that should be whole numbers.
_ROUNDING_TOLERANCE = 1e-9
T = TypeVar("T", bound=Hashable)


# --- texts ----------------------------------------------------------------------------


def sliding_windows(items: Sequence[T], size: int) -> Iterator[tuple[T, ...]]:
    """Return every run of ``size`` items, or one run of all items where there are fewer."""
    # ``max`` gives a short sequence its one window.
    return (tuple(items[start : start + size]) for start in range(max(1, len(items) - size + 1)))


def jaccard_similarity(left: Set[T], right: Set[T]) -> float:
    """Return |A ∩ B| / |A ∪ B|, and 0 for two empty sets."""
    shared = len(left & right)
    # Without a shared element the sum may be zero as well: two empty sets.
    return shared / (len(left) + len(right) - shared) if shared else 0.0


class ShingleIndex(Generic[T]):
    """Named sets, searched exactly by Jaccard similarity without comparing all of them.

    A set of similarity t shares at least t n of the n elements of the query. So it contains at
    least m of any n - ceil(t n) + m of them. The search looks up the rarest elements, those that
    the fewest sets contain.
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._sets: dict[str, frozenset[T]] = {}
        # The names of the sets that contain an element: a dict keeps them in the order of adding.
        self._names_by_element: dict[T, dict[str, None]] = defaultdict(dict)

    def add(self, name: str, shingles: Iterable[T]) -> None:
        """Keep a set under a name that is not yet in use."""
        self._sets[name] = frozenset(shingles)
        for shingle in self._sets[name]:
            self._names_by_element[shingle][name] = None

    def remove(self, name: str) -> None:
        """Forget a set."""
        for shingle in self._sets.pop(name):
            del self._names_by_element[shingle][name]

    def most_similar(self, shingles: Set[T]) -> tuple[str, float] | None:
        """Return the name of the most similar set that reaches the threshold, and its similarity.

        Of equally similar sets the first by name is returned; None when no set reaches the
        threshold.
        """
        size = len(shingles)
        # The union has at least ``size`` elements, so a match shares the threshold's part of them.
        min_shared = ceil(self._threshold * size - _ROUNDING_TOLERANCE)
        min_count = 1 + min_shared // _SHARED_PER_EXTRA_ELEMENT
        # ``get``, because indexing the defaultdict would add an entry for every unknown shingle.
        names_of_elements = [self._names_by_element.get(shingle, {}) for shingle in shingles]
        # A match may lack ``size - min_shared`` elements, so it has ``min_count`` of these.
        rarest = sorted(names_of_elements, key=len)[: size - min_shared + min_count]
        counts = Counter(itertools.chain.from_iterable(rarest))
        max_size = size / self._threshold + _ROUNDING_TOLERANCE
        matches = []
        for name, count in counts.items():
            # A set too small or too large cannot reach the threshold, so it is not compared.
            if count < min_count or not min_shared <= len(self._sets[name]) <= max_size:
                continue
            similarity = jaccard_similarity(shingles, self._sets[name])
            if similarity >= self._threshold - _ROUNDING_TOLERANCE:
                # Negated, so that ``min`` takes the most similar and then the first by name.
                matches.append((-similarity, name))
        if not matches:
            return None
        negated_similarity, name = min(matches)
        return name, -negated_similarity


# --- questions ------------------------------------------------------------------------


@dataclass(frozen=True)
class ComparedQuestion:
    """The parts of a question that are compared with other questions.

    ``fingerprint`` is an id of the facts that it rests on, ``start_names`` what it begins with.
    """

    question_id: str
    fingerprint: str
    text: str
    start_names: tuple[str, ...]
    answer: str


@dataclass(frozen=True)
class Duplicate:
    """The earlier question, and the reason why the later one repeats it."""

    question_id: str
    reason: str


class DuplicateFilter:
    """Keeps questions that are not near-duplicates of one another, in the order of adding."""

    def __init__(self) -> None:
        self._kept_questions: dict[str, ComparedQuestion] = {}
        self._id_by_text: dict[str, str] = {}
        self._questions_by_chain: dict[str, list[ComparedQuestion]] = defaultdict(list)
        # One index for each subject: only texts with the same starts and answer are compared.
        self._texts_by_subject: dict[tuple[frozenset[str], str], ShingleIndex[tuple[str, ...]]] = {}

    def add(self, question: ComparedQuestion) -> Duplicate | None:
        """Return the earlier question that ``question`` repeats.

        When there is none, keep ``question`` and return None.
        """
        # The cheapest comparison comes first.
        earlier = (
            self._find_same_text(question)
            or self._find_same_chain(question)
            or self._find_same_wording(question)
        )
        if earlier is None:
            self._keep_question(question)
        return earlier

    def discard(self, question_id: str) -> None:
        """Forget a kept question, to let another take its place."""
        question = self._kept_questions.pop(question_id)
        del self._id_by_text[canonical_form(question.text)]
        self._questions_by_chain[question.fingerprint].remove(question)
        self._texts_by_subject[_subject_key(question)].remove(question_id)

    def _keep_question(self, question: ComparedQuestion) -> None:
        self._kept_questions[question.question_id] = question
        self._id_by_text[canonical_form(question.text)] = question.question_id
        self._questions_by_chain[question.fingerprint].append(question)
        self._texts_by_subject.setdefault(
            _subject_key(question), ShingleIndex(MIN_WORDING_SIMILARITY)
        ).add(question.question_id, _word_shingles(question.text))

    def _find_same_text(self, question: ComparedQuestion) -> Duplicate | None:
        earlier = self._id_by_text.get(canonical_form(question.text))
        if earlier is None:
            return None
        return Duplicate(earlier, f"no_duplicate: the text of {earlier}")

    def _find_same_chain(self, question: ComparedQuestion) -> Duplicate | None:
        for other in self._questions_by_chain.get(question.fingerprint, ()):
            if canonical_form(other.answer) == canonical_form(question.answer):
                return Duplicate(
                    other.question_id, f"no_duplicate: the chain and answer of {other.question_id}"
                )
            # The end of one is the start of the other: the chain is followed from its other end.
            if _ends_at_start(question, other) or _ends_at_start(other, question):
                return Duplicate(
                    other.question_id,
                    f"no_duplicate: the chain of {other.question_id} from its other end",
                )
        return None

    def _find_same_wording(self, question: ComparedQuestion) -> Duplicate | None:
        index = self._texts_by_subject.get(_subject_key(question))
        if index is None:
            return None
        match = index.most_similar(_word_shingles(question.text))
        if match is None:
            return None
        earlier, similarity = match
        return Duplicate(
            earlier,
            f"no_duplicate: the subject, answer and nearly the words of {earlier} "
            f"(similarity {similarity:.2f})",
        )


def _subject_key(question: ComparedQuestion) -> tuple[frozenset[str], str]:
    """Return the names a question starts from and its answer, normalised."""
    return frozenset(map(canonical_form, question.start_names)), canonical_form(question.answer)


def _ends_at_start(question: ComparedQuestion, other: ComparedQuestion) -> bool:
    return canonical_form(question.answer) in map(canonical_form, other.start_names)


def _word_shingles(text: str) -> frozenset[tuple[str, ...]]:
    return frozenset(sliding_windows(normalize_words(text), _WORDS_PER_SHINGLE))
