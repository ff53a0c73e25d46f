"""Replies of language models: time from 1,000 to 1,000,000 characters, whatever they hold.

Each row is the slowest of many texts: one piece repeated (tags, brackets, fences, escapes), alone
and behind an opening that is never closed. A reader that starts anew at every tag or bracket takes
a thousand times longer for ten times the text.
"""

import contextlib
from collections.abc import Callable, Iterable

from pydantic import BaseModel
from support.growth import measure_growth

from medr_ray.agent.protocol import parse_reply
from medr_ray.core.errors import ModelError
from medr_ray.core.json_text import InvalidJson, find_json_values
from medr_ray.core.measurement import Measurement
from medr_ray.llm.replies import read_reply
from medr_ray.llm.thoughts import split_thought
from medr_ray.questions.calibration.closed_book import parse_answer

_CALL = '<tool_call>{"name": "search", "arguments": {"query": "Marfan gene"}}</tool_call>'
_OPENINGS = ("", "<think>", "<answer>", "<tool_call>", "<|channel|>analysis<|message|>")
_PIECES = (
    *("<think>", "</think>", "<tool_call>", "<tool_call>{", "<answer>", "</answer>", "[THINK]"),
    *("<answer><tool_call>", "<tool_call>{}", "<tool_call>[", "</answer><think>", _CALL, "```"),
    *("```json\n{", '{"a":', '{"a": 1},', '{"', "[", '["x",', "[NaN,", "[1] ", "{", "<", " ", "\n"),
    *("- \n", "answer", "答案", '\\"', "\\ud800", "<tool_response>", "<|channel|>a<|message|>"),
)


class _Verdict(BaseModel):
    correct: bool


def _read_json_reply(text: str) -> None:
    with contextlib.suppress(ModelError):
        read_reply(text, _Verdict)


def _find_values(text: str) -> None:
    with contextlib.suppress(InvalidJson):
        list(find_json_values(text))


_READERS: dict[str, Callable[[str], object]] = {
    "the agent's protocol": parse_reply,
    "thoughts": split_thought,
    "JSON replies": _read_json_reply,
    "JSON between words": _find_values,
    "closed-book answers": parse_answer,
}


def measure(quick: bool) -> Iterable[Measurement]:
    """A row for each reader: the slowest text of the largest size, and how its time grows."""
    for name, read in _READERS.items():
        yield measure_growth(name, read, _PIECES, quick, _OPENINGS)
