"""Qualifiers: what a question prints beside a relation, and what may be meant by it. They are
shares or reports."""

from medr_ray.knowledge import published_reports as reports
from medr_ray.knowledge import shares


def may_mean(qualifier: str, stated: str) -> bool:
    """Whether a fact ``stated`` with one qualifier may be meant by a question's ``qualifier``. An
    empty one means every fact."""
    if not qualifier or qualifier == stated:
        return True
    return (
        reports.may_match_report(qualifier, stated)
        if reports.is_report(qualifier)
        else shares.may_lie_within(qualifier, stated)
    )


def generalise_qualifier(qualifier: str) -> str | None:
    """The qualifier with its number told as a comparison, or its year as a span; None when it
    cannot be."""
    return (
        reports.with_year_span(qualifier)
        if reports.is_report(qualifier)
        else shares.find_comparison(qualifier)
    )
