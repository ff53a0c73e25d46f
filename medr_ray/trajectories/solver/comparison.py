"""Which of several diseases comes first: by age of onset in years, or by the share of patients with
a finding."""

from collections.abc import Mapping, Sequence
from functools import cache

from medr_ray.knowledge.hpo import load_hpo
from medr_ray.knowledge.onset import onset_years
from medr_ray.knowledge.shares import is_exact, parse_share
from medr_ray.trajectories.solver.plans import ONSETS, Asked

Span = tuple[float, float]


def span_of(stated: Sequence[str], asked: Asked) -> Span | None:
    """(lowest, highest) value of what was read: names of ages of onset, or shares of which each is
    one number, as questions compare them; None when there is none."""
    read = [
        _years().get(text) if asked in ONSETS else parse_share(text) if is_exact(text) else None
        for text in stated
    ]
    spans = [span for span in read if span is not None]
    return (min(low for low, _ in spans), max(high for _, high in spans)) if spans else None


def first_of(spans: Mapping[str, Span], asked: Asked) -> str | None:
    """Who surely comes first; None when that is not decided, or there is no one."""
    if asked in ("latest", "largest"):
        fits = [
            entity
            for entity, (_, high) in spans.items()
            if all(high >= low for low, _ in spans.values())
        ]
    else:
        fits = [
            entity
            for entity, (low, _) in spans.items()
            if all(low <= high for _, high in spans.values())
        ]
    return fits[0] if len(fits) == 1 else None


@cache
def _years() -> dict[str, Span]:
    """Ages of onset by the name of their term."""
    return {
        term.name: years
        for term in load_hpo().terms.values()
        if (years := onset_years(term.term_id))
    }
