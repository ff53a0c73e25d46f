"""Shares of patients as numbers, and ages of onset as years."""

from itertools import pairwise

import pytest

from medr_ray.knowledge.onset import onset_years
from medr_ray.knowledge.shares import is_exact, parse_share


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


def test_only_one_number_is_exact() -> None:
    assert is_exact("3 of 7 patients")
    assert is_exact("45.5% of patients")
    assert not is_exact("80-99% of patients")
    assert is_exact("2 of 5 patients")
    assert not is_exact("3 of 4 patients"), "a share of so few is chance"
    assert not is_exact("1 of 9 patients"), "one patient may be a coincidence"


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
