"""The chains stage: the longest valid path of each seed graph, seconds in all."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from medr_ray.core.progress import Bar
from medr_ray.core.records import Chain, Relation
from medr_ray.core.run import Counts, Stage, StageContext
from medr_ray.graph import storage
from medr_ray.graph.chains import longest_chain
from medr_ray.graph.validity import degrees, steps_between

CHAINS_FILE = "chains.parquet"


def find_chains(context: StageContext) -> Iterator[Chain | None]:
    """The chain of each seed, in seed order; None for a seed without any."""
    graph, config = context.upstream("graph"), context.config
    relations = {one.relation_id: one for one in graph.read_records(storage.RELATIONS, Relation)}
    degree = degrees(relations.values())
    for seed, ids in sorted(storage.read_seed_graphs(graph).items()):
        steps = steps_between(
            [relations[one] for one in ids], degree, seed, config.chains.hub_degree, config.graph.min_confidence)
        yield longest_chain(seed, steps, config.chains.max_hops, config.chains.solver_seconds)


def execute_chains(context: StageContext) -> Counts:
    """Write the chains; see the module's docstring."""
    chains: list[Chain] = []
    seeds = 0
    with Bar(context.console, "chains", len(storage.read_seed_graphs(context.upstream("graph"))), "seeds") as bar:
        for chain in find_chains(context):
            seeds += 1
            chains += [chain] if chain else []
            bar.advance()
    context.directory.write_records(CHAINS_FILE, Chain, chains)
    counts = chain_counts(chains, seeds)
    context.console.print(
        f"chains: {len(chains):,} of {seeds:,} seeds, {counts['mean_length']} hops on average, the longest "
        f"{counts['max_length']}, {counts['proven_optimal']:,} proven longest", highlight=False)
    return counts


def chain_counts(chains: Sequence[Chain], seeds: int) -> dict[str, Any]:
    """The figures of the report."""
    lengths = Counter(one.length for one in chains)
    return {
        "chains": len(chains),
        "seeds_without": seeds - len(chains),
        "mean_length": round(sum(one.length for one in chains) / max(len(chains), 1), 2),
        "max_length": max(lengths, default=0),
        "by_length": {str(length): count for length, count in sorted(lengths.items())},
        "proven_optimal": sum(one.proven_optimal for one in chains),
        "by_strategy": dict(sorted(Counter(one.strategy for one in chains).items())),
    }


CHAINS = Stage(name="chains", needs=("graph",), sections=("chains",), execute=execute_chains, uses_ray=False,
               inputs=lambda config: config.graph.min_confidence)
