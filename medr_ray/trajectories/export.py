"""Trajectories in the formats of other trainers: chat rows with loss spans, and ShareGPT rows.

A row has every message of the dialogue, unchanged. The loss spans cover every message of the
assistant and nothing else.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from medr_ray.core.records import Message, Question, Trajectory

ExportFormat = Literal["chat", "sharegpt"]
_SHAREGPT_SPEAKERS = {"system": "system", "user": "observation", "assistant": "gpt"}


def build_chat_row(trajectory: Trajectory, question: Question) -> dict[str, Any]:
    """A row of messages. Each of ``loss_spans`` is [message number, start, end) in characters of
    that message's content."""
    row = _describe_trajectory(trajectory, question)
    row["messages"] = [
        {"role": message.role, "content": message.content} for message in trajectory.messages
    ]
    row["loss_spans"] = [
        [number, 0, len(message.content)]
        for number, message in enumerate(trajectory.messages)
        if message.role == "assistant"
    ]
    return row


def build_sharegpt_row(trajectory: Trajectory, question: Question) -> dict[str, Any]:
    """A row of conversations. The question is from "human", replies are from "gpt" and tool
    responses from "observation"; the system message has a field of its own."""
    messages = list(trajectory.messages)
    system = messages.pop(0).content if messages[0].role == "system" else ""
    row = _describe_trajectory(trajectory, question)
    row["system"] = system
    row["conversations"] = [
        _build_conversation_turn(number, message) for number, message in enumerate(messages)
    ]
    return row


def _build_conversation_turn(number: int, message: Message) -> dict[str, str]:
    # Question and tool responses are both messages of the user; the question is the first.
    speaker = _SHAREGPT_SPEAKERS[message.role] if number else "human"
    return {"from": speaker, "value": message.content}


def _describe_trajectory(trajectory: Trajectory, question: Question) -> dict[str, Any]:
    """The fields that rows of all formats have."""
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


ROW_BUILDERS: Mapping[ExportFormat, Callable[[Trajectory, Question], dict[str, Any]]] = {
    "chat": build_chat_row,
    "sharegpt": build_sharegpt_row,
}
