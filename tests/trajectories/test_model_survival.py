"""Dialogues of a language model, and thoughts that one rewrites, survive kill -9: no request that
was answered is sent again."""

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from support import trajectories_driver
from support.disturbing import finish, kill_driver
from support.loopback import server
from support.questions import with_task, worded_question
from support.small_index import build_index
from support.teaching_model import (
    Part,
    TeachingModel,
    name_answer,
    word_question,
    write_report,
)
from support.tiny_model import build_tiny_model

from medr_ray.agent.protocol import parse_reply
from medr_ray.core.records import Question
from medr_ray.core.run import RunDirectory, open_run
from medr_ray.core.settings import load_config
from medr_ray.llm.cache import CACHE_FILE
from medr_ray.questions.artifacts import QUESTIONS
from medr_ray.retrieval.documents import Document
from medr_ray.trajectories.artifacts import TRAJECTORIES

pytestmark = [pytest.mark.slow, pytest.mark.processes, pytest.mark.timeout(300)]

_CASES = ("ada", "bex", "cid", "dov", "eli", "fay", "gus", "hal")
_TURNS = 2  # requests of a dialogue
_CONCURRENCY = 2  # open requests, all of which a kill loses
_POLL_SECONDS = 0.02
_SETTLED_SECONDS = 0.3  # without a new request or answer, everything has arrived


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The configuration of a run whose stages before the trajectories are finished."""
    endpoint = {
        "base_url": server().url_for("/v1"),
        "model": "tiny",
        "concurrency": _CONCURRENCY,
        "requests_per_minute": 1e6,
    }
    file = tmp_path / "config.yaml"
    settings = {
        "run": {"root": str(tmp_path)},
        "llm": endpoint,
        "models": {"policy": str(build_tiny_model(tmp_path / "model"))},
        "agent": {"tools": ["search"], "max_tool_calls": 3},
        "retrieval": {"mode": "text", "results": 2},
        "trajectories": {
            "teacher": "llm",
            "rewrite": endpoint,
            "max_tokens": 4096,
            "tool_failure_rate": 0,
        },
        "rollouts": {"workers": 1, "max_workers": 1, "concurrency": _CONCURRENCY, "part_size": 4},
    }
    file.write_text(yaml.safe_dump(settings))
    run = open_run(load_config(file, (), environment={}))
    run.write(QUESTIONS, [_make_question(case) for case in _CASES])
    documents = [
        Document(
            f"PMID:{number}", "pubmed", f"Case {case}", write_report(case), 2000, (), False, ""
        )
        for number, case in enumerate(_CASES)
    ]
    build_index(Path(run.local) / "index", documents)
    return file


def _make_question(case: str) -> Question:
    question = replace(worded_question(word_question(case), name_answer(case)), split="train")
    return with_task(question, task_id=f"q-{case}", answer_type="gene")


def _execute_stage(config: Path, *part: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, trajectories_driver.__file__, str(config), *part]
    with (config.parent / "log.txt").open("wb") as log:
        return subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | {"RAY_AUTH_MODE": "disabled"},
        )


def _count_stored(root: Path) -> int:
    """How many answers the run keeps."""
    file = root / "default" / "llm" / CACHE_FILE
    if not file.exists():
        return 0
    with closing(sqlite3.connect(file)) as database:
        return int(database.execute("SELECT count(*) FROM responses").fetchone()[0])


def _kill_in_silence(config: Path, model: TeachingModel, part: Part, after: int) -> None:
    """Run the stage until the model has answered so many requests of this part, and kill it when
    all that it was answered is kept."""
    held = model.held.total()
    model.fall_silent(part, after)
    process = _execute_stage(config)
    quiet_since = time.monotonic()
    seen = (0, 0)
    while seen[0] == held or time.monotonic() < quiet_since + _SETTLED_SECONDS:
        assert process.poll() is None, (config.parent / "log.txt").read_text()[-3000:]
        time.sleep(_POLL_SECONDS)
        if seen != (model.held.total(), model.answered.total()):
            seen = (model.held.total(), model.answered.total())
            quiet_since = time.monotonic()
    assert _count_stored(config.parent) == model.answered.total()
    kill_driver(process)
    model.speak()


def test_kills_in_teaching_and_in_rewriting_cost_what_was_open_and_not_more(config: Path) -> None:
    model = TeachingModel(server())
    try:
        _kill_in_silence(config, model, "teaching", 5)
        assert model.count_answers("teaching") == 5
        _kill_in_silence(config, model, "rewriting", 3)
        assert model.count_answers("rewriting") == 3
        finish(_execute_stage(config, "rewrite"), config.parent)
    finally:
        model.speak()
        server().clear()
    assert model.count_answers("teaching") == _TURNS * len(_CASES)
    assert model.count_answers("rewriting") == len(_CASES)
    assert set(model.answered.values()) == {1}, "no request was answered twice"
    assert model.held.total() <= 2 * _CONCURRENCY
    judged = RunDirectory(str(config.parent / "default")).stage("trajectories").read(TRAJECTORIES)
    assert {entry.trajectory.answer for entry in judged} == set(map(name_answer, _CASES))
    assert all(entry.accepted for entry in judged), [entry.reasons for entry in judged]
    thoughts = [parse_reply(entry.trajectory.messages[2].content).thought for entry in judged]
    assert sorted(thoughts) == [f"First the report of case {case}." for case in _CASES]
