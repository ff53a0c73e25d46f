"""The kinds of failures. Each message says what was wrong, where, and what to do about it."""


class MedrError(Exception):
    """Base of every error this package raises on purpose; the command line prints it without a
    traceback."""


class ConfigError(MedrError):
    """The configuration is wrong. The message names the key and the nearest known one."""


class DataError(MedrError):
    """A record or file cannot be read. The message names the file, the field and the remedy."""


class ModelError(MedrError):
    """The model did something wrong (malformed call, no answer). It is scored as a mistake."""


class ToolError(MedrError):
    """A tool answered with a failure. The agent sees it as an observation."""


class InfrastructureError(MedrError):
    """A worker died, a deadline passed or a judge was unreachable. The work is retried, then
    excluded.

    It never becomes a reward, a wrong answer or a training row.
    """
