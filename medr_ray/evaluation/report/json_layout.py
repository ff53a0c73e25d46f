"""The layout of ``report.json``, and of the counts in the evaluation's manifest.

A stage's counts stand under its name. Under ``evaluation`` stand the figures of the held-out
questions: ``questions``, an entry for each model, and ``<second>_vs_<first>`` for each comparison.
Every other benchmark has the same keys under ``evaluation.benchmarks.<name>``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from medr_ray.evaluation.benchmarks.heldout import BENCHMARK as HELDOUT
from medr_ray.evaluation.figures import BenchmarkFigures, Comparison, ModelFigures
from medr_ray.evaluation.report.records import BenchmarkReport, Report, SampleTask
from medr_ray.evaluation.statistics import Proportion

_GRPO_CURVES = ("reward_mean", "exact_match", "entropy", "mismatch_kl", "loss")
_SFT_CURVES = ("loss", "learning_rate")


def layout_report(report: Report) -> dict[str, Any]:
    """The report as plain values, ready for JSON."""
    layout: dict[str, Any] = {
        "run": report.run,
        "seed": report.seed,
        "directory": report.directory,
        "policy": report.policy,
        "machine": asdict(report.machine),
        "seconds": report.seconds,
        "stages": {
            stage.name: {"seconds": stage.seconds, "resumed": stage.resumed}
            for stage in report.stages
        },
        "versions": dict(report.versions),
    }
    for stage in report.stages:
        # The details last: they replace a count of the same name.
        layout[stage.name] = {**stage.counts, **_layout_stage_details(stage.name, report)}
    layout["conclusions"] = list(report.conclusions)
    return layout


def layout_evaluation(figures: Sequence[BenchmarkFigures]) -> dict[str, Any]:
    """The figures of all benchmarks."""
    return _merge_benchmarks({each.benchmark: _layout_benchmark(each) for each in figures})


def _layout_stage_details(stage: str, report: Report) -> dict[str, Any]:
    """What the report has of a stage beside its counts."""
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
        layouts = {
            benchmark.figures.benchmark: _layout_benchmark_report(benchmark)
            for benchmark in report.benchmarks
        }
        return _merge_benchmarks(layouts)
    return {}


def _merge_benchmarks(layouts: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """The held-out questions at the top, the other benchmarks by name below."""
    merged = dict(layouts.get(HELDOUT.name, {}))
    others = {name: layout for name, layout in layouts.items() if name != HELDOUT.name}
    if others:
        merged["benchmarks"] = others
    return merged


def _layout_benchmark_report(benchmark: BenchmarkReport) -> dict[str, Any]:
    samples = [_layout_sample(sample) for sample in benchmark.samples]
    return {**_layout_benchmark(benchmark.figures), "samples": samples}


def _layout_benchmark(figures: BenchmarkFigures) -> dict[str, Any]:
    # Others read report.json: its keys are a contract of their own, apart from the dataclasses'
    # names.
    layout: dict[str, Any] = {"questions": figures.tasks}
    for model in figures.models:
        layout[model.model] = _layout_model(model)
    for comparison in figures.comparisons:
        layout[f"{comparison.second}_vs_{comparison.first}"] = _layout_comparison(comparison)
    return layout


def _layout_model(model: ModelFigures) -> dict[str, Any]:
    layout: dict[str, Any] = {
        **_layout_match(model.exact_match),
        "answer_rate": model.answer_rate,
        "unscored": model.unscored,
        "tool_calls": model.tool_calls,
        "output_tokens": model.output_tokens,
        "stop_reasons": model.stop_reasons,
    }
    for model_slice in model.slices:
        layout[f"by_{model_slice.name}"] = {
            part.value: _layout_match(part.exact_match) for part in model_slice.parts
        }
    if model.pass_at_k:
        layout["pass_at_k"] = {str(estimate.k): estimate.value for estimate in model.pass_at_k}
    return layout


def _layout_match(match: Proportion) -> dict[str, Any]:
    return {"exact_match": match.value, "low": match.low, "high": match.high, "n": match.n}


def _layout_comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        **asdict(comparison.test),
        f"only_{comparison.first}": comparison.test.b,
        f"only_{comparison.second}": comparison.test.c,
    }


def _layout_sample(sample: SampleTask) -> dict[str, Any]:
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
