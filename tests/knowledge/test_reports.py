"""Reports: how a year and a journal are worded, worded less exactly, and what that may mean."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medr_ray.knowledge.published_reports import (
    FIELDS,
    field_of,
    is_report,
    journal_of,
    reported,
    with_field,
    with_years,
)
from medr_ray.knowledge.qualifiers import compared, may_mean
from medr_ray.questions.wording.writers import FIELDS_ZH, chinese

_YEARS = st.integers(1800, 2100)
_JOURNALS = st.sampled_from(
    (
        "Chest",
        "The Journal of pediatrics",
        "Nature",
        "AJR. American journal of roentgenology",
        "Cancer research",
    )
)


def test_a_report_is_told_by_year_and_title_without_asides() -> None:
    assert reported(1977, "Chest") == "reported in 1977 in Chest"
    assert reported(2021, "Science (New York, N.Y.)") == "reported in 2021 in Science"
    assert reported(2020, "Hernia : the journal of hernias") == "reported in 2020 in Hernia"
    assert reported(None, "Chest") == reported(1977, "") == ""


def test_a_report_told_with_less() -> None:
    report = reported(1977, "American heart journal")
    assert with_years(report) == "reported between 1975 and 1979 in American heart journal"
    assert with_field(report) == "reported in 1977 in a journal of cardiology"
    assert (
        with_field(with_years(report))
        == "reported between 1975 and 1979 in a journal of cardiology"
    )
    assert with_field(reported(1977, "Nature")) == "reported in 1977", "its title says no field"


@pytest.mark.parametrize(
    ("journal", "field"),
    [
        ("AJR. American journal of roentgenology", "radiology"),
        ("The Journal of pediatrics", "paediatrics"),
        ("Cancer research", "oncology"),
        ("Archives des maladies du coeur et des vaisseaux", "cardiology"),
        ("The New England journal of medicine", ""),
        ("Accident analysis", ""),
    ],
)
def test_the_field_of_a_journal_by_its_title(journal: str, field: str) -> None:
    assert field_of(journal) == field


@given(_YEARS, _JOURNALS)
def test_every_way_to_tell_a_report_may_mean_it(year: int, journal: str) -> None:
    report = reported(year, journal)
    for phrase in (report, with_years(report), with_field(report), with_field(with_years(report))):
        assert is_report(phrase)
        assert may_mean(phrase, report)
        assert may_mean(phrase, ""), "what is stated elsewhere may have been reported there as well"


@given(_YEARS, _JOURNALS, _YEARS, _JOURNALS)
def test_a_report_means_no_other_year_and_no_other_journal(
    one: int, journal: str, other: int, second: str
) -> None:
    queried, stated = reported(one, journal), reported(other, second)
    assert may_mean(queried, stated) == ((one, journal) == (other, second))
    assert may_mean(with_years(queried), stated) == (one // 5 == other // 5 and journal == second)
    same = not field_of(journal) or field_of(second) in ("", field_of(journal))
    assert may_mean(with_field(queried), stated) == (one == other and same)


@given(st.integers(-10, 20_000) | st.none(), st.text(max_size=40))
def test_no_title_or_year_is_beyond_telling(year: int | None, journal: str) -> None:
    report = reported(year, journal)
    if report:
        assert all(
            may_mean(phrase, report) for phrase in (report, with_years(report), with_field(report))
        )


def test_years_are_compared_like_shares() -> None:
    assert compared("3 of 7 patients") == "a quarter to a half of patients"
    assert compared("reported in 2003 in Chest") == "reported between 2000 and 2004 in Chest"


def test_a_report_in_chinese() -> None:
    assert chinese("reported in 1977 in Chest") == "据1977年《Chest》报道"
    assert (
        chinese("reported between 1975 and 1979 in a journal of oncology")
        == "据1975年至1979年间一份肿瘤学期刊报道"
    )
    assert chinese("reported in 1977") == "据1977年报道"
    assert set(FIELDS_ZH) == set(FIELDS)


@given(_YEARS, _JOURNALS)
def test_the_journal_can_be_read_back(year: int, journal: str) -> None:
    title = re.sub(r"\.$", "", journal)
    assert journal_of(reported(year, journal)) == title
