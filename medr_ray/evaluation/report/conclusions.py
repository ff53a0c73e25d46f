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
            "Left out as unscored (infrastructure or judge failures, see unscored.jsonl): "
            f"{', '.join(unscored)}."
        )
    return conclusions


def _describe_comparison(
    comparison: Comparison, first: ModelFigures, second: ModelFigures, confidence: float
) -> str:
    test = comparison.test
    if not first.exact_match.n or not second.exact_match.n:
        return f"{second.model} and {first.model} cannot be compared: no scored answers."
    evidence = (
        f"{_describe_match(second)} against {_describe_match(first)}; "
        f"{second.model} alone was right on {test.c}, {first.model} alone on {test.b}, "
        f"exact McNemar p = {format_p_value(test.p_value)}; "
        f"the {confidence:.0%} intervals {_describe_overlap(first, second)}"
    )
    if test.p_value >= 1 - confidence:
        return f"{second.model} does not differ provably from {first.model}: {evidence}."
    verb = "beats" if test.c > test.b else "is worse than"
    return f"{second.model} {verb} {first.model}: {evidence}."


def _describe_match(model: ModelFigures) -> str:
    return f"{format_percent(model.exact_match.value)} (n = {model.exact_match.n})"


def _describe_overlap(first: ModelFigures, second: ModelFigures) -> str:
    """Whether the intervals have a value in common; both have one, as neither n is 0."""
    lower, upper = sorted((first.exact_match, second.exact_match), key=lambda match: match.low or 0)
    are_disjoint = (upper.low or 0) > (lower.high or 0)
    return "are disjoint" if are_disjoint else "overlap"
