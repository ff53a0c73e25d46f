"""Builds the content of ``report.json``, and of the counts in the evaluation's manifest.

The key of a stage's counts is the name of the stage. ``evaluation`` contains the figures of the
held-out questions: ``questions`` (how many there are), an entry for each model, and
``<second>_vs_<first>`` for each comparison. ``evaluation.benchmarks.<name>`` contains the same keys
for every other benchmark. Where several scorers judged a benchmark, the figures are those of the
first, and ``scorers.<name>`` has those of each other.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from medr_ray.evaluation.benchmarks.heldout import BENCHMARK as HELDOUT
from medr_ray.evaluation.figures import BenchmarkFigures, Comparison, ModelFigures, SlicePart
from medr_ray.evaluation.report.records import BenchmarkReport, Report, SampleTask, StageSummary
from medr_ray.evaluation.statistics import Proportion
from medr_ray.questions.review.summary import to_plain_values

_GRPO_CURVES = ("reward_mean", "exact_match", "entropy", "mismatch_kl", "loss")
_SFT_CURVES = ("loss", "learning_rate")


def build_report_json(report: Report) -> dict[str, Any]:
    """The report as plain values, ready for JSON."""
    layout: dict[str, Any] = {
        "run": report.run,
        "seed": report.seed,
        "directory": report.directory,
        "policy": report.policy,
        "machine": asdict(report.machine),
        "seconds": report.seconds,
        "stages": {stage.name: _build_stage_json(stage) for stage in report.stages},
        "versions": dict(report.versions),
    }
    for stage in report.stages:
        # Details come last so that they override a count with the same key.
        layout[stage.name] = {**stage.counts, **_build_stage_details_json(stage.name, report)}
    layout["conclusions"] = list(report.conclusions)
    return layout


def build_evaluation_json(figures: Sequence[BenchmarkFigures]) -> dict[str, Any]:
    """The figures of all benchmarks, as they appear under ``evaluation``."""
    layouts = [
        (benchmark.benchmark, benchmark.scorer, _build_benchmark_json(benchmark))
        for benchmark in figures
    ]
    return _merge_benchmarks(_merge_scorers(layouts))


def _build_stage_json(stage: StageSummary) -> dict[str, Any]:
    layout: dict[str, Any] = {"seconds": stage.seconds, "resumed": stage.resumed}
    if stage.models:
        layout["models"] = [dict(row) for row in stage.models]
    return layout


def _build_stage_details_json(stage: str, report: Report) -> dict[str, Any]:
    """The entries of a stage that are not in its counts, such as training curves."""
    if stage == "questions" and report.review is not None:
        # In place of the manifest's, which are those at the end of the last review.
        return {"review": to_plain_values(report.review)}
    if stage == "sft":
        return {f"{field}_curve": report.sft_steps.curve(field) for field in _SFT_CURVES}
    if stage == "grpo":
        curves = {f"{field}_curve": report.grpo_updates.curve(field) for field in _GRPO_CURVES}
        return {
            "updates_log": list(report.grpo_updates.lines),
            **curves,
            "rollout_files": list(report.rollout_files),
        }
    if stage == "evaluation":
        layouts = [
            (
                benchmark.figures.benchmark,
                benchmark.figures.scorer,
                _build_benchmark_report_json(benchmark),
            )
            for benchmark in report.benchmarks
        ]
        return _merge_benchmarks(_merge_scorers(layouts))
    return {}


def _merge_scorers(
    layouts: Iterable[tuple[str, str, dict[str, Any]]],
) -> dict[str, dict[str, Any]]:
    """The layouts by benchmark: that of the first scorer, which holds those of the others."""
    merged: dict[str, dict[str, Any]] = {}
    for benchmark, scorer, layout in layouts:
        if benchmark in merged:
            merged[benchmark].setdefault("scorers", {})[scorer] = layout
        else:
            merged[benchmark] = layout
    return merged


def _merge_benchmarks(layouts: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Put the held-out questions at the top level and the other benchmarks under
    ``benchmarks``."""
    merged = dict(layouts.get(HELDOUT.name, {}))
    others = {name: layout for name, layout in layouts.items() if name != HELDOUT.name}
    if others:
        merged["benchmarks"] = others
    return merged


def _build_benchmark_report_json(benchmark: BenchmarkReport) -> dict[str, Any]:
    layout = _build_benchmark_json(benchmark.figures)
    if benchmark.samples:
        layout["samples"] = [_build_sample_json(sample) for sample in benchmark.samples]
    return layout


def _build_benchmark_json(figures: BenchmarkFigures) -> dict[str, Any]:
    # Other programs read report.json, so these keys must not change when a dataclass field is
    # renamed.
    layout: dict[str, Any] = {"questions": figures.tasks}
    if figures.scorer:
        layout["scorer"] = figures.scorer
        layout["judge"] = figures.judge
    for model in figures.models:
        layout[model.model] = _build_model_json(model)
    for comparison in figures.comparisons:
        layout[f"{comparison.second}_vs_{comparison.first}"] = _build_comparison_json(comparison)
    return layout


def _build_model_json(model: ModelFigures) -> dict[str, Any]:
    layout: dict[str, Any] = {
        **_build_match_json(model.exact_match),
        "answer_rate": model.answer_rate,
        "unscored": model.unscored,
        "tool_calls": model.tool_calls,
        "output_tokens": model.output_tokens,
        "stop_reasons": model.stop_reasons,
        "attempts": model.attempts,
        "seconds": model.seconds,
        "usd": model.usd,
        "total_usd": model.total_usd,
    }
    if model.majority is not None:
        layout["majority"] = model.majority
    if model.value is not None:
        layout["mean_score"] = asdict(model.value)
    for model_slice in model.slices:
        layout[f"by_{model_slice.name.replace(' ', '_')}"] = {
            part.value: _build_part_json(part) for part in model_slice.parts
        }
    if model.pass_at_k:
        layout["pass_at_k"] = {str(estimate.k): estimate.value for estimate in model.pass_at_k}
    return layout


def _build_part_json(part: SlicePart) -> dict[str, Any]:
    layout = _build_match_json(part.exact_match)
    if part.mean_score is not None:
        layout["mean_score"] = asdict(part.mean_score)
    return layout


def _build_match_json(match: Proportion) -> dict[str, Any]:
    return {"exact_match": match.value, "low": match.low, "high": match.high, "n": match.n}


def _build_comparison_json(comparison: Comparison) -> dict[str, Any]:
    # ``b`` and ``c`` are the usual names of these counts in McNemar's test. They are written again
    # as ``only_<model>``, which a reader understands without knowing the test.
    layout: dict[str, Any] = {
        **asdict(comparison.test),
        f"only_{comparison.first}": comparison.test.b,
        f"only_{comparison.second}": comparison.test.c,
    }
    if comparison.difference is not None:
        layout["difference"] = asdict(comparison.difference)
    return layout


def _build_sample_json(sample: SampleTask) -> dict[str, Any]:
    task = sample.task
    return {
        "question_id": task.task_id,
        "question": task.text,
        "answer": task.answer,
        "hops": task.hops,
        "models": {
            answer.model: {
                "prediction": answer.prediction,
                "verdict": answer.verdict,
                "stop_reason": answer.stop_reason,
            }
            for answer in sample.answers
        },
    }
