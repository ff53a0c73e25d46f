"""Values written once: the first writer wins, and every reader gets that value."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs
import pytest

from medr_ray.core.errors import DataError
from medr_ray.core.run import Directory
from medr_ray.tools.cassette.write_once_store import FirstWriterArbiter, WriteOnceStore


def bucket(folder: Path) -> Directory:
    """A folder on a file system that does not say it is local, as object storage."""
    folder.mkdir(exist_ok=True)
    return Directory(
        "mock://bucket", pafs.SubTreeFileSystem(str(folder), pafs.LocalFileSystem()), "cassette"
    )


@pytest.fixture(params=["local", "bucket"])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Directory:
    return Directory(str(tmp_path / "cassette")) if request.param == "local" else bucket(tmp_path)


def test_the_first_value_stays_and_its_order_of_keys(directory: Directory) -> None:
    store = WriteOnceStore(directory)
    assert store.get("a/b.json") is None
    assert store.put_if_absent("a/b.json", {"z": "p<0.05 \ud800", "a": [1]}) == {
        "z": "p<0.05 \ud800",
        "a": [1],
    }
    assert store.put_if_absent("a/b.json", {"z": 2}) == {"z": "p<0.05 \ud800", "a": [1]}
    assert list(WriteOnceStore(directory).get("a/b.json") or {}) == ["z", "a"]
    assert directory.list_files("a") == ["b.json"]


@pytest.mark.parametrize("local", [True, False])
def test_a_writer_that_saw_no_value_may_still_not_be_the_first(tmp_path: Path, local: bool) -> None:
    class Meeting(Directory):
        """Each writer looks before any has written."""

        looks = 0

        def exists(self, name: str) -> bool:
            Meeting.looks += 1
            return Meeting.looks % 2 == 0 and super().exists(name)

    plain = Directory(str(tmp_path)) if local else bucket(tmp_path)
    store = WriteOnceStore(Meeting(plain.uri, plain.fs, plain.path))
    assert [store.put_if_absent("x.json", {"by": number}) for number in range(3)] == [{"by": 0}] * 3


def test_concurrent_writers_all_get_the_same_value(directory: Directory) -> None:
    store, meet = WriteOnceStore(directory), threading.Barrier(16)

    def write(number: int) -> dict[str, Any]:
        meet.wait()
        return store.put_if_absent("x.json", {"by": number})

    with ThreadPoolExecutor(16) as pool:
        given = list(pool.map(write, range(16)))
    assert {record["by"] for record in given} == {given[0]["by"]}
    assert store.get("x.json") == given[0]


@pytest.mark.slow
def test_processes_of_a_host_agree(tmp_path: Path) -> None:
    script = (
        "import sys, json\nfrom medr_ray.core.run import Directory\n"
        "from medr_ray.tools.cassette.write_once_store import WriteOnceStore\n"
        f"store = WriteOnceStore(Directory({str(tmp_path)!r}))\nsys.stdin.readline()\n"
        "by = {'by': sys.argv[1]}\n"
        "print(json.dumps([store.put_if_absent(f'{i}.json', by) for i in range(200)]))\n"
    )
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(i)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for i in range(2)
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
    first, second = [writer.communicate()[0] for writer in writers]
    assert first == second
    assert len(list(tmp_path.iterdir())) == 200  # nothing unfinished is left


def test_a_file_that_is_no_value_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{oops")
    (tmp_path / "b.json").write_text("[1]")
    store = WriteOnceStore(Directory(str(tmp_path)))
    with pytest.raises(DataError, match=r"a\.json is not JSON"):
        store.get("a.json")
    (tmp_path / "c.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match=r"c\.json is nested more than"):
        store.get("c.json")
    with pytest.raises(DataError, match=r"b\.json holds no JSON object"):
        store.put_if_absent("b.json", {})


def test_the_arbiter_remembers_only_recent_writers() -> None:
    arbiter = FirstWriterArbiter()
    assert arbiter.first_value("a", b"1") == b"1"
    assert arbiter.first_value("a", b"2") == b"1"
    for number in range(2000):
        arbiter.first_value(str(number), b"")
    assert arbiter.first_value("a", b"3") == b"3"


@pytest.mark.slow
def test_workers_of_a_cluster_agree_over_object_storage(tmp_path: Path, ray_local: None) -> None:
    import ray

    writers = [
        ray.remote(WriteOnceStore).options(num_cpus=1).remote(bucket(tmp_path)) for _ in range(3)
    ]
    for name in "abc":
        references = [
            writer._first_value.remote(name, str(number).encode())
            for number, writer in enumerate(writers)
        ]
        assert len(set(ray.get(references))) == 1
        assert ray.get(writers[0]._first_value.remote(name, b"late")) != b"late"
