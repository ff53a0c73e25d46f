"""Which tasks a benchmark is asked, checked before anything is asked."""

import re
from collections import Counter

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import DataError
from medr_ray.core.records import Task
from medr_ray.core.run import RunDirectory
from medr_ray.evaluation.benchmarks import Benchmark
from medr_ray.evaluation.runs.records import AskedBenchmark

# Task ids stand in tables, and name rollouts.
_TASK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*")


def load_benchmark_tasks(
    benchmark: Benchmark, config: PipelineConfig, run: RunDirectory
) -> list[Task]:
    """The tasks to answer: the first ``evaluation.max_questions`` of the benchmark's.

    Raises DataError when there are none, or when an id stands twice or is no name.
    """
    tasks = list(benchmark.load_tasks(config, run))
    if not tasks:
        raise DataError(f"benchmark {benchmark.name}: it has no tasks")
    for task_id, count in Counter(task.task_id for task in tasks).items():
        if count > 1:
            raise DataError(f"benchmark {benchmark.name}: {count} tasks have the id {task_id}")
        if not _TASK_ID.fullmatch(task_id):
            raise DataError(
                f"benchmark {benchmark.name}: the task id {task_id!r} cannot name a file: "
                "use letters, digits and . _ : -"
            )
    return tasks[: config.evaluation.max_questions]


def ask_benchmark(
    benchmark: Benchmark, config: PipelineConfig, run: RunDirectory
) -> AskedBenchmark:
    """A benchmark with the tasks that are asked. Raises DataError."""
    return AskedBenchmark(
        benchmark.name,
        benchmark.title,
        tuple(benchmark.slices),
        benchmark.describe_source() or "",
        tuple(load_benchmark_tasks(benchmark, config, run)),
    )
