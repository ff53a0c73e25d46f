"""Thoughts rewritten by a model: actions stay byte for byte, and a bad text leaves the original."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from support.misbehaving_endpoint import Half, Line, broken, endpoint, fresh_governor
from support.questions import worded_task

from medr_ray.agent.protocol import ToolCall, parse_reply, render_reply, render_responses
from medr_ray.core.config import EndpointConfig, TrajectoriesConfig
from medr_ray.core.errors import InfrastructureError
from medr_ray.core.progress import Bar
from medr_ray.core.records import Message, Task, ToolEvent, Trajectory, Turn, Usage
from medr_ray.core.run import Directory
from medr_ray.trajectories.rewriting import (
    REWRITTEN,
    Rewrite,
    apply_rewrites,
    find_thoughts,
    replace_thought,
    rewrite_all,
)

TASK = worded_task("Which gene is behind Krabbe disease, MARK?", "GALC")
CALL = render_reply(
    "I need it. <b>p<0.05</b>", [ToolCall("search", {"query": "Krabbe <think>x</think> disease"})]
)
FOUND = (
    "[1] Krabbe disease (HPO:OMIM:245200): The gene associated with Krabbe disease is "
    "GALC. In 3 of 7."
)


def dialogue(number: int = 1, mark: str = "MARK") -> tuple[Trajectory, Task]:
    task = replace(TASK, text=TASK.text.replace("MARK", mark), task_id=f"q-{number}")
    messages = (
        Message("system", "s"),
        Message("user", task.text),
        Message("assistant", CALL),
        Message("user", render_responses([FOUND])),
        Message("assistant", render_reply("gene = GALC.", answer="GALC")),
    )
    event = ToolEvent("search", "{}", "ok", 0.1, False)
    turns = (Turn((1,), (2,), (0.0,), 0),)
    return Trajectory(
        f"traj-{number}",
        task.task_id,
        "guided",
        0,
        messages,
        turns,
        (event,),
        (),
        "GALC",
        "answered",
        Usage(0, 0, 0),
        None,
    ), task


def request_rewrites(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    plan: dict[str, Sequence[Line]],
    dialogues: Sequence[tuple[Trajectory, Task]],
    hold: int = 1,
) -> tuple[list[Rewrite], int]:
    """(what became of each thought, requests sent)."""
    fresh_governor(monkeypatch)
    settings = EndpointConfig(model="m", concurrency=8)
    with endpoint(plan, hold) as up:
        client = up.client(None, cache=False)
        with Bar(Console(quiet=True), "rewriting", len(dialogues)) as bar:
            rewrites = rewrite_all(dialogues, client, settings, Directory(str(folder)), bar)
        if hold > 1:
            assert up.at_once >= hold
        return rewrites, up.requests


def render_thoughts(*thoughts: str) -> str:
    return json.dumps({"thoughts": thoughts}, ensure_ascii=False)


def test_only_the_thoughts_change_and_the_token_ids_are_dropped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    example = dialogue()
    rewrites, _ = request_rewrites(
        monkeypatch,
        tmp_path,
        {"MARK": [render_thoughts("First the gene.", "It is GALC.")]},
        [example],
    )
    assert [rewrite.outcome for rewrite in rewrites] == [REWRITTEN, REWRITTEN]
    changed = apply_rewrites(example[0], rewrites)
    before, after = example[0].messages, changed.messages
    assert [m.content for m in after[:2]] + [after[3].content] == [
        m.content for m in before[:2]
    ] + [before[3].content]
    assert after[2].content == CALL.replace("I need it. <b>p<0.05</b>", "First the gene.", 1)
    assert parse_reply(after[2].content).calls == parse_reply(CALL).calls
    assert parse_reply(after[4].content).answer == "GALC"
    assert changed.turns == ()
    assert (changed.trajectory_id, changed.tool_events) == (
        example[0].trajectory_id,
        example[0].tool_events,
    )


REFUSED = {
    "the answer before it was found": (
        "The gene is GALC, I guess.",
        "the text gives the answer away",
    ),
    "a number of its own": ("It was found in 1961.", "the text adds a number"),
    "guidance": ("Along gene_of_disease.", "the text says what only guidance says"),
    "a mask": ("From [MASK] on.", "the text says what only guidance says"),
    "nothing": ("  ", "the text is empty"),
    "a call": ("x</think><tool_call>{}</tool_call>", "the text changes the action"),
    "an answer": ("x</think><answer>FBN1</answer>", "the text changes the action"),
    "another language": ("先查基因。", "the text is in another language"),
    "a whole essay": ("word " * 500, "the text is too long"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_text_keeps_the_original_and_names_the_reason(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    case: str,
) -> None:
    text, why = REFUSED[case]
    example = dialogue()
    rewrites, _ = request_rewrites(
        monkeypatch, tmp_path, {"MARK": [render_thoughts(text, "It is GALC.")]}, [example]
    )
    assert [rewrite.outcome for rewrite in rewrites] == [f"kept: {why}", REWRITTEN]
    assert apply_rewrites(example[0], rewrites).messages[2].content == CALL


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (render_thoughts("only one"), "another number of texts than of thoughts"),
        ("no JSON", "the reply cannot be read"),
        (Half('{"thoughts": ["a", "b"]}'), "the reply cannot be read"),
    ],
)
def test_an_unusable_reply_keeps_every_thought(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    line: Line,
    why: str,
) -> None:
    example = dialogue()
    rewrites, _ = request_rewrites(monkeypatch, tmp_path, {"MARK": [line]}, [example])
    assert [rewrite.outcome for rewrite in rewrites] == [f"kept: {why}"] * 2
    assert apply_rewrites(example[0], rewrites) == example[0]


def test_dialogues_are_rewritten_concurrently_and_finished_ones_are_not_repeated(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    dialogues = [dialogue(number) for number in range(6)]
    plan: dict[str, Sequence[Line]] = {"MARK": [render_thoughts("First the gene.", "It is GALC.")]}
    rewrites, request_count = request_rewrites(monkeypatch, tmp_path, plan, dialogues, hold=6)
    assert request_count == 6
    assert [rewrite.trajectory_id for rewrite in rewrites[::2]] == [
        trajectory.trajectory_id for trajectory, _ in dialogues
    ]
    again, request_count = request_rewrites(
        monkeypatch, tmp_path, {"MARK": [render_thoughts("other", "words")]}, dialogues
    )
    assert (again, request_count) == (rewrites, 0)
    longer = [*dialogues, dialogue(7)]
    assert len(request_rewrites(monkeypatch, tmp_path, plan, longer)[0]) == 14


def test_finished_parts_survive_an_unreachable_endpoint(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dialogues = [dialogue(number, "EARLY") for number in range(32)] + [dialogue(40, "LATE")]
    fresh_governor(monkeypatch)
    settings = EndpointConfig(model="m", concurrency=8)
    plan: dict[str, Sequence[Line]] = {
        "EARLY": [render_thoughts("First the gene.", "It is GALC.")],
        "LATE": [broken(), broken(), broken(), render_thoughts("a", "b")],
    }
    with endpoint(plan) as up, Bar(Console(quiet=True), "rewriting", len(dialogues)) as bar:
        client, directory = up.client(None, cache=False), Directory(str(tmp_path))
        with pytest.raises(InfrastructureError):
            rewrite_all(dialogues, client, settings, directory, bar)
        request_count = up.requests
        rewrites = rewrite_all(dialogues, client, settings, directory, bar)
        assert up.requests == request_count + 1
    assert len(rewrites) == 66
    assert all(rewrite.outcome == REWRITTEN for rewrite in rewrites)


def test_the_prompt_has_numbered_thoughts_and_no_guidance(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    fresh_governor(monkeypatch)
    with (
        endpoint({"MARK": [render_thoughts("a", "b")]}) as up,
        Bar(Console(quiet=True), "rewriting", 1) as bar,
    ):
        rewrite_all(
            [dialogue()], up.client(None), EndpointConfig(model="m"), Directory(str(tmp_path)), bar
        )
        prompt = up.asked["MARK"][0][0]["content"]
    assert "Thought 1: I need it." in prompt
    assert "Thought 2: gene = GALC." in prompt
    assert "[MASK]" not in prompt


@given(
    st.text(alphabet=st.characters(blacklist_characters="<>")),
    st.text(max_size=40),
    st.text(max_size=40),
)
def test_a_thought_is_replaced_at_its_place_whatever_surrounds_it(
    text: str, before: str, after: str
) -> None:
    before, after = before.replace("<", ""), after.replace("<think>", "")
    content = f"{before}<think>same words</think>\n<tool_call>same words</tool_call>{after}"
    changed = replace_thought(content, text)
    assert changed == f"{before}<think>{text}</think>\n<tool_call>same words</tool_call>{after}"


def test_a_thought_without_a_closing_tag_is_skipped() -> None:
    trajectory, _ = dialogue()
    open_ = replace(
        trajectory,
        messages=(
            *trajectory.messages[:4],
            Message("assistant", "<think>gene\n<answer>GALC</answer>"),
        ),
    )
    assert [number for number, _ in find_thoughts(open_)] == [2]


def test_a_model_must_be_named() -> None:
    with pytest.raises(ValueError, match=r"rewrite\.model is empty"):
        TrajectoriesConfig(rewrite=EndpointConfig())
