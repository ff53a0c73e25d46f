"""Run directories: whole files or none, resuming, wiping, fingerprints, manifests."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.fs as pafs
import pytest
from rich.console import Console

from medr_ray.core.artifacts import Artifact
from medr_ray.core.errors import DataError, MedrError
from medr_ray.core.records import Chain
from medr_ray.core.run import (
    Counts,
    Directory,
    RunDirectory,
    Stage,
    StageContext,
    compute_fingerprint,
    open_run,
    run_stage,
)
from medr_ray.core.settings import load_config

CHAIN = Chain("chain-1", "S", ("S", "T"), ("rel-1",), 1, 1, True, 0.5, "dfs")
CHAINS = Artifact("chains", "chains.parquet", Chain)

# Writes one file over and over until it is killed; says so first.
ENDLESS_WRITER = """
import sys
from medr_ray.core.run import Directory
directory = Directory(sys.argv[1])
number = 0
while True:
    directory.write_bytes("part.bin", bytes([number % 256]) * 2_000_000)
    if number == 0:
        print("writing", flush=True)
    number += 1
"""


def do_nothing(context: StageContext) -> Counts:
    return {"rows": 7}


STAGE = Stage("graph", ("index",), ("graph",), do_nothing)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    directory = Directory(str(tmp_path)).child("stage")
    directory.write_json("a/b.json", {"é": 1})
    directory.write_records("chains.parquet", Chain, [CHAIN])
    directory.write_jsonl("chains.jsonl", [CHAIN])
    assert directory.read_json("a/b.json") == {"é": 1}
    assert directory.read_records("chains.parquet", Chain) == [CHAIN]
    assert directory.read_bytes("chains.jsonl").count(b"\n") == 1
    assert directory.list_files() == ["chains.jsonl", "chains.parquet"]
    assert directory.local == tmp_path / "stage"


def test_an_artifact_is_found_from_its_stage_and_from_the_run(tmp_path: Path) -> None:
    run = RunDirectory(str(tmp_path))
    assert not run.has(CHAINS)
    run.stage("chains").write(CHAINS, [CHAIN])
    assert run.has(CHAINS)
    assert run.read(CHAINS) == run.stage("chains").read(CHAINS) == [CHAIN]
    assert run.read(CHAINS, pads.field("chain_id") == "other") == []
    assert run.read_columns(CHAINS, ["seed"]).to_pylist() == [{"seed": "S"}]
    assert (tmp_path / "chains" / "chains.parquet").is_file()


def test_a_folder_of_parts_reads_as_one_table_in_name_order(tmp_path: Path) -> None:
    directory = Directory(str(tmp_path))
    for number in (2, 0, 1):
        directory.write_records(
            f"parts/part-{number:05d}.parquet",
            Chain,
            [Chain(f"chain-{number}", "S", (), (), 0, 0, True, 0.0, "x")],
        )
    table = directory.read_table("parts", columns=["chain_id"])
    assert table["chain_id"].to_pylist() == ["chain-0", "chain-1", "chain-2"]


def test_reading_what_no_stage_wrote_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"chains\.parquet does not exist"):
        Directory(str(tmp_path)).read_records("chains.parquet", Chain)


def test_a_directory_on_another_filesystem_works_the_same_but_is_not_local(tmp_path: Path) -> None:
    inner = pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem())
    directory = RunDirectory("mock://bucket/run", inner, "bucket/run").stage("graph")
    assert directory.prepare("fingerprint") is False
    directory.write_json("part.json", 1)
    assert directory.prepare("fingerprint") is True
    assert directory.read_json("part.json") == 1
    with pytest.raises(MedrError, match="not local"):
        _ = directory.local


@pytest.mark.slow
def test_a_process_killed_while_writing_leaves_no_half_file(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ENDLESS_WRITER, str(tmp_path)], stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"writing\n"
        writer.send_signal(signal.SIGKILL)
    data = (tmp_path / "part.bin").read_bytes()
    assert len(data) == 2_000_000
    assert len(set(data)) == 1
    assert Directory(str(tmp_path)).list_files() == ["part.bin"]


def test_parts_survive_a_restart_and_go_when_the_fingerprint_changes(tmp_path: Path) -> None:
    directory = RunDirectory(str(tmp_path)).stage("graph")
    assert directory.prepare("first") is False
    directory.write_json("part.json", 1)
    assert directory.prepare("first") is True
    assert directory.exists("part.json")
    assert directory.prepare("second") is False
    assert not directory.exists("part.json")


def test_clearing_removes_the_manifest_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = RunDirectory(str(tmp_path)).stage("graph")
    directory.prepare("first")
    directory.write_json("manifest.json", {"fingerprint": "first"})

    def raise_interrupt(self: Directory) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Directory, "clear", raise_interrupt)
    with pytest.raises(KeyboardInterrupt):
        directory.clear()
    assert not directory.is_finished("first")


def test_a_finished_stage_has_a_manifest_with_counts_inputs_and_versions(tmp_path: Path) -> None:
    config = load_config(None, [f"run.root={tmp_path}"], {})
    run = open_run(config)
    context = StageContext(config, run, run.stage("graph"), Console(file=io.StringIO()))
    manifest = run_stage(STAGE, context, "fingerprint", {"index": "up"})
    assert context.directory.manifest() == manifest
    assert context.directory.is_finished("fingerprint")
    assert not context.directory.is_finished("other")
    assert manifest["counts"] == {"rows": 7}
    assert manifest["inputs"] == {"index": "up"}
    assert {"ray", "medr-ray"} <= set(manifest["versions"])


def test_the_fingerprint_follows_what_decides_the_output_and_nothing_else() -> None:
    def fingerprint(*overrides: str, upstream: str = "a", stage: Stage = STAGE) -> str:
        return compute_fingerprint(
            stage, load_config(None, overrides, {}), {"index": upstream, "corpus": "never read"}
        )

    base = fingerprint()
    assert (
        fingerprint("chains.max_hops=3", "run.name=other", "run.root=/elsewhere", "ray.num_cpus=8")
        == base
    )
    with_input = Stage("graph", ("index",), ("graph",), do_nothing, inputs=lambda config: ["sha-1"])
    changed = [
        fingerprint("graph.steps=2"),
        fingerprint("run.seed=1"),
        fingerprint(upstream="b"),
        fingerprint(stage=with_input),
    ]
    assert len({base, *changed}) == 5


def test_a_relative_root_is_taken_from_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = open_run(load_config(None, ["run.root=runs", "run.name=x"], {}))
    run.stage("corpus").write_json("a.json", 1)
    assert os.path.exists(tmp_path / "runs" / "x" / "corpus" / "a.json")


def test_a_file_that_could_not_be_written_leaves_nothing(tmp_path: Path) -> None:
    directory = Directory(str(tmp_path))

    def rows() -> Iterator[pa.Table]:
        yield pa.table({"a": [1]})
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        directory.write_batches("t.parquet", pa.schema({"a": pa.int64()}), rows())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["flipped bit", "cut", "empty"])
def test_a_damaged_table_is_named_with_its_remedy(tmp_path: Path, damage: str) -> None:
    directory = Directory(str(tmp_path))
    directory.write_table("t.parquet", pa.table({"a": list(range(1000))}))
    content = bytearray((tmp_path / "t.parquet").read_bytes())
    if damage == "flipped bit":
        content[200] ^= 1
    length = {"flipped bit": len(content), "cut": len(content) // 2, "empty": 0}[damage]
    (tmp_path / "t.parquet").write_bytes(content[:length])
    with pytest.raises(DataError, match=r"t\.parquet is damaged .*--from"):
        directory.read_table("t.parquet")
    with pytest.raises(DataError, match=r"t\.parquet is damaged .*--from"):
        directory.query_table("t.parquet", limit=5)


def test_a_file_that_is_not_there_is_named_with_its_remedy(tmp_path: Path) -> None:
    directory = Directory(str(tmp_path))
    for read in (directory.read_bytes, directory.read_json, directory.query_table):
        with pytest.raises(DataError, match=r"gone does not exist: run the stage that writes it"):
            read("gone")
