"""A mirror is checked offline, and what is wrong is mended by the next download."""

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.mirror_rig import CONTENT, FIRST, SECOND, Rig
from support.pubmed_server import answers, md5

from medr_ray.core.errors import DataError
from medr_ray.core.progress import Bar
from medr_ray.corpus import mirror_verification
from medr_ray.corpus.mirror_verification import verify_mirror


def test_verify_finds_what_is_wrong_and_the_next_download_mends_it(rig: Rig) -> None:
    rig.fetch()
    verify_mirror(rig.root, rig.console)
    assert "verify: 3 files, 127.0 kB, 0 wrong" in rig.printed.getvalue()
    flipped = bytearray(CONTENT[FIRST])
    flipped[1000] ^= 1
    (rig.root / FIRST).write_bytes(flipped)
    (rig.root / SECOND).unlink()
    (rig.root / "updatefiles" / "pubmed26n0004.xml.gz.part").write_bytes(b"half")
    with pytest.raises(DataError, match="3 wrong"):
        verify_mirror(rig.root, rig.console)
    printed = rig.printed.getvalue()
    assert f"{FIRST}: corrupt: its MD5 is {md5(bytes(flipped))}" in printed
    assert f"{SECOND}: missing" in printed
    assert "updatefiles/pubmed26n0004.xml.gz.part: half downloaded" in printed
    os.unlink(rig.root / "updatefiles" / "pubmed26n0004.xml.gz.part")
    rig.fetch()
    rig.assert_whole()
    verify_mirror(rig.root, rig.console)


def test_verify_reports_files_without_proof_and_of_two_years(rig: Rig) -> None:
    rig.fetch()
    (rig.root / f"{FIRST}.md5").unlink()
    (rig.root / "baseline" / "pubmed25n0001.xml.gz").write_bytes(b"old")
    with pytest.raises(DataError, match="3 wrong"):
        verify_mirror(rig.root, rig.console)
    assert "has no .md5" in rig.printed.getvalue()
    assert "several years, pubmed25, pubmed26" in rig.printed.getvalue()


def test_a_failed_download_is_wrong_until_it_is_fetched(rig: Rig) -> None:
    rig.fault(FIRST, answers(403))
    with pytest.raises(DataError, match="403"):
        rig.fetch()
    with pytest.raises(DataError, match="1 wrong"):
        verify_mirror(rig.root, rig.console)
    assert (
        f"{FIRST}: was wrong before, and not fetched since: the source answers 403"
        in rig.printed.getvalue()
    )


def test_files_are_not_hashed_for_a_consumer_that_is_gone(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.fetch()
    hashed: list[Path] = []
    shutdown_has_begun = threading.Event()

    def hash_file(path: Path) -> str:
        hashed.append(path)
        if len(hashed) > 1:
            shutdown_has_begun.wait(30)
        return "0"

    class Pool(ThreadPoolExecutor):
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            shutdown_has_begun.set()
            super().shutdown(wait=wait)

    class FullBar(Bar):
        def advance(self, count: int = 1, note: str = "") -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(mirror_verification, "compute_file_md5", hash_file)
    monkeypatch.setattr(mirror_verification, "ThreadPoolExecutor", Pool)
    monkeypatch.setattr(mirror_verification, "Bar", FullBar)
    monkeypatch.setattr(mirror_verification, "_HASHERS", 1)
    with pytest.raises(OSError, match="No space"):
        verify_mirror(rig.root, rig.console)
    assert len(hashed) <= 2
    assert not any(thread.name.startswith("ThreadPool") for thread in threading.enumerate())


def test_a_folder_without_files_and_a_broken_manifest_are_errors(tmp_path: Path, rig: Rig) -> None:
    with pytest.raises(DataError, match="nothing to verify"):
        verify_mirror(tmp_path, rig.console)
    (tmp_path / "manifest.json").write_text('{"files": [{"name": 1}]}')
    with pytest.raises(DataError, match="no manifest of a mirror"):
        verify_mirror(tmp_path, rig.console)
