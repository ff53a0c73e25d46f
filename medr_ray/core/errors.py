"""The kinds of failures. Each message says what was wrong, where, and what to do about it."""

import errno
import re
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
    errno.EROFS: "it is mounted read-only: set run.root to another disk",
    errno.ENOTDIR: "a file is in the way of a folder: move it, or name another place",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
}
# The last line of a traceback that Ray hands on as text, from a worker's start or a task.
_REMOTE_ERROR = re.compile(
    r"^(?:medr_ray\.[\w.]+\.\w+|(?P<system>\w*Error)): (?P<message>.+)$", re.MULTILINE
)
_REMOTE_ERRNO = re.compile(r"\[Errno (\d+)\]")
_MAX_CHAIN = 16  # errors behind one error


def explain_error(error: BaseException) -> str | None:
    """One line for an error that a user can mend, wherever it was raised; None for a defect.

    The cause may stand behind errors of Ray, which carry it as an object or as the text of a
    traceback.
    """
    chain = list(_walk_causes(error))
    for cause in chain:
        if isinstance(cause, MedrError):
            return str(cause)
        if isinstance(cause, OSError) and cause.errno in _SYSTEM_REMEDIES:
            place = f"{cause.filename}: " if cause.filename else ""
            return f"{place}{cause.strerror}: {_SYSTEM_REMEDIES[cause.errno]}"
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
        or (isinstance(cause, OSError) and cause.errno in _SYSTEM_REMEDIES)
        or name in str(cause)
        for cause in _walk_causes(error)
    )


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
    if last["system"] is None:
        return last["message"]
    number = _REMOTE_ERRNO.search(last["message"])
    remedy = _SYSTEM_REMEDIES.get(int(number[1])) if number else None
    return f"{last['message']}: {remedy}" if remedy else None
