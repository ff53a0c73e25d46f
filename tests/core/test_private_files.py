"""What runs and caches hold is for their owner alone."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from medr_ray.core.lock import run_lock
from medr_ray.core.private_files import make_private_folder
from medr_ray.core.run import Directory
from medr_ray.llm.cache import ResponseCache


@pytest.fixture(autouse=True)
def open_mask() -> Iterator[None]:
    """The usual rights of new files: everybody may read them."""
    earlier = os.umask(0o022)
    yield
    os.umask(earlier)


def rights(folder: Path) -> set[str]:
    """Of everything below a folder."""
    return {
        f"{'folder' if path.is_dir() else 'file'} {path.stat().st_mode & 0o777:o}"
        for path in folder.rglob("*")
    }


def test_a_run_is_its_owners(tmp_path: Path) -> None:
    run = Directory(str(tmp_path / "runs" / "default"))
    with run_lock(run):
        run.child("graph").write_json("manifest.json", {})
        run.child("graph").link_or_copy("manifest.json", "old/manifest.json")
        run.child("graph").copy_to(run.child("earlier/graph"))
    assert rights(tmp_path) == {"folder 700", "file 600"}


def test_the_cache_of_replies_is_its_owners(tmp_path: Path) -> None:
    cache = ResponseCache(tmp_path / "llm")
    cache.put("key", {"text": "paid"})
    assert rights(tmp_path) == {"folder 700", "file 600"}
    cache.close()


def test_a_folder_that_exists_keeps_its_rights(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o750)
    make_private_folder(shared)
    make_private_folder(shared / "a" / "b")
    assert shared.stat().st_mode & 0o777 == 0o750
    assert (shared / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_a_file_in_the_way_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(OSError, match=r"file"):
            make_private_folder(folder)
