"""The chains stage: the longest valid path of each seed, seconds in all.

In the seed's own graph it starts at the seed; in a sample of the merged graph (``chains.subgraph``) it leads over the
seed, which may be its start, its end or in between.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from medr_ray.core.progress import Bar
from medr_ray.core.records import Chain, Entity, Relation, Subgraph
from medr_ray.core.run import Counts, Stage, StageContext
from medr_ray.graph import storage
from medr_ray.graph.chains import longest_chain, longest_chain_over
from medr_ray.graph.expansion import seeded_random
from medr_ray.graph.facts import build_fact_index, ontology_statements
from medr_ray.graph.sampling import SampleSpace, sample
from medr_ray.graph.telling import askable_steps
from medr_ray.graph.validity import Rules, degrees, steps_between

CHAINS_FILE, SUBGRAPHS_FILE = "chains.parquet", "subgraphs.parquet"


def find_chains(context: StageContext) -> Iterator[tuple[Chain | None, Subgraph | None]]:
    """The chain of each seed, in seed order, None for a seed without any; and the sample that it lies in, if any."""
    graph, config = context.upstream("graph"), context.config
    relations = {one.relation_id: one for one in graph.read_records(storage.RELATIONS, Relation)}
    degree = degrees(relations.values())
    rules = Rules(config.chains.unique_predicates, config.chains.temporal_order)
    askable = _askable(context, relations) if config.chains.askable else None
    for seed, ids, subgraph in _regions(context, relations, askable):
        steps = steps_between([relations[one] for one in ids], degree, seed, config.chains.hub_degree,
                              config.graph.min_confidence, askable)
        search = longest_chain if subgraph is None else longest_chain_over
        yield search(seed, steps, config.chains.max_hops, config.chains.solver_seconds, rules), subgraph


def _askable(context: StageContext, relations: Mapping[str, Relation]) -> frozenset[tuple[str, str]]:
    """The steps that single out where they lead, among the facts of the graph and all that is annotated."""
    entities = {one.entity_id: one for one in context.upstream("graph").read_records(storage.ENTITIES, Entity)}
    facts = build_fact_index(entities, relations.values(), ontology_statements())
    return askable_steps(list(relations.values()), facts)


def _regions(
    context: StageContext, relations: Mapping[str, Relation], askable: frozenset[tuple[str, str]] | None
) -> Iterator[tuple[str, Sequence[str], Subgraph | None]]:
    """Each seed, the ids of the relations that its chain may take, and the sample they are from."""
    config = context.config
    seed_graphs = sorted(storage.read_seed_graphs(context.upstream("graph")).items())
    if config.chains.subgraph == "seed_graph":
        yield from ((seed, ids, None) for seed, ids in seed_graphs)
        return
    space = SampleSpace(relations.values(), config.chains, config.graph.min_confidence, config.run.seed, askable)
    for seed, _ in seed_graphs:
        found = sample(space, config.chains.subgraph, config.chains.subgraph_size, seed,
                       seeded_random(config.run.seed, seed))
        yield seed, found.relations, found


def execute_chains(context: StageContext) -> Counts:
    """Write the chains; see the module's docstring."""
    chains: list[Chain] = []
    subgraphs: list[Subgraph] = []
    seeds = 0
    with Bar(context.console, "chains", len(storage.read_seed_graphs(context.upstream("graph"))), "seeds") as bar:
        for chain, subgraph in find_chains(context):
            seeds += 1
            chains += [chain] if chain else []
            subgraphs += [subgraph] if subgraph else []
            bar.advance()
    context.directory.write_records(CHAINS_FILE, Chain, chains)
    if subgraphs:
        context.directory.write_records(SUBGRAPHS_FILE, Subgraph, subgraphs)
    counts = chain_counts(chains, seeds, subgraphs)
    context.console.print(
        f"chains: {len(chains):,} of {seeds:,} seeds, {counts['mean_length']} hops on average, the longest "
        f"{counts['max_length']}, {counts['proven_optimal']:,} proven longest", highlight=False)
    return counts


def chain_counts(chains: Sequence[Chain], seeds: int, subgraphs: Sequence[Subgraph]) -> dict[str, Any]:
    """The figures of the report; those of the samples where there are any."""
    lengths = Counter(one.length for one in chains)
    counts: dict[str, Any] = {
        "chains": len(chains),
        "seeds_without": seeds - len(chains),
        "mean_length": round(sum(one.length for one in chains) / max(len(chains), 1), 2),
        "max_length": max(lengths, default=0),
        "by_length": {str(length): count for length, count in sorted(lengths.items())},
        "proven_optimal": sum(one.proven_optimal for one in chains),
        "by_strategy": dict(sorted(Counter(one.strategy for one in chains).items())),
    }
    if subgraphs:
        counts["subgraphs"] = {
            "by_strategy": dict(sorted(Counter(one.used for one in subgraphs).items())),
            "mean_entities": round(sum(len(one.entities) for one in subgraphs) / len(subgraphs), 2),
            "with_reason": sum(bool(one.reason) for one in subgraphs),
        }
    return counts


CHAINS = Stage(name="chains", needs=("graph",), sections=("chains",), execute=execute_chains, uses_ray=False,
               inputs=lambda config: config.graph.min_confidence)
