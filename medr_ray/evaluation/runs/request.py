"""An evaluation as it is asked for: some benchmarks, answered by an endpoint or by a run's own
weights, with or without the agent.

The configuration says everything: ``evaluation.benchmarks``, ``rollouts``, ``max_questions``, and
either ``evaluation.endpoint`` or ``evaluation.weights`` of the configured run. It is kept in the
directory of the evaluation, so that a later command goes on with no more than that.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from medr_ray.agent.episode_loop import run_episode
from medr_ray.agent.events import Observer
from medr_ray.core.config import EndpointConfig, PipelineConfig
from medr_ray.core.errors import ConfigError
from medr_ray.core.records import Trajectory
from medr_ray.core.run import Directory, RunDirectory, open_run
from medr_ray.core.settings import dump_yaml, load_config
from medr_ray.evaluation.benchmarks import Benchmark, select_benchmarks
from medr_ray.evaluation.runs.asking import answer_pending
from medr_ray.evaluation.runs.in_process import Ask, run_in_process
from medr_ray.evaluation.runs.plain_question import ask_plainly, digest_prompts
from medr_ray.evaluation.runs.planning import ask_benchmark
from medr_ray.evaluation.runs.policies import EndpointPolicies, Endpoints
from medr_ray.evaluation.runs.records import Respondent, RunPlan
from medr_ray.evaluation.runs.store import EvaluationRun
from medr_ray.evaluation.runs.weights import (
    EVALUATIONS_FOLDER,
    check_weights,
    describe_agent,
    list_weights,
    serve_weights,
)
from medr_ray.rollouts.worker import RolloutRequest
from medr_ray.tools.registry import open_tools

_CONFIG_FILE = "config.yaml"
_WITH_AGENT = "with_agent"  # in the plan's request
_NOT_IN_NAMES = "/:\\ "


@dataclass(frozen=True)
class EvaluationRequest:
    """What is asked for. ``with_agent``: the agent with its tools answers, else one plain question
    is put."""

    config: PipelineConfig
    with_agent: bool

    @property
    def endpoint(self) -> EndpointConfig | None:
        """The endpoint that answers as it is asked; None where the run's own weights do."""
        evaluation = self.config.evaluation
        if evaluation.endpoint is None:
            return None
        update: dict[str, object] = {}
        # A model that refuses a temperature refuses everybody's.
        if evaluation.endpoint.temperature is not None:
            update["temperature"] = evaluation.temperature
        return evaluation.endpoint.model_copy(update=update)

    def select_benchmarks(self) -> list[Benchmark]:
        """The configured benchmarks. Raises ConfigError."""
        evaluation = self.config.evaluation
        return select_benchmarks(evaluation.benchmarks, evaluation.benchmark_files)


def choose_directory(request: EvaluationRequest) -> Directory:
    """Where an evaluation goes that names no place: in the configured run, by what is asked of
    whom."""
    evaluation = request.config.evaluation
    respondent = evaluation.endpoint.model if evaluation.endpoint else "-".join(evaluation.weights)
    benchmarks = "-".join(benchmark.name for benchmark in request.select_benchmarks())
    name = f"{benchmarks}-{respondent}" + ("" if request.with_agent else "-plain")
    for character in _NOT_IN_NAMES:
        name = name.replace(character, "-")
    return open_run(request.config).child(EVALUATIONS_FOLDER).child(name)


def plan_request(request: EvaluationRequest, directory: Directory) -> EvaluationRun:
    """The evaluation in a directory, planned as it is asked for. Raises ConfigError and
    DataError."""
    config = request.config
    run = open_run(config)
    _check_limits(request)
    if directory.uri.startswith(f"{run.uri}/"):
        # Else the folder would be no run's, and the pipeline would leave it alone.
        run.claim()
    evaluation = config.evaluation
    plan = RunPlan(
        tuple(ask_benchmark(benchmark, config, run) for benchmark in request.select_benchmarks()),
        tuple(list_respondents(request)),
        evaluation.rollouts,
        evaluation.confidence,
        {_WITH_AGENT: request.with_agent},
    )
    evaluation_run = EvaluationRun.plan_run(directory, plan)
    # A path that does not depend on where the next command is given.
    section = config.run.model_copy(update={"root": Directory(config.run.root).uri})
    kept = config.model_copy(update={"run": section})
    directory.write_bytes(_CONFIG_FILE, dump_yaml(kept).encode())
    return evaluation_run


def read_request(run: EvaluationRun, overrides: Sequence[str] = ()) -> EvaluationRequest:
    """What an evaluation was asked for, with ``overrides`` of its configuration. Raises
    ConfigError."""
    if not run.directory.exists(_CONFIG_FILE):
        raise ConfigError(
            f"{run.directory.uri} has no {_CONFIG_FILE}: it is the evaluation stage's, which "
            "`medr evaluate run -c FILE` goes on with"
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / _CONFIG_FILE
        path.write_bytes(run.directory.read_bytes(_CONFIG_FILE))
        config = load_config(path, overrides)
    return EvaluationRequest(config, bool(run.plan.request.get(_WITH_AGENT)))


def list_respondents(request: EvaluationRequest) -> list[Respondent]:
    """Who answers: the endpoint's model, or each of the run's weights. Raises ConfigError."""
    config = request.config
    run = open_run(config)
    prompts = "" if request.with_agent else digest_prompts()
    endpoint = request.endpoint
    if endpoint is None:
        check_weights(config, run)
        weights = list_weights(config, run)
        if request.with_agent:
            return weights
        return [
            Respondent(
                respondent.name,
                respondent.endpoint,
                respondent.model,
                {**respondent.sampling, "max_tokens": _limit_reply(request)},
                None,
                prompts,
            )
            for respondent in weights
        ]
    if not endpoint.model:
        raise ConfigError("name the endpoint's model: --model NAME, or evaluation.endpoint.model")
    sampling = {
        "temperature": endpoint.temperature,
        "max_tokens": _limit_reply(request),
        "extra_body": dict(endpoint.extra_body),
    }
    agent = describe_agent(config, run) if request.with_agent else None
    return [Respondent(endpoint.model, endpoint.base_url, endpoint.model, sampling, agent, prompts)]


def answer_request(run: EvaluationRun, request: EvaluationRequest, console: Console) -> int:
    """Have what is pending answered; returns how much was. Raises MedrError."""
    if not run.list_pending():
        return 0
    with open_ask(run, request, console=console) as ask:
        concurrency = request.config.evaluation.concurrency
        retries = request.config.rollouts.retries
        return answer_pending(
            run, partial(run_in_process, ask, concurrency=concurrency, retries=retries), console
        )


@contextmanager
def open_ask(
    run: EvaluationRun,
    request: EvaluationRequest,
    observer: Observer | None = None,
    console: Console | None = None,
) -> Iterator[Ask]:
    """What answers one question inside the block; ``observer`` sees the agent's steps. The run's
    own weights are served for the time. Raises MedrError."""
    config = request.config
    pipeline_run = open_run(config)
    with contextlib.ExitStack() as stack:
        endpoint = request.endpoint
        if endpoint is not None:
            endpoints = Endpoints({endpoint.model: endpoint})
        else:
            endpoints = stack.enter_context(_serve(config, pipeline_run, console))
        # On object storage there is no cache: what was answered is kept all the same.
        is_local = run.directory.free_space() is not None
        policies = EndpointPolicies(
            endpoints, _limit_reply(request), run.directory if is_local else None
        )
        if not request.with_agent:

            async def ask(rollout: RolloutRequest) -> Trajectory:
                complete = policies.complete_for(rollout)
                return await ask_plainly(
                    rollout.task,
                    complete,
                    config.agent,
                    mode=rollout.mode,
                    rollout=rollout.rollout,
                )

            yield ask
            return
        toolbox = open_tools(config, pipeline_run.stage("index"))

        async def research(rollout: RolloutRequest) -> Trajectory:
            return await run_episode(
                rollout.task,
                policies(rollout),
                toolbox.tools,
                config.agent,
                mode=rollout.mode,
                rollout=rollout.rollout,
                rarity=toolbox.rarity,
                observer=observer,
            )

        yield research


@contextmanager
def _serve(
    config: PipelineConfig, run: RunDirectory, console: Console | None
) -> Iterator[Endpoints]:
    from medr_ray.core.session import ray_session

    if console is not None:
        names = ", ".join(config.evaluation.weights)
        console.print(f"serving {names} of {run.uri}", highlight=False, soft_wrap=True)
    with ray_session(config.ray), serve_weights(config, run) as endpoints:
        yield endpoints


def _limit_reply(request: EvaluationRequest) -> int:
    """Tokens of one reply: an agent's turn, or a whole answer."""
    agent = request.config.agent
    if request.with_agent:
        return agent.max_turn_tokens
    endpoint = request.config.evaluation.endpoint
    tokens = endpoint.max_tokens if endpoint else agent.max_turn_tokens
    return min(tokens, agent.max_spent_tokens or tokens)


def _check_limits(request: EvaluationRequest) -> None:
    """Raises ConfigError for a limit in USD that nobody could keep."""
    endpoint = request.config.evaluation.endpoint
    has_prices = endpoint is not None and endpoint.usd_per_million_input is not None
    if request.config.agent.max_usd and not has_prices:
        raise ConfigError(
            "a limit in USD needs the endpoint's prices: set "
            "evaluation.endpoint.usd_per_million_input and usd_per_million_output"
        )
    if request.config.agent.max_usd and not request.with_agent:
        raise ConfigError(
            "a limit in USD holds an agent, which asks again and again: one plain question costs "
            "its tokens, which --limit-tokens holds"
        )
