"""Qualifiers: the part of a relation that a question prints beside it, either a share of patients
(``shares``) or a published report (``published_reports``)."""

from medr_ray.knowledge import published_reports as reports
from medr_ray.knowledge import shares

# How the parts of a clinical context begin that describe a treatment or its study. All others
# restrict what the relation is true of.
_DESCRIPTIONS = ("at ", "as ", "with ", "versus ", "trial ")
_SEPARATOR = "; "


def find_restriction(clinical: str) -> str:
    """The part of a clinical qualifier that a relation may not be stated without: of "in rats; at
    10 mg/kg" it is "in rats". Doses, lines of treatment, partners, comparators and trials restrict
    nothing
    (see ``graph.extraction.contexts``)."""
    return _SEPARATOR.join(
        part for part in clinical.split(_SEPARATOR) if not part.startswith(_DESCRIPTIONS)
    )


def may_mean(qualifier: str, stated: str) -> bool:
    """Whether a question's ``qualifier`` may mean a fact that is stated with the qualifier
    ``stated``. An empty one means every fact."""
    if not qualifier or qualifier == stated:
        return True
    if reports.is_report(qualifier):
        return reports.may_match_report(qualifier, stated)
    return shares.may_lie_within(qualifier, stated)


def generalise_qualifier(qualifier: str) -> str | None:
    """The qualifier in a less precise form: a share as a comparison, a report with a span of years.
    None where a share lies in no comparison."""
    if reports.is_report(qualifier):
        return reports.with_year_span(qualifier)
    return shares.find_comparison(qualifier)
