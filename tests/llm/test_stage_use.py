"""What roles use is counted over restarts, and stands in the manifest beside its estimate."""

import asyncio
import io
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from rich.console import Console
from support.metered_endpoint import MeteredEndpoint
from support.toy_pipeline import toy_stages
from werkzeug import Response

from medr_ray import pipeline
from medr_ray.core.config import EndpointConfig, PipelineConfig
from medr_ray.core.costs import ModelCost, StageCost
from medr_ray.core.errors import InfrastructureError
from medr_ray.core.run import Counts, Directory, RunDirectory, Stage, StageContext, open_run
from medr_ray.core.settings import load_config
from medr_ray.llm.cache import read_usage
from medr_ray.llm.roles import open_chat_client
from medr_ray.llm.usage import RoleUsage

PROMPT = "four" * 10  # ten tokens
REPLY = "five" * 5


def ask(endpoint: EndpointConfig, run: Directory, words: str = PROMPT) -> RoleUsage:
    client = open_chat_client(endpoint, run, "writer")
    asyncio.run(client.complete([{"role": "user", "content": words}]))
    return client.usage


def test_answers_failures_and_the_cache_are_counted_apart(
    httpserver: HTTPServer, tmp_path: Path
) -> None:
    run = Directory(str(tmp_path))
    server = MeteredEndpoint(httpserver, lambda body: REPLY)
    prices = {"usd_per_million_input": 1e6, "usd_per_million_output": 2e6}
    assert read_usage(run) == {}
    used = ask(server.config(**prices), run)
    assert (used.requests, used.input_tokens, used.output_tokens, used.usd) == (1, 10, 5, 20.0)
    again = ask(server.config(**prices), run)
    assert again == RoleUsage(cached=1), "nothing was sent"
    server.answer = lambda body: Response("no", status=500)
    with pytest.raises(InfrastructureError):
        ask(server.config(), run, "other words")
    total = read_usage(run)["writer", "m"]
    assert (total.requests, total.failed, total.cached) == (1, 1, 1)
    assert (total.input_tokens, total.output_tokens, total.usd) == (10, 5, 20.0)
    assert total.seconds > 0


def test_another_model_and_another_role_are_counted_apart(
    httpserver: HTTPServer, tmp_path: Path
) -> None:
    run = Directory(str(tmp_path))
    server = MeteredEndpoint(httpserver, lambda body: REPLY)
    ask(server.config(), run)
    ask(server.config(model="n"), run)
    client = open_chat_client(server.config(model="n"), run, "judge")
    asyncio.run(client.complete([{"role": "user", "content": "x"}]))
    assert {key: usage.requests for key, usage in read_usage(run).items()} == {
        ("judge", "n"): 1,
        ("writer", "m"): 1,
        ("writer", "n"): 1,
    }


def asking_stage(endpoint: EndpointConfig, fail_at: int | None = None) -> Stage:
    """A stage that asks four times and estimates three."""

    def execute(context: StageContext) -> Counts:
        for number in range(4):
            if number == fail_at:
                raise InfrastructureError("the power is gone")
            ask(endpoint, context.run, f"question {number}")
        return {"questions": 4}

    def estimate(config: PipelineConfig, run: RunDirectory) -> StageCost:
        cost = ModelCost("writer", endpoint, 3, 30, 15, "three questions")
        return StageCost("what was paid", (cost,))

    _, total = toy_stages()
    return replace(
        total,
        name="numbers",
        needs=(),
        execute=execute,
        estimate_cost=estimate,
        sections=("graph",),
    )


def run_here(config: PipelineConfig, stage: Stage) -> str:
    printed = io.StringIO()
    console = Console(file=printed, width=200)
    pipeline.run_pipeline(config, console=console, stages=[stage], report=lambda *rest: None)
    return printed.getvalue()


def test_a_stage_that_was_stopped_counts_what_it_used_before(
    httpserver: HTTPServer, tmp_path: Path
) -> None:
    config = load_config(None, [f"run.root={tmp_path}", "run.name=r"], environment={})
    server = MeteredEndpoint(httpserver, lambda body: REPLY)
    run = open_run(config)
    run.claim()
    # Of an earlier stage: no part of it.
    ask(server.config(), run, "something else")
    with pytest.raises(InfrastructureError):
        run_here(config, asking_stage(server.config(), fail_at=3))
    printed = run_here(config, asking_stage(server.config()))
    (row,) = run.stage("numbers").manifest()["models"]  # type: ignore[index]
    assert (row["role"], row["model"], row["requests"], row["cached"]) == ("writer", "m", 4, 3)
    assert row["usd"] is None
    assert row["estimate"]["requests"] == 3
    assert row["estimate"]["basis"] == "three questions"
    assert "writer by m: 4 requests (estimated 3)" in printed
    assert "no price set" in printed
    assert len(server.bodies) == 5, "no call paid twice"
    assert not run.child("llm").exists("before-numbers.json")


def test_a_dry_run_prints_the_estimate_and_sends_nothing(
    httpserver: HTTPServer, tmp_path: Path
) -> None:
    config = load_config(None, [f"run.root={tmp_path}", "run.name=r"], environment={})
    server = MeteredEndpoint(httpserver, lambda body: REPLY)
    priced = server.config(usd_per_million_input=1e6, usd_per_million_output=2e6)
    printed = io.StringIO()
    pipeline.run_pipeline(
        config,
        dry_run=True,
        console=Console(file=printed, width=200),
        stages=[asking_stage(priced)],
    )
    assert "writer by m: about 3 requests, 30 input and 15 output tokens, 60.00 USD" in (
        printed.getvalue()
    )
    assert server.bodies == []
    assert not (tmp_path / "r").exists()
