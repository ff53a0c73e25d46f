"""Candidate paths: what a question walks, from a named start over hidden entities to its answer.

A path is a piece of a seed's chain or a short branch off it; it holds the seed and visits no entity
twice. Whether it makes a good question is decided by ``verification``; here only what cannot be
asked at all is left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from medr_ray.core.records import Chain, Relation, content_id
from medr_ray.graph.facts.fact_index import Clause
from medr_ray.graph.facts.hops import Hop, make_hop, make_walk

_BRANCH_HOPS = 2  # branches off the chain are a supplement: long questions come from chains


@dataclass(frozen=True)
class Path:
    """Hops from the start entity to the answer, for one seed; ``on_chain`` when it is a piece of
    the seed's chain.

    ``second`` is a walk from another start to the same answer (an intersection). ``asked`` is what
    is asked of the last target: "entity" itself; "share", the qualifier of the fact ``about``; or
    "earliest", "latest", "largest", "smallest": which of all the ends of the last hop comes first
    by onset or by the share of the finding in ``about``.
    """

    seed: str
    chain_id: str
    hops: tuple[Hop, ...]
    on_chain: bool
    second: tuple[Hop, ...] = ()
    asked: str = "entity"
    about: tuple[Clause, ...] = ()

    @property
    def start(self) -> str:
        return self.hops[0].known

    @property
    def starts(self) -> tuple[str, ...]:
        """The entities the question names to begin from."""
        return (self.start, self.second[0].known) if self.second else (self.start,)

    @property
    def answer(self) -> str:
        """The entity walked to: the answer itself, unless a share is asked."""
        return self.hops[-1].target

    @property
    def entities(self) -> tuple[str, ...]:
        """Entity ids in walking order, start and answer included; those of the second walk
        follow."""
        return (self.start, *(hop.target for hop in self.hops), *(hop.known for hop in self.second))

    @property
    def hidden(self) -> tuple[str, ...]:
        """The entities on the way that the question may not name."""
        return tuple(hop.known for hops in (self.hops, self.second) for hop in hops[1:])

    @property
    def clauses(self) -> tuple[Clause, ...]:
        """All further facts that are told or asked."""
        return (*(clause for hop in (*self.hops, *self.second) for clause in hop.also), *self.about)

    @property
    def relations(self) -> tuple[str, ...]:
        """Ids of the relations walked, told and asked; those walked first."""
        walked = [hop.relation_id for hop in (*self.hops, *self.second)]
        return tuple(dict.fromkeys((*walked, *(clause.relation_id for clause in self.clauses))))

    @property
    def directed_predicates(self) -> tuple[str, ...]:
        """What is walked, in walking order, the second walk after the first."""
        return tuple(hop.directed_predicate for hop in (*self.hops, *self.second))

    @property
    def complexity(self) -> int:
        """Number of facts that must be found out one after another or side by side."""
        return len(self.hops) + len(self.second) + (self.asked != "entity")

    @property
    def final(self) -> str:
        """What decides the answer: the last hop's predicate, or what is asked of its ends."""
        return self.hops[-1].directed_predicate if self.asked == "entity" else self.asked

    @property
    def key(self) -> str:
        """The same walk has the same key, whichever seed or chain it was found from."""
        walked = [(hop.relation_id, hop.forward) for hop in self.hops]
        if self.second or self.asked != "entity":
            return content_id(
                "path",
                walked,
                [(hop.relation_id, hop.forward) for hop in self.second],
                self.asked,
                [one.relation_id for one in self.about],
            )
        return content_id("path", walked)


def chain_walks(
    chain: Chain, seed: str, relations: Mapping[str, Relation], lengths: range
) -> Iterator[tuple[Hop, ...]]:
    """Pieces of the chain with a length in ``lengths`` that hold the seed, in both directions."""
    place = chain.entities.index(seed)
    for first in range(place + 1):
        for last in range(max(place, first + 1), len(chain.entities)):
            if last - first not in lengths:
                continue
            piece = [relations[one] for one in chain.relations[first:last]]
            for start, steps in (
                (chain.entities[first], piece),
                (chain.entities[last], piece[::-1]),
            ):
                hops = make_walk(start, steps)
                if hops is not None:
                    yield hops


def meeting_walks(
    chain: Chain, seed: str, relations: Mapping[str, Relation], lengths: range
) -> Iterator[tuple[tuple[Hop, ...], tuple[Hop, ...]]]:
    """Two walks from both sides of the chain that meet at an entity between, together of a length
    in ``lengths``."""
    place = chain.entities.index(seed)
    for first in range(place + 1):
        for last in range(max(place, first + 2), len(chain.entities)):
            if last - first not in lengths:
                continue
            for middle in range(first + 1, last):
                left = make_walk(
                    chain.entities[first], [relations[one] for one in chain.relations[first:middle]]
                )
                right = make_walk(
                    chain.entities[last],
                    [relations[one] for one in chain.relations[middle:last]][::-1],
                )
                if left is not None and right is not None:
                    yield left, right


def branch_walks(seed: str, graph: Sequence[Relation], lengths: range) -> Iterator[tuple[Hop, ...]]:
    """Walks of one or two hops over the seed graph that hold the seed."""
    touching: dict[str, list[Relation]] = {}
    for relation in graph:
        touching.setdefault(relation.subject, []).append(relation)
        touching.setdefault(relation.object, []).append(relation)
    single = [hop for relation in touching.get(seed, ()) if (hop := make_hop(relation, seed))]
    into = [
        hop
        for relation in touching.get(seed, ())
        if (hop := make_hop(relation, _far(relation, seed)))
    ]
    walks: list[tuple[Hop, ...]] = [(hop,) for hop in (*single, *into)]
    walks += [(hop, more) for hop in single for more in _onward(hop, touching)]
    walks += [(before, hop) for hop in into for before in _into(hop, touching)]
    walks += [(before, hop) for before in into for hop in single if hop.target != before.known]
    yield from (hops for hops in walks if len(hops) in lengths and len(hops) <= _BRANCH_HOPS)


def _far(relation: Relation, near: str) -> str:
    return relation.object if relation.subject == near else relation.subject


def _onward(hop: Hop, touching: Mapping[str, Sequence[Relation]]) -> Iterator[Hop]:
    for relation in touching[hop.target]:
        more = make_hop(relation, hop.target)
        if more is not None and more.target != hop.known:
            yield more


def _into(hop: Hop, touching: Mapping[str, Sequence[Relation]]) -> Iterator[Hop]:
    for relation in touching[hop.known]:
        before = make_hop(relation, _far(relation, hop.known))
        if before is not None and before.known != hop.target:
            yield before
