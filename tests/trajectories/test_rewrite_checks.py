"""Rewritten thoughts by hand, good and bad, over one dialogue with an outage, a candidate and its
check (``rewrites.json``), in English and Chinese."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.questions import worded_task

from medr_ray.agent.protocol import ToolCall, render_reply, render_responses
from medr_ray.core.records import Message, ToolEvent, Trajectory, Usage
from medr_ray.trajectories.rewrite_checks import find_rewrite_problems
from medr_ray.trajectories.rewriting import replace_thought

REWRITES = json.loads((Path(__file__).parent / "rewrites.json").read_text(encoding="utf-8"))


def build_dialogue(case: dict[str, Any]) -> Trajectory:
    messages = [Message("system", "s"), Message("user", case["question"])]
    events = []
    for turn in case["turns"]:
        if "answer" in turn:
            messages.append(
                Message("assistant", render_reply(turn["thought"], answer=turn["answer"]))
            )
            continue
        arguments = {"query": turn["query"]}
        call = ToolCall(turn["tool"], arguments)
        messages.append(Message("assistant", render_reply(turn["thought"], [call])))
        messages.append(Message("user", render_responses([turn["response"]])))
        status = "error" if turn["response"].startswith("error") else "ok"
        documents = tuple(turn["documents"])
        events.append(
            ToolEvent(turn["tool"], json.dumps(arguments), status, 0.1, False, documents=documents)
        )
    return Trajectory(
        "traj-1",
        "q-1",
        "guided",
        0,
        tuple(messages),
        (),
        tuple(events),
        (),
        case["answer"],
        "answered",
        Usage(0, 0, 0),
        None,
    )


def list_problems(language: str, turn: int, text: str, original: str = "") -> list[str]:
    case = json.loads(json.dumps(REWRITES[language]))
    original = original or case["turns"][turn]["thought"]
    case["turns"][turn]["thought"] = original
    trajectory = build_dialogue(case)
    task = replace(worded_task(case["question"], case["answer"]), language=language)
    number = 2 + 2 * turn
    changed = replace_thought(trajectory.messages[number].content, text)
    return list(find_rewrite_problems(trajectory, task, number, original, text, changed))


GOOD = [(language, *entry) for language, case in REWRITES.items() for entry in case["good"]]
BAD = [(language, *entry) for language, case in REWRITES.items() for entry in case["bad"]]
ORIGINALS = [
    (language, place, turn["thought"])
    for language, case in REWRITES.items()
    for place, turn in enumerate(case["turns"])
]


@pytest.mark.parametrize(("language", "turn", "text"), [*GOOD, *ORIGINALS])
def test_a_good_text_is_accepted(language: str, turn: int, text: str) -> None:
    assert list_problems(language, turn, text) == []


@pytest.mark.parametrize(("language", "turn", "text", "why"), BAD)
def test_a_bad_text_is_refused_for_its_reason(
    language: str, turn: int, text: str, why: str
) -> None:
    assert why in list_problems(language, turn, text)


def test_what_a_call_has_checked_may_be_called_confirmed() -> None:
    original = "It is 14 November 2001 (FDA:BLA103950)."
    text = "Confirmed: 14 November 2001 (FDA:BLA103950)."
    assert list_problems("en", 4, text, original) == []
    assert list_problems("en", 3, text, original) == ["the text says that something is confirmed"]
