"""The declarations of the predicates fit together."""

import pytest

from medr_ray.knowledge.predicates import (
    CHINESE_WORDING,
    DIRECTED_NAMES,
    INVERSE,
    PREDICATES,
    TURN_LIMITS,
    Predicate,
)

predicates = pytest.mark.parametrize(
    "predicate", PREDICATES.values(), ids=lambda predicate: predicate.name
)


def test_ranks_are_given_once() -> None:
    places = list(range(len(PREDICATES)))
    assert [predicate.record_rank for predicate in PREDICATES.values()] == places
    assert sorted(predicate.expansion_rank for predicate in PREDICATES.values()) == places


@predicates
def test_every_english_phrase_has_a_chinese_one(predicate: Predicate) -> None:
    chinese = predicate.chinese
    assert bool(chinese.phrase) == bool(predicate.phrase)
    assert bool(chinese.inverse_phrase) == bool(predicate.inverse_phrase)
    assert bool(chinese.clause) == bool(predicate.clause)
    if not predicate.symmetric:
        assert bool(chinese.inverse_clause) == bool(predicate.inverse_clause)


def test_the_chinese_wording_is_found_by_directed_name() -> None:
    assert CHINESE_WORDING["has_onset"] == "{known}的发病年龄"
    assert CHINESE_WORDING["inverse:treated_with"] == "用{known}治疗的{other}疾病"
    assert CHINESE_WORDING["clause:inverse:treated_with"] == "可用于治疗{other}"
    assert {key.removeprefix("clause:") for key in CHINESE_WORDING} <= set(DIRECTED_NAMES)


def test_at_most_one_predicate_is_assumed_for_a_pair_of_types() -> None:
    assumed = [
        (predicate.subject_type, predicate.object_type)
        for predicate in PREDICATES.values()
        if predicate.assumed_when_tied
    ]
    assert len(set(assumed)) == len(assumed)


def test_turns_are_between_predicates_that_exist() -> None:
    for turn in TURN_LIMITS:
        for name in (*turn.into, *turn.out):
            assert name.removeprefix(INVERSE) in PREDICATES
