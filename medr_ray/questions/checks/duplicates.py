"""Near-duplicates among questions, by the chain they walk and by their words.

Two questions are near-duplicates when

- their texts are the same after normalisation, or
- they walk the same facts (equal ``chain_fingerprint``) to the same answer, or the answer of one is where the other
  starts (the chain asked from its other end), or
- they start from the same names, have the same answer, and their texts share most of their words in sequence
  (Jaccard similarity of word 3-shingles of at least 0.8).

So questions of one template about different entities are none, however alike they read; nor are
questions of one chain that ask different things of it, such as the entity and the share of
patients. The earlier question stands.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from math import ceil
from typing import Generic, TypeVar

import networkx as nx

from medr_ray.knowledge.predicates import PREDICATES
from medr_ray.questions.answer_matching import canonical, tokens

SIMILARITY = 0.8  # of word 3-shingles, from which two wordings of one question count as the same
_WORDS = 3
_PRUNING = 4  # one more element is looked at for so many that must be shared: fewer sets to compare
_ROUNDING = 1e-9
T = TypeVar("T", bound=Hashable)


# --- chains ---------------------------------------------------------------------------


def chain_fingerprint(nodes: Sequence[str], edges: Sequence[tuple[str, str, str]]) -> str:
    """The Weisfeiler-Lehman hash (JMLR 12:2539, 2011) of a chain: entity ids, and relations as the
    graph states them (subject, predicate, object). The order of nodes and edges is of no account,
    nor is the end it is walked from; the direction of a relation is, unless its predicate is
    symmetric. To be compared within a run only."""
    graph = nx.Graph()
    for node in nodes:
        graph.add_node(node, label=node)
    for relation in set(edges):  # a node of its own, so that two relations may join the same pair
        subject, predicate, obj = relation
        symmetric = predicate in PREDICATES and PREDICATES[predicate].symmetric
        graph.add_node(relation, label=predicate)
        graph.add_edge(relation, subject, label="end" if symmetric else "subject")
        graph.add_edge(relation, obj, label="end" if symmetric else "object")
    # ids are unique: after one iteration a relation's label holds all that there is to know of it
    return nx.weisfeiler_lehman_graph_hash(
        graph, node_attr="label", edge_attr="label", iterations=1
    )


# --- texts ----------------------------------------------------------------------------


def windows(items: Sequence[T], size: int) -> Iterator[tuple[T, ...]]:
    """Every run of ``size`` items; all items where there are fewer."""
    return (tuple(items[at : at + size]) for at in range(max(1, len(items) - size + 1)))


def jaccard(one: Set[T], other: Set[T]) -> float:
    """|A ∩ B| / |A ∪ B|; 0 for two empty sets."""
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared) if shared else 0.0


class ShingleIndex(Generic[T]):
    """Sets searched by Jaccard similarity, exactly, without comparing all of them.

    A set of similarity t shares at least t n of the n elements of the one it is like; so it holds
    at least m of any n - ceil(t n) + m of them, and those that the fewest sets hold are looked at.
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._sets: dict[str, frozenset[T]] = {}
        self._holders: dict[T, dict[str, None]] = defaultdict(dict)

    def add(self, name: str, shingles: Iterable[T]) -> None:
        """Keep a set under a name that is not yet in use."""
        self._sets[name] = frozenset(shingles)
        for one in self._sets[name]:
            self._holders[one][name] = None

    def remove(self, name: str) -> None:
        """Forget a set."""
        for one in self._sets.pop(name):
            del self._holders[one][name]

    def most_similar(self, shingles: Set[T]) -> tuple[str, float] | None:
        """The most similar set that reaches the threshold, and its similarity; of equals the first
        by name."""
        size, least = len(shingles), ceil(self._threshold * len(shingles) - _ROUNDING)
        often = 1 + least // _PRUNING
        rarest = sorted((self._holders.get(one, {}) for one in shingles), key=len)[
            : size - least + often
        ]
        held = Counter(itertools.chain.from_iterable(rarest))
        found = []
        for name, times in held.items():
            if (
                times >= often
                and least <= len(self._sets[name]) <= size / self._threshold + _ROUNDING
            ):
                similarity = jaccard(shingles, self._sets[name])
                if similarity >= self._threshold - _ROUNDING:
                    found.append((-similarity, name))
        return (min(found)[1], -min(found)[0]) if found else None


# --- questions ------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """What makes a question another one: its chain's fingerprint, its text, the names of the
    entities it starts from (also of those it only describes) and its answer."""

    question_id: str
    fingerprint: str
    text: str
    starts: tuple[str, ...]
    answer: str


@dataclass(frozen=True)
class Duplicate:
    """The earlier question, and why the later one repeats it."""

    question_id: str
    reason: str


class DuplicateFilter:
    """Questions that are no near-duplicates of one another, in the order they were added."""

    def __init__(self) -> None:
        self._asked: dict[str, Asked] = {}
        self._texts: dict[str, str] = {}
        self._chains: dict[str, list[Asked]] = defaultdict(list)
        self._wordings: dict[tuple[frozenset[str], str], ShingleIndex[tuple[str, ...]]] = {}

    def add(self, one: Asked) -> Duplicate | None:
        """The earlier question that ``one`` repeats; None, and ``one`` is kept, when there is
        none."""
        earlier = self._same_text(one) or self._same_chain(one) or self._same_wording(one)
        if earlier is None:
            self._keep(one)
        return earlier

    def discard(self, question_id: str) -> None:
        """Forget a kept question, to let another take its place."""
        one = self._asked.pop(question_id)
        del self._texts[canonical(one.text)]
        self._chains[one.fingerprint].remove(one)
        self._wordings[_subject(one)].remove(question_id)

    def _keep(self, one: Asked) -> None:
        self._asked[one.question_id] = one
        self._texts[canonical(one.text)] = one.question_id
        self._chains[one.fingerprint].append(one)
        self._wordings.setdefault(_subject(one), ShingleIndex(SIMILARITY)).add(
            one.question_id, _shingles(one.text)
        )

    def _same_text(self, one: Asked) -> Duplicate | None:
        earlier = self._texts.get(canonical(one.text))
        return (
            Duplicate(earlier, f"no_duplicate: the text of {earlier}")
            if earlier is not None
            else None
        )

    def _same_chain(self, one: Asked) -> Duplicate | None:
        for other in self._chains.get(one.fingerprint, ()):
            if canonical(other.answer) == canonical(one.answer):
                return Duplicate(
                    other.question_id, f"no_duplicate: the chain and answer of {other.question_id}"
                )
            if _ends_at_start(one, other) or _ends_at_start(other, one):
                return Duplicate(
                    other.question_id,
                    f"no_duplicate: the chain of {other.question_id} from its other end",
                )
        return None

    def _same_wording(self, one: Asked) -> Duplicate | None:
        index = self._wordings.get(_subject(one))
        found = index.most_similar(_shingles(one.text)) if index is not None else None
        if found is None:
            return None
        return Duplicate(
            found[0],
            f"no_duplicate: the subject, answer and nearly the words of {found[0]} "
            f"(similarity {found[1]:.2f})",
        )


def _subject(one: Asked) -> tuple[frozenset[str], str]:
    return frozenset(map(canonical, one.starts)), canonical(one.answer)


def _ends_at_start(one: Asked, other: Asked) -> bool:
    return canonical(one.answer) in map(canonical, other.starts)


def _shingles(text: str) -> frozenset[tuple[str, ...]]:
    return frozenset(windows(tokens(text), _WORDS))
