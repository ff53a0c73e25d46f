"""A run that can be asked: an index of a few records and a tiny model as its trained weights; and
an endpoint that plays a strong model, with native calls of tools."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from pytest_httpserver import HTTPServer
from support.loopback import server
from support.small_index import KRABBE, build_index
from support.tiny_model import build_tiny_model
from werkzeug import Request, Response

from medr_ray.core.run import RunDirectory
from medr_ray.retrieval.documents import Document

BOSENTAN = Document(
    "LIVERTOX:Bosentan",
    "registries",
    "Bosentan - LiverTox - NCBI Bookshelf",
    "Bosentan - LiverTox - NCBI Bookshelf\n"
    "LiverTox: Bosentan; as of: 2017-09-30\n"
    "hepatotoxicity: Likelihood score: C (probable cause of clinically apparent liver injury); "
    "value: C",
    2017,
    (),
    False,
    "LiverTox",
)
Play = Callable[[list[dict[str, Any]]], dict[str, Any]]


def build_researched_run(folder: Path, *, model_context: int = 2048) -> Path:
    """The run and its configuration, whose path is returned."""
    root = folder / "runs"
    run = RunDirectory(str(root / "tiny"))
    run.claim()
    index = run.stage("index")
    build_index(Path(index.path), [KRABBE, BOSENTAN])
    index.write_json(
        "manifest.json",
        {
            "format": 1,
            "stage": "index",
            "fingerprint": "x",
            "counts": {},
            "seconds": 1.0,
            "versions": {},
        },
    )
    build_tiny_model(Path(run.stage("grpo").path) / "model", model_context)
    file = folder / "config.yaml"
    content = {
        "run": {"root": str(root), "name": "tiny"},
        "models": {"policy": str(Path(run.stage("grpo").path) / "model")},
        "retrieval": {"mode": "text"},
        "index": {"sources": ["hpo", "registries"]},
        "agent": {
            "tools": ["search"],
            "prompt": "short",
            "max_turn_tokens": 24,
            "max_tool_calls": 2,
        },
        "engine": {"threads": 1},
        "ray": {"num_cpus": 4},
    }
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


def call_tool(name: str, arguments: Mapping[str, Any], thought: str = "") -> dict[str, Any]:
    """A reply with a native call."""
    call = {
        "id": f"c-{name}",
        "type": "function",
        "function": {"name": name, "arguments": json.dumps(arguments)},
    }
    return {"role": "assistant", "content": thought, "tool_calls": [call]}


def play_physician(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Looks bosentan up, reads its record, and answers with what the record says."""
    results = [message["content"] for message in messages if message["role"] == "tool"]
    if not results:
        return call_tool("search", {"query": "bosentan LiverTox"}, "I look bosentan up.")
    if len(results) == 1:
        assert "LIVERTOX:Bosentan" in results[0], results
        return call_tool("read", {"url": "LIVERTOX:Bosentan", "goal": "likelihood score"})
    assert "Likelihood score: C" in results[1], results
    content = (
        "<think>The record states C (LIVERTOX:Bosentan). Also PMID:11111111.</think>"
        "<answer>C (probable cause)</answer>"
    )
    return {"role": "assistant", "content": content}


class StrongEndpoint:
    """The endpoint: its address up to /v1, and the bodies that it was sent."""

    def __init__(self, server: HTTPServer, play: Play) -> None:
        self.url = server.url_for("/strong/v1")
        self.bodies: list[dict[str, Any]] = []
        self._play = play
        self._lock = threading.Lock()
        server.expect_request("/strong/v1/chat/completions", method="POST").respond_with_handler(
            self._answer
        )

    def _answer(self, request: Request) -> Response:
        body = json.loads(request.data)
        with self._lock:
            self.bodies.append(body)
        message = self._play(body["messages"])
        reason = "tool_calls" if message.get("tool_calls") else "stop"
        choice = {"index": 0, "finish_reason": reason, "message": message}
        usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        return Response(
            json.dumps({"choices": [choice], "usage": usage}), content_type="application/json"
        )


@contextmanager
def strong_endpoint(play: Play = play_physician) -> Iterator[StrongEndpoint]:
    """The endpoint while it is up."""
    running = StrongEndpoint(server(), play)
    try:
        yield running
    finally:
        server().clear()
