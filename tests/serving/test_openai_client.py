"""The HTTP interface as OpenAI's own client sees it, over a backend without a model."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any, Literal

import openai
import pytest
from fastapi.testclient import TestClient
from pydantic import BaseModel
from support.scripted_chat import ARGUMENTS, DIMENSIONS, THOUGHT, ScriptedChat

from medr_ray.serving.http import build_http
from medr_ray.serving.http.completion_routes import _generate_events, _open_streams
from medr_ray.serving.http.errors import HttpRefusal
from medr_ray.serving.http.event_stream import build_event_response, open_stream
from medr_ray.serving.http.schemas import CompletionRequest
from medr_ray.serving.keys import ApiKeyVerifier
from medr_ray.serving.messages import ChatJob

ASK: list[Any] = [{"role": "user", "content": "hi"}]


def describe_tool(name: str) -> Any:
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": f"the tool {name}",
            "parameters": {"type": "object", "properties": {"query": {"type": "string"}}},
        },
    }


TOOLS = [describe_tool("search"), describe_tool("visit")]
SEARCH_CHOICE: Any = {"type": "function", "function": {"name": "search"}}


@pytest.fixture
def backend() -> ScriptedChat:
    return ScriptedChat()


@pytest.fixture
def client(backend: ScriptedChat) -> Iterator[openai.OpenAI]:
    app = build_http(backend, None, ApiKeyVerifier.for_key("k"), ["agent"], embeddings=backend)
    with TestClient(app, raise_server_exceptions=False) as transport:
        yield openai.OpenAI(
            api_key="k", base_url="http://testserver/v1", http_client=transport, max_retries=0
        )


def ask(client: openai.OpenAI, **more: Any) -> Any:
    return client.chat.completions.create(**{"model": "agent", "messages": ASK, **more})


# --- chat -----------------------------------------------------------------------------


def test_an_answer(client: openai.OpenAI) -> None:
    answer = ask(client)
    assert answer.object == "chat.completion"
    assert answer.model == "agent"
    (choice,) = answer.choices
    assert (choice.message.role, choice.message.content) == ("assistant", "echo hi")
    assert (choice.finish_reason, choice.logprobs) == ("stop", None)
    assert choice.message.tool_calls is None
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (7, 9)


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("temperature", 0.3, "temperature", 0.3),
        ("temperature", 0, "temperature", 0.0),
        ("top_p", 0.9, "top_p", 0.9),
        ("presence_penalty", -2, "presence_penalty", -2.0),
        ("frequency_penalty", 1.5, "frequency_penalty", 1.5),
        ("logit_bias", {"50": -100, "7": 3.5}, "logit_bias", {50: -100.0, 7: 3.5}),
        ("seed", 7, "seed", 7),
        ("stop", "x", "stop", ("x",)),
        ("stop", ["x", "y"], "stop", ("x", "y")),
        ("max_tokens", 9, "max_tokens", 9),
        ("max_completion_tokens", 9, "max_tokens", 9),
        ("extra_body", {"top_k": 5}, "top_k", 5),
        ("extra_body", {"top_k": -1}, "top_k", 0),
        ("extra_body", {"repetition_penalty": 1.2}, "repetition_penalty", 1.2),
        ("response_format", {"type": "json_object"}, "response_format", {"type": "object"}),
        ("response_format", {"type": "text"}, "response_format", None),
        ("n", 2, "n", 2),
    ],
)
def test_a_parameter_reaches_the_model(
    client: openai.OpenAI,
    backend: ScriptedChat,
    name: str,
    value: Any,
    field: str,
    expected: Any,
) -> None:
    ask(client, **{name: value})
    assert getattr(backend.jobs[-1], field) == expected


@pytest.mark.parametrize(
    "name",
    [
        *("frequency_penalty", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens"),
        *("metadata", "n", "presence_penalty", "response_format", "seed", "stop", "stream"),
        *("stream_options", "temperature", "tool_choice", "tools", "top_logprobs", "top_p"),
        *("parallel_tool_calls", "modalities", "reasoning_effort"),
    ],
)
def test_null_is_the_default(client: openai.OpenAI, backend: ScriptedChat, name: str) -> None:
    ask(client)
    ask(client, **{name: None})
    without, with_null = backend.jobs
    assert without == with_null


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("service_tier", "auto"),
        ("reasoning_effort", "low"),
        ("verbosity", "low"),
        ("prompt_cache_key", "a"),
        ("safety_identifier", "a"),
        ("modalities", ["text"]),
        ("store", True),
        ("metadata", {"a": "b"}),
        ("user", "me"),
        ("prediction", {"type": "content", "content": "a"}),
        ("extra_body", {"top_logprobs": 0, "logprobs": False}),
    ],
)
def test_what_changes_no_answer_is_accepted(client: openai.OpenAI, name: str, value: Any) -> None:
    assert ask(client, **{name: value}).choices[0].message.content == "echo hi"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("functions", [{"name": "a"}]),
        ("function_call", "auto"),
        ("audio", {"voice": "alloy", "format": "wav"}),
        ("modalities", ["text", "audio"]),
        ("web_search_options", {}),
        ("n", 17),
        ("top_logprobs", 3),
        ("tool_choice", "required"),
        ("tool_choice", SEARCH_CHOICE),
        ("response_format", {"type": "grammar"}),
        ("extra_body", {"chat_template_kwargs": {}}),
        ("extra_body", {"min_p": 0.1}),
        ("seed", 2**63),
        ("stop", ["a", "b", "c", "d", "e"]),
        ("logit_bias", {"-1": 1}),
        ("logit_bias", {"word": 1}),
        ("temperature", "0.5"),
    ],
)
def test_what_would_change_the_answer_and_cannot_is_refused_by_name(
    client: openai.OpenAI, backend: ScriptedChat, name: str, value: Any
) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        ask(client, **{name: value})
    field = next(iter(value)) if name == "extra_body" else name
    assert field in str(caught.value.param)
    assert field in caught.value.message
    assert backend.jobs == []


def test_n_answers(client: openai.OpenAI) -> None:
    answer = ask(client, n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert [choice.message.content for choice in answer.choices] == [
        f"echo hi {i}" for i in (0, 1, 2)
    ]


def test_log_probabilities(client: openai.OpenAI) -> None:
    tokens = ask(client, logprobs=True, top_logprobs=2).choices[0].logprobs.content
    assert [token.token for token in tokens] == ["echo", " hi"]
    assert [token.logprob for token in tokens] == [0.0, -0.1]
    assert bytes(tokens[1].bytes) == b" hi"
    # What is impossible has a number, because JSON has no infinity.
    assert [top.logprob for top in tokens[1].top_logprobs] == [-0.1, -9999.0]


# --- streams --------------------------------------------------------------------------


def test_a_stream(client: openai.OpenAI, backend: ScriptedChat) -> None:
    chunks = list(ask(client, stream=True))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "echo hi"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert len({chunk.id for chunk in chunks}) == 1
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert backend.open_streams == 0


def test_a_stream_of_several_answers(client: openai.OpenAI) -> None:
    texts = {0: "", 1: "", 2: ""}
    ends = []
    for chunk in ask(client, stream=True, n=3):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            if choice.finish_reason:
                ends.append(choice.index)
    assert texts == {i: f"echo hi {i}" for i in range(3)}
    assert ends == [0, 1, 2]


def test_the_usage_of_a_stream(client: openai.OpenAI) -> None:
    *chunks, last = ask(client, stream=True, stream_options={"include_usage": True})
    assert {chunk.usage for chunk in chunks} == {None}
    assert last.choices == []
    assert last.usage == ask(client).usage


def test_log_probabilities_of_a_stream(client: openai.OpenAI) -> None:
    whole = ask(client, logprobs=True, top_logprobs=1).choices[0].logprobs.content
    streamed = []
    for chunk in ask(client, stream=True, logprobs=True, top_logprobs=1):
        logprobs = chunk.choices[0].logprobs
        streamed += [] if logprobs is None else logprobs.content
    assert streamed == whole


def test_a_stream_that_the_client_collects_itself(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model="agent", messages=ASK, tools=TOOLS) as stream:
        events = list(stream)
        final = stream.get_final_completion()
    assert "tool_calls.function.arguments.done" in {event.type for event in events}
    assert final.choices[0].finish_reason == "tool_calls"
    calls = final.choices[0].message.tool_calls
    assert calls is not None
    assert [call.function.name for call in calls] == ["search", "visit"]
    assert [call.function.arguments for call in calls] == [ARGUMENTS, ARGUMENTS]


def test_a_stream_that_fails_on_its_way_is_an_error(
    client: openai.OpenAI, backend: ScriptedChat
) -> None:
    chunks = ask(client, model="cut", stream=True)
    assert [next(chunks).choices[0].delta.content for _ in range(2)] == ["", "ech"]
    with pytest.raises(openai.APIError, match="the stream failed: RuntimeError"):
        next(chunks)
    assert backend.open_streams == 0


# --- tools ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        ("auto", True, ["search", "visit"]),
        ("required", True, ["search", "visit"]),
        ("auto", False, ["search"]),
        (SEARCH_CHOICE, True, ["search"]),
    ],
)
def test_tools_are_called(
    client: openai.OpenAI,
    backend: ScriptedChat,
    choice: Any,
    parallel: bool,
    expected: list[str],
) -> None:
    answer = ask(client, tools=TOOLS, tool_choice=choice, parallel_tool_calls=parallel)
    (first,) = answer.choices
    assert first.finish_reason == "tool_calls"
    assert first.message.content is None
    assert first.message.reasoning_content == THOUGHT
    assert [call.function.name for call in first.message.tool_calls] == expected
    assert first.message.tool_calls[0].function.arguments == ARGUMENTS
    assert first.message.tool_calls[0].type == "function"
    # The tools as they were sent, with nothing added.
    assert list(backend.jobs[-1].tools) == TOOLS


def test_no_tool_is_called_where_none_may_be(client: openai.OpenAI) -> None:
    answer = ask(client, tools=TOOLS, tool_choice="none")
    assert answer.choices[0].message.content == "echo hi"


def test_the_dialogue_goes_on_behind_a_call(client: openai.OpenAI, backend: ScriptedChat) -> None:
    message = ask(client, tools=TOOLS).choices[0].message
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": f"result of {call.function.name}"}
        for call in message.tool_calls
    ]
    answer = ask(client, messages=[*ASK, message, *results], tools=TOOLS, tool_choice="none")
    assert answer.choices[0].message.content == "echo result of visit"
    _, called, first, second = backend.jobs[-1].messages
    assert (called.role, called.content, called.thought) == ("assistant", "", THOUGHT)
    assert [call.name for call in called.tool_calls] == ["search", "visit"]
    assert (first.role, first.tool_call_id) == ("tool", called.tool_calls[0].id)
    assert second.content == "result of visit"


def test_streamed_calls_come_in_pieces_that_add_up(client: openai.OpenAI) -> None:
    calls: dict[int, list[str]] = {}
    thought = ""
    for chunk in ask(client, tools=TOOLS, stream=True):
        delta = chunk.choices[0].delta
        thought += getattr(delta, "reasoning_content", None) or ""
        for call in delta.tool_calls or []:
            if call.id:
                calls[call.index] = [call.id, call.function.name, ""]
            calls[call.index][2] += call.function.arguments
    assert thought == THOUGHT
    assert calls == {
        0: ["call-0-0", "search", ARGUMENTS],
        1: ["call-0-1", "visit", ARGUMENTS],
    }
    assert chunk.choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        ([{"role": "user"}], "messages.0"),
        ([{"role": "user", "content": None}], "messages.0"),
        ([{"role": "assistant"}], "messages.0"),
        ([{"role": "robot", "content": "x"}], "messages.0.role"),
        ([{"role": "user", "content": 3}], "messages.0.content"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "messages.0.content.0.type"),
        ([{"role": "tool", "content": "x"}], "messages.0"),
        ([{"role": "tool", "content": "x", "tool_call_id": "a"}], "messages.0.tool_call_id"),
        (
            [
                {
                    "role": "user",
                    "content": "x",
                    "tool_calls": [{"id": "a", "function": {"name": "b"}}],
                }
            ],
            "messages.0",
        ),
        ([{"role": "assistant", "content": "x", "tool_calls": [{}]}], "messages.0.tool_calls.0.id"),
        ([{"role": "assistant", "function_call": {"name": "a"}}], "messages.0.function_call"),
        ([{"role": "user", "content": "x"}] * 4097, "messages"),
    ],
)
def test_a_message_that_cannot_be_is_named(
    client: openai.OpenAI, messages: Any, field: str
) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        ask(client, messages=messages)
    assert caught.value.param == field


@pytest.mark.parametrize(
    ("tools", "field"),
    [
        ([{"type": "function"}], "tools.0.function"),
        ([{"type": "web_search"}], "tools.0.type"),
        ([describe_tool("two words")], "tools.0.function.name"),
        ([describe_tool("a"), describe_tool("a")], "tools"),
        ([describe_tool(f"t{i}") for i in range(129)], "tools"),
        (
            [{"type": "function", "function": {"name": "a", "parameters": {"type": "rocket"}}}],
            "tools.0.function.parameters",
        ),
    ],
)
def test_a_tool_that_cannot_be_is_named(client: openai.OpenAI, tools: Any, field: str) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        ask(client, tools=tools)
    assert caught.value.param == field


# --- structured answers ---------------------------------------------------------------


class Syndrome(BaseModel):
    name: str
    year: int
    kind: Literal["dominant", "recessive"] | None = None


def test_parse_gives_an_object_of_the_model(client: openai.OpenAI, backend: ScriptedChat) -> None:
    answer = client.chat.completions.parse(model="agent", messages=ASK, response_format=Syndrome)
    assert answer.choices[0].message.parsed == Syndrome(name="Marfan", year=1896)
    schema = backend.jobs[-1].response_format
    assert schema is not None
    assert set(schema["properties"]) == {"name", "year", "kind"}


def test_a_tool_made_of_a_model_is_parsed(client: openai.OpenAI) -> None:
    class search(BaseModel):  # noqa: N801  the name of the tool
        query: str

    answer = client.chat.completions.parse(
        model="agent", messages=ASK, tools=[openai.pydantic_function_tool(search)]
    )
    calls = answer.choices[0].message.tool_calls
    assert calls is not None
    assert calls[0].function.parsed_arguments == search(query="Marfan")


def test_a_schema_that_is_none_is_refused(client: openai.OpenAI) -> None:
    wrong = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "rocket"}}}
    with pytest.raises(openai.UnprocessableEntityError, match="no JSON schema"):
        ask(client, response_format=wrong)


# --- completions ----------------------------------------------------------------------


def continue_text(client: openai.OpenAI, prompt: Any, **more: Any) -> Any:
    return client.completions.create(model="agent", prompt=prompt, **more)


def test_a_text_is_continued(client: openai.OpenAI, backend: ScriptedChat) -> None:
    answer = continue_text(client, "once", temperature=0)
    assert answer.object == "text_completion"
    assert [choice.text for choice in answer.choices] == [" and so on"]
    assert answer.usage.prompt_tokens == 7
    job = backend.jobs[-1]
    assert (job.prompt, job.messages, job.max_tokens, job.temperature) == ("once", (), 16, 0.0)


@pytest.mark.parametrize(
    ("prompt", "prompts"),
    [
        (["a", "b"], ["a", "b"]),
        ([5, 6, 7], [(5, 6, 7)]),
        ([[5, 6], [7]], [(5, 6), (7,)]),
        (["a"] * 20, ["a"] * 20),
    ],
)
def test_prompts_may_be_several_and_token_ids(
    client: openai.OpenAI, backend: ScriptedChat, prompt: Any, prompts: list[Any]
) -> None:
    answer = continue_text(client, prompt, n=2)
    assert [job.prompt for job in backend.jobs] == prompts
    assert [choice.index for choice in answer.choices] == list(range(2 * len(prompts)))
    assert answer.usage.prompt_tokens == 7 * len(prompts)


def test_what_an_evaluation_harness_asks_for(client: openai.OpenAI) -> None:
    # As lm-eval's local-completions does to score a continuation.
    answer = continue_text(
        client, [[3, 4, 5]], temperature=0, max_tokens=1, logprobs=1, seed=1234, echo=True
    )
    logprobs = answer.choices[0].logprobs
    assert logprobs.tokens == ["3", " 4", " 5", " and", " so", " on"]
    assert logprobs.token_logprobs == [None, -0.1, -0.2, -0.3, -0.4, -0.5]
    assert logprobs.top_logprobs[0] is None
    assert logprobs.top_logprobs[1] == {" 4": -0.1}
    assert logprobs.text_offset == [0, 1, 3, 5, 9, 12]
    assert answer.choices[0].text == "3 4 5 and so on"


def test_a_prompt_can_be_scored_alone(client: openai.OpenAI) -> None:
    answer = continue_text(client, "once upon", max_tokens=0, logprobs=0, echo=True)
    assert answer.choices[0].text == "once upon"
    assert answer.choices[0].logprobs.token_logprobs == [None, -0.1]


def test_continuations_are_streamed(client: openai.OpenAI, backend: ScriptedChat) -> None:
    texts = dict.fromkeys(range(4), "")
    offsets: dict[int, list[int]] = {i: [] for i in range(4)}
    usage = None
    options: Any = {"include_usage": True}
    for chunk in continue_text(
        client, ["a", "b"], n=2, stream=True, logprobs=1, stream_options=options
    ):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts[choice.index] += choice.text
            offsets[choice.index] += choice.logprobs.text_offset if choice.logprobs else []
    assert texts == {0: " and so on 0", 1: " and so on 1", 2: " and so on 0", 3: " and so on 1"}
    assert offsets[3] == [0, 0, 4, 7, 10]
    assert usage is not None
    assert usage.prompt_tokens == 14
    assert backend.open_streams == 0


@pytest.mark.parametrize("stream", [True, False])
def test_one_of_several_prompts_that_is_refused_refuses_all(
    client: openai.OpenAI, backend: ScriptedChat, stream: bool
) -> None:
    prompts = ["a", "too long", "b"]
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model="agent", prompt=prompts, stream=stream)
    assert caught.value.code == "context_length_exceeded"
    assert backend.open_streams == 0


def test_a_refused_prompt_ends_the_streams_of_the_others(backend: ScriptedChat) -> None:
    async def open_three() -> None:
        jobs = [ChatJob("agent", (), prompt=prompt) for prompt in ("a", "too long", "b")]
        with pytest.raises(HttpRefusal):
            await _open_streams(backend, jobs)
        assert backend.open_streams == 0

    asyncio.run(open_three())


def test_a_client_that_leaves_ends_the_streams_of_all_prompts(backend: ScriptedChat) -> None:
    async def leave_behind_the_first_event() -> None:
        job = ChatJob("agent", (), prompt="a", max_tokens=4)
        streams = [await open_stream(backend, job) for _ in range(2)]
        assert backend.open_streams == 2
        request = CompletionRequest(model="agent", prompt=["a", "a"], stream=True)
        events = _generate_events(streams, request, "cmpl-1", 0)
        body = build_event_response(events, streams).body_iterator
        assert str(await anext(body)).startswith("data: ")
        await body.aclose()  # type: ignore[attr-defined]
        assert backend.open_streams == 0

    asyncio.run(leave_behind_the_first_event())


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [-1]}, "prompt.0"),
        ({"prompt": ["a", 3]}, "prompt.1"),
        ({"prompt": ["a"] * 65}, "prompt"),
        ({"prompt": ["a"] * 5, "stream": True}, "prompt"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"best_of": 3}, "best_of"),
        ({"suffix": "end"}, "suffix"),
        ({"logprobs": 21}, "logprobs"),
    ],
)
def test_a_completion_that_cannot_be_is_refused_by_name(
    client: openai.OpenAI, more: dict[str, Any], field: str
) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        client.completions.create(**{"model": "agent", "prompt": "a", **more})
    assert caught.value.param == field


# --- embeddings and models ------------------------------------------------------------


def test_vectors_are_the_same_in_both_encodings(client: openai.OpenAI) -> None:
    # The client asks for base64 by default, and decodes it.
    texts = ["Marfan syndrome", "arachnodactyly"]
    encoded = client.embeddings.create(model="medr-encoder", input=texts)
    plain = client.embeddings.create(model="medr-encoder", input=texts, encoding_format="float")
    assert [item.index for item in encoded.data] == [0, 1]
    assert [item.embedding for item in encoded.data] == [item.embedding for item in plain.data]
    assert len(plain.data[0].embedding) == DIMENSIONS
    assert encoded.usage.prompt_tokens == 3
    single = client.embeddings.create(model="medr-encoder", input=texts[0])
    assert single.data[0].embedding == encoded.data[0].embedding
    query = client.embeddings.create(
        model="medr-encoder",
        input=texts[0],
        dimensions=DIMENSIONS,
        extra_body={"input_type": "query"},
    )
    assert query.data[0].embedding != single.data[0].embedding


@pytest.mark.parametrize(
    ("more", "error", "field"),
    [
        ({"model": "agent"}, openai.NotFoundError, "model"),
        ({"dimensions": 3}, openai.BadRequestError, "dimensions"),
        ({"input": [1, 2]}, openai.UnprocessableEntityError, "input"),
        ({"input": [[1, 2]]}, openai.UnprocessableEntityError, "input"),
        ({"input": ""}, openai.UnprocessableEntityError, "input"),
        ({"input": ["a", ""]}, openai.UnprocessableEntityError, "input.1"),
        ({"input": ["a"] * 257}, openai.UnprocessableEntityError, "input"),
        ({"input": "a" * 32_769}, openai.UnprocessableEntityError, "input"),
        ({"encoding_format": "hex"}, openai.UnprocessableEntityError, "encoding_format"),
    ],
)
def test_embeddings_that_cannot_be_are_refused_by_name(
    client: openai.OpenAI, more: dict[str, Any], error: type[openai.APIStatusError], field: str
) -> None:
    with pytest.raises(error) as caught:
        client.embeddings.create(**{"model": "medr-encoder", "input": "a", **more})
    assert caught.value.param == field


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["agent", "medr-encoder"]
    assert client.models.retrieve("agent").object == "model"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("meta/llama")


# --- errors ---------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("model", "error", "code"),
    [
        ("gone", openai.NotFoundError, "model_not_found"),
        ("busy", openai.RateLimitError, "overloaded"),
        ("away", openai.InternalServerError, "unavailable"),
        ("broken", openai.InternalServerError, "internal_error"),
    ],
)
def test_failures_are_the_clients_own_errors(
    client: openai.OpenAI, model: str, error: type[openai.APIStatusError], code: str, stream: bool
) -> None:
    with pytest.raises(error) as caught:
        ask(client, model=model, stream=stream)
    assert caught.value.code == code
    assert "secret" not in caught.value.message
    body = caught.value.body
    assert isinstance(body, dict)
    assert body["request_id"] == caught.value.response.headers["x-request-id"]
    retries = caught.value.response.headers.get("retry-after")
    assert (retries == "1") == (caught.value.status_code in (429, 503))


def test_a_wrong_key(client: openai.OpenAI) -> None:
    with pytest.raises(openai.AuthenticationError) as caught:
        ask(client.with_options(api_key="wrong"))
    assert caught.value.code == "invalid_api_key"
    body = json.loads(caught.value.response.content)
    assert body["error"]["request_id"] == caught.value.response.headers["x-request-id"]


def test_without_an_index_there_is_no_encoder(backend: ScriptedChat) -> None:
    app = build_http(backend, None, ApiKeyVerifier.for_key("k"), ["agent"])
    transport = TestClient(app, headers={"Authorization": "Bearer k"})
    response = transport.post("/v1/embeddings", json={"model": "medr-encoder", "input": "a"})
    assert (response.status_code, response.json()["error"]["code"]) == (404, "no_index")
    assert "medr-encoder" not in transport.get("/v1/models").text
