"""``medr trajectories show``, ``stats``, ``policy``, ``export`` and ``card`` over a finished
stage."""

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from rich.console import Console
from support.agent_run import Echo, call, run
from support.questions import worded_question
from support.run_manifest import write_manifest

from medr_ray.agent.protocol import ToolCall, render_reply, render_responses
from medr_ray.agent.tool_features import extract_features
from medr_ray.agent.tool_policy import load_tool_policy
from medr_ray.cli.main import main
from medr_ray.cli.trajectories import print_dialogue
from medr_ray.core.records import FilteredTrajectory, Message, Trajectory, TurnLabels, Usage
from medr_ray.core.run import RunDirectory
from medr_ray.questions.artifacts import QUESTIONS
from medr_ray.questions.review.draw import Draw
from medr_ray.questions.review.verdicts import ReaderVerdict, VerdictStore, hash_content
from medr_ray.tools import registry
from medr_ray.tools.registry import Toolbox
from medr_ray.trajectories.artifacts import TRAJECTORIES
from medr_ray.trajectories.dataset import SAMPLE_FILE

QUESTION = worded_question()
LONG = "x" * 900


def _judged(number: int, *reasons: str) -> FilteredTrajectory:
    messages = (
        Message("system", "s"),
        Message("user", QUESTION.task.text),
        Message("assistant", render_reply("[bold]look", [ToolCall("search", {"query": "a"})])),
        Message("user", render_responses([LONG])),
        Message("assistant", render_reply("found", answer="GALC")),
    )
    trajectory = Trajectory(
        f"traj-{number}",
        QUESTION.task.task_id,
        "guided",
        0,
        messages,
        (),
        (),
        (),
        "GALC",
        "answered",
        Usage(0, 0, 0),
        None,
    )
    return FilteredTrajectory(trajectory, not reasons, reasons)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    run = RunDirectory(str(folder / "test"))
    run.write(QUESTIONS, [QUESTION])
    stage = run.stage("trajectories")
    judged = [_judged(1), _judged(2), _judged(3, "wrong answer: A in place of B")]
    stage.write(TRAJECTORIES, judged)
    stage.write_json(SAMPLE_FILE, {"traj-1": 2, "traj-2": 0})
    write_manifest(
        run,
        "trajectories",
        {
            "accepted": 2,
            "infrastructure_failures": 0,
            "statistics": {
                "switches tools": {"value": 0.5, "n": 2},
                "calls": {"value": 3.25, "n": 2},
            },
            "statistics_by_kind": {"mode": {"guided": {"calls": {"value": 4.0, "n": 1}}}},
            "rewritten": {},
            "passed": {"paradigm": {"lookup": [2, 3]}},
            "reasons": {"wrong answer": 1},
        },
        1.0,
    )
    return folder


def medr(root: Path, command: str, *arguments: str) -> int | str | None:
    (root / "c.yaml").write_text("run: {name: test}", encoding="utf-8")
    with pytest.raises(SystemExit) as exited:
        main(
            [
                "trajectories",
                command,
                "-c",
                str(root / "c.yaml"),
                "--set",
                f"run.root={root}",
                *arguments,
            ]
        )
    return exited.value.code


def test_one_dialogue_is_shown_with_its_verdict(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert medr(root, "show", "traj-3") == 0
    output = capsys.readouterr().out
    assert "rejected: wrong answer: A in place of B" in output
    assert "<think>[bold]look</think>" in output
    assert LONG not in output.replace("\n", "")
    assert medr(root, "show", "traj-1", "--whole") == 0
    output = capsys.readouterr().out
    assert "accepted" in output
    assert LONG in output.replace("\n", "")


def test_a_dialogue_is_shown_with_its_labels_hypotheses_and_evidence() -> None:
    trajectory = run(
        call("GALC"),
        call("GALC more", thought="Candidate: GALC."),
        "<think>GLA is no candidate.</think><answer>GALC</answer>",
        text=QUESTION.task.text,
        max_tool_calls=9,
    )
    labels = (TurnLabels(0, ("found_needed_fact",)), TurnLabels(1, ("verification", "redundant")))
    output = io.StringIO()
    console = Console(file=output, width=120)
    print_dialogue(FilteredTrajectory(trajectory, True, (), labels), False, console)
    lines = [" ".join(line.split()) for line in output.getvalue().splitlines()]
    for line in (
        "[assistant] 0 found needed fact",
        "[assistant] 1 verification, redundant",
        "[assistant] 2",
        "GALC candidate 1 supported PMID:GALC, PMID:GALC more",
        "GALC answer 2 supported PMID:GALC, PMID:GALC more",
        "0 GALC PMID:GALC",
        "1 GALC more PMID:GALC more",
    ):
        assert line in lines


def test_an_unknown_dialogue_is_an_error_and_the_stage_is_shown_without_an_id(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert medr(root, "show", "traj-9") == 1
    assert "has no trajectory traj-9" in capsys.readouterr().err
    assert medr(root, "show", "--rows", "1") == 0
    assert "trajectories in 1.0 s" in capsys.readouterr().out


def test_the_figures_stand_beside_the_papers(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert medr(root, "stats") == 0
    output = " ".join(capsys.readouterr().out.split())
    for part in (
        "accepted trajectories here paper n",
        "switches tools 50.0% 42.0% 2",
        "calls 3.2 4.2 2",
        "paradigm lookup 2 3 67%",
        "wrong answer 1",
    ):
        assert part in output
    assert "guided" not in output
    assert medr(root, "stats", "--by", "mode") == 0
    output = " ".join(capsys.readouterr().out.split())
    assert "mode: guided here paper n calls 4.0 4.2 1" in output
    assert medr(root, "stats", "--by", "colour") == 2


def test_accepted_dialogues_are_exported_in_either_form_and_as_sampled(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert medr(root, "export") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["trajectory_id"] for row in rows] == ["traj-1", "traj-2"]
    assert rows[0]["messages"][2]["role"] == "assistant"
    file = tmp_path / "out.jsonl"
    assert medr(root, "export", "--format", "sharegpt", "--sampled", "-o", str(file)) == 0
    assert f"2 rows in {file}" in capsys.readouterr().err
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [row["trajectory_id"] for row in rows] == ["traj-1", "traj-1"]
    assert rows[0]["conversations"][0]["from"] == "human"
    assert medr(root, "export", "--format", "csv") == 2


def test_native_calls_are_exported_with_the_tools_of_the_configuration(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "open_tools", lambda config, index: Toolbox([Echo("search")]))
    file = tmp_path / "native.parquet"
    assert medr(root, "export", "--format", "tool_calls", "-o", str(file)) == 0
    rows = pq.read_table(file).to_pylist()
    assert [row["trajectory_id"] for row in rows] == ["traj-1", "traj-2"]
    assert json.loads(rows[0]["tools"])[0]["function"]["name"] == "search"
    # Other readers than ``datasets`` may give the JSON as its text.
    messages = [json.loads(text) if isinstance(text, str) else text for text in rows[0]["messages"]]
    assert messages[2]["tool_calls"][0]["function"]["arguments"] == {"query": "a"}


def test_pairs_are_exported_and_where_there_are_none_the_setting_is_named(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert medr(root, "export", "--format", "pairs") == 0
    (row,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (row["chosen_id"], row["rejected_id"]) == ("traj-1", "traj-3")
    assert medr(root, "export", "--format", "pairs", "--sampled") == 2
    run = RunDirectory(str(tmp_path / "test"))
    run.write(QUESTIONS, [QUESTION])
    run.write(TRAJECTORIES, [_judged(1)])
    write_manifest(run, "trajectories", {}, 1.0)
    capsys.readouterr()
    elsewhere = ["--set", f"run.root={tmp_path}"]
    assert medr(root, "export", "--format", "pairs", *elsewhere) == 1
    message = " ".join(capsys.readouterr().err.split())
    assert "has no preference pairs: 1 of 1 questions have accepted dialogues only" in message
    assert "Set trajectories.rollouts_per_question to 2 or more" in message
    run.write(TRAJECTORIES, [_judged(3, "gave up: after 1 calls")])
    assert medr(root, "export", *elsewhere) == 1
    assert "no accepted trajectories to export" in " ".join(capsys.readouterr().err.split())


def test_an_unfinished_stage_has_nothing_to_export(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert medr(root, "export", "--set", f"run.root={tmp_path}") == 1
    assert "run `medr trajectories run`" in " ".join(capsys.readouterr().err.split())


def test_the_card_has_front_matter_counts_licences_and_what_readers_found(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert medr(root, "card") == 0
    printed = capsys.readouterr().out
    _, front_matter, text = printed.split("---\n", 2)
    fields = yaml.safe_load(front_matter)
    assert (fields["license"], fields["language"]) == ("other", ["en"])
    assert fields["size_categories"] == ["n<1K"]
    assert fields["task_categories"] == ["question-answering", "text-generation"]
    for part in (
        "2 accepted dialogues of 3 played; they answer 1 of 1 questions, in en.",
        "| wrong answer | 1 |",
        "| guided | 2 | 1 |",
        "| neurology | 2 | 1 |",
        "| orphanet | 2 | 1 |",
        "| switches tools | 0.5 | 0.42 | 2 |",
        "CC BY 4.0",
        "Not reviewed",
        "there are 1 pairs",
        "## Limits",
    ):
        assert part in text
    file = tmp_path / "README.md"
    assert medr(root, "card", "-o", str(file)) == 0
    assert file.read_text(encoding="utf-8") == printed


def test_the_card_has_the_share_that_readers_accepted(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "runs"
    shutil.copytree(root, copy)
    draw = Draw(7, 1, None)
    VerdictStore(RunDirectory(str(copy / "test"))).append(
        ReaderVerdict(
            question_id=QUESTION.task.task_id,
            content=hash_content(QUESTION),
            reviewer="reader",
            decision="accept",
            codes=(),
            is_research=True,
            note="",
            time="2026-01-01T00:00:00+00:00",
            draw=draw,
        )
    )
    assert medr(copy, "card") == 0
    output = capsys.readouterr().out
    assert "accepted by readers: 1 of 1 (100.0 %" in output
    assert "Not reviewed" not in output


def test_the_choice_of_tools_is_fitted_and_saved_as_agents_read_it(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(registry, "open_tools", lambda config, index: Toolbox([], len))
    file, empty = tmp_path / "policy.json", ["--set", f"run.root={tmp_path}"]
    write_choices(tmp_path, 0)
    assert medr(root, "policy", *empty) == 1
    assert "no call to medical_search or search" in capsys.readouterr().err
    write_choices(tmp_path, 12)
    assert medr(root, "policy", *empty, "-o", str(file)) == 0
    output = " ".join(capsys.readouterr().out.split())
    assert "24 calls, 50% of them to medical_search" in output
    assert "area under the ROC curve 1.000" in output, "the general search comes first, always"
    fitted = load_tool_policy(str(file))
    features = extract_features(QUESTION.task.text, (), len)
    assert fitted.mean[0] == features[0], "words are weighed as the agent's tools weigh them"
    assert fitted.medical_probabilities([features])[0] < 0.5


def write_choices(folder: Path, count: int) -> None:
    """A run with trajectories that call ``search``, then ``medical_search``."""
    trajectory = run(
        call("a"),
        call("b", name="medical_search"),
        tools=[Echo("search"), Echo("medical_search")],
        text=QUESTION.task.text,
        max_tool_calls=9,
    )
    rows = [
        FilteredTrajectory(
            replace(trajectory, trajectory_id=f"traj-{n}", question_id=f"q-{n}"), True, ()
        )
        for n in range(count)
    ] or [_judged(1)]
    RunDirectory(str(folder / "test")).write(TRAJECTORIES, rows)
