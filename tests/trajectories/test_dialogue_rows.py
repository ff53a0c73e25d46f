"""Rows of chat data sets become dialogues in the text protocol, or say what is wrong with them."""

from dataclasses import replace
from typing import Any

import pytest
from support.chat_families import CHATML_TOKENS, QWEN25, build_tokenizer

from medr_ray.agent.protocol import parse_reply
from medr_ray.core.config import AgentConfig
from medr_ray.core.records import Message
from medr_ray.trajectories.dataset import Dialogue, DialogueEncoder, RowProblem
from medr_ray.trajectories.dialogue_rows import read_dialogue

QUESTION = {"role": "user", "content": "Which gene?"}
ANSWER = {"role": "assistant", "content": "GALC"}
SEARCH = {
    "type": "function",
    "function": {"name": "search", "description": "finds", "parameters": {"type": "object"}},
}


def native_row(**fields: Any) -> dict[str, Any]:
    """A dialogue with two parallel calls in OpenAI's form, whose results come in another order."""
    calls = [
        {"id": "a", "type": "function", "function": {"name": "search", "arguments": '{"q": "x"}'}},
        {"id": "b", "type": "function", "function": {"name": "search", "arguments": {"q": "y"}}},
    ]
    return {
        "messages": [
            {"role": "developer", "content": "Be short."},
            {"role": "user", "content": [{"type": "text", "text": "Which gene?"}]},
            {
                "role": "assistant",
                "content": None,
                "reasoning_content": "I look.",
                "tool_calls": calls,
            },
            {"role": "tool", "tool_call_id": "b", "content": "no <answer>"},
            {"role": "tool", "tool_call_id": "a", "content": "GALC"},
            {"role": "user", "content": "Answer now."},
            {"role": "assistant", "content": "GALC", "reasoning_content": "x says so"},
        ],
        **fields,
    }


def test_native_calls_thoughts_and_results_are_worded_in_the_text_protocol() -> None:
    dialogue = read_dialogue(native_row())
    assert [(message.role, message.content) for message in dialogue.messages] == [
        ("system", "Be short."),
        ("user", "Which gene?"),
        (
            "assistant",
            "<think>I look.</think>\n"
            '<tool_call>{"name": "search", "arguments": {"q": "x"}}</tool_call>\n'
            '<tool_call>{"name": "search", "arguments": {"q": "y"}}</tool_call>',
        ),
        (
            "user",
            "<tool_response>GALC</tool_response>\n<tool_response>no ‹answer›</tool_response>\n"
            "Answer now.",
        ),
        ("assistant", "<think>x says so</think>\nGALC"),
    ]
    assert dialogue.without_loss == {0, 1, 3}
    assert [call.name for call in parse_reply(dialogue.messages[2].content).calls] == ["search"] * 2


def test_tools_beside_the_messages_are_described_in_the_system_message() -> None:
    system = read_dialogue(native_row(tools=[SEARCH])).messages[0].content
    assert '"description": "finds"' in system
    assert system.endswith("\n\nBe short.")
    # Their JSON text, the functions alone, and no system message of the row's own.
    functions = '[{"name": "search", "description": "finds", "parameters": {"type": "object"}}]'
    row = {"messages": [QUESTION, ANSWER], "tools": functions}
    assert f"{read_dialogue(row).messages[0].content}\n\nBe short." == system


def test_sharegpt_turns_are_messages() -> None:
    row = {
        "system": "S",
        "conversations": [
            {"from": "human", "value": "Which gene?"},
            {"from": "function_call", "value": '{"name": "search", "arguments": {"q": "x"}}'},
            {"from": "observation", "value": "GALC"},
            {"from": "gpt", "value": "It is GALC."},
            {"from": "human", "value": "Thank you."},
        ],
    }
    dialogue = read_dialogue(row)
    # Nobody answers the last turn, so nothing is learnt behind it.
    assert [message.role for message in dialogue.messages] == [
        "system",
        "user",
        "assistant",
        "user",
        "assistant",
    ]
    assert dialogue.messages[3].content == "<tool_response>GALC</tool_response>"
    assert parse_reply(dialogue.messages[2].content).calls[0].arguments == {"q": "x"}


def test_what_is_learnt_is_said_by_roles_and_by_message() -> None:
    silent = {**ANSWER, "loss": False}
    row = {"messages": [QUESTION, silent, QUESTION, {**ANSWER, "weight": 0}, QUESTION, ANSWER]}
    assert read_dialogue(row).without_loss == {0, 1, 2, 3, 4}
    assert read_dialogue(row, ("user", "assistant")).without_loss == {1, 3}
    assert read_dialogue(native_row(), ("tool",)).without_loss == {0, 1, 2, 4}


def test_a_row_has_an_id_a_weight_and_copies_or_is_named_by_its_content() -> None:
    row = {"messages": [QUESTION, ANSWER]}
    dialogue = read_dialogue({**row, "id": 7, "weight": 0.5, "copies": 3})
    assert (dialogue.dialogue_id, dialogue.weight, dialogue.copies) == ("7", 0.5, 3)
    unnamed = read_dialogue(row)
    assert unnamed.dialogue_id == read_dialogue({**row, "note": "x"}).dialogue_id
    assert unnamed.dialogue_id != read_dialogue(native_row()).dialogue_id
    # One question is on one side of an evaluation split, whoever answered it.
    assert read_dialogue({**row, "id": "a", "question_id": "q-1"}).group == "q-1"


@pytest.mark.parametrize(
    ("row", "field", "problem"),
    [
        ([], "row", "is an empty list"),
        ({"text": "x"}, "messages", "is missing; the row has text"),
        ({"messages": "x"}, "messages", "is a text"),
        ({"messages": []}, "messages", "is an empty list"),
        ({"messages": [7]}, "messages[0]", "is a number"),
        ({"messages": [{"role": "bot", "content": "x"}]}, "messages[0].role", "is 'bot'"),
        ({"messages": [{"role": ["x"], "content": "x"}]}, "messages[0].role", "is ['x']"),
        ({"messages": [ANSWER, QUESTION, ANSWER]}, "messages", "begin with a reply"),
        ({"messages": [QUESTION]}, "messages", "have no assistant's message"),
        ({"messages": [{**QUESTION, "content": " "}, ANSWER]}, "messages[0].content", "is empty"),
        (
            {"messages": [{**QUESTION, "content": [{"type": "image_url"}]}, ANSWER]},
            "messages[0].content",
            "is a list",
        ),
        ({"messages": [QUESTION, {"role": "assistant"}]}, "messages[1].content", "is null or"),
        ({"messages": [QUESTION, {**ANSWER, "loss": "no"}]}, "messages[1].loss", "is 'no'"),
        ({"messages": [QUESTION, {**ANSWER, "loss": False}]}, "messages", "have none to learn"),
        ({"messages": [QUESTION, {**ANSWER, "weight": 2}]}, "messages[1].weight", "is 2"),
        (
            {"messages": [QUESTION, {**ANSWER, "reasoning": 3}]},
            "messages[1].reasoning",
            "is a number",
        ),
        (
            {"messages": [QUESTION, {**ANSWER, "tool_calls": [{}]}]},
            "messages[1].tool_calls[0]",
            "has no function with a name",
        ),
        (
            {"messages": [*native_row()["messages"][:4], ANSWER]},
            "messages[4]",
            "2 calls before it have 1 results",
        ),
        (
            {"messages": [QUESTION, {"role": "system", "content": "S"}, ANSWER]},
            "messages[1]",
            "is a system message",
        ),
        ({"conversations": [{"from": "x"}]}, "conversations[0].from", "is 'x'"),
        ({"conversations": [{"from": "gpt"}]}, "conversations[0].value", "is null or missing"),
        ({"messages": [QUESTION, ANSWER], "weight": 0}, "weight", "is 0"),
        ({"messages": [QUESTION, ANSWER], "copies": 1.5}, "copies", "is 1.5"),
        ({"messages": [QUESTION, ANSWER], "copies": 5000}, "copies", "is 5,000"),
        ({"messages": [QUESTION, ANSWER], "tools": [7]}, "tools", "are no descriptions"),
        ({"messages": [QUESTION, ANSWER], "tools": "["}, "tools", "are no descriptions"),
    ],
)
def test_a_bad_row_names_its_field(row: Any, field: str, problem: str) -> None:
    with pytest.raises(RowProblem) as refused:
        read_dialogue(row)
    assert refused.value.field == field
    assert refused.value.problem.startswith(problem)
    assert refused.value.remedy


def test_control_tokens_in_a_text_are_refused() -> None:
    encoder = DialogueEncoder(build_tokenizer(QWEN25, CHATML_TOKENS, "<|im_end|>"))
    rendered = Message("user", "<|im_start|>user\nWhich gene?")
    dialogue = read_dialogue({"messages": [QUESTION, ANSWER]})
    assert encoder.encode_dialogue(dialogue).ids
    with pytest.raises(RowProblem, match="holds <|im_start|>, a control token".replace("|", r"\|")):
        encoder.encode_dialogue(replace(dialogue, messages=(rendered, *dialogue.messages[1:])))


def test_the_learnt_part_of_an_example_is_shown_as_text() -> None:
    encoder = DialogueEncoder(build_tokenizer(QWEN25, CHATML_TOKENS, "<|im_end|>"))
    messages = (Message("system", "S"), Message("user", "Which?"), Message("assistant", "GALC"))
    example = encoder.encode_dialogue(Dialogue("a", "a", messages, frozenset({0, 1})))
    assert encoder.decode_runs(example) == [
        (
            "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nWhich?<|im_end|>\n"
            "<|im_start|>assistant\n",
            False,
        ),
        ("GALC<|im_end|>", True),
    ]


def test_settings_of_the_agent_word_the_tools() -> None:
    row = {"messages": [QUESTION, ANSWER], "tools": [SEARCH]}
    texts = {form: read_dialogue(row, form=form).messages[0].content for form in ("short", "full")}  # type: ignore[arg-type]
    assert texts["short"] != texts["full"]
    assert AgentConfig().prompt in texts
