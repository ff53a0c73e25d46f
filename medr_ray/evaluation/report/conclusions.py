"""Writes sentences about what the figures show and what they do not."""

from medr_ray.evaluation.figures import BenchmarkFigures, Comparison, ModelFigures
from medr_ray.evaluation.report.formatting import format_p_value, format_percent


def draw_conclusions(figures: BenchmarkFigures) -> list[str]:
    """One sentence for each comparison of neighbouring models, and one on unscored answers."""
    models = {model.model: model for model in figures.models}
    conclusions = [
        _describe_comparison(
            comparison, models[comparison.first], models[comparison.second], figures.confidence
        )
        for comparison in figures.comparisons
    ]
    unscored = [f"{model.model} {model.unscored}" for model in figures.models if model.unscored]
    if unscored:
        conclusions.append(
            "Left out as unscored (infrastructure or judge failures, report.html has "
            "the reasons): "
            f"{', '.join(unscored)}."
        )
    return conclusions


def _describe_comparison(
    comparison: Comparison, first: ModelFigures, second: ModelFigures, confidence: float
) -> str:
    test = comparison.test
    difference = comparison.difference
    # With one attempt at each task the exact test uses all there is; more attempts are in the
    # difference alone.
    is_repeated = bool(first.pass_at_k or second.pass_at_k)
    p_value = test.p_value
    is_better = test.c > test.b
    if is_repeated and difference is not None and difference.p_value is not None:
        p_value = difference.p_value
        is_better = (difference.value or 0) > 0
    if not first.exact_match.n or not second.exact_match.n:
        return f"{second.model} and {first.model} cannot be compared: no scored answers."
    evidence = (
        f"{_describe_match(second)} against {_describe_match(first)}; "
        f"{second.model} alone was right on {test.c}, {first.model} alone on {test.b}, "
        f"exact McNemar p = {format_p_value(test.p_value)}; "
        f"{_describe_difference(comparison, confidence)}"
        f"the {confidence:.0%} intervals {_describe_overlap(first, second)}"
    )
    if p_value >= 1 - confidence:
        return f"{second.model} does not differ provably from {first.model}: {evidence}."
    verb = "beats" if is_better else "is worse than"
    return f"{second.model} {verb} {first.model}: {evidence}."


def _describe_difference(comparison: Comparison, confidence: float) -> str:
    """What the second has more, by all attempts; "" where it was not computed."""
    difference = comparison.difference
    if difference is None or difference.value is None:
        return ""
    low, high = (100 * (end or 0) for end in (difference.low, difference.high))
    p_value = "" if difference.p_value is None else f", p = {format_p_value(difference.p_value)}"
    return (
        f"{100 * difference.value:+.1f} points by all attempts "
        f"({confidence:.0%} of draws of tasks {low:+.1f} to {high:+.1f}{p_value}); "
    )


def _describe_match(model: ModelFigures) -> str:
    return f"{format_percent(model.exact_match.value)} (n = {model.exact_match.n})"


def _describe_overlap(first: ModelFigures, second: ModelFigures) -> str:
    """Whether the intervals have a value in common; both have one, as neither n is 0."""
    lower, upper = sorted((first.exact_match, second.exact_match), key=lambda match: match.low or 0)
    are_disjoint = (upper.low or 0) > (lower.high or 0)
    return "are disjoint" if are_disjoint else "overlap"
