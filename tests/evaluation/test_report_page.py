"""The page of a report: what stands in the file, and what cannot."""

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from support.handmade_run import write_run
from support.reported_answers import (
    HOSTILE,
    make_answer,
    make_hostile_answer,
    make_large_answers,
)

from medr_ray.agent.episode_view import read_episode_script
from medr_ray.core.records import Task
from medr_ray.core.run import Directory
from medr_ray.evaluation.report import write_report
from medr_ray.evaluation.report.answers import ReportedAnswer
from medr_ray.evaluation.report.page import PageContent, files, write_page

_DATA = re.compile(r'<script type="application/json" id="report-data">(.*?)</script>', re.DOTALL)
_PACKED = re.compile(r'<script type="text/plain" id="trajectory-\d+">(.*?)</script>')


def write_answers(folder: Path, answers: Sequence[ReportedAnswer]) -> str:
    """The text of a page with these answers."""
    write_page(Directory(str(folder)), "page", PageContent("Title", (), (), (), tuple(answers), ()))
    return (folder / "page.html").read_text()


def read_data(page: str) -> dict[str, Any]:
    match = _DATA.search(page)
    assert match is not None
    return dict(json.loads(match[1]))


def inflate(text: str) -> list[dict[str, Any]]:
    return list(json.loads(zlib.decompress(base64.b64decode(text))))


def test_the_page_of_a_run_has_its_figures_curves_tables_and_answers(tmp_path: Path) -> None:
    config, run = write_run(tmp_path, {"base": 0, "sft": 15, "grpo": 30}, unscored=2)
    write_report(config, run)
    data = read_data((run.local / "report.html").read_text())
    (headline,) = data["headlines"]
    assert [model["name"] for model in headline["models"]] == ["base", "sft", "grpo"]
    assert headline["models"][1]["value"] == pytest.approx(15 / 38)
    assert headline["models"][1]["unscored"] == 2
    assert headline["sentences"][0].startswith("sft beats base")
    curves = {curve["title"]: curve for curve in data["curves"]}
    assert curves["SFT loss"]["points"] == [[1, 3.0], [2, 2.0], [3, 1.0]]
    # The middle half of the rewards of each update, without the one that was not scored.
    assert curves["GRPO reward"]["band"] == [
        [1, pytest.approx(0.15), pytest.approx(0.55)],
        [2, pytest.approx(0.3), pytest.approx(0.9)],
    ]
    assert "Stages" in [table["title"] for table in data["tables"]]
    assert len(data["tasks"]) == 40
    assert len(data["answers"]) == 120
    verdicts = [answer["scores"][0]["verdict"] for answer in data["answers"]]
    assert (verdicts.count("correct"), verdicts.count("unscored")) == (45, 6)


def test_every_trajectory_stands_whole_in_the_page(tmp_path: Path) -> None:
    answers = list(make_large_answers(3, 2_000))
    page = write_answers(tmp_path, answers)
    packed = _PACKED.findall(page)
    assert len(packed) == 3
    for answer, text in zip(answers, packed, strict=True):
        trajectory = answer.trajectory
        assert trajectory is not None
        events = inflate(text)
        messages = [
            (event["role"], event["content"]) for event in events if event["type"] == "message"
        ]
        assert messages == [(message.role, message.content) for message in trajectory.messages]
        kinds = [event["type"] for event in events if event["type"] != "message"]
        assert (kinds[0], kinds[-1]) == ("start", "answer")
        assert kinds.count("tool_call") == kinds.count("tool_result") == 10
        assert kinds.count("thought") == 11
        assert events[-1]["text"] == trajectory.answer
        assert events[-1]["seconds"] == answer.seconds


def test_answers_that_infrastructure_failed_have_no_trajectory(tmp_path: Path) -> None:
    good = next(make_large_answers(1, 1_000))
    failed = make_answer(good.task, None, "unscored", model="other")
    page = write_answers(tmp_path, [failed, good])
    assert [answer["trajectory"] for answer in read_data(page)["answers"]] == [None, 0]
    assert len(_PACKED.findall(page)) == 1


def test_no_text_of_a_model_is_html_in_the_file(tmp_path: Path) -> None:
    page = write_answers(tmp_path, [make_hostile_answer()])
    # Data, one trajectory and the scripts: no other element begins or ends.
    assert page.count("</script>") == 3
    assert page.count("<script") - read_episode_script().count("<script") == 3
    assert "<img" not in page
    assert "<!--" not in page
    data = read_data(page)
    assert data["tasks"][0]["text"] == " ".join(HOSTILE)
    assert data["answers"][0]["model"] == HOSTILE[1]


def test_the_title_and_the_notes_are_escaped(tmp_path: Path) -> None:
    content = PageContent(HOSTILE[0], (), (), (), (), (HOSTILE[1],))
    write_page(Directory(str(tmp_path)), "page", content)
    page = (tmp_path / "page.html").read_text()
    assert page.count("</script>") == 2
    assert "<img" not in page


def test_texts_that_are_no_unicode_are_written_too(tmp_path: Path) -> None:
    task = Task("q-1", "half \ud83d of a pair", "en", "x")
    trajectory = next(make_large_answers(1, 500)).trajectory
    assert trajectory is not None
    trajectory = replace(trajectory, answer="half \ud83d")
    page = write_answers(tmp_path, [make_answer(task, trajectory, "correct")])
    assert read_data(page)["tasks"][0]["text"] == task.text
    assert inflate(_PACKED.findall(page)[0])[-1]["text"] == "half \ud83d"


def test_the_policy_allows_the_page_s_own_scripts_and_nothing_else(tmp_path: Path) -> None:
    page = write_answers(tmp_path, list(make_large_answers(1, 500)))
    match = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert match is not None
    rules = dict(rule.split(" ", 1) for rule in match[1].split("; "))
    script = page.rpartition("<script>")[2].partition("</script>")[0]
    style = page.partition("<style>")[2].partition("</style>")[0]
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == hash_source(script)
    assert rules["style-src"] == hash_source(style)
    assert rules["require-trusted-types-for"] == "'script'"


def hash_source(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def test_the_scripts_never_make_html_of_text_and_load_nothing() -> None:
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|"
        r"setAttribute\(\"on|fetch\(|XMLHttpRequest|https?://(?!www\.w3\.org/2000/svg)"
    )
    assets = [
        asset
        for package in ("medr_ray.agent.episode_view", "medr_ray.evaluation.report.page")
        for asset in resources.files(package).iterdir()
        if asset.name.endswith((".js", ".css"))
    ]
    assert len(assets) == 7
    for asset in assets:
        assert forbidden.findall(asset.read_text()) == [], asset.name


def test_large_trajectories_are_files_beside_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MOST_BYTES", 20_000)
    monkeypatch.setattr(files, "_FILE_BYTES", 10_000)
    answers = list(make_large_answers(7, 10_000))
    pointer = write_answers(tmp_path, answers)
    assert 'href="page/index.html"' in pointer
    page = (tmp_path / "page" / "index.html").read_text()
    assert _PACKED.findall(page) == []
    stored: dict[int, str] = {}
    for file in read_data(page)["files"]:
        text = (tmp_path / "page" / file["name"]).read_text()
        match = re.fullmatch(r"storeTrajectories\((\d+), (\[.*\])\);\n", text)
        assert match is not None
        texts = json.loads(match[2])
        assert (int(match[1]), len(texts)) == (file["first"], file["count"])
        stored.update(enumerate(texts, file["first"]))
    assert [inflate(stored[number])[-1]["text"] for number in range(7)] == [
        answer.prediction for answer in answers
    ]


def test_a_training_that_diverged_still_has_a_page(tmp_path: Path) -> None:
    config, run = write_run(tmp_path, {"base": 0, "sft": 15, "grpo": 30})
    lines = '{"step": 1, "loss": 2.0}\n{"step": 2, "loss": null}\n'
    run.stage("sft").write_bytes("metrics.jsonl", lines.encode())
    write_report(config, run)
    (curve,) = [
        curve
        for curve in read_data((run.local / "report.html").read_text())["curves"]
        if curve["title"] == "SFT loss"
    ]
    assert curve["points"] == [[1, 2.0]]
