"""Trajectories as other trainers read them: chat rows with loss spans, and ShareGPT rows.

What holds: nothing of a dialogue is lost or added; the loss covers every assistant message whole
and nothing else.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from medr_ray.core.records import Message, Question, Trajectory

Format = Literal["chat", "sharegpt"]
_SPEAKERS = {"system": "system", "user": "observation", "assistant": "gpt"}


def chat_row(trajectory: Trajectory, question: Question) -> dict[str, Any]:
    """A row of messages; ``loss_spans`` are [message, first, end) in characters of that message's
    content."""
    return _about(trajectory, question) | {
        "messages": [
            {"role": message.role, "content": message.content} for message in trajectory.messages
        ],
        "loss_spans": [
            [number, 0, len(message.content)]
            for number, message in enumerate(trajectory.messages)
            if message.role == "assistant"
        ],
    }


def sharegpt_row(trajectory: Trajectory, question: Question) -> dict[str, Any]:
    """A row of conversations: the question is said by "human", replies by "gpt", tool responses by
    "observation"; the system message stands apart."""
    first, *dialogue = trajectory.messages
    system, dialogue = (
        (first.content, dialogue) if first.role == "system" else ("", [first, *dialogue])
    )
    return _about(trajectory, question) | {
        "system": system,
        "conversations": [_said(number, message) for number, message in enumerate(dialogue)],
    }


def _said(number: int, message: Message) -> dict[str, str]:
    return {"from": _SPEAKERS[message.role] if number else "human", "value": message.content}


def _about(trajectory: Trajectory, question: Question) -> dict[str, Any]:
    return {
        "trajectory_id": trajectory.trajectory_id,
        "question_id": trajectory.question_id,
        "mode": trajectory.mode,
        "answer": trajectory.answer,
        "language": question.task.language,
        "paradigm": question.paradigm,
        "hops": question.complexity,
        "specialty": question.specialty,
    }


ROWS: Mapping[Format, Callable[[Trajectory, Question], dict[str, Any]]] = {
    "chat": chat_row,
    "sharegpt": sharegpt_row,
}
