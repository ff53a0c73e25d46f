"""The kinds of failures. Each message says what was wrong, where, and what to do about it."""

import errno
import re
import sqlite3
from collections.abc import Iterator


class MedrError(Exception):
    """Base of every error this package raises on purpose; the command line prints it without a
    traceback."""


class ConfigError(MedrError):
    """The configuration is wrong. The message names the key and the nearest known one."""


class DataError(MedrError):
    """A record or file cannot be read. The message names the file, the field and the remedy."""


class LaterVersionError(DataError):
    """A file is of a later version of this package, which alone can tell whether it is whole."""


class ModelError(MedrError):
    """The model did something wrong (malformed call, no answer). It is scored as a mistake."""


class ToolError(MedrError):
    """A tool answered with a failure. The agent sees it as an observation."""


class InfrastructureError(MedrError):
    """A worker died, a deadline passed or a judge was unreachable. The work is retried, then
    excluded.

    It never becomes a reward, a wrong answer or a training row.
    """


# Errors of the operating system that a user can mend, with the remedy.
_SYSTEM_REMEDIES = {
    errno.ENOSPC: "free some space, or set run.root to another disk",
    errno.EDQUOT: "free some of your quota, or set run.root to another disk",
    errno.EFBIG: "raise the limit on file sizes (ulimit -f), or set run.root to another disk",
    errno.EACCES: "give this user the right to it, or name another place",
    errno.EPERM: "give this user the right to it, or name another place",
    errno.EISDIR: "it is a folder: name a file",
    errno.EEXIST: "move it, or name another place",
    errno.EROFS: "it is mounted read-only: set run.root to another disk",
    errno.ENOTDIR: "a file is in the way of a folder: move it, or name another place",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EIO: "the disk fails: check it, or set run.root to another disk",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "end other programs, or raise the system's limit on open files",
}
# Those after which the same command goes on; the others want another command first.
_INTERRUPTING_ERRNOS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE}
)
# SQLite gives its own code, the first eight bits of which say what the system refused.
_SQLITE_ERRNOS = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
    sqlite3.SQLITE_PERM: errno.EACCES,
    sqlite3.SQLITE_IOERR: errno.EIO,
}
_SQLITE_CODE_MASK = 0xFF
# SQLite's words, where only they arrive.
_SQLITE_WORDS = {
    "database or disk is full": errno.ENOSPC,
    "attempt to write a readonly database": errno.EROFS,
    "unable to open database file": errno.EACCES,
    "disk I/O error": errno.EIO,
}
_RAY_DISK_FULL = "OutOfDiskError"  # the name of Ray's error
_RAY_DISK_REMEDY = (
    "Ray's object store and the disk it spills to are full: free some space on the disk of its "
    "session folder, or raise ray.object_store_mb"
)
# The last line of a traceback that Ray hands on as text, from a worker's start or a task.
_REMOTE_ERROR = re.compile(
    r"^(?:(?P<ours>medr_ray\.[\w.]+)|(?P<other>(?:[\w.]+\.)?\w*Error)): (?P<message>.+)$",
    re.MULTILINE,
)
# Python's and Rust's way to give the number of the system's error.
_ERRNO = re.compile(r"\[Errno (?P<python>\d+)\]|\(os error (?P<rust>\d+)\)")
_MAX_CHAIN = 16  # errors behind one error


def explain_error(error: BaseException) -> str | None:
    """One line for an error that a user can mend, wherever it was raised; None for a defect.

    The cause may stand behind errors of Ray, which carry it as an object or as the text of a
    traceback.
    """
    chain = list(_walk_causes(error))
    for cause in chain:
        explanation = _explain_object(cause)
        if explanation:
            return explanation
    for cause in chain:
        explanation = _explain_text(str(cause))
        if explanation:
            return explanation
    return None


def is_interruption(error: BaseException) -> bool:
    """Whether the same command may go on once something outside the program is mended: an
    endpoint, a worker, the disk."""
    # A worker's error may come as text.
    name = f"{InfrastructureError.__module__}.{InfrastructureError.__name__}: "
    return any(
        isinstance(cause, InfrastructureError)
        or (isinstance(cause, OSError) and cause.errno in _INTERRUPTING_ERRNOS)
        or name in str(cause)
        for cause in _walk_causes(error)
    )


def _explain_object(error: BaseException) -> str | None:
    """The explanation of one error by its type and numbers; None where they say nothing."""
    if isinstance(error, MedrError):
        return str(error)
    if type(error).__name__ == _RAY_DISK_FULL:
        return _RAY_DISK_REMEDY
    if isinstance(error, OSError) and error.errno in _SYSTEM_REMEDIES:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror}: {_SYSTEM_REMEDIES[error.errno]}"
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", None)
        number = _SQLITE_ERRNOS.get((code or 0) & _SQLITE_CODE_MASK)
        return f"SQLite: {error}: {_SYSTEM_REMEDIES[number]}" if number else None
    # LanceDB and others in Rust raise a RuntimeError that ends with a path of their own sources.
    words = str(error)
    number_in_text = _ERRNO.search(words)
    # In text of several lines, a traceback, the last error decides.
    if number_in_text and number_in_text["rust"] and "\n" not in words.strip():
        return _explain_number(number_in_text, words)
    return None


def _walk_causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from, each once."""
    pending: list[BaseException | None] = [error]
    seen: set[int] = set()
    while pending and len(seen) < _MAX_CHAIN:
        current = pending.pop(0)
        if not isinstance(current, BaseException) or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        # Ray's errors keep the worker's under ``cause``.
        pending += [getattr(current, "cause", None), current.__cause__]
        # What a defect was raised beside does not explain it; Ray's errors explain each other.
        if type(current).__module__.startswith("ray."):
            pending.append(current.__context__)


def _explain_text(text: str) -> str | None:
    """The explanation in the text of a traceback; None where there is none."""
    matches = list(_REMOTE_ERROR.finditer(text))
    if not matches:
        return None
    # The last error is the one that ended the worker.
    last = matches[-1]
    if last["ours"] is not None:
        return last["message"]
    if last["other"].endswith(_RAY_DISK_FULL):
        return _RAY_DISK_REMEDY
    words = last["message"]
    number = _ERRNO.search(words)
    if number:
        return _explain_number(number, words)
    if last["other"].startswith("sqlite3.") and words in _SQLITE_WORDS:
        return f"SQLite: {words}: {_SYSTEM_REMEDIES[_SQLITE_WORDS[words]]}"
    return None


def _explain_number(number: re.Match[str], text: str) -> str | None:
    """One line for a text with the number of a system's error; None for one without a remedy."""
    remedy = _SYSTEM_REMEDIES.get(int(number["python"] or number["rust"]))
    if remedy is None:
        return None
    # What follows Rust's number is a line of the library's sources.
    words = text[: number.end()] if number["rust"] else text
    return f"{' '.join(words.split())}: {remedy}"
