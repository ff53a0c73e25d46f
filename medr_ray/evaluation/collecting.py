"""What a run has to report: every stage's figures from its manifest, the learning curves, sample
answers.

What holds: a figure stands here only if a finished stage wrote it; a run without some stages gives
a report without them.
"""

import json
import os
import platform
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from medr_ray.core.artifacts import StageFile
from medr_ray.core.config import PipelineConfig
from medr_ray.core.records import EvaluationResult, Task
from medr_ray.core.run import RunDirectory, StageDirectory
from medr_ray.core.stages import STAGES
from medr_ray.evaluation.artifacts import RESULTS
from medr_ray.questions.artifacts import QUESTIONS
from medr_ray.training.artifacts import GRPO_METRICS, GRPO_ROLLOUTS, SFT_METRICS

SAMPLES = 4  # questions shown with every model's answer


def collect(config: PipelineConfig, run: RunDirectory) -> dict[str, Any]:
    """The report as plain values, ready for JSON."""
    report: dict[str, Any] = {
        "run": config.run.name,
        "seed": config.run.seed,
        "directory": run.uri,
        "policy": config.models.policy,
        "machine": _machine(),
        "seconds": 0.0,
        "stages": {},
    }
    for name in STAGES:
        directory = run.stage(name)
        manifest = directory.manifest()
        if manifest is None:
            continue
        report["stages"][name] = {"seconds": manifest["seconds"], "resumed": manifest["resumed"]}
        report["versions"] = manifest["versions"]
        report[name] = {**manifest["counts"], **_extra(name, directory, run)}
    report["seconds"] = round(sum(stage["seconds"] for stage in report["stages"].values()), 2)
    report["conclusions"] = conclusions(report.get("evaluation", {}), config)
    return report


def _extra(name: str, directory: StageDirectory, run: RunDirectory) -> dict[str, Any]:
    if name == "sft":
        steps = read_metrics(run, SFT_METRICS)
        return {
            "loss_curve": _curve(steps, "loss"),
            "learning_rate_curve": _curve(steps, "learning_rate"),
        }
    if name == "grpo":
        updates = read_metrics(run, GRPO_METRICS)
        curves = {f"{one}_curve": _curve(updates, one) for one in _GRPO_CURVES}
        return {
            "updates_log": updates,
            **curves,
            "rollout_files": directory.list_files(GRPO_ROLLOUTS.name),
        }
    if name == "evaluation":
        return {"samples": sample_answers(directory, run)}
    return {}


_GRPO_CURVES = ("reward_mean", "exact_match", "entropy", "mismatch_kl", "loss")


def read_metrics(run: RunDirectory, metrics: StageFile) -> list[dict[str, Any]]:
    """The lines of a training stage's ``metrics.jsonl``; empty when the stage wrote none."""
    if not run.has(metrics):
        return []
    return [json.loads(line) for line in run.read_bytes(metrics.path).decode().splitlines() if line]


def _curve(lines: Sequence[dict[str, Any]], field: str) -> list[float | None]:
    return [line.get(field) for line in lines]


def sample_answers(evaluation: StageDirectory, run: RunDirectory) -> list[dict[str, Any]]:
    """Held-out questions with each model's answer, spread evenly over the file (not chosen by
    outcome)."""
    results = evaluation.read(RESULTS)
    tasks = {question.task.task_id: question.task for question in run.read(QUESTIONS)}
    items = list(dict.fromkeys(one.item_id for one in results))
    shown = items[:: max(1, len(items) // SAMPLES)][:SAMPLES]
    return [
        _sample(tasks[item], [r for r in results if r.item_id == item and r.rollout == 0])
        for item in shown
    ]


def _sample(task: Task, results: Sequence[EvaluationResult]) -> dict[str, Any]:
    return {
        "question_id": task.task_id,
        "question": task.text,
        "answer": task.answer,
        "hops": task.hops,
        "models": {
            one.model: {
                "prediction": one.prediction,
                "verdict": one.verdict,
                "stop_reason": one.stop_reason,
            }
            for one in results
        },
    }


def _machine() -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpus": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_gib": round(memory, 1),
        "python": platform.python_version(),
    }


def conclusions(evaluation: dict[str, Any], config: PipelineConfig) -> list[str]:
    """What the figures show and what they do not, one sentence each, for neighbouring weights."""
    names = [name for name in config.evaluation.weights if name in evaluation]
    found = [
        _compared(evaluation, earlier, later, config.evaluation.confidence)
        for earlier, later in pairwise(names)
    ]
    unscored = {
        name: evaluation[name]["unscored"] for name in names if evaluation[name]["unscored"]
    }
    if unscored:
        listed = ", ".join(f"{name} {count}" for name, count in unscored.items())
        found.append(
            f"Left out as unscored (infrastructure or judge failures, see unscored.jsonl): {listed}."
        )
    return found


def _compared(evaluation: dict[str, Any], earlier: str, later: str, confidence: float) -> str:
    one, two = evaluation[earlier], evaluation[later]
    test = evaluation[f"{later}_vs_{earlier}"]
    if not one["n"] or not two["n"]:
        return f"{later} and {earlier} cannot be compared: no scored answers."
    pair = (
        f"{percent(two['exact_match'])} (n = {two['n']}) against {percent(one['exact_match'])} (n = {one['n']}); "
        f"{later} alone was right on {test['c']}, {earlier} alone on {test['b']}, "
        f"exact McNemar p = {p_text(test['p_value'])}"
    )
    apart = two["low"] > one["high"] or one["low"] > two["high"]
    intervals = f"the {confidence:.0%} intervals {'are disjoint' if apart else 'overlap'}"
    if test["p_value"] >= 1 - confidence:
        return f"{later} does not differ provably from {earlier}: {pair}; {intervals}."
    verb = "beats" if test["c"] > test["b"] else "is worse than"
    return f"{later} {verb} {earlier}: {pair}; {intervals}."


def percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def p_text(value: float) -> str:
    return f"{value:.4f}" if value >= 1e-4 else f"{value:.1e}"
