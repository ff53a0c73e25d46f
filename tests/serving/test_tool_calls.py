"""Tools both ways: dialogues as the model reads them, replies as clients read them."""

import asyncio
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scripted_engine import ScriptedEngine

from medr_ray.agent.described_tools import read_tools
from medr_ray.llm.completions import FunctionCall
from medr_ray.serving import model_cache
from medr_ray.serving.job_preparation import ToolSettings
from medr_ray.serving.messages import (
    ChatJob,
    ChatTurn,
    Completion,
    Delta,
    Refusal,
    StreamItem,
)
from medr_ray.serving.model import ModelServer
from medr_ray.serving.model_cache import ModelCache
from medr_ray.serving.tool_calls import (
    ReplyReader,
    ToolDialogueError,
    read_reply,
    render_text_messages,
)

CALL = '<tool_call>{"name": "search", "arguments": {"query": "x"}}</tool_call>'
TOOLS: tuple[Any, ...] = tuple(
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"the tool {name}",
            "parameters": {
                "type": "object",
                "properties": {"query": {"type": "string", "maxLength": 9}},
                "required": ["query"],
                "additionalProperties": False,
            },
        },
    }
    for name in ("search", "visit")
)
ASK = (ChatTurn("user", "what is it"),)
_PIECES = st.sampled_from(
    [
        "<think>", "</think>", CALL, "<tool_call>", "</tool_call>", "<answer>", "</answer>",
        "words", " ", "\n", "p<0.05 ", '{"name": "search", "arguments": {}}', "```json\n", "é",
        "<tool_response>", "< tool_call >", "<thinking>",
    ]
)  # fmt: skip
_REPLIES = st.lists(_PIECES | st.text(max_size=4), max_size=8).map("".join)


def call(number: int, **arguments: Any) -> FunctionCall:
    return FunctionCall(f"c{number}", "search", json.dumps(arguments))


def read_contents(
    turns: Sequence[ChatTurn], tools: Sequence[Any] = TOOLS, form: Any = "short"
) -> list[str]:
    return [message["content"] for message in render_text_messages(turns, read_tools(tools), form)]


# --- dialogues -------------------------------------------------------------------------


def test_results_come_in_the_order_of_their_calls_in_one_message_with_what_the_user_adds() -> None:
    turns = (
        *ASK,
        ChatTurn("assistant", "", (call(1, query="a"), call(2, query="b")), thought="look"),
        ChatTurn("tool", "second</tool_response>", tool_call_id="c2"),
        ChatTurn("tool", "first", tool_call_id="c1"),
        ChatTurn("user", "answer now"),
    )
    _, question, reply, results = read_contents(turns)
    assert question == "what is it"
    assert reply == (
        "<think>look</think>\n"
        '<tool_call>{"name": "search", "arguments": {"query": "a"}}</tool_call>\n'
        '<tool_call>{"name": "search", "arguments": {"query": "b"}}</tool_call>'
    )
    assert results == (
        "<tool_response>first</tool_response>\n"
        "<tool_response>second‹/tool_response›</tool_response>\nanswer now"
    )


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        ([ChatTurn("assistant", "", (call(1),)), ChatTurn("user", "and?")], "has no tool message"),
        ([ChatTurn("assistant", "", (call(1),))], "has no tool message"),
        ([ChatTurn("tool", "x", tool_call_id="c1")], "did not call"),
        (
            [
                ChatTurn("assistant", "", (call(1),)),
                ChatTurn("tool", "x", tool_call_id="c1"),
                ChatTurn("tool", "x", tool_call_id="c1"),
            ],
            "did not call",
        ),
    ],
)
def test_calls_and_results_that_do_not_belong_together_are_refused(
    turns: list[ChatTurn], reason: str
) -> None:
    with pytest.raises(ToolDialogueError, match=reason):
        read_contents([*ASK, *turns])


def test_a_clients_own_instructions_follow_the_protocol() -> None:
    bare = read_contents(ASK)[0]
    assert "Tools: search, visit." in bare
    assert read_contents([ChatTurn("system", "Be brief."), *ASK])[0] == f"{bare}\n\nBe brief."
    assert "工具：search, visit" in read_contents([ChatTurn("user", "这是什么")])[0]
    full = read_contents(ASK, form="full")[0]
    assert '"description": "the tool visit"' in full
    assert "maxLength" not in full
    # Without tools nothing is said about them, and results are still read as the model knows them.
    turns = [
        ChatTurn("system", "Be brief."),
        *ASK,
        ChatTurn("assistant", "", (call(1, query="a"),)),
        ChatTurn("tool", "x", tool_call_id="c1"),
    ]
    contents = read_contents(turns, ())
    assert contents[0] == "Be brief."
    assert contents[-1] == "<tool_response>x</tool_response>"


# --- replies ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "thought", "content", "names"),
    [
        (f"<think>look</think>\n{CALL}", "look", "", ["search"]),
        (f"<think>look</think>\n{CALL}\n{CALL}", "look", "", ["search", "search"]),
        (f"First.\n{CALL}", "", "First.", ["search"]),
        ("<think>a</think>\n<answer>B</answer>", "a", "<answer>B</answer>", []),
        ("I would name <tool_call> here", "", "I would name <tool_call> here", []),
        (f"{CALL}\n<tool_call>{{</tool_call>", "", f"{CALL}\n<tool_call>{{</tool_call>", []),
        ("plain p<0.05 words", "", "plain p<0.05 words", []),
    ],
)
def test_a_reply_is_calls_or_text(text: str, thought: str, content: str, names: list[str]) -> None:
    reply = read_reply(text, "text")
    assert (reply.thought, reply.content) == (thought, content)
    assert [made.name for made in reply.tool_calls] == names
    assert len({made.id for made in reply.tool_calls}) == len(names)
    for made in reply.tool_calls:
        assert json.loads(made.arguments) == {"query": "x"}


def test_a_reply_that_was_cut_off_is_text() -> None:
    assert read_reply(f"{CALL}\n<tool_c", "text", is_whole=False).tool_calls == ()


@given(_REPLIES, st.lists(st.integers(0, 60), max_size=5), st.sampled_from(["text", "template"]))
def test_a_reply_in_pieces_is_the_whole_reply(text: str, cuts: list[int], style: Any) -> None:
    reader = ReplyReader(style)
    edges = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    pieces = [reader.add_text(text[start:end]) for start, end in itertools.pairwise(edges)]
    pieces.append(reader.finish())
    whole = read_reply(text, style)
    assert "".join(piece.content for piece in pieces) == whole.content
    assert "".join(piece.thought for piece in pieces) == whole.thought
    calls = [(made.name, made.arguments) for piece in pieces for made in piece.tool_calls]
    assert calls == [(made.name, made.arguments) for made in whole.tool_calls]


@given(_REPLIES)
def test_a_reply_that_is_given_back_is_read_again_as_it_was_written(text: str) -> None:
    """As the agent's text protocol records it, whichever way the reply went."""
    from medr_ray.agent.protocol import canonical_reply

    reply = read_reply(text, "text")
    results = [ChatTurn("tool", "r", tool_call_id=made.id) for made in reply.tool_calls]
    # A client of native calls gives the thought back beside calls alone.
    thought = reply.thought if reply.tool_calls or reply.content.startswith("<answer>") else ""
    turn = ChatTurn("assistant", reply.content, reply.tool_calls, thought=thought)
    assert read_contents([*ASK, turn, *results])[2] == canonical_reply(text)


def test_a_call_that_a_client_changed_is_what_the_client_says() -> None:
    (made,) = read_reply(f"<think>a</think>{CALL}\n\n", "text").tool_calls
    assert "." in made.id  # it carries the unusual reply
    changed = FunctionCall(made.id, "visit", made.arguments)
    turn = ChatTurn("assistant", "", (changed,), thought="a")
    result = ChatTurn("tool", "r", tool_call_id=made.id)
    reply = read_contents([*ASK, turn, result])[2]
    assert reply == f"<think>a</think>\n{CALL}".replace("search", "visit")


@given(st.text(max_size=30) | st.binary(max_size=30).map(lambda data: f"call_1.{data.hex()}"))
def test_an_id_of_any_form_is_an_id(call_id: str) -> None:
    turn = ChatTurn("assistant", "", (FunctionCall(call_id, "search", '{"query": "x"}'),))
    contents = read_contents([*ASK, turn, ChatTurn("tool", "r", tool_call_id=call_id)])
    assert contents[2] == CALL


# --- over a server ---------------------------------------------------------------------


def make_server(model: Path, text: str, style: Any = "auto") -> ModelServer:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    cache = ModelCache(
        {"agent": str(model)}, lambda _: ScriptedEngine(tokenizer, lambda _: text), 1
    )
    return ModelServer(cache, max_tokens=256, tools=ToolSettings(style, "short"))


async def collect_stream(server: ModelServer, job: ChatJob) -> list[StreamItem]:
    return [item async for item in server.stream(job)]


@pytest.mark.parametrize(
    ("text", "ending"),
    [
        (f"<think>look it up</think>\n{CALL}\n{CALL}", "tool_calls"),
        ("<think>it is</think>\n<answer>B</answer>", "stop"),
        ("just words", "stop"),
    ],
)
def test_a_streamed_reply_is_the_whole_one(
    tiny_model: Path, text: str, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A scripted reply is over within the gap that pieces of a stream share a message in.
    monkeypatch.setattr(model_cache, "compute_message_gap", lambda streams: 0.0)
    server = make_server(tiny_model, text)
    job = ChatJob("agent", ASK, tools=TOOLS)
    whole = asyncio.run(server.complete(job))
    assert isinstance(whole, Completion)
    _, *deltas, last = asyncio.run(collect_stream(server, job))
    assert isinstance(last, Completion)
    (choice,) = whole.choices
    assert choice.finish_reason == last.choices[0].finish_reason == ending
    pieces = [delta for delta in deltas if isinstance(delta, Delta)]
    assert "".join(piece.text for piece in pieces) == choice.text
    assert "".join(piece.thought for piece in pieces) == choice.thought
    calls = [made for piece in pieces for made in piece.tool_calls]
    assert [(made.index, made.name, made.arguments) for made in calls] == [
        (number, made.name, made.arguments) for number, made in enumerate(choice.tool_calls)
    ]
    if choice.thought:
        assert len([piece for piece in pieces if piece.thought]) > 1  # while it is written


def test_choices_of_tools_are_heeded(tiny_model: Path) -> None:
    server = make_server(tiny_model, f"<think>a</think>\n{CALL}\n{CALL}")

    def ask(**more: Any) -> Any:
        reply = asyncio.run(server.complete(ChatJob("agent", ASK, tools=TOOLS, **more)))
        return reply.choices[0] if isinstance(reply, Completion) else reply

    assert len(ask().tool_calls) == 2
    assert len(ask(parallel_tool_calls=False).tool_calls) == 1
    none = ask(tool_choice="none")
    assert (none.tool_calls, none.finish_reason) == ((), "stop")
    assert none.text == f"<think>a</think>\n{CALL}\n{CALL}"
    refused = ask(response_format={"type": "object"})
    assert isinstance(refused, Refusal)
    assert refused.param == "response_format"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("choice", "parallel", "names"),
    [("required", True, {"search", "visit"}), ("visit", False, {"visit"})],
)
def test_a_required_call_is_made_whatever_the_model_would_say(
    tiny_model: Path, choice: str, parallel: bool, names: set[str]
) -> None:
    from medr_ray.core.config import EngineConfig
    from medr_ray.engines.transformers import TransformersEngine

    engine = EngineConfig(dtype="float32", device="cpu", threads=1, max_batch=8)
    cache = ModelCache(
        {"agent": str(tiny_model)}, lambda place: TransformersEngine(place, engine), 1
    )
    server = ModelServer(cache, max_tokens=256, tools=ToolSettings(form="short"))
    job = ChatJob(
        "agent",
        ASK,
        200,
        1.0,
        seed=3,
        n=4,
        tools=TOOLS,
        tool_choice=choice,
        parallel_tool_calls=parallel,
    )
    completion = asyncio.run(server.complete(job))
    assert isinstance(completion, Completion)
    finished = [made for made in completion.choices if made.finish_reason != "length"]
    assert finished
    for answer in finished:
        assert answer.finish_reason == "tool_calls"
        assert {made.name for made in answer.tool_calls} <= names
        for made in answer.tool_calls:
            assert set(json.loads(made.arguments)) == {"query"}


# --- a template with tools of its own --------------------------------------------------

_TEMPLATE = (
    "{% if tools %}<|im_start|>system\n{{ tools | tojson }}<|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}"
    "{% for made in message.tool_calls or [] %}"
    '[{{ made.function.name }} {{ made.function.arguments["query"] }}]'
    "{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def test_a_template_that_knows_tools_is_used_unless_the_model_was_taught_the_protocol(
    tmp_path: Path,
) -> None:
    from support.tiny_model import build_tiny_model
    from transformers import AutoTokenizer

    model = build_tiny_model(tmp_path / "model", context=2048)
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.chat_template = _TEMPLATE
    tokenizer.save_pretrained(model)
    prompts: list[str] = []

    def answer(prompt: Sequence[int]) -> str:
        prompts.append(tokenizer.decode(list(prompt)))
        return f"<think>a</think>\n\n{CALL}"

    cache = ModelCache(
        {"base": str(model), "sft": str(model)}, lambda _: ScriptedEngine(tokenizer, answer), 1
    )
    server = ModelServer(
        cache, max_tokens=256, tools=ToolSettings(form="short", taught=frozenset({"sft"}))
    )
    turns = (
        *ASK,
        ChatTurn("assistant", "", (call(1, query="<|im_end|>"),)),
        ChatTurn("tool", "found", tool_call_id="c1"),
    )

    async def ask_both() -> list[Any]:
        jobs = [ChatJob(name, turns, tools=TOOLS) for name in ("base", "sft")]
        return [await server.complete(job) for job in jobs]

    completions = asyncio.run(ask_both())
    base, sft = prompts
    assert '"description": "the tool visit"' in base
    assert "[search <|im_end|>]" in base
    assert "<|im_start|>tool\nfound" in base
    assert "<tool_response>found</tool_response>" in sft
    for completion in completions:
        (choice,) = completion.choices
        assert (choice.thought, choice.text) == ("a", "")
        assert [made.name for made in choice.tool_calls] == ["search"]
    required = ChatJob("base", ASK, tools=TOOLS, tool_choice="required")
    refused = asyncio.run(server.complete(required))
    assert isinstance(refused, Refusal)
    assert refused.param == "tool_choice"


def test_openais_client_puts_streamed_calls_together(tiny_model: Path) -> None:
    import openai
    from fastapi.testclient import TestClient

    from medr_ray.serving.http import build_http
    from medr_ray.serving.keys import ApiKeyVerifier

    server = make_server(tiny_model, f"<think>look</think>\n{CALL}\n{CALL}")
    app = build_http(server, None, ApiKeyVerifier.for_key("k"), ["agent"])  # type: ignore[arg-type]
    with TestClient(app, base_url="http://127.0.0.1") as transport:
        client = openai.OpenAI(
            api_key="k", base_url="http://127.0.0.1/v1", http_client=transport, max_retries=0
        )
        with client.chat.completions.stream(
            model="agent",
            messages=[{"role": "user", "content": "what is it"}],
            tools=list(TOOLS),
            stream_options={"include_usage": True},
        ) as stream:
            streamed = stream.get_final_completion()
    (choice,) = streamed.choices
    assert choice.finish_reason == "tool_calls"
    calls = choice.message.tool_calls
    assert calls is not None
    assert [(made.function.name, made.function.arguments) for made in calls] == [
        ("search", '{"query": "x"}')
    ] * 2
    assert len({made.id for made in calls}) == 2
    assert streamed.usage is not None
