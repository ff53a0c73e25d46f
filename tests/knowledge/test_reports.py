"""Reports: how a year and a journal are worded, the less precise forms, and what these may mean."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medr_ray.knowledge.published_reports import (
    classify_journal,
    format_report,
    is_report,
    parse_journal,
    with_field,
    with_year_span,
)
from medr_ray.knowledge.qualifiers import generalise_qualifier, may_mean

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


def test_a_report_gives_year_and_title_without_additions() -> None:
    assert format_report(1977, "Chest") == "reported in 1977 in Chest"
    assert format_report(2021, "Science (New York, N.Y.)") == "reported in 2021 in Science"
    assert format_report(2020, "Hernia : the journal of hernias") == "reported in 2020 in Hernia"
    assert format_report(None, "Chest") == format_report(1977, "") == ""


def test_a_report_in_less_precise_forms() -> None:
    report = format_report(1977, "American heart journal")
    assert with_year_span(report) == "reported between 1975 and 1979 in American heart journal"
    assert with_field(report) == "reported in 1977 in a journal of cardiology"
    assert (
        with_field(with_year_span(report))
        == "reported between 1975 and 1979 in a journal of cardiology"
    )
    assert with_field(format_report(1977, "Nature")) == "reported in 1977", (
        "its title shows no field"
    )


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
    assert classify_journal(journal) == field


@given(_YEARS, _JOURNALS)
def test_every_form_of_a_report_may_mean_it(year: int, journal: str) -> None:
    report = format_report(year, journal)
    for phrase in (
        report,
        with_year_span(report),
        with_field(report),
        with_field(with_year_span(report)),
    ):
        assert is_report(phrase)
        assert may_mean(phrase, report)
        assert may_mean(phrase, ""), "what is stated elsewhere may have been reported there as well"


@given(_YEARS, _JOURNALS, _YEARS, _JOURNALS)
def test_a_report_means_no_other_year_and_no_other_journal(
    year: int, journal: str, other_year: int, other_journal: str
) -> None:
    queried = format_report(year, journal)
    stated = format_report(other_year, other_journal)
    is_same_journal = journal == other_journal
    is_same_span = year // 5 == other_year // 5
    assert may_mean(queried, stated) == (year == other_year and is_same_journal)
    assert may_mean(with_year_span(queried), stated) == (is_same_span and is_same_journal)
    field = classify_journal(journal)
    may_be_of_field = not field or classify_journal(other_journal) in ("", field)
    assert may_mean(with_field(queried), stated) == (year == other_year and may_be_of_field)


@given(st.integers(-10, 20_000) | st.none(), st.text(max_size=40))
def test_every_title_and_year_can_be_parsed_again(year: int | None, journal: str) -> None:
    report = format_report(year, journal)
    if report:
        assert all(
            may_mean(phrase, report)
            for phrase in (report, with_year_span(report), with_field(report))
        )


def test_years_are_generalised_like_shares() -> None:
    assert generalise_qualifier("3 of 7 patients") == "a quarter to a half of patients"
    assert (
        generalise_qualifier("reported in 2003 in Chest")
        == "reported between 2000 and 2004 in Chest"
    )


@given(_YEARS, _JOURNALS)
def test_the_journal_can_be_parsed_again(year: int, journal: str) -> None:
    title = re.sub(r"\.$", "", journal)
    assert parse_journal(format_report(year, journal)) == title
