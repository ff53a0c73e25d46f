"""Replies of language models: time from 1,000 to 1,000,000 characters, whatever they hold.

Each row is the slowest of many texts: one piece repeated (tags, brackets, fences, escapes), alone
and behind an opening that is never closed. A reader that starts anew at every tag or bracket takes
a thousand times longer for ten times the text.
"""

import contextlib
import time
from collections.abc import Callable, Iterable

from pydantic import BaseModel

from medr_ray.agent.protocol import parse_reply
from medr_ray.core.errors import ModelError
from medr_ray.core.json_text import InvalidJson, find_json_values
from medr_ray.core.measurement import Measurement, build_measurement
from medr_ray.llm.replies import read_reply
from medr_ray.llm.thoughts import split_thought
from medr_ray.questions.calibration.closed_book import parse_answer

_SIZES = (1_000, 10_000, 100_000, 1_000_000)  # characters
_REPEATS = 3  # of which the fastest counts
_MOST_GROWTH = 3.0  # times the growth of the text, between the two largest sizes
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
    sizes = _SIZES[:-1] if quick else _SIZES
    for name, read in _READERS.items():
        slowest = {size: _measure_slowest(read, size) for size in sizes}
        times = ", ".join(f"{size:,}: {1e3 * seconds:.1f} ms" for size, seconds in slowest.items())
        larger = sizes[-1]
        smaller = sizes[-2]
        growth = slowest[larger] / slowest[smaller] / (larger / smaller)
        yield build_measurement(
            f"{name}, {larger:,} characters against {smaller:,}, per character",
            growth,
            goal=_MOST_GROWTH,
            lower_is_better=True,
            unit="times",
            note=times,
        )


def _measure_slowest(read: Callable[[str], object], size: int) -> float:
    return max(
        _measure_seconds(read, opening + piece * (size // len(piece)))
        for opening in _OPENINGS
        for piece in _PIECES
    )


def _measure_seconds(read: Callable[[str], object], text: str) -> float:
    """CPU seconds for the text; of a few runs where they are short enough to be disturbed."""
    seconds = []
    for _ in range(_REPEATS if len(text) < _SIZES[-1] else 1):
        started = time.process_time()
        read(text)
        seconds.append(time.process_time() - started)
    return min(seconds)
