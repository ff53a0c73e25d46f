"""Communities and centralities of a graph of entities, by igraph.

What holds: the same entities, links and seed give the same result in whatever order they come;
every entity is in one community, every community holds together; links are directed, and one that
goes both ways ties twice as much.
"""

import contextlib
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import igraph

EXACT_BETWEENNESS = 1_000  # entities; beyond that only shortest paths of CUTOFF links count
CUTOFF = 3


@dataclass(frozen=True)
class Communities:
    """``members`` of each community, sorted, the largest community first; ``number_of`` each
    entity, an index into ``members``; ``modularity`` of the partition (Newman and Girvan 2004), in
    [-0.5, 1]."""

    members: tuple[tuple[str, ...], ...]
    number_of: Mapping[str, int]
    modularity: float

    def around(self, entity: str) -> tuple[str, ...]:
        """The community of an entity; itself alone where it is not in the graph."""
        number = self.number_of.get(entity)
        return (entity,) if number is None else self.members[number]


@dataclass(frozen=True)
class Centralities:
    """By entity: ``degree``, the number of neighbours; ``betweenness``, the shortest directed paths
    that pass through (Brandes 2001); ``pagerank``, which sums to 1."""

    degree: Mapping[str, int]
    betweenness: Mapping[str, float]
    pagerank: Mapping[str, float]

    def rank(self, entity: str) -> tuple[float, float, str]:
        """Sorts entities, the most central first: by betweenness, then PageRank, then id."""
        return -self.betweenness.get(entity, 0.0), -self.pagerank.get(entity, 0.0), entity


def link_graph(entities: Iterable[str], links: Iterable[tuple[str, str]]) -> "igraph.Graph":
    """A simple directed graph with the vertex attribute ``name``; ends of links need not be listed
    as entities."""
    import igraph

    pairs = sorted({link for link in links if link[0] != link[1]})
    names = sorted({*entities, *(end for pair in pairs for end in pair)})
    number = {name: i for i, name in enumerate(names)}
    graph = igraph.Graph(
        n=len(names), edges=[(number[a], number[b]) for a, b in pairs], directed=True
    )
    graph.vs["name"] = names
    return graph


def find_communities(graph: "igraph.Graph", seed: int) -> Communities:
    """Leiden's communities (Traag et al. 2019) by modularity, run until nothing improves."""
    ties = graph.as_undirected(mode="each")
    ties.es["weight"] = 1
    ties.simplify(combine_edges={"weight": "sum"})
    with _seeded(seed):
        found = ties.community_leiden(
            objective_function="modularity", weights="weight", n_iterations=-1
        )
    names = graph.vs["name"]
    groups = sorted(
        (tuple(sorted(names[i] for i in group)) for group in found),
        key=lambda one: (-len(one), one),
    )
    number_of = {entity: number for number, group in enumerate(groups) for entity in group}
    return Communities(
        tuple(groups), number_of, ties.modularity(found, weights="weight") if ties.ecount() else 0.0
    )


def find_centralities(graph: "igraph.Graph") -> Centralities:
    """The centralities of every entity."""
    names = graph.vs["name"]
    cutoff = None if len(names) <= EXACT_BETWEENNESS else CUTOFF
    neighbours = graph.as_undirected(mode="collapse")
    return Centralities(
        dict(zip(names, neighbours.degree(), strict=True)),
        dict(zip(names, graph.betweenness(cutoff=cutoff), strict=True)),
        dict(zip(names, graph.pagerank() if names else [], strict=True)),
    )


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """igraph draws from a generator of its own, and afterwards from Python's again, as it does by
    default."""
    import igraph

    igraph.set_random_number_generator(random.Random(seed))
    try:
        yield
    finally:
        igraph.set_random_number_generator(random)
