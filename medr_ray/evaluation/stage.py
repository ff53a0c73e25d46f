"""The evaluation stage: serve the run's weights, have agents answer the benchmarks over HTTP, judge
the answers, count the verdicts.

What it writes is declared in ``artifacts``; its counts are the figures as report.json has them.
"""

import re
import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from medr_ray.core.config import PipelineConfig
from medr_ray.core.costs import StageCost
from medr_ray.core.errors import ConfigError, DataError
from medr_ray.core.placement import find_local_shortage
from medr_ray.core.records import Task
from medr_ray.core.run import Counts, RunDirectory, Stage, StageContext
from medr_ray.evaluation.artifacts import (
    EVALUATION_RESULTS,
    EVALUATION_TASKS,
    EVALUATION_TRAJECTORIES,
    UNSCORED_ANSWERS,
)
from medr_ray.evaluation.benchmarks import Benchmark, BenchmarkTask, select_benchmarks
from medr_ray.evaluation.cost_estimate import estimate_evaluation_costs
from medr_ray.evaluation.figures import (
    BenchmarkFigures,
    JudgedAnswer,
    compute_figures,
    write_figures,
)
from medr_ray.evaluation.report.json_layout import build_evaluation_json
from medr_ray.evaluation.role_checks import find_doubtful_judges
from medr_ray.evaluation.runner import Attempt, Endpoint, EvaluationRunner
from medr_ray.evaluation.scorers.base import UNSCORED
from medr_ray.llm.reachability import find_role_problems
from medr_ray.serving.app import (
    find_free_port,
    find_weights_directories,
    list_serving_needs,
    serve_application,
)

# Task ids name files, also on object storage.
_TASK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*")
# Requests that may wait for the served model, for each episode in flight.
_QUEUED_PER_EPISODE = 2


def execute(context: StageContext) -> Counts:
    """Run the evaluation and return its figures."""
    config = context.config
    _check_weights(config, context.run)
    benchmarks = select_benchmarks(config.evaluation.benchmarks, config.evaluation.benchmark_files)
    tasks = {
        benchmark.name: load_benchmark_tasks(benchmark, config, context.run)
        for benchmark in benchmarks
    }
    runner = EvaluationRunner(context, plan_attempts(config, tasks))
    # A run that lacks only verdicts does not start a server, which takes long to load its model.
    if runner.list_pending():
        _answer_over_http(context, runner)
    # The first is the official one.
    scorers = {
        benchmark.name: benchmark.build_scorers(config, context.run)[0] for benchmark in benchmarks
    }
    return write_results(context, benchmarks, tasks, runner.judge_answers(scorers))


def load_benchmark_tasks(
    benchmark: Benchmark, config: PipelineConfig, run: RunDirectory
) -> list[Task]:
    """The tasks to answer: the first ``evaluation.max_questions`` of the benchmark's.

    Raises DataError when there are none, or when an id stands twice or cannot name a file.
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


def plan_attempts(config: PipelineConfig, tasks: dict[str, list[Task]]) -> list[Attempt]:
    """Every rollout of every task by every set of weights. ``tasks`` are by benchmark."""
    # Weights before tasks: a server that keeps one model loaded then changes it once for each set
    # of weights of a benchmark.
    return [
        Attempt(benchmark, weights, task, rollout)
        for benchmark, benchmark_tasks in tasks.items()
        for weights in config.evaluation.weights
        for task in benchmark_tasks
        for rollout in range(config.evaluation.rollouts)
    ]


def _answer_over_http(context: StageContext, runner: EvaluationRunner) -> None:
    """Serve the run's models for as long as the runner needs them."""
    # A key of this run only: nobody else on the network can use the endpoint.
    key = secrets.token_urlsafe(32)
    serving_config = configure_serving(context.config)
    with serve_application(serving_config, context.run, api_key=key) as served:
        runner.answer_pending(Endpoint(served.base_url, key))


def write_results(
    context: StageContext,
    benchmarks: Sequence[Benchmark],
    tasks: dict[str, list[Task]],
    answers: Sequence[JudgedAnswer],
) -> dict[str, Any]:
    """Write everything the stage leaves behind, and return the figures as report.json has them."""
    directory = context.directory
    rows = [BenchmarkTask(name, task) for name in tasks for task in tasks[name]]
    directory.write(EVALUATION_TASKS, rows)
    directory.write(EVALUATION_RESULTS, [answer.result for answer in answers])
    trajectories = [answer.trajectory for answer in answers if answer.trajectory is not None]
    directory.write(EVALUATION_TRAJECTORIES, trajectories)
    unscored = [
        _describe_unscored(answer) for answer in answers if answer.result.verdict == UNSCORED
    ]
    directory.write_jsonl(UNSCORED_ANSWERS.name, unscored)
    figures = [
        _count_benchmark(context.config, benchmark, tasks[benchmark.name], answers)
        for benchmark in benchmarks
    ]
    write_figures(directory, figures)
    return build_evaluation_json(figures)


def _count_benchmark(
    config: PipelineConfig,
    benchmark: Benchmark,
    tasks: Sequence[Task],
    answers: Sequence[JudgedAnswer],
) -> BenchmarkFigures:
    own_answers = [answer for answer in answers if answer.result.benchmark == benchmark.name]
    evaluation = config.evaluation
    return compute_figures(benchmark, tasks, own_answers, evaluation.weights, evaluation.confidence)


def _describe_unscored(answer: JudgedAnswer) -> dict[str, Any]:
    result = answer.result
    return {
        "benchmark": result.benchmark,
        "model": result.model,
        "task_id": result.task_id,
        "rollout": result.rollout,
        "reason": answer.reason,
    }


def configure_serving(config: PipelineConfig) -> PipelineConfig:
    """The configuration to serve the evaluation with: a free port, and room for every agent in the
    queue."""
    serving = config.serving
    queued = _QUEUED_PER_EPISODE * config.evaluation.concurrency
    host = _find_proxy_host()
    update = {
        "host": host,
        "port": find_free_port(host),
        "weights": config.evaluation.weights[0],
        # The server refuses what exceeds its limits, so they are raised to what the agents ask for.
        "max_queued": max(serving.max_queued, queued),
        "max_tokens": max(serving.max_tokens, config.agent.max_turn_tokens),
    }
    return config.model_copy(update={"serving": serving.model_copy(update=update)})


def _find_proxy_host() -> str:
    """Loopback on one node; on a cluster the head's address, so that workers elsewhere reach it
    (with the key)."""
    import ray

    nodes = [node for node in ray.nodes() if node["Alive"]]
    if len(nodes) == 1:
        return "127.0.0.1"
    head = next((node for node in nodes if "node:__internal_head__" in node["Resources"]), nodes[0])
    return str(head["NodeManagerAddress"])


def _check_weights(config: PipelineConfig, run: RunDirectory) -> None:
    """Raises ConfigError when ``evaluation.weights`` names a model that the run does not have."""
    missing = set(config.evaluation.weights) - set(find_weights_directories(config, run))
    if missing:
        raise ConfigError(
            f"evaluation.weights names {', '.join(sorted(missing))}, but the run has no such "
            "model: run that stage, or take it out of evaluation.weights"
        )


def _describe_inputs(config: PipelineConfig) -> Any:
    """What decides the results beside the stage's sections: the tasks of benchmarks outside the
    run, and the model that judges answers or reads pages for the agents."""
    # Only benchmarks from outside the run: the questions are upstream and count with their stage.
    sources = {
        benchmark.name: source
        for benchmark in select_benchmarks(
            config.evaluation.benchmarks, config.evaluation.benchmark_files
        )
        if (source := benchmark.describe_source()) is not None
    }
    uses_model = config.evaluation.judge == "llm" or config.tools.read.extract == "llm"
    model = config.llm.identity() if uses_model else None
    return {"benchmarks": sources, "model": model} if sources else model


def _find_problems(config: PipelineConfig, run: RunDirectory) -> Iterator[str]:
    # Imported here, because tools are slow to import and planning is not to wait for them.
    from medr_ray.rollouts.schedule import describe_worker_need
    from medr_ray.tools.registry import find_tool_problems

    yield from find_tool_problems(config)
    needs = [*list_serving_needs(config, run), describe_worker_need(config.rollouts)]
    shortage = find_local_shortage(needs, config.ray)
    if shortage:
        yield shortage
    yield from find_role_problems(config, "evaluation")


def _estimate_cost(config: PipelineConfig, run: RunDirectory) -> StageCost:
    models = tuple(estimate_evaluation_costs(config, run))
    product = "verdicts of a language model" if config.evaluation.judge == "llm" else ""
    return StageCost(product, models)


EVALUATION_STAGE = Stage(
    name="evaluation",
    needs=("index", "questions", "sft", "grpo"),
    sections=("evaluation", "agent", "tools", "retrieval", "engine", "models"),
    execute=execute,
    inputs=_describe_inputs,
    check=_find_problems,
    warn=find_doubtful_judges,
    estimate_cost=_estimate_cost,
)
