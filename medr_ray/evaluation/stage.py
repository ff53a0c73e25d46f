"""The evaluation stage: serve the run's weights, put the held-out questions to them over HTTP,
judge, count.

Writes ``results.parquet``, ``trajectories.parquet`` and ``unscored.jsonl`` (each unscored attempt
with its reason).
"""

import secrets
from typing import Any

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import ConfigError, DataError
from medr_ray.core.records import Task
from medr_ray.core.run import Counts, Stage, StageContext
from medr_ray.evaluation.artifacts import EVALUATION_TRAJECTORIES, RESULTS
from medr_ray.evaluation.judges import build_judge
from medr_ray.evaluation.runner import Attempt, Endpoint, EvaluationRunner
from medr_ray.evaluation.summary import summarise
from medr_ray.questions.artifacts import QUESTIONS
from medr_ray.serving.app import free_port, serve_application, weights_directories


def heldout_tasks(context: StageContext) -> list[Task]:
    """The tasks of the held-out questions, in file order. Raises DataError when there are none."""
    questions = context.run.read(QUESTIONS)
    held = [question.task for question in questions if question.split == "heldout"]
    if not held:
        raise DataError("no held-out questions: raise questions.heldout_fraction")
    return held[: context.config.evaluation.max_questions]


def execute(context: StageContext) -> Counts:
    """Run the evaluation and return its figures."""
    config = context.config
    _check(context)
    tasks = heldout_tasks(context)
    attempts = [
        Attempt(weights, task, rollout)
        for weights in config.evaluation.weights
        for task in tasks
        for rollout in range(config.evaluation.rollouts)
    ]
    runner = EvaluationRunner(context, attempts)
    if runner.pending():
        serving, key = evaluation_serving(config), secrets.token_urlsafe(32)
        with serve_application(serving, context.run, key=key) as served:
            runner.answer(Endpoint(served.base_url, key))
    results, trajectories, unscored = runner.judge(build_judge(config, context.run))
    context.directory.write(RESULTS, results)
    context.directory.write(EVALUATION_TRAJECTORIES, trajectories)
    context.directory.write_jsonl("unscored.jsonl", unscored)
    return summarise(
        {name: [one for one in results if one.model == name] for name in config.evaluation.weights},
        {
            name: [one for one in trajectories if one.mode == name]
            for name in config.evaluation.weights
        },
        tasks,
        config.evaluation.confidence,
    )


def evaluation_serving(config: PipelineConfig) -> PipelineConfig:
    """The configuration to serve the evaluation with: a free port, and room for every agent in the
    queue."""
    serving, concurrency = config.serving, config.evaluation.concurrency
    update = {
        "host": _proxy_host(),
        "port": free_port(),
        "weights": config.evaluation.weights[0],
        "max_queued": max(serving.max_queued, 2 * concurrency),
        "max_tokens": max(serving.max_tokens, config.agent.max_turn_tokens),
    }
    return config.model_copy(update={"serving": serving.model_copy(update=update)})


def _proxy_host() -> str:
    """Loopback on one node; on a cluster the head's address, so that workers elsewhere reach it
    (with the key)."""
    import ray

    nodes = [node for node in ray.nodes() if node["Alive"]]
    head = next((node for node in nodes if "node:__internal_head__" in node["Resources"]), nodes[0])
    return "127.0.0.1" if len(nodes) == 1 else str(head["NodeManagerAddress"])


def _check(context: StageContext) -> None:
    missing = set(context.config.evaluation.weights) - set(
        weights_directories(context.config, context.run)
    )
    if missing:
        raise ConfigError(
            f"evaluation.weights names {', '.join(sorted(missing))}, but the run has no such model: "
            "run that stage, or take it out of evaluation.weights"
        )


def _inputs(config: PipelineConfig) -> Any:
    """The model, where it judges answers or reads pages for the agents."""
    model_used = config.evaluation.judge == "llm" or config.tools.read.extract == "llm"
    return config.llm.identity() if model_used else None


EVALUATION_STAGE = Stage(
    name="evaluation",
    needs=("index", "questions", "sft", "grpo"),
    sections=("evaluation", "agent", "tools", "retrieval", "engine", "models"),
    execute=execute,
    inputs=_inputs,
)
