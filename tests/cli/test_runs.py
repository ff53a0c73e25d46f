"""``medr runs``: what a root keeps, and the removal of what is not in use."""

from pathlib import Path

import pytest
from rich.console import Console
from support import toy_pipeline
from typer.testing import CliRunner

from medr_ray.cli.runs import app
from medr_ray.core.settings import load_config
from medr_ray.pipeline import run_pipeline


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """The folder of a run that keeps earlier results of both of its stages."""
    for steps in (3, 5):
        settings = [f"run.root={tmp_path}", "run.name=toy", f"graph.steps={steps}"]
        config = load_config(None, settings, environment={})
        stages = toy_pipeline.toy_stages()
        run_pipeline(
            config,
            console=Console(quiet=True),
            stages=stages,
            report=toy_pipeline.toy_report,
        )
    return tmp_path / "toy"


def medr_runs(command: str, toy: Path, *more: str) -> str:
    overrides = ["--set", f"run.root={toy.parent}", "--set", "run.name=toy"]
    done = CliRunner().invoke(app, [command, *overrides, *more])
    assert done.exit_code == 0, done.output
    return done.output


def test_earlier_results_are_listed_and_deleted_only_when_that_is_asked_for(toy: Path) -> None:
    kept = sorted((toy / "earlier").glob("*/*"))
    assert [path.parent.name for path in kept] == ["numbers", "total"]
    assert medr_runs("list", toy).count("earlier, finished") == 2
    assert medr_runs("prune", toy).endswith("nothing was deleted: --yes deletes them\n")
    assert all((path / "manifest.json").is_file() for path in kept)
    assert medr_runs("prune", toy, "--yes").count("deleted") == 2
    assert not any(path.exists() for path in kept)
    assert (toy / "numbers" / "manifest.json").is_file()
    assert "keeps no earlier results" in medr_runs("prune", toy)


def test_damaged_earlier_results_are_listed_as_unfinished_and_deleted(toy: Path) -> None:
    (manifest,) = (toy / "earlier").glob("total/*/manifest.json")
    manifest.write_text("{")
    assert medr_runs("list", toy).count("earlier, unfinished") == 1
    medr_runs("prune", toy, "--yes")
    assert not manifest.parent.exists()


def test_a_file_of_the_user_among_earlier_results_stays(toy: Path) -> None:
    (folder,) = (toy / "earlier").glob("total/*")
    notes = folder / "notes.txt"
    notes.write_text("years of work")
    assert "left there, as no stage has written them: notes.txt" in medr_runs("prune", toy, "--yes")
    assert [path for path in folder.rglob("*") if path.is_file()] == [notes]
    # A folder without results is nobody's to list.
    assert "keeps no earlier results" in medr_runs("prune", toy, "--yes")
    assert notes.read_text() == "years of work"
