"""Typing errors are distinguished from words that are merely rare."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medr_ray.entities.typos import find_likely_typos, is_one_edit

letters = st.text("abcé", min_size=1, max_size=8)


def _counts(*rows: tuple[str, str, int | None, int]) -> pl.DataFrame:
    schema = {"concept_id": pl.String, "form": pl.String, "year": pl.Int32, "mentions": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(documents=pl.lit(1))


COUNTS = _counts(
    ("A", "stroke", 2000, 1500),
    ("A", "stroke", None, 900),
    ("B", "stroka", 1999, 1),
    ("B", "stroka", 2001, 1),
    ("C", "stroko", 2001, 3),
    ("A", "stroks", 2001, 1),
    ("D", "gouty", 2000, 1),
    ("E", "gout", 2000, 90_000),
    ("F", "stroke b", 2000, 1),
    ("G", "aphakia", 2000, 1),
    ("H", "aphasia", 2000, 56),
)


def test_a_word_a_thousand_times_rarer_than_one_a_letter_away_is_a_likely_typo() -> None:
    """Mentions are summed over years; "stroko" is too frequent, "stroks" is of the same concept,
    "aphakia" a word."""
    assert find_likely_typos(COUNTS) == {"stroka": "stroke"}


def test_only_the_forms_of_the_given_concepts_are_examined() -> None:
    assert find_likely_typos(COUNTS, ["G", "B"]) == {"stroka": "stroke"}
    assert find_likely_typos(COUNTS, ["G"]) == {}


@settings(deadline=None)
@given(st.dictionaries(letters, st.sampled_from([1, 2, 1000, 5000, 2_000_000]), max_size=12))
def test_the_same_typos_as_by_comparing_every_pair(mentions: dict[str, int]) -> None:
    counts = _counts(*((f"C{form}", form, None, count) for form, count in mentions.items()))
    expected = {
        form: max(
            (other_count, other)
            for other, other_count in mentions.items()
            if len(other) >= 5 and other_count >= 1000 * count and is_one_edit(form, other)
        )[1]
        for form, count in mentions.items()
        if len(form) >= 5
        and any(
            len(other) >= 5 and other_count >= 1000 * count and is_one_edit(form, other)
            for other, other_count in mentions.items()
        )
    }
    assert find_likely_typos(counts) == expected


@pytest.mark.parametrize(
    ("first", "second", "one"),
    [
        ("stroke", "strokes", True),
        ("stroke", "strake", True),
        ("stroke", "stroke", False),
        ("stroke", "strikes", False),
        ("troke", "stroke", True),
        ("stroke", "tsroke", False),
    ],
)
def test_one_edit(first: str, second: str, one: bool) -> None:
    assert is_one_edit(first, second) is one
    assert is_one_edit(second, first) is one
