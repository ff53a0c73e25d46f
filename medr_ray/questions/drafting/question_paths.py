"""Candidate paths of a question: from a named start over hidden entities to the answer.

A path is a piece of a seed's chain or a short branch off it. It contains the seed and visits no
entity twice. Only walks that cannot be asked at all are left out here; whether a path makes a good
question is decided by ``question_verification``.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from medr_ray.core.records import Chain, Relation, content_id
from medr_ray.graph.facts.fact_index import Clause
from medr_ray.graph.facts.hops import Hop, make_hop, make_walk

# Hops of a branch. Branches only supplement the chain: long questions come from chains.
_MAX_BRANCH_HOPS = 2


# The fields are columns of the parts that drafting writes: another name would make the parts of an
# unfinished run unreadable.
@dataclass(frozen=True)
class QuestionPath:
    """Hops from the start entity to the answer, for one seed.

    ``on_chain`` is true for a piece of the seed's chain. ``second`` is a walk from another start to
    the same answer (an intersection).

    ``asked`` is what the question asks about the last target: "entity" asks for the target itself;
    "share" asks for the qualifier of the fact in ``about``; "earliest", "latest", "largest" and
    "smallest" ask which of all ends of the last hop comes first by onset, or by the share of the
    finding in ``about``.
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
        return self.hops[0].start

    @property
    def starts(self) -> tuple[str, ...]:
        """The entities the question names to begin from."""
        return (self.start, self.second[0].start) if self.second else (self.start,)

    @property
    def answer(self) -> str:
        """The entity at the end: the answer itself, unless the question asks for a share."""
        return self.hops[-1].target

    @property
    def entities(self) -> tuple[str, ...]:
        """Entity ids in walking order, start and answer included; those of the second walk
        follow."""
        return (self.start, *(hop.target for hop in self.hops), *(hop.start for hop in self.second))

    @property
    def hidden_entities(self) -> tuple[str, ...]:
        """The entities on the way that the question may not name."""
        # Those that a later hop starts at: neither a start nor the answer.
        return tuple(hop.start for hops in (self.hops, self.second) for hop in hops[1:])

    @property
    def clauses(self) -> tuple[Clause, ...]:
        """All facts beside the hops that the question states or asks about."""
        return (*(clause for hop in (*self.hops, *self.second) for clause in hop.also), *self.about)

    @property
    def relations(self) -> tuple[str, ...]:
        """Ids of all relations, each once: those of the hops, then those of the clauses."""
        hop_ids = [hop.relation_id for hop in (*self.hops, *self.second)]
        clause_ids = [clause.relation_id for clause in self.clauses]
        return tuple(dict.fromkeys((*hop_ids, *clause_ids)))

    @property
    def directed_predicates(self) -> tuple[str, ...]:
        """The hops' predicates with their direction, in walking order, the second walk after the
        first."""
        return tuple(hop.directed_predicate for hop in (*self.hops, *self.second))

    @property
    def complexity(self) -> int:
        """Number of facts that must be looked up, one after another or side by side."""
        # A share or a choice needs one more look-up than the walk to the entity.
        return len(self.hops) + len(self.second) + (self.asked != "entity")

    @property
    def answer_criterion(self) -> str:
        """What decides the answer: the last hop's predicate, or what is asked of its ends."""
        return self.hops[-1].directed_predicate if self.asked == "entity" else self.asked

    @property
    def key(self) -> str:
        """An id of the walk, independent of the seed and the chain it comes from."""
        steps = [(hop.relation_id, hop.forward) for hop in self.hops]
        if self.second or self.asked != "entity":
            return content_id(
                "path",
                steps,
                [(hop.relation_id, hop.forward) for hop in self.second],
                self.asked,
                [clause.relation_id for clause in self.about],
            )
        return content_id("path", steps)


def list_chain_walks(
    chain: Chain, seed: str, relations: Mapping[str, Relation], lengths: range
) -> Iterator[tuple[Hop, ...]]:
    """Pieces of the chain that contain the seed, in both directions. ``lengths`` are the allowed
    numbers of hops. ValueError when the seed is not on the chain."""
    seed_place = chain.entities.index(seed)
    # ``first`` and ``last`` are places of entities: the relation at place i joins the entities i
    # and i + 1, so the slice first:last has the relations between them.
    for first in range(seed_place + 1):
        for last in range(max(seed_place, first + 1), len(chain.entities)):
            if last - first not in lengths:
                continue
            piece = [relations[relation_id] for relation_id in chain.relations[first:last]]
            for start, steps in (
                (chain.entities[first], piece),
                (chain.entities[last], piece[::-1]),
            ):
                hops = make_walk(start, steps)
                if hops is not None:
                    yield hops


def list_meeting_walks(
    chain: Chain, seed: str, relations: Mapping[str, Relation], lengths: range
) -> Iterator[tuple[tuple[Hop, ...], tuple[Hop, ...]]]:
    """Pairs of walks from both sides of the chain that meet at an entity between them.

    ``lengths`` are the allowed numbers of hops of both walks together. ValueError when the seed is
    not on the chain.
    """
    seed_place = chain.entities.index(seed)
    for first in range(seed_place + 1):
        # At least two relations, so that both walks have one.
        for last in range(max(seed_place, first + 2), len(chain.entities)):
            if last - first not in lengths:
                continue
            for middle in range(first + 1, last):
                left = make_walk(
                    chain.entities[first],
                    [relations[relation_id] for relation_id in chain.relations[first:middle]],
                )
                # Reversed, because this walk starts at the far end.
                right = make_walk(
                    chain.entities[last],
                    [relations[relation_id] for relation_id in chain.relations[middle:last]][::-1],
                )
                if left is not None and right is not None:
                    yield left, right


def list_branch_walks(
    seed: str, graph: Sequence[Relation], lengths: range
) -> Iterator[tuple[Hop, ...]]:
    """Walks of one or two hops over the seed's graph that contain the seed.

    ``lengths`` are the allowed numbers of hops. Walks with one hop come first, then those that
    start at the seed, end at it and lead through it.
    """
    relations_of_entity: dict[str, list[Relation]] = {}
    for relation in graph:
        relations_of_entity.setdefault(relation.subject, []).append(relation)
        relations_of_entity.setdefault(relation.object, []).append(relation)
    out_of_seed = [
        hop for relation in relations_of_entity.get(seed, ()) if (hop := make_hop(relation, seed))
    ]
    into_seed = [
        hop
        for relation in relations_of_entity.get(seed, ())
        if (hop := make_hop(relation, _other_end(relation, seed)))
    ]
    # The order is fixed: of two equal walks the first is kept later on.
    walks: list[tuple[Hop, ...]] = [(hop,) for hop in (*out_of_seed, *into_seed)]
    walks += [
        (hop, following)
        for hop in out_of_seed
        for following in _hops_after(hop, relations_of_entity)
    ]
    walks += [
        (before, hop) for hop in into_seed for before in _hops_before(hop, relations_of_entity)
    ]
    # With the seed in the middle.
    walks += [
        (before, hop) for before in into_seed for hop in out_of_seed if hop.target != before.start
    ]
    yield from (hops for hops in walks if len(hops) in lengths and len(hops) <= _MAX_BRANCH_HOPS)


def _other_end(relation: Relation, near: str) -> str:
    return relation.object if relation.subject == near else relation.subject


def _hops_after(hop: Hop, relations_of_entity: Mapping[str, Sequence[Relation]]) -> Iterator[Hop]:
    """The hops out of the hop's target that do not lead back."""
    for relation in relations_of_entity[hop.target]:
        following = make_hop(relation, hop.target)
        if following is not None and following.target != hop.start:
            yield following


def _hops_before(hop: Hop, relations_of_entity: Mapping[str, Sequence[Relation]]) -> Iterator[Hop]:
    """The hops into the hop's start that do not come from its target."""
    for relation in relations_of_entity[hop.start]:
        before = make_hop(relation, _other_end(relation, hop.start))
        if before is not None and before.start != hop.target:
            yield before
