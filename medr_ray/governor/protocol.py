"""The messages between a process and the governor about one service. All times are by the
governor's clock.

A process may send a request while it holds a lease, one of the service's ``concurrency``, and,
where rates are limited, within a slot of time.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from medr_ray.governor.limits import Amounts

# How far ahead slots are granted: all that a process that died can waste.
SLOT_HORIZON_SECONDS = 1.0
LEASE_SECONDS = 5.0  # within which others can use what a process that died had
MAX_SLOT_SECONDS = 1.0  # for which a slot is valid at most
POLL_SECONDS = 1.5  # that the governor delays an answer at most while it has nothing to grant

RequestResult = Literal["succeeded", "refused", "failed", "unknown"]


class Slot(NamedTuple):
    """Permission to send one request of at most ``amounts`` between ``start`` and ``end``."""

    start: float
    end: float
    amounts: Amounts


class Outcome(NamedTuple):
    """The result of a request that was sent in ``slot``, and what it ``used``. ``overloaded`` if it
    failed because the service took too long."""

    slot: Slot
    used: Amounts
    result: RequestResult
    retry_after: float | None = None
    overloaded: bool = False
    usd: float = 0.0


class Notice(NamedTuple):
    """The state of a service that every process has to respect: a pause, an open circuit, and
    whether others wait for leases of this process (``contended``)."""

    paused_until: float = 0.0
    circuit_open_until: float = 0.0
    contended: bool = False


@dataclass(frozen=True)
class StateReport:
    """A process's whole state, so that a governor that lost its own can rebuild it.

    Reports may overtake each other, so ``number`` counts them. ``epoch`` names the governor that
    the process heard from last, ``acknowledged`` the grants that arrived since the last report.

    Of ``held_leases``, ``idle_leases`` have neither request nor slot. ``wanted_leases`` are missing
    for requests that have all else. ``wanted_slots`` are missing, in order, and with each a lease.
    ``spare_slots`` are welcome if nobody else waits for them. Slots should be valid for
    ``slot_seconds`` each. ``returned_slots`` were not used.

    If not ``awaits_grant``, the governor answers at once, and forgets a process without leases.
    """

    number: int
    epoch: str
    acknowledged: tuple[int, ...]
    held_leases: int
    idle_leases: int
    wanted_leases: int = 0
    wanted_slots: tuple[Amounts, ...] = ()
    spare_slots: int = 0
    slot_seconds: float = 0.0
    returned_slots: tuple[Slot, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    awaits_grant: bool = True


@dataclass(frozen=True)
class Grant:
    """Leases and slots given to a process. ``number`` identifies the grant; 0 where there is
    none."""

    number: int
    leases: int
    slots: tuple[Slot, ...]
    notice: Notice


NO_GRANT = Grant(0, 0, (), Notice())


@dataclass(frozen=True)
class GovernorResponse:
    """A grant by the governor named ``epoch``, with the times at which it received the report and
    answered it."""

    epoch: str
    received_at: float
    answered_at: float
    grant: Grant
