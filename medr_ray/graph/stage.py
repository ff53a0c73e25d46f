"""The graph stage.

Ray Data hands batches of seeds to actors that have the index, the matcher and the vocabulary open; each batch is
one part, so a killed stage goes on with the missing ones. How seeds are batched depends on the seeds alone and every
seed has its own random generator, so the merged graph is the same whatever the number of workers.
"""

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from typing import Any

from medr_ray.core.config import PipelineConfig
from medr_ray.core.data import one_per_call
from medr_ray.core.errors import DataError
from medr_ray.core.progress import Bar
from medr_ray.core.records import EntityFrequency, Relation, SeedEntity, content_id
from medr_ray.core.run import Counts, Stage, StageContext
from medr_ray.graph import storage
from medr_ray.graph.storage import GrownSeed
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.hpo import load_hpo

_BATCH = 16  # seeds per part: some seconds of work
_PARTS = "parts"


def chosen_seeds(seeds: Sequence[SeedEntity], limit: int | None, run_seed: int, curated: Container[str]) -> list[str]:
    """Ids of the accepted seeds, sorted. With a limit, seeds with a curated record come first (every hop needs
    evidence), and otherwise the run's seed decides."""
    accepted = [one.frequency.concept_id for one in seeds if one.significance.verdict]
    if limit is not None and limit < len(accepted):
        accepted = sorted(accepted, key=lambda one: (one not in curated, content_id("seed", run_seed, one)))[:limit]
    return sorted(accepted)


def grow(context: StageContext, seeds: Sequence[str]) -> list[str]:
    """Expand the seeds that no part holds yet; returns the parts' names in order."""
    batches = {f"seeds-{start:06d}.parquet": list(seeds[start : start + _BATCH])
               for start in range(0, len(seeds), _BATCH)}
    done = set(context.directory.names(_PARTS))
    waiting = [{"part": name, "seeds": batch} for name, batch in batches.items() if name not in done]
    from medr_ray.graph.worker import ExpansionWorker

    with Bar(context.console, "graph", len(seeds), "seeds") as bar:
        bar.resume(sum(len(batch) for name, batch in batches.items() if name in done))
        results = one_per_call(
            waiting, ExpansionWorker, context.config.graph.workers, config=context.config, run=context.run,
            directory=context.directory, parts=_PARTS)
        for row in results:
            bar.advance(row["seeds"], f"{row['relations']:,} relations in the last batch")
    return list(batches)


def execute_graph(context: StageContext) -> Counts:
    """Write the graph; see the module's docstring."""
    entities = context.upstream("entities")
    seeds = chosen_seeds(
        entities.read_records("seeds.parquet", SeedEntity), context.config.graph.max_seeds, context.config.run.seed,
        load_hpo().diseases)
    if not seeds:
        raise DataError("no seeds were accepted: raise entities.rare_frequency or entities.rare_documents, or see "
                        "entities/seeds.jsonl")
    parts = grow(context, seeds)
    grown = (one for part in parts for one in context.directory.read_records(f"{_PARTS}/{part}", GrownSeed))
    relations, seed_graphs = storage.merge(grown)
    frequencies = {one.concept_id: one for one in entities.read_records("frequencies.parquet", EntityFrequency)}
    nodes = storage.nodes(relations, seeds, Vocabulary.load(entities), frequencies)
    storage.write_graph(context.directory, nodes, relations, seed_graphs)
    context.console.print(
        f"graph: {len(nodes):,} entities and {len(relations):,} relations around {len(seeds):,} seeds", highlight=False)
    return graph_counts(len(nodes), relations, seed_graphs)


def graph_counts(entities: int, relations: Sequence[Relation], seeds: Mapping[str, Sequence[str]]) -> Counts:
    """The figures of the report."""
    sources = Counter(one.evidence[0].source for one in relations)
    return {
        "seeds": len(seeds),
        "entities": entities,
        "relations": len(relations),
        "mean_relations_per_seed": round(sum(map(len, seeds.values())) / max(len(seeds), 1), 2),
        "by_predicate": dict(sorted(Counter(one.predicate for one in relations).items())),
        "by_extractor": dict(sorted(Counter(one.extractor for one in relations).items())),
        "by_source": dict(sorted(sources.items())),
    }


def _graph_inputs(config: PipelineConfig) -> Any:
    """The model, where one extracts."""
    if config.graph.extractor == "rules":
        return None
    return config.llm.model_dump(mode="json", include={"base_url", "model"})


GRAPH = Stage(name="graph", needs=("entities", "index"), sections=("graph", "retrieval"), execute=execute_graph,
              inputs=_graph_inputs)
