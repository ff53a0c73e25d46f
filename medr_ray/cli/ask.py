"""``medr ask``: a question put to an agent with its tools, live in the terminal, with a cited
answer at the end.

The agent is a run's own weights, in this process, or any OpenAI-compatible endpoint. With
``--json`` each event is a line of JSON as ``agent.events`` describes them; the last of a question
is the answer, or the error that kept it away.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medr_ray.cli.options import OptionalConfigFile, Overrides, resolve_config

if TYPE_CHECKING:
    from medr_ray.agent.events import EpisodeEvent, Observer
    from medr_ray.agent.policies import Policy
    from medr_ray.agent.research import Researcher
    from medr_ray.core.config import AgentConfig, PipelineConfig
    from medr_ray.core.run import RunDirectory

# What a model behind an endpoint gets, where a run's configuration is for a small one: tools called
# natively, room to read, and as many calls as a careful reader makes. --set comes after it, for
# example agent.tools with diagnose, which takes ten seconds to load.
_ENDPOINT_SETTINGS = (
    "agent.tools=[search, medical_search, read]",
    "agent.tool_calls=native",
    "agent.prompt=full",
    "agent.max_tool_calls=20",
    "agent.max_turn_tokens=2048",
    "agent.max_tokens=60000",
    "agent.observation_chars=6000",
    "agent.ask_after_cut=true",
    "agent.seconds=900",
    "retrieval.results=8",
    "retrieval.snippet_sentences=3",
    "retrieval.snippet_chars=500",
    "llm.max_tokens=2048",
)
_END_WORDS = frozenset({"", "exit", "quit"})


def ask(
    question: Annotated[
        str | None,
        typer.Argument(metavar="QUESTION", show_default=False, help="In English or 中文."),
    ] = None,
    config: OptionalConfigFile = None,
    endpoint: Annotated[
        str | None,
        typer.Option(
            "--endpoint",
            metavar="URL",
            help="An OpenAI-compatible endpoint, up to and with /v1, in place of a run's weights.",
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="With --endpoint: the model's name there.")
    ] = None,
    key_env: Annotated[
        str | None,
        typer.Option("--key-env", help="With --endpoint: environment variable with its key."),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option("--weights", help="base, sft or grpo, in place of serving.weights."),
    ] = None,
    chat: Annotated[
        bool, typer.Option("--chat", help="Go on with further questions; an empty line ends it.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print every event as a line of JSON.")
    ] = False,
    overrides: Overrides = None,
) -> None:
    """Ask the agent a question and watch it search; the answer comes with its sources."""
    _check_arguments(question, config, endpoint, model, key_env, weights, chat)
    settings = [*(overrides or ())]
    if endpoint is not None:
        settings = [*_ENDPOINT_SETTINGS, f"llm.base_url={endpoint}", *settings]
    if model is not None:
        settings.append(f"llm.model={json.dumps(model)}")
    if key_env is not None:
        settings.append(f"llm.api_key_env={key_env}")
    resolved = resolve_config(config, settings)
    output: _Output = _JsonLines() if as_json else _Terminal(chat)
    open_researcher = _open_run_researcher if endpoint is None else _open_endpoint_researcher
    questions = output.read_questions(question, chat)
    has_failed = asyncio.run(
        _answer_all(lambda: open_researcher(resolved, weights), questions, output)
    )
    if has_failed:
        raise typer.Exit(1)


def _check_arguments(
    question: str | None,
    config: Path | None,
    endpoint: str | None,
    model: str | None,
    key_env: str | None,
    weights: str | None,
    chat: bool,
) -> None:
    """Raise typer.BadParameter for arguments that do not go together."""
    if not chat and not (question or "").strip():
        raise typer.BadParameter("say what to ask, or --chat", param_hint="QUESTION")
    if endpoint is None:
        if config is None:
            raise typer.BadParameter(
                "name the configuration of a finished run (`make demo` makes that of "
                "configs/quickstart.yaml), or an endpoint with --endpoint URL --model NAME",
                param_hint="-c",
            )
        if model or key_env:
            raise typer.BadParameter("--model and --key-env are for --endpoint")
    elif weights:
        raise typer.BadParameter("--weights are those of a run: leave it out with --endpoint")
    elif not model:
        raise typer.BadParameter("name the endpoint's model", param_hint="--model")


# --- the agents -----------------------------------------------------------------------


def _open_run_researcher(config: "PipelineConfig", weights: str | None) -> "Researcher":
    """The agent with a run's weights, loaded into this process. Raises MedrError."""
    from medr_ray.core.run import open_run

    run = open_run(config)
    name = weights or config.serving.weights
    directory = _find_weights(config, run, name)
    make_policy = _open_engine(config, directory)
    # As it was trained: the dialogue has the calls in its text.
    return _build_researcher(
        config.agent.model_copy(update={"tool_calls": "text"}),
        config,
        run,
        make_policy,
        f"{config.run.name} {name}",
    )


def _find_weights(config: "PipelineConfig", run: "RunDirectory", name: str) -> Path:
    """The model directory of these weights. Raises MedrError with what to do where there is
    none."""
    from medr_ray.core.errors import MedrError
    from medr_ray.engines.weights import find_trained_directories, model_path

    if name == "base":
        return model_path(config.models.policy)
    trained = find_trained_directories(run)
    if name in trained:
        return Path(trained[name])
    others = " or ".join(f"--weights {stage}" for stage in trained)
    remedy = f"ask {others}" if others else "run `make demo` first, or `medr run` with this -c"
    raise MedrError(f"{run.uri} has no {name} weights: {remedy}")


def _open_engine(config: "PipelineConfig", directory: Path) -> "Callable[[], Policy]":
    from transformers.utils import logging

    from medr_ray.agent.policies import EnginePolicy
    from medr_ray.engines.batching_loop import EngineLoop
    from medr_ray.engines.transformers import TransformersEngine

    logging.disable_progress_bar()  # "Loading weights", over what is printed here
    # One question at a time.
    engine_config = config.engine.model_copy(update={"max_batch": 1})
    engine = TransformersEngine(directory, engine_config, config.models.trust_remote_code)
    loop = EngineLoop(engine)
    # Greedy: who asks once wants the likeliest answer.
    return lambda: EnginePolicy(loop.generate, engine.renderer, config.agent, 0.0)


def _open_endpoint_researcher(config: "PipelineConfig", weights: str | None) -> "Researcher":
    """The agent with the model of an endpoint. Raises MedrError."""
    from medr_ray.agent.policies import ChatPolicy
    from medr_ray.core.run import open_run
    from medr_ray.llm.roles import open_chat_client

    client = open_chat_client(config.llm)
    return _build_researcher(
        config.agent,
        config,
        open_run(config),
        lambda: ChatPolicy(client.complete),
        config.llm.model,
    )


def _build_researcher(
    agent: "AgentConfig",
    config: "PipelineConfig",
    run: "RunDirectory",
    make_policy: "Callable[[], Policy]",
    model: str,
) -> "Researcher":
    from medr_ray.agent.research import Researcher, find_editions, open_research_tools

    toolbox = open_research_tools(config, run)
    return Researcher(agent, toolbox, make_policy, model, find_editions(run))


# --- the dialogue ---------------------------------------------------------------------


async def _answer_all(
    open_researcher: "Callable[[], Researcher]", questions: Iterator[str], output: "_Output"
) -> bool:
    """Answer the questions, each with those before it. True when the last had no answer."""
    from medr_ray.agent.dialogue import Exchange
    from medr_ray.agent.events import AnswerEvent

    with output.show_waiting("opening the agent"):
        # In a thread: what is being waited for stays alive on the terminal.
        researcher = await asyncio.to_thread(open_researcher)
    earlier: list[Exchange] = []
    has_failed = False
    for question in questions:
        end = await researcher.research(question, output.observer, earlier=earlier)
        has_failed = not isinstance(end, AnswerEvent)
        if isinstance(end, AnswerEvent):
            earlier.append(Exchange(question, end.text or ""))
    return has_failed


def _read_questions(first: str | None, goes_on: bool, prompt: str) -> Iterator[str]:
    """The question of the command line, and those that are typed after it."""
    if first is not None and first.strip():
        yield first.strip()
    while goes_on:
        try:
            question = input(prompt).strip()
        except EOFError:
            return
        if question.lower() in _END_WORDS:
            return
        yield question


class _Terminal:
    """Events for a reader."""

    def __init__(self, names_question: bool) -> None:
        from rich.console import Console

        from medr_ray.cli.episode_view import EpisodeView

        self._view = EpisodeView(Console(highlight=False), names_question)

    @property
    def observer(self) -> "Observer":
        return self._view

    @contextlib.contextmanager
    def show_waiting(self, what: str) -> Iterator[None]:
        """Say on the terminal what is being waited for."""
        self._view.show_status(what)
        try:
            yield
        finally:
            self._view.hide_status()

    def read_questions(self, first: str | None, goes_on: bool) -> Iterator[str]:
        return _read_questions(first, goes_on, "\n> " if sys.stdin.isatty() else "")


class _JsonLines:
    """Events for a program."""

    @property
    def observer(self) -> "Observer":
        return _print_json

    @contextlib.contextmanager
    def show_waiting(self, what: str) -> Iterator[None]:
        yield

    def read_questions(self, first: str | None, goes_on: bool) -> Iterator[str]:
        return _read_questions(first, goes_on, "")


def _print_json(event: "EpisodeEvent") -> None:
    from medr_ray.agent.events import to_json

    print(json.dumps(to_json(event), ensure_ascii=False), flush=True)


_Output = _Terminal | _JsonLines
