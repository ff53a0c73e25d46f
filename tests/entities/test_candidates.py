"""Rare entities made ready for the judge, in the order of their rank."""

import random

import polars as pl

from medr_ray.core.records import EntityFrequency, Significance
from medr_ray.entities.seed_candidates import (
    SeedCandidate,
    SeedJudgement,
    build_candidates,
    build_seed_entities,
    rank_key,
)
from medr_ray.knowledge.hpo import DiseaseFact, DiseaseRecord
from medr_ray.knowledge.lexicon import Concept
from medr_ray.knowledge.prevalence import Prevalence
from medr_ray.knowledge.rare_diseases import RareListing


def _make_prevalence(value: float) -> Prevalence:
    return Prevalence(
        "ORPHA:7", "Some disease", value, "Point prevalence", "Europe", True, True, "1[PMID]"
    )


def _make_frequency(concept_id: str, upper: float = 0.1, mentions: int = 1) -> EntityFrequency:
    return EntityFrequency(
        concept_id, f"name of {concept_id}", "disease", 1, mentions, 0.01, 0.001, upper
    )


def test_the_rarer_the_less_prevalent_and_the_better_supported_come_first() -> None:
    ranked = [
        SeedCandidate(_make_frequency("D:9", upper=0.1), "", (), 0),
        SeedCandidate(
            _make_frequency("D:8", upper=0.2), "", (), 0, prevalence=_make_prevalence(1e-7)
        ),
        SeedCandidate(
            _make_frequency("D:7", upper=0.2), "", (), 0, prevalence=_make_prevalence(1e-6)
        ),
        SeedCandidate(_make_frequency("D:6", upper=0.2, mentions=1), "", (), 50),
        SeedCandidate(_make_frequency("D:5", upper=0.2, mentions=9), "", (), 3),
        SeedCandidate(_make_frequency("D:4", upper=0.2, mentions=8), "", (), 3),
        SeedCandidate(_make_frequency("D:2", upper=0.2, mentions=8), "", (), 0),
        SeedCandidate(_make_frequency("D:3", upper=0.2, mentions=8), "", (), 0),
    ]
    shuffled = random.Random(0).sample(ranked, len(ranked))
    assert sorted(shuffled, key=rank_key) == ranked


def test_a_candidate_knows_its_forms_facts_typos_prevalence_and_whether_it_is_general() -> None:
    counts = pl.DataFrame(
        {
            "concept_id": ["D:1", "D:1", "D:1", "D:2", "D:3"],
            "form": ["kuruu", "kuru disease", "kuruu", "kurus", "syndrome"],
            "year": [1999, 2000, 2001, None, None],
            "documents": [1] * 5,
            "mentions": [1, 3, 1, 90_000, 1],
        }
    )
    concepts = {
        "D:1": Concept("D:1", "Kuru", "disease", (), "neurology"),
        "D:3": Concept("D:3", "Syndrome", "disease", (), ""),
    }
    facts = (DiseaseFact("has_onset", "HP:1", "Adult onset", "", ""),)
    first, second = build_candidates(
        [
            _make_frequency("D:1"),
            EntityFrequency("D:3", "Syndrome", "disease", 1, 1, 0.01, 0.001, 0.1),
        ],
        concepts,
        counts,
        {"D:1": DiseaseRecord("D:1", "Kuru", (), facts)},
        {"D:1": _make_prevalence(1e-6)},
        {"D:1": RareListing("ORPHA:454745", "Orphanet")},
    )
    assert first == SeedCandidate(
        _make_frequency("D:1"),
        "neurology",
        (("kuru disease", 3), ("kuruu", 2)),
        1,
        (("kuruu", "kurus"),),
        "",
        _make_prevalence(1e-6),
        RareListing("ORPHA:454745", "Orphanet"),
    )
    assert second.listing is None
    assert (second.concept_id, second.general) == ("D:3", "it names no particular condition")


def test_seeds_carry_the_verdict_the_judges_specialty_and_the_prevalence_with_its_source() -> None:
    verdict = Significance(True, "a real disease", "m")
    with_prevalence = SeedCandidate(
        _make_frequency("D:1"), "neurology", (), 0, prevalence=_make_prevalence(1e-6)
    )
    unknown = SeedCandidate(_make_frequency("D:2"), "neurology", (), 0)
    first, second = build_seed_entities(
        [with_prevalence, unknown],
        [SeedJudgement(verdict, "cardiology"), SeedJudgement(verdict, "neurology")],
    )
    assert (first.frequency, first.significance, first.specialty) == (
        with_prevalence.frequency,
        verdict,
        "cardiology",
    )
    assert first.prevalence == 1e-6
    assert first.prevalence_source == (
        "ORPHA:7 (Some disease): point prevalence, Europe, value, validated; 1[PMID]"
    )
    assert (second.prevalence, second.prevalence_source) == (None, "")
