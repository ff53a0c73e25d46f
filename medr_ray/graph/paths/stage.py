"""The chains stage: the longest valid path of each seed, seconds in all.

In the seed's own graph it starts at the seed; in a sample of the merged graph (``chains.subgraph``)
it leads over the seed, which may be its start, its end or in between. Only relations are walked
that a question may be asked by, those that a source of ``questions.sources`` states.
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
from medr_ray.graph.facts.disambiguation import askable_steps
from medr_ray.graph.facts.fact_index import build_fact_index, is_stated_in, ontology_statements
from medr_ray.graph.paths.chains import longest_chain, longest_chain_over
from medr_ray.graph.paths.subgraph_sampling import SampleSpace, sample
from medr_ray.graph.paths.validity import Rules, degrees, steps_between


def find_chains(
    context: StageContext, seed_graphs: Mapping[str, Sequence[str]]
) -> Iterator[tuple[Chain | None, Subgraph | None]]:
    """The chain of each seed, in seed order, None for a seed without any; and the sample that it
    lies in, if any."""
    config, chains = context.config, context.config.chains
    everything = context.run.read(RELATIONS)
    relations = {
        one.relation_id: one for one in everything if is_stated_in(one, config.questions.sources)
    }
    askable = _askable(context, everything, list(relations.values())) if chains.askable else None
    if chains.subgraph == "seed_graph":
        degree = degrees(relations.values())
        rules = Rules(chains.unique_predicates, chains.temporal_order)
        for seed, ids in sorted(seed_graphs.items()):
            own = [relations[one] for one in ids if one in relations]
            steps = steps_between(
                own, degree, seed, chains.hub_degree, config.graph.min_confidence, askable
            )
            yield longest_chain(seed, steps, chains.max_hops, chains.solver_seconds, rules), None
        return
    space = SampleSpace(
        relations.values(), chains, config.graph.min_confidence, config.run.seed, askable
    )
    for seed in sorted(seed_graphs):
        found = sample(
            space, chains.subgraph, chains.subgraph_size, seed, make_rng(config.run.seed, seed)
        )
        inside = space.steps(seed, found.entities)
        yield (
            longest_chain_over(seed, inside, chains.max_hops, chains.solver_seconds, space.rules),
            found,
        )


def _askable(
    context: StageContext, everything: Sequence[Relation], relations: Sequence[Relation]
) -> frozenset[tuple[str, str]]:
    """The steps over ``relations`` that single out where they lead, among the facts of the whole
    graph and all that is annotated."""
    entities = {one.entity_id: one for one in context.run.read(ENTITIES)}
    return askable_steps(relations, build_fact_index(entities, everything, ontology_statements()))


def execute_chains(context: StageContext) -> Counts:
    """Write the chains; see the module's docstring."""
    chains: list[Chain] = []
    subgraphs: list[Subgraph] = []
    seed_graphs = storage.read_seed_graphs(context.upstream("graph"))
    with Bar(context.console, "chains", len(seed_graphs), "seeds") as bar:
        for chain, subgraph in find_chains(context, seed_graphs):
            chains += [chain] if chain else []
            subgraphs += [subgraph] if subgraph else []
            bar.advance()
    context.directory.write(CHAINS, chains)
    if subgraphs:
        context.directory.write(SUBGRAPHS, subgraphs)
    counts = chain_counts(chains, len(seed_graphs), subgraphs)
    context.console.print(
        f"chains: {len(chains):,} of {len(seed_graphs):,} seeds, {counts['mean_length']} hops on average, the longest "
        f"{counts['max_length']}, {counts['proven_optimal']:,} proven longest",
        highlight=False,
    )
    return counts


def chain_counts(
    chains: Sequence[Chain], seeds: int, subgraphs: Sequence[Subgraph]
) -> dict[str, Any]:
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


CHAINS_STAGE = Stage(
    name="chains",
    needs=("graph",),
    sections=("chains",),
    execute=execute_chains,
    uses_ray=False,
    inputs=lambda config: [config.graph.min_confidence, config.questions.sources],
)
