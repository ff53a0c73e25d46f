"""Endpoints that cannot be asked are named before a stage begins, in seconds."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from pytest_httpserver import HTTPServer

from medr_ray.core.config import EndpointConfig, PipelineConfig
from medr_ray.core.run import open_run
from medr_ray.core.settings import load_config
from medr_ray.llm import reachability
from medr_ray.llm.reachability import find_endpoint_problems
from medr_ray.pipeline import load_stages

NOBODY = "http://127.0.0.1:1/v1"


def endpoint(url: str, **more: object) -> EndpointConfig:
    return EndpointConfig(base_url=url, model="m", **more)  # type: ignore[arg-type]


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes connections and never finishes its first line."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ended = threading.Event()

        def trickle() -> None:
            connection, _ = server.accept()
            with connection:
                while not ended.wait(0.2):
                    connection.sendall(b"H")

        threading.Thread(target=trickle, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/v1"
        ended.set()


def test_dead_endpoints_are_named_together_in_ten_seconds(
    silent: str, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reachability, "_ALL_SECONDS", 4.0)
    httpserver.expect_request("/v1/models").respond_with_json({"data": []})
    endpoints = {
        "llm": endpoint(NOBODY),
        "questions.closed_book": endpoint(httpserver.url_for("/v1")),
        "trajectories.rewrite": endpoint(silent),
    }
    started = time.monotonic()
    dead, slow = find_endpoint_problems(endpoints)
    assert time.monotonic() - started < 10
    assert dead.startswith(f"llm.base_url: nothing answers at {NOBODY} (ConnectError)")
    assert slow.startswith(f"trajectories.rewrite.base_url: nothing answers at {silent} within 4 s")


def test_further_headers_are_sent_and_one_without_its_variable_is_named(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    httpserver.expect_request("/v1/models", headers={"X-Team": "oncology"}).respond_with_json({})
    asked = {"llm": endpoint(httpserver.url_for("/v1"), extra_headers={"X-Team": "TEAM"})}
    assert "TEAM" in next(find_endpoint_problems(asked))
    monkeypatch.setenv("TEAM", "oncology")
    assert list(find_endpoint_problems(asked)) == []
    httpserver.check_assertions()


@pytest.mark.parametrize(
    ("stage", "overrides", "key"),
    [
        ("entities", ["entities.significance=llm"], "llm"),
        ("graph", ["graph.extractor=llm"], "llm"),
        ("questions", ["questions.writer=llm"], "llm"),
        (
            "questions",
            [f"questions.closed_book={{base_url: '{NOBODY}', model: m}}"],
            "questions.closed_book",
        ),
        (
            "questions",
            [f"questions.calibration=[{{base_url: '{NOBODY}', model: m}}]"],
            "questions.calibration.0",
        ),
        ("trajectories", ["trajectories.teacher=llm"], "llm"),
        ("trajectories", ["tools.read.extract=llm"], "llm"),
        (
            "trajectories",
            [f"trajectories.rewrite={{base_url: '{NOBODY}', model: m}}"],
            "trajectories.rewrite",
        ),
        ("grpo", ["grpo.expert=llm"], "llm"),
        ("evaluation", ["evaluation.judge=llm"], "llm"),
    ],
)
def test_the_endpoint_of_every_role_is_asked(
    stage: str, overrides: list[str], key: str, tmp_path: object
) -> None:
    config: PipelineConfig = load_config(
        None,
        [f"run.root={tmp_path}", f"llm.base_url={NOBODY}", "llm.model=m", *overrides],
        environment={},
    )
    [declared] = [entry for entry in load_stages() if entry.name == stage]
    problems = list(declared.check(config, open_run(config)))
    assert [text for text in problems if text.startswith(f"{key}.base_url: nothing answers")] != []
