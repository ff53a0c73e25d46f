"""From judged answers to the figures of the report: per weights, by hops, and pairwise."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

from medr_ray.core.records import EvaluationResult, Task, Trajectory
from medr_ray.evaluation import statistics as metrics
from medr_ray.evaluation.judges import CORRECT


def summarise(
    results: Mapping[str, Sequence[EvaluationResult]],
    trajectories: Mapping[str, Sequence[Trajectory]],
    tasks: Sequence[Task],
    confidence: float,
) -> dict[str, Any]:
    """Figures by weights' name, and a paired test ``<later>_vs_<earlier>`` for neighbours in the
    order given.

    The first rollout of each task is what is compared; more rollouts give pass@k.
    """
    hops = {task.task_id: task.hops for task in tasks if task.hops is not None}
    summary: dict[str, Any] = {"questions": len(tasks)}
    for name, rows in results.items():
        summary[name] = _figures(rows, trajectories.get(name, ()), hops, confidence)
    for earlier, later in pairwise(results):
        test = metrics.paired_test(_outcomes(results[earlier]), _outcomes(results[later]))
        summary[f"{later}_vs_{earlier}"] = {
            **asdict(test),
            f"only_{earlier}": test.b,
            f"only_{later}": test.c,
        }
    return summary


def _figures(
    rows: Sequence[EvaluationResult],
    trajectories: Sequence[Trajectory],
    hops: Mapping[str, int],
    confidence: float,
) -> dict[str, Any]:
    first = [row for row in rows if row.rollout == 0]
    match = metrics.exact_match(first, confidence)
    figures = {
        "exact_match": match.value,
        "low": match.low,
        "high": match.high,
        "n": match.n,
        "answer_rate": metrics.answer_rate(first),
        "unscored": len(first) - match.n,
        "tool_calls": _mean([len(one.tool_events) for one in trajectories]),
        "output_tokens": _mean([one.usage.output_tokens for one in rows]),
        "stop_reasons": _counted([row.stop_reason for row in first]),
        "by_hops": _by_hops(first, hops, confidence),
    }
    attempts = _attempts(rows)
    most = max((len(one) for one in attempts.values()), default=0)
    if most > 1:
        figures["pass_at_k"] = {
            str(k): metrics.mean_pass_at_k(attempts, k) for k in range(1, most + 1)
        }
    return figures


def _by_hops(
    rows: Sequence[EvaluationResult], hops: Mapping[str, int], confidence: float
) -> dict[str, Any]:
    found = {}
    for count in sorted({hops[row.item_id] for row in rows if row.item_id in hops}):
        match = metrics.exact_match(
            [row for row in rows if hops.get(row.item_id) == count], confidence
        )
        found[str(count)] = {
            "exact_match": match.value,
            "low": match.low,
            "high": match.high,
            "n": match.n,
        }
    return found


def _outcomes(rows: Sequence[EvaluationResult]) -> dict[str, bool]:
    return {row.item_id: row.verdict == CORRECT for row in metrics.scored(rows) if row.rollout == 0}


def _attempts(rows: Sequence[EvaluationResult]) -> dict[str, list[bool]]:
    found: dict[str, list[bool]] = {}
    for row in metrics.scored(rows):
        found.setdefault(row.item_id, []).append(row.verdict == CORRECT)
    return found


def _counted(names: Sequence[str]) -> dict[str, int]:
    return {name: names.count(name) for name in sorted(set(names))}


def _mean(values: Sequence[int]) -> float | None:
    return sum(values) / len(values) if values else None
