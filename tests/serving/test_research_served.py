"""Research on Ray Serve: over the whole application, from many askers at once, with the limits of
live sources held over all of them."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import pytest
from ray import cloudpickle
from support import scripted_replica
from support.loopback import server
from support.researched_run import build_researched_run
from werkzeug import Request, Response

from medr_ray.core.run import open_run
from medr_ray.core.settings import load_config
from medr_ray.serving.app import ServedApplication, find_free_port, serve_application

pytestmark = pytest.mark.slow

ASKERS = 16
_PER_SECOND = 8  # requests that the live source may be sent
# Slots may be used a little late, so that a second has some of the second before.
_LATE_SHARE = 1.5
_SECONDS = 60  # for an answer on a busy machine


class Registry:
    """A registry of trials that answers every search with one; ``times`` are those of its
    requests."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self._lock = threading.Lock()
        server().expect_request("/trials/studies").respond_with_handler(self._answer)
        self.url = server().url_for("/trials")

    def _answer(self, request: Request) -> Response:
        with self._lock:
            self.times.append(time.monotonic())
        words = request.args["query.term"]
        number = "".join(character for character in words if character.isdigit()) or "0"
        identification = {
            "nctId": f"NCT{int(number):08d}",
            "briefTitle": f"Drug {number} in asthma",
        }
        study = {"protocolSection": {"identificationModule": identification}}
        return Response(json.dumps({"studies": [study]}), content_type="application/json")


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    yield Registry()
    server().clear()


@pytest.fixture(scope="module")
def served(
    ray_local: None, registry: Registry, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServedApplication]:
    file = build_researched_run(tmp_path_factory.mktemp("served"))
    config = load_config(
        file,
        [
            f"serving.port={find_free_port()}",
            f"serving.max_researches={ASKERS}",
            "agent.tools=[search, medical_search]",
            "tools.live.sources=[trials]",
            f"tools.live.trials.base_url={registry.url}",
            f"tools.live.trials.requests_per_minute={60 * _PER_SECOND}",
            "tools.live.deadline_seconds=60",
            "agent.tool_seconds=60",
        ],
    )
    # The replica's process has no tests to import.
    cloudpickle.register_pickle_by_value(scripted_replica)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("medr_ray.serving.model.ModelReplica", scripted_replica.ScriptedReplica)
        with serve_application(config, open_run(config)) as application:
            yield application


def research(served: ServedApplication, question: str, **options: Any) -> list[dict[str, Any]]:
    body = {"question": question, **options}
    response = httpx.post(f"{served.base_url}/research", json=body, timeout=_SECONDS)
    assert response.status_code == 200, response.text
    lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def test_a_question_is_researched_over_the_runs_index(served: ServedApplication) -> None:
    events = research(served, "bosentan")
    assert [event["type"] for event in events] == [
        "start",
        "thought",
        "tool_call",
        "tool_result",
        "thought",
        "answer",
    ]
    (source, *_) = events[-1]["citations"]
    assert source["document_id"] == "LIVERTOX:Bosentan"
    assert source["as_of"] == "2017-09-30"


def test_the_tiny_model_ends_every_question(served: ServedApplication) -> None:
    events = research(served, "bosentan", model="grpo")
    assert events[-1]["type"] == "answer"


def test_the_openai_client_asks_the_agent_whole_and_streamed(served: ServedApplication) -> None:
    client = openai.OpenAI(base_url=served.base_url, api_key="none", timeout=_SECONDS)
    assert "medr-agent" in [model.id for model in client.models.list()]
    ask: Any = {"model": "medr-agent", "messages": [{"role": "user", "content": "bosentan"}]}
    message = client.chat.completions.create(**ask).choices[0].message
    assert message.content.startswith("Bosentan")
    assert "LIVERTOX:Bosentan, as of 2017-09-30" in message.content
    pieces = ""
    reasoning = ""
    for chunk in client.chat.completions.create(**ask, stream=True):
        for choice in chunk.choices:
            pieces += choice.delta.content or ""
            reasoning += getattr(choice.delta, "reasoning_content", None) or ""
    assert pieces == message.content
    assert "I look it up." in reasoning


def test_many_askers_at_once_hold_the_limit_of_a_live_source(
    served: ServedApplication, registry: Registry
) -> None:
    registry.times.clear()
    client = openai.OpenAI(
        base_url=served.base_url, api_key="none", timeout=_SECONDS, max_retries=0
    )

    def ask(number: int) -> str:
        question = f"Which drug did trial {number + 1} give?"
        if number % 2:
            return str(research(served, question)[-1]["text"])
        messages: Any = [{"role": "user", "content": question}]
        answer = client.chat.completions.create(model="medr-agent", messages=messages)
        return str(answer.choices[0].message.content).partition("\n")[0]

    with ThreadPoolExecutor(ASKERS) as pool:
        answers = list(pool.map(ask, range(ASKERS)))
    assert answers == [f"Drug {number + 1} in asthma" for number in range(ASKERS)]
    times = sorted(registry.times)
    assert len(times) >= ASKERS
    for place, start in enumerate(times):
        within = [moment for moment in times[place:] if moment < start + 1]
        assert len(within) <= _PER_SECOND * _LATE_SHARE


def test_more_questions_than_there_are_places_are_refused(served: ServedApplication) -> None:
    def ask(number: int) -> int:
        # Of live sources, so that the places are taken for a while.
        body = {"question": f"Which drug did trial {number + 100} give?"}
        response = httpx.post(f"{served.base_url}/research", json=body, timeout=_SECONDS)
        assert response.status_code == 200 or response.headers["Retry-After"]
        return response.status_code

    with ThreadPoolExecutor(2 * ASKERS) as pool:
        statuses = list(pool.map(ask, range(2 * ASKERS)))
    assert set(statuses) <= {200, 429}
    assert statuses.count(200) >= ASKERS
    assert 429 in statuses


def test_a_client_that_leaves_frees_its_place(served: ServedApplication) -> None:
    def leave(number: int) -> None:
        body = {"question": f"Which drug did trial {number + 200} give?"}
        with httpx.stream(
            "POST", f"{served.base_url}/research", json=body, timeout=_SECONDS
        ) as response:
            next(response.iter_lines())

    with ThreadPoolExecutor(ASKERS) as pool:
        list(pool.map(leave, range(ASKERS)))
    patience = time.monotonic() + _SECONDS
    while True:
        body = {"question": "bosentan", "stream": False}
        response = httpx.post(f"{served.base_url}/research", json=body, timeout=_SECONDS)
        if response.status_code == 200:
            break
        assert time.monotonic() < patience, response.text
        time.sleep(0.1)
