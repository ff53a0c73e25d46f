"""Trials of the judge of significance."""

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from medr_ray.cli.trials.trial import Outcome, Trial, read_entries
from medr_ray.core.config import EndpointConfig, PipelineConfig
from medr_ray.core.records import EntityFrequency
from medr_ray.entities.seed_candidates import SeedCandidate
from medr_ray.entities.significance import LLMSignificanceJudge
from medr_ray.knowledge.prevalence import Prevalence
from medr_ray.knowledge.rare_diseases import RareListing
from medr_ray.llm.client import ChatClient

# Citations of a corpus in which the trials' counts are frequencies.
_CITATIONS = 36_000_000


def list_significance_trials(config: PipelineConfig, endpoint: EndpointConfig) -> Iterator[Trial]:
    """Whether an entity is significant, one a request."""
    for entry in read_entries("significance"):
        candidate = _build_candidate(entry)
        ask = functools.partial(_judge, endpoint, candidate, entry["significant"])
        expected = "significant" if entry["significant"] else "not significant"
        yield Trial(entry["name"], f"{entry['type']} {entry['name']}", expected, ask)


def _build_candidate(entry: Mapping[str, Any]) -> SeedCandidate:
    share = entry["documents"] / _CITATIONS
    frequency = EntityFrequency(
        entry["id"],
        entry["name"],
        entry["type"],
        entry["documents"],
        entry["mentions"],
        share,
        share / 2,
        share * 2,
    )
    listing = entry.get("listing")
    prevalence = entry.get("prevalence")
    return SeedCandidate(
        frequency,
        entry["specialty"],
        tuple((form, count) for form, count in entry["forms"]),
        entry["hpo_facts"],
        prevalence=Prevalence(**prevalence) if prevalence else None,
        listing=RareListing(**listing) if listing else None,
    )


def _judge(
    endpoint: EndpointConfig, candidate: SeedCandidate, expected: bool, client: ChatClient
) -> Outcome:
    (judgement,) = LLMSignificanceJudge(client, endpoint, 1).judge_candidates([candidate])
    significance = judgement.significance
    verdict = "significant" if significance.verdict else "not significant"
    # A missing verdict counts as not significant in a run, and as nothing here.
    is_given = not significance.reason.startswith("no usable verdict")
    passed = is_given and significance.verdict == expected
    return Outcome(passed, f"{verdict}: {significance.reason}")
