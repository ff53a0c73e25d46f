"""Packs a trajectory for a page: its events and messages as JSON, deflated, in base64.

The browser inflates it when it is opened (``DecompressionStream("deflate")``, the zlib format of
RFC 1950).
"""

import base64
import json
import zlib
from collections.abc import Iterator
from typing import Any

from medr_ray.agent.events import events_of_trajectory, to_json
from medr_ray.evaluation.report.answers import ReportedAnswer

# Of zlib: 6 gives all but a few per cent of what 9 does, in a third of the time.
_COMPRESSION_LEVEL = 6


def pack_trajectory(answer: ReportedAnswer) -> str:
    """The trajectory of an answer that has one."""
    rows = list(_interleave_messages(answer))
    # A half of a surrogate pair, which a model may write, is no UTF-8; its escape is JSON.
    text = json.dumps(rows, ensure_ascii=False).encode("utf-8", errors="backslashreplace")
    return base64.b64encode(zlib.compress(text, _COMPRESSION_LEVEL)).decode("ascii")


def _interleave_messages(answer: ReportedAnswer) -> Iterator[dict[str, Any]]:
    """The events with the message of each turn before them.

    A message says again what its events say. Beside each other they are within the 32 kB over
    which deflation finds repetitions.
    """
    trajectory = answer.trajectory
    if trajectory is None:
        raise ValueError(f"the answer to {answer.task.task_id} has no trajectory")
    events_by_turn: dict[int, list[dict[str, Any]]] = {}
    outside: list[dict[str, Any]] = []
    for event in events_of_trajectory(
        trajectory, language=answer.task.language, seconds=answer.seconds
    ):
        row = to_json(event)
        turn = row.get("turn")
        if turn is None:
            outside.append(row)
        else:
            events_by_turn.setdefault(turn, []).append(row)
    # The first is the start, the last the answer.
    yield outside[0]
    turn = 0
    for message in trajectory.messages:
        yield {"type": "message", "role": message.role, "content": message.content}
        if message.role == "assistant":
            yield from events_by_turn.get(turn, ())
            turn += 1
    yield from outside[1:]
