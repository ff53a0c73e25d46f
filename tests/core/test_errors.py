"""An error that a user can mend is one line, wherever it was raised."""

import errno
import os
import sqlite3
from pathlib import Path

import pytest
from ray.exceptions import OutOfDiskError

from medr_ray.core.errors import (
    ConfigError,
    DataError,
    InfrastructureError,
    explain_error,
    is_interruption,
)


def raised_from(cause: BaseException) -> BaseException:
    error = RuntimeError("the worker failed")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EACCES, "give this user the right"),
        (errno.EROFS, "mounted read-only"),
        (errno.ENOTDIR, "a file is in the way"),
        (errno.EISDIR, "it is a folder"),
        (errno.EEXIST, "move it"),
        (errno.EIO, "the disk fails"),
        (errno.ENAMETOOLONG, "a shorter name"),
    ],
)
def test_an_error_of_the_system_names_the_place_and_the_remedy(number: int, remedy: str) -> None:
    error = OSError(number, os.strerror(number), "/data/run")
    explanation = explain_error(error)
    assert explanation is not None
    assert explanation.startswith(f"/data/run: {os.strerror(number)}: ")
    assert remedy in explanation
    assert explain_error(raised_from(error)) == explanation


def test_a_full_disk_is_known_in_the_words_of_lance_sqlite_and_ray(tmp_path: Path) -> None:
    lance = RuntimeError(
        "lance error: LanceError(IO): No space left on device (os error 28), "
        "/root/.cargo/registry/src/lance-file/src/writer/structural.rs:191:9"
    )
    expected = "lance error: LanceError(IO): No space left on device (os error 28): free some space"
    assert (explain_error(lance) or "").startswith(expected)
    assert (explain_error(RuntimeError(f"Traceback\nRuntimeError: {lance}")) or "").startswith(
        expected
    )
    with sqlite3.connect(tmp_path / "full.sqlite") as database:
        database.execute("PRAGMA max_page_count = 1")
        with pytest.raises(sqlite3.OperationalError) as full:
            database.execute("CREATE TABLE t (a)")
    expected = "SQLite: database or disk is full: free some space"
    assert (explain_error(full.value) or "").startswith(expected)
    text = f"Traceback\nsqlite3.OperationalError: {full.value}"
    assert (explain_error(RuntimeError(text)) or "").startswith(expected)
    with pytest.raises(sqlite3.OperationalError) as closed:
        sqlite3.connect(tmp_path / "nowhere" / "file.sqlite")
    assert "give this user the right" in (explain_error(closed.value) or "")
    for error in (OutOfDiskError("no"), RuntimeError("x\nray.exceptions.OutOfDiskError: no")):
        assert "raise ray.object_store_mb" in (explain_error(error) or "")


def test_an_error_of_ours_is_found_behind_others() -> None:
    assert explain_error(raised_from(raised_from(DataError("mend it")))) == "mend it"


def test_an_error_in_the_text_of_a_worker_is_found() -> None:
    text = (
        "The actor died because of an error raised in its creation task\n"
        '  File "worker.py", line 10, in __init__\n'
        "medr_ray.core.errors.DataError: the index is of another version: run medr index run"
    )
    expected = "the index is of another version: run medr index run"
    assert explain_error(RuntimeError(text)) == expected
    full = "OSError: [Errno 28] Error writing bytes to file. Detail: No space left on device"
    explanation = explain_error(RuntimeError(f"Traceback\n{full}"))
    assert explanation is not None
    assert explanation.endswith("free some space, or set run.root to another disk")


def test_what_something_outside_interrupted_may_go_on() -> None:
    gone = InfrastructureError("http://127.0.0.1:1/v1 failed 5 times")
    assert is_interruption(raised_from(gone))
    assert is_interruption(RuntimeError(f"medr_ray.core.errors.InfrastructureError: {gone}"))
    assert is_interruption(raised_from(OSError(errno.ENOSPC, "No space left on device")))
    assert not is_interruption(ConfigError("unknown key"))
    # The same command would meet the same file in the way.
    assert not is_interruption(raised_from(OSError(errno.ENOTDIR, "Not a directory")))
    assert not is_interruption(KeyError("x"))


def test_a_defect_has_no_explanation() -> None:
    assert explain_error(KeyError("x")) is None
    assert explain_error(RuntimeError("lance error: not found (os error 2), lib.rs:1")) is None
    assert explain_error(sqlite3.OperationalError("no such table: t")) is None
    assert explain_error(RuntimeError("Traceback\nKeyError: 'x'")) is None
    assert explain_error(FileNotFoundError(errno.ENOENT, "No such file", "x")) is None
    # What was handled when a defect showed does not explain the defect.
    defect = KeyError("x")
    defect.__context__ = DataError("handled")
    assert explain_error(defect) is None
