"""Exported rows are complete, and the loss covers only the agent's messages."""

import json

from support.questions import worded_question

from medr_ray.agent.protocol import ToolCall, render_reply, render_responses
from medr_ray.core.records import Message, Trajectory, Usage
from medr_ray.trajectories.export import build_chat_row, build_sharegpt_row

QUESTION = worded_question("Which gene <is> it — 哪个基因?", "GALC")
MESSAGES = (
    Message("system", "You are an agent."),
    Message("user", QUESTION.task.text),
    Message(
        "assistant",
        render_reply("look\n", [ToolCall("search", {"query": "Marfan syndrome"})]),
    ),
    Message("user", render_responses(["p<0.05"])),
    Message("assistant", render_reply("found", answer="GALC")),
)
TRAJECTORY = Trajectory(
    "traj-1", "q-1", "guided", 0, MESSAGES, (), (), (), "GALC", "answered", Usage(0, 0, 0), None
)


def test_chat_rows_have_the_dialogue_and_the_loss_covers_the_replies() -> None:
    row = json.loads(json.dumps(build_chat_row(TRAJECTORY, QUESTION)))
    assert [(message["role"], message["content"]) for message in row["messages"]] == [
        (m.role, m.content) for m in MESSAGES
    ]
    covered = [
        (number, row["messages"][number]["content"][first:end])
        for number, first, end in row["loss_spans"]
    ]
    assert covered == [
        (number, m.content) for number, m in enumerate(MESSAGES) if m.role == "assistant"
    ]
    assert (row["trajectory_id"], row["question_id"], row["specialty"]) == (
        "traj-1",
        "q-1",
        "neurology",
    )


def test_sharegpt_rows_have_a_speaker_for_every_message() -> None:
    row = json.loads(json.dumps(build_sharegpt_row(TRAJECTORY, QUESTION)))
    assert row["system"] == "You are an agent."
    assert [turn["from"] for turn in row["conversations"]] == ["human", "gpt", "observation", "gpt"]
    assert [turn["value"] for turn in row["conversations"]] == [m.content for m in MESSAGES[1:]]


def test_a_dialogue_without_a_system_message_loses_nothing() -> None:
    bare = Trajectory(**{**TRAJECTORY.__dict__, "messages": MESSAGES[1:]})
    row = build_sharegpt_row(bare, QUESTION)
    assert row["system"] == ""
    assert [turn["value"] for turn in row["conversations"]] == [m.content for m in MESSAGES[1:]]
