"""What a process and the governor tell each other about one service. All times are the
governor's."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from medr_ray.governor.limits import Amounts

HORIZON = 1.0  # seconds that slots are handed out ahead of their time: what a dead process can take with it
LEASE = 5.0  # seconds within which others use what a process that died had
LATEST = 1.0  # seconds that a slot is good for at most
RENEWAL = 1.5  # seconds that the governor keeps a process waiting for an answer
Result = Literal["succeeded", "refused", "failed", "unknown"]


class Slot(NamedTuple):
    """Leave to send one request of at most ``amounts`` from ``time`` to ``until``."""

    time: float
    until: float
    amounts: Amounts


class Outcome(NamedTuple):
    """What became of a request that was sent in ``slot``. ``overloaded``: it failed for taking too
    long."""

    slot: Slot
    used: Amounts
    result: Result
    retry_after: float | None = None
    overloaded: bool = False
    usd: float = 0.0


class News(NamedTuple):
    """What every process has to heed: a pause, an open circuit, and whether others wait for seats
    that it holds."""

    paused_until: float = 0.0
    open_until: float = 0.0
    contended: bool = False


@dataclass(frozen=True)
class Message:
    """A process's whole state, so that it can be told again to a governor that lost its own.

    ``number`` counts the messages, for they may overtake each other; ``epoch`` names the governor
    that was heard last, ``seen`` the grants that arrived since the last message. Of ``held`` seats
    ``free`` have no request and no slot; ``seats`` more are needed for requests that have all else,
    and slots, with seats, for ``wants``, in order, and ``extra`` ones if nobody waits for them,
    each good for ``late`` seconds. Without ``stay`` the process has no more to do with the
    service."""

    number: int
    epoch: str
    seen: tuple[int, ...]
    held: int
    free: int
    seats: int = 0
    wants: tuple[Amounts, ...] = ()
    extra: int = 0
    late: float = 0.0
    returned: tuple[Slot, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    stay: bool = True


@dataclass(frozen=True)
class Grant:
    """What a process is given. ``number`` names the grant; 0 where there is none."""

    number: int
    seats: int
    slots: tuple[Slot, ...]
    news: News


@dataclass(frozen=True)
class Reply:
    """A grant, by which governor, and when that one heard the message and answered it."""

    epoch: str
    heard: float
    answered: float
    grant: Grant
