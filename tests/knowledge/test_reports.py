"""Reports: how a year and a journal are worded, and what such a qualifier may mean."""

from hypothesis import given
from hypothesis import strategies as st

from medr_ray.knowledge.published_reports import format_report, is_report
from medr_ray.knowledge.qualifiers import may_mean


def test_a_report_gives_year_and_title_without_additions() -> None:
    assert format_report(1977, "Chest") == "reported in 1977 in Chest"
    assert format_report(2021, "Science (New York, N.Y.)") == "reported in 2021 in Science"
    assert format_report(2020, "Hernia : the journal of hernias") == "reported in 2020 in Hernia"
    assert format_report(None, "Chest") == format_report(1977, "") == ""


def test_a_report_means_itself_and_what_is_stated_without_one() -> None:
    report = format_report(1977, "Chest")
    assert may_mean(report, report)
    assert may_mean(report, "")
    assert may_mean(report, "3 of 7 patients")
    assert not may_mean(report, format_report(1978, "Chest"))
    assert not may_mean(report, format_report(1977, "Nature"))


def test_any_other_qualifier_means_what_is_stated_with_it() -> None:
    assert may_mean("3 of 7 patients", "3 of 7 patients")
    assert not may_mean("3 of 7 patients", "some patients")
    assert not may_mean("3 of 7 patients", "")
    assert may_mean("", "3 of 7 patients")


@given(st.integers(-10, 20_000) | st.none(), st.text(max_size=40))
def test_every_report_is_told_from_other_qualifiers(year: int | None, journal: str) -> None:
    report = format_report(year, journal)
    assert is_report(report) == bool(report)
