"""The stages as Ray jobs: ``ray job submit``, ``medr submit``, token authentication, failures that
stay failures."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.jobs_cluster import Cluster, start_cluster

from medr_ray.core.records import Citation
from medr_ray.core.run import RunDirectory

pytestmark = [pytest.mark.slow, pytest.mark.processes]
FILES = ("pubmed26n1334_pmparser_baseline.xml.gz", "pubmed26n1335_pmparser_update.xml.gz")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with start_cluster() as started:
        yield started


@pytest.fixture(scope="module")
def settings(shared_data: Path) -> list[str]:
    """Small real input: a baseline file and the update that revises and deletes some of it."""
    files = ", ".join(str(shared_data / "pubmed" / name) for name in FILES)
    return ["--set", f"corpus.sources=[{files}]", "--set", "entities.vocabularies=[drugs]"]


def test_ray_job_submit_runs_stages_on_the_cluster(
    cluster: Cluster, settings: list[str], tmp_path: Path
) -> None:
    done = cluster.run(
        "ray",
        "job",
        "submit",
        "--address",
        cluster.address,
        "--working-dir",
        ".",
        "--",
        "python",
        "jobs/run_pipeline.py",
        "-c",
        "configs/quickstart.yaml",
        "--until",
        "entities",
        "--set",
        f"run.root={tmp_path}",
        *settings,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run = RunDirectory(str(tmp_path / "quickstart"))
    for stage in ("corpus", "entities"):
        manifest = run.stage(stage).manifest()
        assert manifest is not None
        assert manifest["seconds"] > 0
    files = {row["source_file"] for row in run.stage("corpus").read_table("citations").to_pylist()}
    assert {Path(name).name for name in files} == set(FILES)


def test_medr_submit_does_the_same_and_follows_the_log(
    cluster: Cluster, settings: list[str], tmp_path: Path
) -> None:
    done = cluster.run(
        "medr",
        "submit",
        "--address",
        cluster.address,
        "-c",
        "configs/quickstart.yaml",
        "--stage",
        "corpus",
        "--wait",
        "--set",
        f"run.root={tmp_path}",
        *settings,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "corpus: finished" in done.stdout
    corpus = RunDirectory(str(tmp_path / "quickstart")).stage("corpus")
    assert corpus.manifest() is not None
    assert corpus.read_records("citations", Citation)


def test_a_job_runs_the_code_it_was_submitted_with(cluster: Cluster) -> None:
    done = cluster.run(
        "ray",
        "job",
        "submit",
        "--address",
        cluster.address,
        "--working-dir",
        ".",
        "--",
        "python",
        "-c",
        "import medr_ray; print(medr_ray.__file__)",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "working_dir_files" in done.stdout


def test_a_failing_job_is_exit_1_with_its_reason(cluster: Cluster, tmp_path: Path) -> None:
    done = cluster.run(
        "medr",
        "submit",
        "--address",
        cluster.address,
        "-c",
        "configs/quickstart.yaml",
        "--stage",
        "corpus",
        "--wait",
        "--set",
        f"run.root={tmp_path}",
        "--set",
        "corpus.sources=[/nowhere/*.xml.gz]",
    )
    assert done.returncode == 1
    assert "/nowhere/" in done.stdout
    assert "Traceback" not in done.stderr


def test_without_the_token_the_cluster_refuses(cluster: Cluster, tmp_path: Path) -> None:
    refused = cluster.run(
        "medr",
        "submit",
        "--address",
        cluster.address,
        "-c",
        "configs/quickstart.yaml",
        RAY_AUTH_MODE="disabled",
        RAY_AUTH_TOKEN_PATH=str(tmp_path / "none"),
    )
    assert refused.returncode == 1
    assert "uthentication" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_medr_submit_finds_the_token_when_the_mode_is_not_set(
    cluster: Cluster, tmp_path: Path
) -> None:
    environment = {
        name: value for name, value in cluster.environment.items() if name != "RAY_AUTH_MODE"
    }
    done = Cluster(cluster.address, environment).run(
        "medr",
        "submit",
        "--address",
        cluster.address,
        "-c",
        "configs/quickstart.yaml",
        "--stage",
        "corpus",
        "--set",
        f"run.root={tmp_path}",
        "--set",
        "corpus.sources=[/nowhere/*.xml.gz]",
    )
    assert done.returncode == 0, done.stderr
    assert "submitted raysubmit_" in done.stdout
