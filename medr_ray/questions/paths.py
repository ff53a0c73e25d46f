"""Candidate paths: pieces of a chain, and short branches off it, that can be put into words from start to answer.

A path holds the seed somewhere, is walked along relations whose predicate has wording in that direction, and visits no
entity twice. Whether it makes a good question is decided by ``verification``; here only what cannot be asked at
all is left out (no wording in that direction, or a qualifier too vague to ask by, such as "some patients").
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from medr_ray.core.records import Chain, Relation, content_id
from medr_ray.knowledge.predicates import PREDICATES
from medr_ray.questions.facts import FactIndex

_EXACT = re.compile(r"\d+ of \d+ patients?|\d+(\.\d+)?% of patients|all patients")
_BRANCH_HOPS = 2  # branches off the chain are a supplement: long questions come from chains


@dataclass(frozen=True)
class Hop:
    """One step from a ``known`` entity to its ``target``; ``forward`` when it walks from subject to object.

    ``clinical`` is the qualifier that the question prints, or ""; ``other`` says that the entity before ``known`` fits
    as well and is excluded in words ("the other disease associated with ...").
    """

    relation_id: str
    predicate: str
    forward: bool
    clinical: str
    known: str
    target: str
    other: bool = False

    @property
    def directed_predicate(self) -> str:
        """The predicate's name in walking direction: ``inverse:`` in front when walked from object to subject."""
        return self.predicate if self.forward else f"inverse:{self.predicate}"


@dataclass(frozen=True)
class Path:
    """Hops from the start entity to the answer, for one seed; ``on_chain`` when it is a piece of the seed's chain."""

    seed: str
    chain_id: str
    hops: tuple[Hop, ...]
    on_chain: bool

    @property
    def start(self) -> str:
        return self.hops[0].known

    @property
    def answer(self) -> str:
        return self.hops[-1].target

    @property
    def entities(self) -> tuple[str, ...]:
        """Entity ids in walking order, start and answer included."""
        return (self.start, *(hop.target for hop in self.hops))

    @property
    def relations(self) -> tuple[str, ...]:
        return tuple(hop.relation_id for hop in self.hops)

    @property
    def key(self) -> str:
        """The same walk has the same key, whichever seed or chain it was found from."""
        return content_id("path", [(hop.relation_id, hop.forward) for hop in self.hops])


def make_hop(relation: Relation, known: str) -> Hop | None:
    """The hop along ``relation`` away from ``known``; None when it cannot be asked in that direction."""
    predicate = PREDICATES[relation.predicate]
    forward = relation.subject == known
    if not (predicate.phrase if forward else predicate.inverse_phrase):
        return None
    printed = predicate.prints_clinical(forward)
    if printed and not _EXACT.fullmatch(relation.clinical):
        return None
    target = relation.object if forward else relation.subject
    return Hop(relation.relation_id, relation.predicate, forward, relation.clinical if printed else "", known, target)


def walk(start: str, relations: Sequence[Relation]) -> tuple[Hop, ...] | None:
    """The hops of a walk over ``relations`` in order; None when one cannot be asked or an entity comes twice."""
    hops: list[Hop] = []
    known, seen = start, {start}
    for relation in relations:
        hop = make_hop(relation, known)
        if hop is None or hop.target in seen:
            return None
        hops.append(hop)
        seen.add(hop.target)
        known = hop.target
    return tuple(hops)


def mark_other(hops: tuple[Hop, ...], facts: FactIndex) -> tuple[Hop, ...]:
    """Mark the hops that would lead back to the entity before them as "other"."""
    marked = []
    for previous, hop in zip((None, *hops), hops, strict=False):
        ends = facts.ends(hop.known, hop.predicate, hop.forward, hop.clinical)
        marked.append(replace(hop, other=previous is not None and previous.known in ends))
    return tuple(marked)


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
            for start, steps in ((chain.entities[first], piece), (chain.entities[last], piece[::-1])):
                hops = walk(start, steps)
                if hops is not None:
                    yield hops


def branch_walks(seed: str, graph: Sequence[Relation], lengths: range) -> Iterator[tuple[Hop, ...]]:
    """Walks of one or two hops over the seed graph that hold the seed."""
    touching: dict[str, list[Relation]] = {}
    for relation in graph:
        touching.setdefault(relation.subject, []).append(relation)
        touching.setdefault(relation.object, []).append(relation)
    single = [hop for relation in touching.get(seed, ()) if (hop := make_hop(relation, seed))]
    into = [hop for relation in touching.get(seed, ()) if (hop := make_hop(relation, _far(relation, seed)))]
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


def candidate_paths(
    seed: str,
    chain: Chain | None,
    graph: Sequence[Relation],
    relations: Mapping[str, Relation],
    facts: FactIndex,
    lengths: range,
) -> list[Path]:
    """Every candidate of a seed, chain pieces first, each walk once. ``lengths`` are the allowed numbers of hops."""
    chain_id = chain.chain_id if chain is not None else ""
    found: dict[str, Path] = {}
    if chain is not None and seed in chain.entities:
        for hops in chain_walks(chain, seed, relations, lengths):
            path = Path(seed, chain_id, mark_other(hops, facts), True)
            found.setdefault(path.key, path)
    for hops in branch_walks(seed, graph, lengths):
        path = Path(seed, chain_id, mark_other(hops, facts), False)
        found.setdefault(path.key, path)
    return list(found.values())
