"""Communities and centralities of a graph of entities, by igraph.

Guaranteed: the same entities, links and seed give the same result in any order of input. Every
entity is in one community, and every community is connected. Links are directed; a link in both
directions counts twice.
"""

import contextlib
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import igraph

# In larger graphs only shortest paths of at most CUTOFF links count: the time of the exact
# betweenness grows with the product of entities and links.
MAX_EXACT_ENTITIES = 1_000
CUTOFF = 3  # links


@dataclass(frozen=True)
class Communities:
    """A partition of the entities.

    ``members`` are those of each community, sorted, the largest community first. ``number_of`` is
    the index into ``members`` by entity. ``modularity`` is that of the partition (Newman and Girvan
    2004), in [-0.5, 1].
    """

    members: tuple[tuple[str, ...], ...]
    number_of: Mapping[str, int]
    modularity: float

    def community_of(self, entity: str) -> tuple[str, ...]:
        """The community of an entity; itself alone where it is not in the graph."""
        number = self.number_of.get(entity)
        return (entity,) if number is None else self.members[number]


@dataclass(frozen=True)
class Centralities:
    """Centralities by entity.

    ``degree`` is the number of neighbours, ``betweenness`` the number of shortest directed paths
    that pass through (Brandes 2001), and ``pagerank`` sums to 1.
    """

    degree: Mapping[str, int]
    betweenness: Mapping[str, float]
    pagerank: Mapping[str, float]

    def sort_key(self, entity: str) -> tuple[float, float, str]:
        """Sorts entities, the most central first: by betweenness, then PageRank, then id."""
        return -self.betweenness.get(entity, 0.0), -self.pagerank.get(entity, 0.0), entity


def build_link_graph(entities: Iterable[str], links: Iterable[tuple[str, str]]) -> "igraph.Graph":
    """A simple directed graph with the vertex attribute ``name``. The ends of links need not be
    among ``entities``."""
    import igraph

    # Sorted: the algorithms depend on the numbers of vertices and edges.
    pairs = sorted({link for link in links if link[0] != link[1]})
    names = sorted({*entities, *(end for pair in pairs for end in pair)})
    number_of = {name: number for number, name in enumerate(names)}
    edges = [(number_of[start], number_of[target]) for start, target in pairs]
    graph = igraph.Graph(n=len(names), edges=edges, directed=True)
    graph.vs["name"] = names
    return graph


def find_communities(graph: "igraph.Graph", seed: int) -> Communities:
    """Leiden's communities (Traag et al. 2019) by modularity, run until nothing improves."""
    # igraph's Leiden takes undirected graphs only. A link in both directions gets the weight 2.
    undirected = graph.as_undirected(mode="each")
    undirected.es["weight"] = 1
    undirected.simplify(combine_edges={"weight": "sum"})
    with _seed_igraph(seed):
        partition = undirected.community_leiden(
            objective_function="modularity", weights="weight", n_iterations=-1
        )
    names = graph.vs["name"]
    members = [tuple(sorted(names[vertex] for vertex in group)) for group in partition]
    members.sort(key=lambda group: (-len(group), group))
    number_of = {entity: number for number, group in enumerate(members) for entity in group}
    modularity = 0.0  # undefined without links, where igraph returns NaN
    if undirected.ecount():
        modularity = undirected.modularity(partition, weights="weight")
    return Communities(tuple(members), number_of, modularity)


def find_centralities(graph: "igraph.Graph") -> Centralities:
    """The centralities of every entity."""
    names = graph.vs["name"]
    cutoff = None if len(names) <= MAX_EXACT_ENTITIES else CUTOFF
    neighbours = graph.as_undirected(mode="collapse")
    return Centralities(
        dict(zip(names, neighbours.degree(), strict=True)),
        dict(zip(names, graph.betweenness(cutoff=cutoff), strict=True)),
        dict(zip(names, graph.pagerank() if names else [], strict=True)),
    )


@contextlib.contextmanager
def _seed_igraph(seed: int) -> Iterator[None]:
    """Let igraph draw from a seeded generator for a while.

    igraph draws from Python's global generator by default. Seeding that one would change the random
    numbers of all other code, so it is replaced and restored.
    """
    import igraph

    igraph.set_random_number_generator(random.Random(seed))
    try:
        yield
    finally:
        igraph.set_random_number_generator(random)
