"""Shares of patients as numbers and as comparisons."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medr_ray.knowledge.onset import onset_years
from medr_ray.knowledge.qualifiers import may_mean
from medr_ray.knowledge.shares import (
    COMPARISONS,
    find_comparison,
    has_meaningful_share,
    is_exact,
    parse_share,
)


@pytest.mark.parametrize(
    ("clinical", "expected"),
    [
        ("3 of 7 patients", (3 / 7, 3 / 7)),
        ("1 of 1 patient", (1.0, 1.0)),
        ("45% of patients", (0.45, 0.45)),
        ("80-99% of patients", (0.8, 0.99)),
        ("all patients", (1.0, 1.0)),
        ("some patients", None),
        ("", None),
    ],
)
def test_a_qualifier_is_parsed_to_bounds_of_its_share(
    clinical: str, expected: tuple[float, float] | None
) -> None:
    assert parse_share(clinical) == expected


@pytest.mark.parametrize(
    ("clinical", "words"),
    [
        ("3 of 7 patients", "a quarter to a half of patients"),
        ("all patients", "more than three quarters of patients"),
        ("80-99% of patients", "more than three quarters of patients"),
        ("30-79% of patients", None),
        ("50% of patients", None),
        ("1 of 4 patients", None),
        ("some patients", None),
    ],
)
def test_a_comparison_is_only_used_where_the_share_surely_lies_inside(
    clinical: str, words: str | None
) -> None:
    assert find_comparison(clinical) == words


@given(st.integers(0, 40), st.integers(1, 40))
def test_a_share_matches_its_own_comparison_and_no_other(affected: int, total: int) -> None:
    clinical = f"{min(affected, total)} of {total} patients"
    words = find_comparison(clinical)
    if words is not None:
        assert [comparison for comparison in COMPARISONS if may_mean(comparison, clinical)] == [
            words
        ]


def test_every_comparison_may_mean_an_unknown_share() -> None:
    assert all(may_mean(words, "some patients") for words in COMPARISONS)
    assert not may_mean("3 of 7 patients", "some patients")
    assert may_mean("", "anything")


def test_only_one_number_is_exact() -> None:
    assert is_exact("3 of 7 patients")
    assert is_exact("45.5% of patients")
    assert not is_exact("80-99% of patients")
    assert is_exact("2 of 5 patients")
    assert not is_exact("3 of 4 patients"), "a share of so few is chance"
    assert not is_exact("1 of 9 patients"), "one patient may be a coincidence"


def test_a_range_is_a_meaningful_share_but_few_patients_or_no_number_are_not() -> None:
    assert has_meaningful_share("30-79% of patients")
    assert has_meaningful_share("3 of 7 patients")
    assert not has_meaningful_share("1 of 3 patients")
    assert not has_meaningful_share("some patients")
    assert not has_meaningful_share("")


def test_onset_terms_follow_one_another_and_other_terms_have_no_years() -> None:
    order = [
        "HP:0030674",
        "HP:0003577",
        "HP:0003623",
        "HP:0003593",
        "HP:0011463",
        "HP:0003621",
        "HP:0011462",
        "HP:0003596",
        "HP:0003584",
    ]
    spans = [onset_years(onset) for onset in order]
    assert all(earlier and other and earlier[1] < other[0] for earlier, other in pairwise(spans))
    assert onset_years("HP:0000006") is None
