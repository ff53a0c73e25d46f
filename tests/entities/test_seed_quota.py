"""Shares of the seeds by entity type."""

import pytest
from pydantic import ValidationError

from medr_ray.core.config import EntitiesConfig
from medr_ray.core.records import EntityFrequency, EntityType, SeedEntity, Significance
from medr_ray.entities.seed_candidates import SeedCandidate
from medr_ray.entities.seed_quota import apply_quota, limit_candidates

_QUOTA = {"disease": 0.8, "drug": 0.2}


def _make_frequency(name: str, entity_type: EntityType) -> EntityFrequency:
    return EntityFrequency(name, name, entity_type, 1, 1, 0.1, 0.01, 0.2)


def _make_seeds(entity_type: EntityType, count: int, verdict: bool = True) -> list[SeedEntity]:
    return [
        SeedEntity(
            _make_frequency(f"{entity_type} {number}", entity_type),
            Significance(verdict, "given", "rules"),
            "",
        )
        for number in range(count)
    ]


def _list_accepted(seeds: list[SeedEntity]) -> list[str]:
    return [seed.frequency.name for seed in seeds if seed.significance.verdict]


def test_the_largest_share_is_kept_whole_and_others_up_to_theirs() -> None:
    diseases = _make_seeds("disease", 8)
    limited = apply_quota([*_make_seeds("drug", 5), *diseases], _QUOTA)
    assert _list_accepted(limited) == [
        "drug 0",
        "drug 1",
        *(seed.frequency.name for seed in diseases),
    ]
    assert limited[2].significance.reason == "beyond the share of 20% for the type drug"
    assert len(_list_accepted(apply_quota([*_make_seeds("drug", 1), *diseases], _QUOTA))) == 9


def test_rejected_candidates_take_no_share_and_keep_their_reason() -> None:
    seeds = [
        *_make_seeds("drug", 2, verdict=False),
        *_make_seeds("drug", 1),
        *_make_seeds("disease", 4),
        *_make_seeds("disease", 9, verdict=False),
    ]
    assert apply_quota(seeds, _QUOTA) == seeds


def test_only_candidates_that_a_share_may_need_are_judged() -> None:
    types: list[EntityType] = ["drug"] * 100 + ["disease"] * 8
    candidates = [
        SeedCandidate(_make_frequency(f"{number}", entity_type), "", (), 0)
        for number, entity_type in enumerate(types)
    ]
    kept = [candidate.frequency.name for candidate in limit_candidates(candidates, _QUOTA)]
    assert kept == [str(number) for number in (*range(6), *range(100, 108))]


@pytest.mark.parametrize(
    "quota", [{}, {"disease": 0.5}, {"disease": 1.5, "drug": -0.5}, {"person": 1.0}]
)
def test_shares_that_make_no_whole_are_refused(quota: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="seed_quota"):
        EntitiesConfig.model_validate({"seed_quota": quota})
