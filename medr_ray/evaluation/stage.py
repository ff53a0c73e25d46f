"""The evaluation stage: serve the run's weights, have agents answer the benchmarks over HTTP, judge
the answers, count the verdicts.

What it writes is declared in ``artifacts``; its counts are the figures as report.json has them.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from medr_ray.core.config import PipelineConfig
from medr_ray.core.costs import StageCost
from medr_ray.core.placement import find_local_shortage
from medr_ray.core.run import Counts, Directory, RunDirectory, Stage, StageContext
from medr_ray.evaluation.artifacts import (
    EVALUATION_RESULTS,
    EVALUATION_TASKS,
    EVALUATION_TRAJECTORIES,
    UNSCORED_ANSWERS,
)
from medr_ray.evaluation.benchmarks import Benchmark, BenchmarkTask, select_benchmarks
from medr_ray.evaluation.cost_estimate import estimate_evaluation_costs
from medr_ray.evaluation.figures import JudgedAnswer, write_figures
from medr_ray.evaluation.report.json_layout import build_evaluation_json
from medr_ray.evaluation.role_checks import find_doubtful_judges
from medr_ray.evaluation.runs import EvaluationRun, RunPlan
from medr_ray.evaluation.runs.asking import answer_pending
from medr_ray.evaluation.runs.planning import ask_benchmark
from medr_ray.evaluation.runs.scoring import score_answers
from medr_ray.evaluation.runs.secret_texts import withhold_texts
from medr_ray.evaluation.runs.weights import (
    check_weights,
    list_weights,
    locate_weights_run,
    open_pool,
    serve_weights,
)
from medr_ray.evaluation.scorers.base import UNSCORED
from medr_ray.llm.reachability import find_role_problems
from medr_ray.serving.app import list_serving_needs


def execute(context: StageContext) -> Counts:
    """Run the evaluation and return its figures.

    Answers and scores live in a run of evaluation of their own, which no fingerprint replaces: only
    what is new is asked and scored. The stage's folder has the tables of the configured part.
    """
    config = context.config
    check_weights(config, context.run)
    benchmarks = select_benchmarks(config.evaluation.benchmarks, config.evaluation.benchmark_files)
    run = plan_weights(config, context.run, benchmarks)
    # A run that lacks only verdicts does not start a server, which takes long to load its model.
    if run.list_pending():
        index = context.upstream("index")
        with (
            serve_weights(config, context.run) as endpoints,
            open_pool(config, index, endpoints, context.directory) as run_requests,
        ):
            answer_pending(run, run_requests, context.console)
    score_weights(context, run, benchmarks)
    return write_tables(context.directory, run)


def plan_weights(
    config: PipelineConfig, run: RunDirectory, benchmarks: Sequence[Benchmark]
) -> EvaluationRun:
    """The evaluation of the run's weights, planned as configured. Raises DataError."""
    plan = RunPlan(
        tuple(ask_benchmark(benchmark, config, run) for benchmark in benchmarks),
        tuple(list_weights(config, run)),
        config.evaluation.rollouts,
        config.evaluation.confidence,
        {},
    )
    return EvaluationRun.plan_run(locate_weights_run(run), plan)


def score_weights(
    context: StageContext, run: EvaluationRun, benchmarks: Sequence[Benchmark]
) -> None:
    """Have the answers scored that are not. Raises InfrastructureError when a judge stays away."""
    config = context.config
    scorers = {
        benchmark.name: benchmark.build_scorers(config, context.run) for benchmark in benchmarks
    }
    # As many as the endpoint may have open. More would only wait in the governor's queue.
    score_answers(run, scorers, config.llm.concurrency, context.console)


def write_tables(directory: Directory, run: EvaluationRun) -> dict[str, Any]:
    """Write the tables of a run, and return its figures as report.json has them. The verdicts are
    those of each benchmark's official scorer; the figures of all scorers are written."""
    answers = [
        answer
        for benchmark in run.plan.benchmarks
        for answer in run.judged_answers(benchmark.name, run.scorers[benchmark.name][0].identity)
    ]
    tasks = [BenchmarkTask(row.benchmark, withhold_texts(row.task)) for row in run.tasks]
    directory.write(EVALUATION_TASKS, tasks)
    directory.write(EVALUATION_RESULTS, [answer.result for answer in answers])
    secret_ids = {row.task.task_id for row in run.tasks if row.task.is_secret}
    trajectories = [
        answer.trajectory
        for answer in answers
        if answer.trajectory is not None and answer.result.task_id not in secret_ids
    ]
    directory.write(EVALUATION_TRAJECTORIES, trajectories)
    unscored = [
        _describe_unscored(answer) for answer in answers if answer.result.verdict == UNSCORED
    ]
    directory.write_jsonl(UNSCORED_ANSWERS.name, unscored)
    figures = run.figures()
    write_figures(directory, figures)
    return build_evaluation_json(figures)


def _describe_unscored(answer: JudgedAnswer) -> dict[str, Any]:
    result = answer.result
    return {
        "benchmark": result.benchmark,
        "model": result.model,
        "task_id": result.task_id,
        "rollout": result.rollout,
        "reason": answer.reason,
    }


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
