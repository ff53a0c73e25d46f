"""Ranks diseases for questions that ask for an extreme: the earliest or latest age of onset, the
largest or smallest share of patients with a finding.

``solver`` collects the statements of documents about each candidate. This module turns them into a
span of numbers and decides by the spans which candidate comes first.
"""

from collections.abc import Mapping, Sequence
from functools import cache

from medr_ray.knowledge.hpo import load_hpo
from medr_ray.knowledge.onset import onset_years
from medr_ray.knowledge.shares import is_exact, parse_share
from medr_ray.trajectories.solver.plans import ONSET_KINDS, AnswerKind

ValueSpan = tuple[float, float]  # lowest and highest value: ages in years, or shares from 0 to 1


def measure_span(statements: Sequence[str], answer_kind: AnswerKind) -> ValueSpan | None:
    """The lowest and highest value of all statements; None when none of them has a value.

    Statements are the names of ages of onset or qualifiers with a share.
    """
    spans = [_parse_statement(statement, answer_kind) for statement in statements]
    parsed_spans = [span for span in spans if span is not None]
    if not parsed_spans:
        return None
    return min(low for low, _ in parsed_spans), max(high for _, high in parsed_spans)


def find_first(spans: Mapping[str, ValueSpan], answer_kind: AnswerKind) -> str | None:
    """The entity that comes first; None when no entity surely does."""
    # Spans may overlap, so several entities may come first. If only one may, it surely does.
    if answer_kind in ("latest", "largest"):
        highest_low = max((low for low, _ in spans.values()), default=0.0)
        contenders = [entity for entity, (_, high) in spans.items() if high >= highest_low]
    else:
        lowest_high = min((high for _, high in spans.values()), default=0.0)
        contenders = [entity for entity, (low, _) in spans.items() if low <= lowest_high]
    return contenders[0] if len(contenders) == 1 else None


def _parse_statement(statement: str, answer_kind: AnswerKind) -> ValueSpan | None:
    if answer_kind in ONSET_KINDS:
        return _onset_years_by_name().get(statement)
    # Questions compare only shares that are one number; "80-99% of patients" is left out.
    return parse_share(statement) if is_exact(statement) else None


@cache
def _onset_years_by_name() -> dict[str, ValueSpan]:
    """The span in years of each age of onset, by the name of its term."""
    years_by_name = {}
    for term in load_hpo().terms.values():
        years = onset_years(term.term_id)
        if years:
            years_by_name[term.name] = years
    return years_by_name
