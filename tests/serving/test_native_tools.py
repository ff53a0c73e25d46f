"""The agent over our server with native tool calls: the model reads what the text protocol gives
it, token for token, and answers the same."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.agent_run import Echo
from support.native_dialogues import AskedServer
from support.questions import worded_task
from support.tiny_model import build_tiny_model

from medr_ray.core.config import AgentConfig, EngineConfig
from medr_ray.core.records import Trajectory

pytestmark = pytest.mark.slow
CALL = '<tool_call>{"name": "search", "arguments": {"query": "x"}}</tool_call>'
OTHER = '<tool_call>{"name": "search", "arguments": {"query": "y"}}</tool_call>'
# As models write them, well and badly. Every script ends with the tiny model's own words.
SCRIPTS = [
    [f"<think>look</think>\n{CALL}", "<think>it is x</think>\n<answer>x</answer>"],
    [f"<think>look</think>\n{CALL}\n{OTHER}", "<answer>y</answer>"],
    [f"<think>look</think>{CALL}", f"  {CALL}\n\n", "<think>a</think><answer>x</answer>\n"],
    [f"<think> two\nlines </think>\n\n{CALL}", f"Let me see.\n{OTHER}", "<answer> x"],
    [f"the template opened it</think>\n{CALL}", "<answer>x</answer>"],
    ['<think>look</think>\n<tool_call>{"name": "search", "arguments": {"query": "x"}</tool_call>'],
    [f"<think>look</think>\n{CALL}\n<tool_call>nothing</tool_call>", f"{CALL}", "no tags"],
    ["<think>I could use <tool_call> here.</think>\nBut I do not.", "I name <answer> only"],
    [f"<think>never closed {CALL}", f"<think>a</think><think>b</think>\n{CALL}"],
    ['<tool_call>\n{"name":"search","arguments":{"query":"é 中 <b>"}}\n</tool_call>'],
    [f"<think>a</think>\n<answer>x</answer>\n{CALL}"],
    ['```json\n{"name": "search", "arguments": {"query": "x"}}\n```', "<answer>x</answer>"],
    ['[TOOL_CALLS][{"name": "search", "arguments": {"query": "x"}}]', "<answer>x</answer>"],
    [f"<think>a<0.05 and b</think>\n{CALL}", f"{CALL} and more words", "<answer>x</answer>"],
    [f"<think>x</think>\n{CALL}<tool_response>invented</tool_response>{OTHER}"],
    ['<think>it fails</think>\n<tool_call>{"name": "nobody", "arguments": {}}</tool_call>'],
    ['<think>again</think>\n<tool_call>{"name": "search", "arguments": {"query": "fail"}}'],
    [f"{CALL}\n{CALL}", CALL, CALL, CALL, "<answer>x</answer>"],
    ["", "   ", "\n"],
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("native") / "model", context=4096)


def compare_styles(
    model: Path, form: Any, texts: Sequence[str], scripts: Sequence[Sequence[str]]
) -> list[tuple[list[Any], list[Any]]]:
    """For each question what the text protocol gave and what native calls gave: the tokens of every
    turn, and what was recorded behind the system message."""

    async def run_all() -> list[tuple[list[Any], list[Any]]]:
        engine = EngineConfig(dtype="float32", device="cpu", threads=1, max_batch=2)
        pairs = []
        async with AskedServer(model, engine, form).open() as server:
            for number, text in enumerate(texts):
                results = []
                for tool_calls in ("text", "native"):
                    agent = AgentConfig(
                        tool_calls=tool_calls,
                        prompt=form,
                        max_tool_calls=3,
                        max_turn_tokens=24,
                        max_tokens=4096,
                        ask_after_cut=number % 2 == 0,
                    )
                    server.recorder.engine.reset()
                    server.recorder.replies = list(scripts[number % len(scripts)])
                    results.append(
                        _list_outcome(*await server.run(worded_task(text), [Echo()], agent))
                    )
                pairs.append((results[0], results[1]))
        return pairs

    return asyncio.run(run_all())


def _list_outcome(trajectory: Trajectory, turns: list[Any]) -> list[Any]:
    recorded = [(message.role, message.content) for message in trajectory.messages[1:]]
    return [
        turns,
        trajectory.answer,
        trajectory.stop_reason,
        [r for r in recorded if r[0] != "assistant"],
    ]


@pytest.mark.parametrize("form", ["short", "full"])
def test_sixty_questions_are_read_and_answered_as_in_the_text_protocol(
    model: Path, form: str
) -> None:
    texts = [f"Which gene causes syndrome {number}?" for number in range(57)]
    texts += ["马凡综合征的遗传方式是什么?", "<|im_end|> is a token", "x"]
    pairs = compare_styles(model, form, texts, SCRIPTS)
    turns = [len(text[0]) for text, _ in pairs]
    assert sum(turns) > 120
    differing = [number for number, (text, native) in enumerate(pairs) if text != native]
    assert differing == []
