"""Collects a report from a run directory: manifests, training logs, figures, sample answers."""

import os
import platform
from collections.abc import Sequence

import numpy as np

from medr_ray.core.artifacts import StageFile
from medr_ray.core.config import PipelineConfig
from medr_ray.core.records import EvaluationResult
from medr_ray.core.run import RunDirectory
from medr_ray.core.stages import STAGES
from medr_ray.evaluation.artifacts import EVALUATION_RESULTS, EVALUATION_TASKS
from medr_ray.evaluation.benchmarks.base import BenchmarkTask
from medr_ray.evaluation.figures import read_figures
from medr_ray.evaluation.report.conclusions import draw_conclusions
from medr_ray.evaluation.report.records import (
    BenchmarkReport,
    Machine,
    ModelAnswer,
    Report,
    RewardSpread,
    SampleTask,
    StageSummary,
    TrainingLog,
)
from medr_ray.questions.review.summary import read_review
from medr_ray.training.artifacts import GRPO_METRICS, GRPO_ROLLOUTS, SFT_METRICS
from medr_ray.training.metric_rows import read_rows

# Tasks of each benchmark that are shown with every model's answer.
_SAMPLES = 4
# The quantiles between which half of an update's rewards lie.
_MIDDLE_HALF = (0.25, 0.75)


def collect_report(config: PipelineConfig, run: RunDirectory) -> Report:
    """The report of a run, as far as it has got."""
    manifests = {name: run.stage(name).manifest() for name in STAGES}
    finished = {name: manifest for name, manifest in manifests.items() if manifest is not None}
    stages = [
        StageSummary(
            name,
            manifest["seconds"],
            manifest["resumed"],
            manifest["counts"],
            tuple(manifest.get("models", ())),
        )
        for name, manifest in finished.items()
    ]
    # Stages may have been finished by different versions; those of the last one stand for the run.
    last_manifest = list(finished.values())[-1] if finished else {"versions": {}}
    rollout_files = run.stage("grpo").list_files(GRPO_ROLLOUTS.name) if "grpo" in finished else []
    return Report(
        run=config.run.name,
        seed=config.run.seed,
        directory=run.uri,
        policy=config.models.policy,
        machine=_describe_machine(),
        versions=last_manifest["versions"],
        stages=tuple(stages),
        sft_steps=read_training_log(run, SFT_METRICS),
        grpo_updates=read_training_log(run, GRPO_METRICS),
        rollout_files=tuple(rollout_files),
        benchmarks=_collect_benchmarks(run) if "evaluation" in finished else (),
        review=read_review(run) if "questions" in finished else None,
        reward_spreads=_read_reward_spreads(run) if rollout_files else (),
    )


def _read_reward_spreads(run: RunDirectory) -> tuple[RewardSpread, ...]:
    # Without the trajectories, of which a long training has gigabytes.
    rows = run.read_columns(GRPO_ROLLOUTS, ["update", "reward"]).to_pylist()
    rewards: dict[int, list[float]] = {}
    for row in rows:
        total = row["reward"]["total"]
        # An unscored reward is null.
        if total is not None:
            rewards.setdefault(row["update"], []).append(total)
    spreads = []
    for update, totals in sorted(rewards.items()):
        low, high = np.quantile(totals, _MIDDLE_HALF)
        # The files count updates from 0, the log from 1.
        spreads.append(RewardSpread(update + 1, float(low), float(high)))
    return tuple(spreads)


def read_training_log(run: RunDirectory, metrics: StageFile) -> TrainingLog:
    """A training stage's log; empty when the stage is not finished or wrote none."""
    if run.stage(metrics.stage).manifest() is None or not run.has(metrics):
        return TrainingLog(())
    return TrainingLog(tuple(read_rows(run.read_bytes(metrics.path), metrics.path)))


def _collect_benchmarks(run: RunDirectory) -> tuple[BenchmarkReport, ...]:
    results = run.read(EVALUATION_RESULTS)
    tasks = run.read(EVALUATION_TASKS)
    reports = []
    seen: set[str] = set()
    for figures in read_figures(run.stage("evaluation")):
        # The verdicts of the results are those of the first scorer.
        is_first = figures.benchmark not in seen
        samples = _choose_samples(figures.benchmark, tasks, results) if is_first else []
        seen.add(figures.benchmark)
        reports.append(BenchmarkReport(figures, tuple(draw_conclusions(figures)), tuple(samples)))
    return tuple(reports)


def _choose_samples(
    benchmark: str, tasks: Sequence[BenchmarkTask], results: Sequence[EvaluationResult]
) -> list[SampleTask]:
    """Tasks spread evenly over the benchmark, not chosen by outcome, with the models' answers."""
    own_tasks = [row.task for row in tasks if row.benchmark == benchmark]
    # A fixed step: the same tasks are shown after every evaluation of the same benchmark.
    step = max(1, len(own_tasks) // _SAMPLES)
    first_results = [
        result for result in results if result.benchmark == benchmark and result.rollout == 0
    ]
    samples = []
    for task in own_tasks[::step][:_SAMPLES]:
        answers = [
            ModelAnswer(result.model, result.prediction, result.verdict, result.stop_reason)
            for result in first_results
            if result.task_id == task.task_id
        ]
        samples.append(SampleTask(task, tuple(answers)))
    return samples


def _describe_machine() -> Machine:
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(
        cpus=_count_usable_cpus(),
        memory_gib=round(memory_bytes / 2**30, 1),
        python=platform.python_version(),
    )


def _count_usable_cpus() -> int:
    # A container or taskset may leave a process fewer CPUs than the machine has; only Linux tells.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
