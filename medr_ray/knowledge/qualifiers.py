"""Qualifiers: what is said beside a relation, either a share of patients (``shares``) or a
published report (``published_reports``)."""

from medr_ray.knowledge.published_reports import is_report

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
    """Whether a step with the ``qualifier`` may mean a fact that is stated with the qualifier
    ``stated``. An empty one means every fact, and what is stated without a report may have been
    reported anywhere."""
    if not qualifier or qualifier == stated:
        return True
    return is_report(qualifier) and not is_report(stated)
