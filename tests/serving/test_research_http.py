"""``/v1/research``, the model ``medr-agent`` and ``/v1/diagnose`` over a scripted agent: events,
refusals, what the agent is asked."""

import asyncio
import json
from typing import Any

import pytest
from fastapi.testclient import TestClient
from support.scripted_chat import ScriptedChat
from support.scripted_research import ScriptedResearch

from medr_ray.agent.dialogue import Exchange
from medr_ray.serving.http import build_http
from medr_ray.serving.keys import ApiKeyVerifier
from medr_ray.serving.messages import Refusal
from medr_ray.serving.research_messages import ResearchJob


@pytest.fixture
def research() -> ScriptedResearch:
    return ScriptedResearch()


@pytest.fixture
def client(research: ScriptedResearch) -> TestClient:
    app = build_http(
        ScriptedChat(),
        None,
        ApiKeyVerifier.for_key(None),
        ["medr-model", "base"],
        research=research,
        agent_name="medr-agent",
    )
    return TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)


def read_stream(text: str) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def chat(client: TestClient, *contents: str, **options: Any) -> Any:
    roles = ["user", "assistant"] * len(contents)
    messages = [
        {"role": role, "content": content} for role, content in zip(roles, contents, strict=False)
    ]
    body = {"model": "medr-agent", "messages": messages, **options}
    return client.post("/v1/chat/completions", json=body)


def test_a_question_is_answered_by_its_events_with_the_cited_answer_last(
    client: TestClient,
) -> None:
    response = client.post("/v1/research", json={"question": "What is asked?"})
    assert response.headers["content-type"].startswith("text/event-stream")
    events = read_stream(response.text)
    assert [event["type"] for event in events] == [
        "start",
        "thought",
        "tool_call",
        "tool_result",
        "thought",
        "answer",
    ]
    assert events[0]["model"] == "medr-model"
    answer = events[-1]
    assert answer["text"] == "found a"
    assert [source["document_id"] for source in answer["citations"]] == ["PMID:a"]
    assert [entry["document_id"] for entry in answer["unresolved"]] == ["PMID:77"]
    assert "not medical advice" in answer["notice"]


def test_without_a_stream_the_same_is_one_object(client: TestClient) -> None:
    streamed = read_stream(client.post("/v1/research", json={"question": "q?"}).text)
    body = client.post("/v1/research", json={"question": "q?", "stream": False}).json()
    assert body["object"] == "research"
    assert [event["type"] for event in body["events"]] == [event["type"] for event in streamed]
    assert body["answer"]["citations"] == streamed[-1]["citations"]


def test_what_is_asked_for_reaches_the_agent(
    client: TestClient, research: ScriptedResearch
) -> None:
    client.post(
        "/v1/research",
        json={
            "question": " q? ",
            "language": "zh",
            "model": "base",
            "earlier": [{"question": "before?", "answer": "yes"}],
            "max_tool_calls": 1,
            "seconds": 5,
        },
    )
    (job,) = research.jobs
    assert (job.question, job.language, job.model) == ("q?", "zh", "base")
    assert job.earlier == (Exchange("before?", "yes"),)
    assert (job.limits.max_tool_calls, job.limits.seconds) == (1, 5)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"question": "busy"}, 429, "overloaded"),
        ({"question": "q?", "model": "none"}, 404, "model_not_found"),
        ({"question": "  "}, 422, "invalid_value"),
        ({"question": "q?", "surprise": 1}, 422, "invalid_value"),
        ({"question": "break", "stream": False}, 503, "unavailable"),
    ],
)
def test_refusals_have_openais_form(
    client: TestClient, body: dict[str, Any], status: int, code: str
) -> None:
    response = client.post("/v1/research", json=body)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert status != 429 or response.headers["Retry-After"] == "1"


def test_a_tool_that_breaks_ends_the_stream_with_an_error_event(client: TestClient) -> None:
    events = read_stream(client.post("/v1/research", json={"question": "break"}).text)
    assert events[-1]["type"] == "error"
    assert "the index is gone" in events[-1]["message"]


def test_a_reader_that_leaves_ends_the_episode(research: ScriptedResearch) -> None:
    async def leave() -> None:
        events = research.research(ResearchJob("wait", "m"))
        async for event in events:
            if isinstance(event, Refusal) or event.type == "tool_call":
                break
        await events.aclose()  # type: ignore[attr-defined]
        # The episode's own work is over too: nothing of it is left on the loop.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert not others

    asyncio.run(leave())
    assert research.ended == 1


def test_the_agent_is_a_model_of_the_list_and_answers_chats(client: TestClient) -> None:
    names = [model["id"] for model in client.get("/v1/models").json()["data"]]
    assert names == ["medr-model", "base", "medr-agent"]
    body = chat(client, "What is asked?").json()
    message = body["choices"][0]["message"]
    assert message["content"].startswith("found a\n\n[1] ")
    assert "https://pubmed.ncbi.nlm.nih.gov/a/" in message["content"]
    assert "PMID:77: cited, but never shown" in message["content"]
    assert message["content"].endswith("treated by this.")
    assert '→ search {"query": "a"}' in message["reasoning_content"]
    assert body["choices"][0]["finish_reason"] == "stop"


def test_a_streamed_chat_has_the_steps_as_reasoning_and_the_answer_as_content(
    client: TestClient,
) -> None:
    chunks = read_stream(chat(client, "What is asked?", stream=True).text)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    content = "".join(delta.get("content") or "" for delta in deltas)
    reasoning = "".join(delta.get("reasoning_content") or "" for delta in deltas)
    whole = chat(client, "What is asked?").json()["choices"][0]["message"]
    assert (content, reasoning.strip()) == (whole["content"], whole["reasoning_content"])


def test_a_follow_up_comes_with_the_dialogue_and_without_old_sources(
    client: TestClient, research: ScriptedResearch
) -> None:
    first = chat(client, "first?").json()["choices"][0]["message"]["content"]
    chat(client, "first?", first, "second?")
    assert research.jobs[-1].question == "second?"
    assert research.jobs[-1].earlier == (Exchange("first?", "found a"),)


def test_a_system_message_is_left_out(client: TestClient, research: ScriptedResearch) -> None:
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "q?"}]
    body = {"model": "medr-agent", "messages": messages}
    assert client.post("/v1/chat/completions", json=body).status_code == 200
    assert research.jobs[-1] == ResearchJob("q?", "medr-model")


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"stop": "x"}, "stop"),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
            "tools",
        ),
    ],
)
def test_what_an_agent_cannot_do_is_refused_by_name(
    client: TestClient, options: dict[str, Any], param: str
) -> None:
    for stream in (False, True):
        response = chat(client, "q?", stream=stream, **options)
        assert response.status_code == 400
        assert response.json()["error"]["param"] == param


def test_other_models_are_asked_themselves(client: TestClient, research: ScriptedResearch) -> None:
    body = {"model": "base", "messages": [{"role": "user", "content": "hello"}]}
    response = client.post("/v1/chat/completions", json=body)
    assert response.json()["choices"][0]["message"]["content"] == "echo hello"
    assert research.jobs == []


def test_without_anything_to_search_there_is_no_research() -> None:
    app = build_http(ScriptedChat(), None, ApiKeyVerifier.for_key(None), ["m"])
    client = TestClient(app, base_url="http://127.0.0.1")
    response = client.post("/v1/research", json={"question": "q?"})
    assert (response.status_code, response.json()["error"]["code"]) == (404, "no_index")


def test_findings_are_diagnosed(client: TestClient) -> None:
    body = client.post("/v1/diagnose", json={"findings": ["seizure"], "age": 3}).json()
    assert body["object"] == "diagnosis"
    assert body["arguments"] == {"findings": ["seizure"], "age": 3, "evidence": False}
    response = client.post("/v1/diagnose", json={"findings": ["nonsense"]})
    assert (response.status_code, response.json()["error"]["code"]) == (422, "not_understood")


def test_the_page_loads_nothing_and_asks_its_own_server(client: TestClient) -> None:
    response = client.get("/ask")
    assert response.status_code == 200
    assert "MedrEpisode" in response.text
    assert "{script}" not in response.text
    assert "<script src" not in response.text
    assert "http" not in response.text.partition("</head>")[0]
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy


def test_the_page_is_open_where_a_key_is_asked_for_and_research_is_not() -> None:
    app = build_http(
        ScriptedChat(),
        None,
        ApiKeyVerifier.for_key("k"),
        ["m"],
        research=ScriptedResearch(),
        agent_name="a",
    )
    client = TestClient(app, base_url="http://medr.example.org")
    assert client.get("/ask").status_code == 200
    assert client.post("/v1/research", json={"question": "q?"}).status_code == 401
