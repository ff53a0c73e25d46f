"""Native tool calls: the endpoint sees its own form, and the record is the text protocol all the
same."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from support.agent_run import Echo, call, responses, run

from medr_ray.agent.native import render_native_reply
from medr_ray.agent.policies import ChatPolicy
from medr_ray.agent.protocol import parse_reply
from medr_ray.llm.completions import ChatResult, FunctionCall
from medr_ray.llm.failures import ContextLengthExceeded


class Endpoint:
    """Replies in order; ``asked`` has what it was sent."""

    def __init__(self, *replies: ChatResult | Exception) -> None:
        self.replies = list(replies)
        self.requests: list[dict[str, Any]] = []

    async def __call__(self, messages: Sequence[Any], **more: Any) -> ChatResult:
        self.requests.append({"messages": [dict(message) for message in messages], **more})
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply


def chat_result(text: str, *calls: FunctionCall) -> ChatResult:
    return ChatResult(text, 10, 5, "tool_calls" if calls else "stop", calls)


def query(number: str, *words: str) -> FunctionCall:
    return FunctionCall(number, "search", json.dumps({"query": " ".join(words)}))


ANSWER = chat_result("<think>done</think><answer>Krabbe disease</answer>")


def test_calls_are_recorded_as_text_and_answered_under_their_ids() -> None:
    endpoint = Endpoint(
        chat_result("I look for two things.", query("c1", "a"), query("c2", "b")), ANSWER
    )
    trajectory = run(policy=ChatPolicy(endpoint), tool_calls="native")
    assert trajectory.messages[2].content == call("a", "b", thought="I look for two things.")
    assert (trajectory.answer, trajectory.stop_reason) == ("Krabbe disease", "answered")
    assistant, *tools = endpoint.requests[1]["messages"][2:]
    assert [tool_call["id"] for tool_call in assistant["tool_calls"]] == ["c1", "c2"]
    assert assistant["content"] == "I look for two things."
    assert tools == [
        {"role": "tool", "tool_call_id": "c1", "content": "found a"},
        {"role": "tool", "tool_call_id": "c2", "content": "found b"},
    ]


def test_the_tools_go_as_schemas_and_the_system_prompt_speaks_of_no_tags_for_calls() -> None:
    endpoint = Endpoint(ANSWER)
    trajectory = run(policy=ChatPolicy(endpoint, hint="look at the gene"), tool_calls="native")
    sent = endpoint.requests[0]
    assert sent["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "search",
                "description": "repeats the query",
                "parameters": {"type": "object", "properties": {"query": {"type": "string"}}},
            },
        }
    ]
    assert "<tool_call>" not in sent["messages"][0]["content"]
    assert "<tool_call>" in trajectory.messages[0].content  # recorded as all dialogues are
    assert sent["messages"][1]["content"].endswith("look at the gene")
    assert "look at the gene" not in trajectory.messages[1].content


def test_without_native_calls_the_endpoint_sees_the_text_protocol_and_no_tools() -> None:
    endpoint = Endpoint(chat_result(call("a")), ANSWER)
    trajectory = run(policy=ChatPolicy(endpoint))
    assert [list(payload) for payload in endpoint.requests] == [["messages"], ["messages"]]
    assert endpoint.requests[1]["messages"] == [
        {"role": m.role, "content": m.content} for m in trajectory.messages[:4]
    ]


def test_what_an_endpoint_used_and_cost_is_kept() -> None:
    endpoint = Endpoint(replace(chat_result(call("a")), usd=0.25), replace(ANSWER, usd=0.5))
    trajectory = run(policy=ChatPolicy(endpoint))
    assert trajectory.cost == 0.75
    assert (
        trajectory.usage.prompt_tokens,
        trajectory.usage.output_tokens,
        trajectory.usage.model_calls,
    ) == (20, 10, 2)


def test_arguments_that_cannot_be_read_are_answered_with_what_is_wrong() -> None:
    bad = FunctionCall("c1", "search", '{"query": "a"')
    endpoint = Endpoint(
        chat_result("", bad, FunctionCall("c2", "search", '["a"]'), query("", "b")), ANSWER
    )
    trajectory = run(policy=ChatPolicy(endpoint), tool_calls="native")
    *_, first, second, third = endpoint.requests[1]["messages"]
    assert "the arguments of search are not JSON: Expecting ',' delimiter" in first["content"]
    assert "must be a JSON object" in second["content"]
    assert third == {
        "role": "tool",
        "tool_call_id": "call-0-2",
        "content": "found b",
    }  # it had no id of its own
    assert [event.status for event in trajectory.tool_events] == ["invalid", "invalid", "ok"]


def test_the_last_request_reaches_the_endpoint_behind_the_tool_messages() -> None:
    endpoint = Endpoint(chat_result("look", query("c1", "a")), ANSWER)
    run(policy=ChatPolicy(endpoint), tool_calls="native", max_tool_calls=1)
    tool, user_message = endpoint.requests[1]["messages"][-2:]
    assert (tool["role"], user_message["role"]) == ("tool", "user")
    assert "Give your answer now" in user_message["content"]


def test_a_reply_in_text_tags_is_understood_all_the_same() -> None:
    endpoint = Endpoint(chat_result(call("a")), chat_result("just words"), ANSWER)
    trajectory = run(policy=ChatPolicy(endpoint), tool_calls="native")
    assert responses(trajectory)[0] == "<tool_response>found a</tool_response>"
    assert endpoint.requests[1]["messages"][-1] == {
        "role": "user",
        "content": "<tool_response>found a</tool_response>",
    }
    assert "call a tool or give the answer" in endpoint.requests[2]["messages"][-1]["content"]


def test_a_dialogue_too_long_for_the_endpoint_is_shortened_once() -> None:
    endpoint = Endpoint(
        chat_result("look", query("c1", "a " * 300)), ContextLengthExceeded("too long"), ANSWER
    )
    trajectory = run(policy=ChatPolicy(endpoint), tools=[Echo()], tool_calls="native")
    assert (trajectory.answer, trajectory.asked) == ("Krabbe disease", "tokens")
    tool = endpoint.requests[2]["messages"][-2]
    assert tool["content"].endswith("…")


_ANY = st.text(max_size=40) | st.sampled_from(
    [
        "</think>",
        "<think>",
        "<answer>x</answer>",
        "<tool_call>",
        "</tool_call>",
        "<tool_response>",
        "\ud83d",
        "",
    ]
)
_TEXT = st.lists(_ANY, max_size=4).map("".join)


@given(
    _TEXT,
    st.lists(
        st.tuples(_TEXT, _TEXT | st.dictionaries(_TEXT, _TEXT, max_size=2).map(json.dumps)),
        min_size=1,
        max_size=3,
    ),
)
def test_whatever_an_endpoint_says_every_native_call_is_one_attempt(
    content: str,
    calls: list[tuple[str, str]],
) -> None:
    reply = parse_reply(
        render_native_reply(
            content, [FunctionCall("c", name, arguments) for name, arguments in calls]
        )
    )
    assert len(reply.attempts) == len(calls)


def test_a_thought_that_came_apart_from_the_text_is_recorded_as_the_thought() -> None:
    looked = replace(chat_result("", query("c1", "a")), reasoning="I look.")
    answered = replace(chat_result("<answer>Krabbe disease</answer>"), reasoning="It is GALC.")
    for tool_calls in ("native", "text"):
        if tool_calls == "text":
            looked = replace(chat_result(call("a").split("</think>")[-1]), reasoning="I look.")
        endpoint = Endpoint(looked, answered)
        trajectory = run(policy=ChatPolicy(endpoint), tool_calls=tool_calls)
        replies = [m.content for m in trajectory.messages if m.role == "assistant"]
        assert [parse_reply(reply).thought for reply in replies] == ["I look.", "It is GALC."]
        assert all(reply.startswith("<think>") for reply in replies)
        assert trajectory.answer == "Krabbe disease"


def test_a_thought_that_the_template_opened_is_recorded_with_both_its_tags() -> None:
    endpoint = Endpoint(chat_result("It is GALC.\n</think>\n<answer>Krabbe disease</answer>"))
    trajectory = run(policy=ChatPolicy(endpoint))
    assert trajectory.messages[-1].content == (
        "<think>It is GALC.\n</think>\n<answer>Krabbe disease</answer>"
    )


def test_a_thought_beside_native_calls_is_recorded_and_sent_back_under_its_name() -> None:
    thinking = replace(
        chat_result("I look.", query("c1", "a")),
        reasoning="It may be </think> Marfan.",
        reasoning_field="reasoning_content",
    )
    answer = replace(
        chat_result("<answer>Krabbe disease</answer>"),
        reasoning="It is.",
        reasoning_field="reasoning",
    )
    endpoint = Endpoint(thinking, answer)
    trajectory = run(policy=ChatPolicy(endpoint), tool_calls="native")
    first = parse_reply(trajectory.messages[2].content)
    assert first.thought == "It may be ‹/think› Marfan.\nI look."
    assert parse_reply(trajectory.messages[4].content).thought == "It is."
    assert trajectory.answer == "Krabbe disease"
    assert endpoint.requests[1]["messages"][2]["reasoning_content"] == "It may be </think> Marfan."


def test_a_thought_beside_the_text_protocol_is_recorded_in_its_tags() -> None:
    looking = replace(chat_result(TAGGED_CALL), reasoning="I look it up.")
    lone = chat_result("So.\n</think>\n<answer>Krabbe disease</answer>")
    trajectory = run(policy=ChatPolicy(Endpoint(looking, lone)))
    assert trajectory.messages[2].content == f"<think>I look it up.</think>\n{TAGGED_CALL}"
    assert trajectory.messages[4].content.startswith("<think>So.\n</think>")
    assert trajectory.answer == "Krabbe disease"


def test_a_lone_closing_tag_beside_native_calls_is_a_thought() -> None:
    rendered = render_native_reply("Look <answer>.</think> Now.", [query("c", "a")])
    reply = parse_reply(rendered)
    assert (reply.thought, len(reply.calls), reply.answer) == ("Look <answer>.\nNow.", 1, None)


TAGGED_CALL = '<tool_call>{"name": "search", "arguments": {"query": "a"}}</tool_call>'
