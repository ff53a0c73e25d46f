"""The chains stage: the longest valid path for each seed.

With ``chains.subgraph: seed_graph`` the path starts at the seed and stays in the seed's own graph.
With a sampling strategy it lies in a sample of the merged graph and contains the seed, at its
start, its end or in between. Only relations that a source of ``chains.sources`` states are used.
The stage takes seconds, so it runs in one process without
Ray.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from medr_ray.core.progress import Bar
from medr_ray.core.records import Chain, Relation, Subgraph
from medr_ray.core.run import Counts, Stage, StageContext
from medr_ray.graph import storage
from medr_ray.graph.artifacts import CHAINS, ENTITIES, RELATIONS, SUBGRAPHS
from medr_ray.graph.expansion import make_rng
from medr_ray.graph.facts.curated_statements import build_full_index
from medr_ray.graph.facts.disambiguation import find_askable_steps
from medr_ray.graph.facts.fact_index import is_stated_in
from medr_ray.graph.paths.chains import find_longest_chain, find_longest_chain_through
from medr_ray.graph.paths.sample_space import SampleSpace
from medr_ray.graph.paths.subgraph_sampling import sample_subgraph
from medr_ray.graph.paths.validity import Rules, build_steps, count_neighbours


def find_chains(
    context: StageContext, seed_graphs: Mapping[str, Sequence[str]]
) -> Iterator[tuple[Chain | None, Subgraph | None]]:
    """(chain, sample) of each seed, in seed order.

    The chain is None for a seed that has none. The sample is the one that contains the chain, None
    where chains are searched for in the seeds' own graphs.
    """
    chains = context.config.chains
    sources = context.config.chains.sources
    all_relations = context.run.read(RELATIONS)
    relations = {
        relation.relation_id: relation
        for relation in all_relations
        if is_stated_in(relation, sources)
    }
    askable = None
    if chains.askable:
        # Also given the relations that no source states: a step can only be asked where no fact at
        # all fits its words as well.
        askable = _find_askable_steps(context, all_relations, list(relations.values()))
    if chains.subgraph == "seed_graph":
        for chain in _find_seed_chains(context, seed_graphs, relations, askable):
            yield chain, None
        return
    space = SampleSpace(
        relations.values(),
        chains,
        context.config.graph.min_confidence,
        context.config.run.seed,
        askable,
    )
    for seed in sorted(seed_graphs):
        # One generator per seed, so that a sample does not depend on the other seeds of the run.
        rng = make_rng(context.config.run.seed, seed)
        sampled = sample_subgraph(space, chains.subgraph, chains.subgraph_size, seed, rng)
        steps = space.steps_for(seed, sampled.entities)
        chain = find_longest_chain_through(
            seed, steps, chains.max_hops, chains.solver_seconds, space.rules
        )
        yield chain, sampled


def _find_seed_chains(
    context: StageContext,
    seed_graphs: Mapping[str, Sequence[str]],
    relations: Mapping[str, Relation],
    askable: frozenset[tuple[str, str]] | None,
) -> Iterator[Chain | None]:
    """The longest chain that starts at each seed, in the seed's own graph."""
    chains = context.config.chains
    # Counted in the merged graph: a hub may have few relations in the graph of one seed.
    degree = count_neighbours(relations.values())
    rules = Rules(chains.unique_predicates, chains.temporal_order)
    for seed, relation_ids in sorted(seed_graphs.items()):
        own = [relations[relation_id] for relation_id in relation_ids if relation_id in relations]
        steps = build_steps(
            own, degree, seed, chains.hub_degree, context.config.graph.min_confidence, askable
        )
        yield find_longest_chain(seed, steps, chains.max_hops, chains.solver_seconds, rules)


def _find_askable_steps(
    context: StageContext, all_relations: Sequence[Relation], relations: Sequence[Relation]
) -> frozenset[tuple[str, str]]:
    """The steps along ``relations`` whose words fit only their target, among the facts of the whole
    graph and of all annotations."""
    entities = {entity.entity_id: entity for entity in context.run.read(ENTITIES)}
    facts = build_full_index(entities, all_relations)
    return find_askable_steps(relations, facts)


def execute_chains(context: StageContext) -> Counts:
    """Find and write the chains and samples; returns the figures of the report."""
    chains: list[Chain] = []
    subgraphs: list[Subgraph] = []
    seed_graphs = storage.read_seed_graphs(context.upstream("graph"))
    with Bar(context.console, "chains", len(seed_graphs), "seeds") as bar:
        for chain, subgraph in find_chains(context, seed_graphs):
            if chain is not None:
                chains.append(chain)
            if subgraph is not None:
                subgraphs.append(subgraph)
            bar.advance()
    context.directory.write(CHAINS, chains)
    # Without sampling there is no such file at all, so that readers can tell the two cases apart.
    if subgraphs:
        context.directory.write(SUBGRAPHS, subgraphs)
    counts = summarize_chains(chains, len(seed_graphs), subgraphs)
    context.console.print(
        f"chains: {len(chains):,} of {len(seed_graphs):,} seeds, {counts['mean_length']} hops on "
        f"average, the longest {counts['max_length']}, {counts['proven_optimal']:,} proven longest",
        highlight=False,
    )
    return counts


def summarize_chains(
    chains: Sequence[Chain], seed_count: int, subgraphs: Sequence[Subgraph]
) -> dict[str, Any]:
    """The figures of the report; those of the samples where there are any."""
    lengths = Counter(chain.length for chain in chains)
    strategies = Counter(chain.strategy for chain in chains)
    counts: dict[str, Any] = {
        "chains": len(chains),
        "seeds_without": seed_count - len(chains),
        "mean_length": round(sum(chain.length for chain in chains) / max(len(chains), 1), 2),
        "max_length": max(lengths, default=0),
        "by_length": {str(length): count for length, count in sorted(lengths.items())},
        "proven_optimal": sum(chain.proven_optimal for chain in chains),
        "by_strategy": dict(sorted(strategies.items())),
    }
    if subgraphs:
        sizes = [len(subgraph.entities) for subgraph in subgraphs]
        used_strategies = Counter(subgraph.used for subgraph in subgraphs)
        counts["subgraphs"] = {
            "by_strategy": dict(sorted(used_strategies.items())),
            "mean_entities": round(sum(sizes) / len(subgraphs), 2),
            "with_reason": sum(bool(subgraph.reason) for subgraph in subgraphs),
        }
    return counts


CHAINS_STAGE = Stage(
    name="chains",
    needs=("graph",),
    sections=("chains",),
    execute=execute_chains,
    uses_ray=False,
    # Settings of other sections that decide which relations and steps are used.
    # The number is raised when steps become askable, or no longer are, by another rule.
    inputs=lambda config: [2, config.graph.min_confidence],
)
