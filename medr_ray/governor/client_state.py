"""The leases and slots of one process for one service, as a pure state machine over given times.

Guaranteed: a request is sent between the times of its slot, whatever the governor's clock may show
within what is known of it; no slot is used twice, and none during a pause or while the circuit is
open, as soon as the process knows; no more requests are in flight than leases are held; requests
are served in the order in which they came. A process that misses its slots asks for longer ones.
What is no longer needed goes back: slots that passed unused, and leases at once where others wait
for them.
"""

import bisect
import itertools
import math
from collections import deque
from dataclasses import dataclass, replace
from typing import Generic, NamedTuple, TypeVar

from medr_ray.governor.failures import MAX_PAUSE_SECONDS
from medr_ray.governor.limits import Amounts, Limits, min_slot_seconds
from medr_ray.governor.protocol import (
    MAX_SLOT_SECONDS,
    Grant,
    Notice,
    Outcome,
    Slot,
    StateReport,
)

CallerT = TypeVar("CallerT")

_MAX_REPORTED_WAITERS = 512  # bounds the size of a report and the work for it
# Seconds for which changes are gathered before they are reported.
_URGENT_REPORT_DELAY_SECONDS = 0.05  # changes that make room for others
_REPORT_DELAY_SECONDS = 0.5  # changes that make none
_IDLE_LEASE_SECONDS = 1.0  # for which a lease is kept for the next request
_RATE_WINDOW_SECONDS = 0.5  # over which the rate of requests is averaged
# The requested length of slots grows by the first factor when a waiting request missed its slot,
# and shrinks by the second when a slot was used.
_SLOT_GROWTH = 1.25
_SLOT_DECAY = 0.97
_MAX_PINGS = 3  # reports that ask a governor for nothing but its time
_NEVER = float("inf")


class ClockReading(NamedTuple):
    """A moment: ``now`` by our clock; by the governor's, at least ``earliest`` and at most
    ``latest``."""

    now: float
    earliest: float
    latest: float


@dataclass(frozen=True)
class Waiter(Generic[CallerT]):
    """A request that waits; ``caller`` is whatever the caller is known by. ``turn`` numbers the
    requests of a process in the order in which they came."""

    caller: CallerT
    amounts: Amounts
    turn: int = 0


@dataclass
class _LastReport:
    """What the governor still takes for our needs after the last report and its answers.

    ``is_awaited``: it will answer the report. ``is_ping``: that report asked for its time only.
    ``is_registered``: it keeps a record of this process."""

    number: int = 0
    wanted_leases: int = 0
    wanted_slots: int = 0
    spare_slots: int = 0
    is_awaited: bool = False
    is_ping: bool = False
    is_registered: bool = False


class _Needs(NamedTuple):
    """Leases with neither request nor slot, leases missing for requests that have all else, and
    slots missing."""

    idle_leases: int
    missing_leases: int
    missing_slots: tuple[Amounts, ...]


class ClientState(Generic[CallerT]):
    """Leases, slots and waiting requests of one service in one process."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.notice = Notice()
        self.waiting: deque[Waiter[CallerT]] = deque()
        self._held_leases = 0
        self._in_flight = 0
        self._slots: list[Slot] = []  # granted and not used yet, by time
        self._slot_seconds = min_slot_seconds(limits.seconds)  # for which slots have to be valid
        self._rate = 0.0  # requests per second, as of ``_last_sent_at``
        self._last_sent_at = 0.0
        # What the next report will contain.
        self._acknowledged: list[int] = []
        self._returned_slots: list[Slot] = []
        self._outcomes: list[Outcome] = []
        # The governor, and what was last reported to it.
        self._epoch = ""
        self._last_report = _LastReport()
        self._ping_count = 0
        # Times by our clock.
        self._report_due_at = _NEVER
        self._next_poll_at = float("-inf")
        self._silent_until = float("-inf")
        self._last_needed_at = float("-inf")
        self._reported_at = float("-inf")
        self._paused_until = float("-inf")

    # --- requests ---------------------------------------------------------------------

    def take_slot(self, amounts: Amounts, reading: ClockReading) -> Slot | None:
        """The slot of a request that may be sent now, else None. The request occupies a lease until
        it is finished."""
        if self._held_leases <= self._in_flight or self._is_blocked(reading):
            return None
        if self.limits.is_metered:
            slot = self._pop_usable_slot(amounts, reading)
            if slot is None:
                return None
        else:
            # Only the lease bounds this service. The slot says when its request was sent.
            slot = Slot(reading.latest, reading.latest, amounts)
        self._in_flight += 1
        # A steady stream of r requests a second has a decayed sum of r: each adds 1 / window, and
        # its part decays over the window.
        self._rate = self._rate_at(reading.now) + 1 / _RATE_WINDOW_SECONDS
        self._last_sent_at = reading.now
        self._last_needed_at = reading.now
        shortest = min_slot_seconds(self.limits.seconds)
        self._slot_seconds = max(shortest, self._slot_seconds * _SLOT_DECAY)
        return slot

    def _is_blocked(self, reading: ClockReading) -> bool:
        """Whether the service is paused or its circuit open, as far as this process knows.

        Times of the governor are compared with the bound of its clock that lets a pause end late.
        An open circuit may end early: the governor then grants only one lease anyway."""
        is_paused = reading.earliest < self.notice.paused_until or reading.now < self._paused_until
        return is_paused or reading.latest < self.notice.circuit_open_until

    def _pop_usable_slot(self, amounts: Amounts, reading: ClockReading) -> Slot | None:
        while self._slots and self._slots[0].end < reading.latest:
            missed = self._slots.pop(0)
            self._return_slots([missed], reading.now)
        index = self._find_fitting_slot(amounts, self._slots)
        if index is None or self._slots[index].start > reading.earliest:
            return None
        return self._slots.pop(index)

    def _find_fitting_slot(self, amounts: Amounts, slots: list[Slot]) -> int | None:
        """The index of the first slot that is large enough."""
        if not self.limits.is_sized:
            return 0 if slots else None
        for index, slot in enumerate(slots):
            if all(need <= size for need, size in zip(amounts, slot.amounts, strict=True)):
                return index
        return None

    def serve_waiters(self, reading: ClockReading) -> list[tuple[CallerT, Slot]]:
        """The waiting requests that may be sent now, in order."""
        has_lease = self._held_leases > self._in_flight
        has_missed_slot = bool(self._slots) and self._slots[0].end < reading.latest
        if self.waiting and has_lease and has_missed_slot:
            self._request_longer_slots()
        served = []
        while self.waiting:
            slot = self.take_slot(self.waiting[0].amounts, reading)
            if slot is None:
                break
            served.append((self.waiting.popleft().caller, slot))
        return served

    def finish_request(self, outcome: Outcome, now: float) -> None:
        """End a request. Its lease goes back where others wait for one."""
        self._release_lease(now)
        pause = outcome.retry_after or 0.0
        if outcome.result == "refused" and pause <= MAX_PAUSE_SECONDS:
            # The governor tells all others; this process must not send before it has heard back.
            self._paused_until = max(self._paused_until, now + pause)
        self._outcomes.append(outcome)
        if outcome.result in ("refused", "failed"):
            delay = 0.0
        elif self.limits.is_sized:
            # What the request did not use of its estimate is room for others.
            delay = _URGENT_REPORT_DELAY_SECONDS
        else:
            delay = _REPORT_DELAY_SECONDS
        # Never later than what was due already.
        self._report_due_at = min(self._report_due_at, now + delay)

    def _request_longer_slots(self) -> None:
        """This process woke too late for a slot: it needs slots that are valid for longer."""
        self._slot_seconds = min(MAX_SLOT_SECONDS, self._slot_seconds * _SLOT_GROWTH)

    def is_too_late(self, slot: Slot, reading: ClockReading) -> bool:
        """Whether a request that got this slot may no longer be sent in it."""
        return self.limits.is_metered and slot.end < reading.latest

    def wait_again(self, waiter: Waiter[CallerT], missed: Slot, now: float) -> None:
        """Put a request that was too late for its slot back into the queue, at its turn."""
        bisect.insort(self.waiting, waiter, key=lambda waiter: waiter.turn)
        self._request_longer_slots()
        self.return_slot(missed, now)

    def return_slot(self, slot: Slot, now: float) -> None:
        """End a request that had its slot but was never sent."""
        self._release_lease(now)
        self._return_slots([slot], now)

    def _release_lease(self, now: float) -> None:
        self._in_flight -= 1
        vacant = self._held_leases - self._in_flight
        # A lease that goes with a slot at hand is used here at once: giving it back would waste the
        # slot.
        usable_here = min(len(self._slots), len(self.waiting))
        if self.notice.contended and vacant > usable_here:
            self._held_leases -= 1
            self._report_due_at = now
        self._last_needed_at = now

    def _return_slots(self, slots: list[Slot], now: float) -> None:
        if self.limits.is_metered:
            self._returned_slots += slots
            self._report_due_at = min(self._report_due_at, now + _URGENT_REPORT_DELAY_SECONDS)

    def circuit_open_seconds(self, reading: ClockReading) -> float:
        """Seconds for which nothing is sent because the service only fails; 0 if it is not left
        alone."""
        # 0 means a closed circuit and is not a time: a clock may show less.
        if not self.notice.circuit_open_until:
            return 0.0
        return max(0.0, self.notice.circuit_open_until - reading.latest)

    # --- when something is to be done -------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Nothing is held, waited for or left to report."""
        has_report = bool(self._outcomes or self._returned_slots)
        return not (self._is_active or self._last_report.is_registered or has_report)

    @property
    def _is_active(self) -> bool:
        return bool(self._held_leases or self._in_flight or self.waiting)

    @property
    def _leases_idle_at(self) -> float:
        """When leases that nobody uses go back."""
        if self._held_leases and not self._in_flight and not self.waiting:
            return self._last_needed_at + _IDLE_LEASE_SECONDS
        return _NEVER

    def next_event_time(self, reading: ClockReading) -> float:
        """When, by our clock, something is to be reported or a request can be served."""
        report_at = max(self._next_report_time(reading), self._silent_until)
        return min(report_at, self._next_service_time(reading))

    def _next_service_time(self, reading: ClockReading) -> float:
        """When the first waiting request can be sent with what is at hand."""
        if not self.waiting or self._held_leases <= self._in_flight:
            return _NEVER
        moment = self.notice.paused_until
        if self.limits.is_metered:
            index = self._find_fitting_slot(self.waiting[0].amounts, self._slots)
            if index is None:
                return _NEVER
            moment = max(moment, self._slots[index].start)
        # Both are the governor's times; only their distance means something to our clock.
        seconds_left = max(0.0, moment - reading.earliest)
        return max(reading.now + seconds_left, self._paused_until)

    def _next_report_time(self, reading: ClockReading) -> float:
        now = reading.now
        last = self._last_report
        if last.is_ping:
            return _NEVER
        needs = self._compute_needs()
        has_leases_for_others = self.notice.contended and needs.idle_leases > len(
            needs.missing_slots
        )
        wants_spare_slots = not last.spare_slots and self._count_missing_spare_slots(now) > 0
        if has_leases_for_others or wants_spare_slots:
            return now
        if not self._is_active and last.is_registered:
            return now  # to be forgotten
        moments = [self._report_due_at, self._leases_idle_at]
        wants_more_leases = needs.missing_leases > last.wanted_leases
        if wants_more_leases or len(needs.missing_slots) > last.wanted_slots:
            moments.append(self._next_request_time(reading))
        if self._is_active and not last.is_awaited:
            moments.append(now if self.waiting else self._next_poll_at)
        return min(moments)

    def _next_request_time(self, reading: ClockReading) -> float:
        """When to ask for more. A process with nothing at hand asks at once; else it waits so that
        several requests can be reported together."""
        if self._last_report.wanted_slots:
            return self._reported_at + _URGENT_REPORT_DELAY_SECONDS
        seconds_covered = self._slots[-1].start - reading.earliest if self._slots else 0.0
        return self._reported_at + min(_URGENT_REPORT_DELAY_SECONDS, max(0.0, seconds_covered / 2))

    # --- what is needed ---------------------------------------------------------------

    def _compute_needs(self) -> _Needs:
        vacant = self._held_leases - self._in_flight
        if self.limits.is_metered:
            missing_slots, ready = self._match_slots()
        else:
            missing_slots = ()
            ready = len(self.waiting)
        idle_leases = max(0, vacant - ready)
        missing_leases = min(self.limits.concurrency, max(0, ready - vacant))
        return _Needs(idle_leases, missing_leases, missing_slots)

    def _match_slots(self) -> tuple[tuple[Amounts, ...], int]:
        """(the amounts of waiting requests without a slot, the number of those that have one). At
        most ``_MAX_REPORTED_WAITERS`` are looked at."""
        if not self.limits.is_sized:
            matched = min(len(self._slots), len(self.waiting))
            missing_count = min(_MAX_REPORTED_WAITERS, len(self.waiting) - matched)
            return (Amounts(),) * missing_count, matched
        missing = []
        slots = list(self._slots)
        for waiter in itertools.islice(self.waiting, _MAX_REPORTED_WAITERS):
            index = self._find_fitting_slot(waiter.amounts, slots)
            if index is None:
                missing.append(waiter.amounts)
            else:
                slots.pop(index)
        return tuple(missing), len(self._slots) - len(slots)

    def _count_missing_spare_slots(self, now: float) -> int:
        """Slots to ask for while nobody waits, so that the next requests need not wait for the
        governor: as many as requests are expected while a slot is valid, less those at hand. 0
        until half of them are used."""
        # Where requests differ in size nobody knows what to ask for.
        if self.waiting or not self.limits.is_metered or self.limits.is_sized:
            return 0
        expected = min(_MAX_REPORTED_WAITERS, int(self._rate_at(now) * self._slot_seconds))
        missing = expected - len(self._slots)
        return missing if expected > 1 and 2 * missing > expected else 0

    def _rate_at(self, now: float) -> float:
        """Requests per second lately, as an exponentially decaying average."""
        return self._rate * math.exp(-max(0.0, now - self._last_sent_at) / _RATE_WINDOW_SECONDS)

    # --- talking to the governor ------------------------------------------------------

    def build_report(self, reading: ClockReading) -> StateReport | None:
        """The report that is due now, if any. It counts as sent."""
        now = reading.now
        if now < self._silent_until or now < self._next_report_time(reading):
            return None
        clock_error = reading.latest - reading.earliest
        if (
            self.limits.is_metered
            and self._ping_count < _MAX_PINGS
            and clock_error > min_slot_seconds(self.limits.seconds)
        ):
            return self._build_ping()
        needs = self._compute_needs()
        idle_leases = needs.idle_leases
        if self.notice.contended or now >= self._leases_idle_at:
            # Leases for the missing slots are kept: the governor will grant those soon.
            excess = max(0, idle_leases - len(needs.missing_slots))
            # Given up before the report is sent, so that no request takes a lease that the report
            # returns.
            self._held_leases -= excess
            idle_leases -= excess
        # A slot is of use only while it lies within the bounds of the clock, so it has to be valid
        # for longer by their distance. Before the first answer that is infinite.
        slot_seconds = self._slot_seconds + (clock_error if self._epoch else 0.0)
        report = StateReport(
            number=self._last_report.number + 1,
            epoch=self._epoch,
            acknowledged=tuple(self._acknowledged),
            held_leases=self._held_leases,
            idle_leases=idle_leases,
            wanted_leases=needs.missing_leases,
            wanted_slots=needs.missing_slots,
            spare_slots=self._count_missing_spare_slots(now),
            slot_seconds=slot_seconds,
            returned_slots=tuple(self._returned_slots),
            outcomes=tuple(self._outcomes),
            awaits_grant=self._is_active,
        )
        self._mark_reported(report, now)
        return report

    def _mark_reported(self, report: StateReport, now: float) -> None:
        self._acknowledged = []
        self._returned_slots = []
        self._outcomes = []
        self._report_due_at = _NEVER
        self._reported_at = now
        self._last_report = _LastReport(
            number=report.number,
            wanted_leases=report.wanted_leases,
            wanted_slots=len(report.wanted_slots),
            spare_slots=report.spare_slots,
            is_awaited=report.awaits_grant,
            is_registered=report.awaits_grant,
        )

    def _build_ping(self) -> StateReport:
        """A report that only asks for the time: slots could not be used before the governor's clock
        is known."""
        self._ping_count += 1
        number = self._last_report.number + 1
        self._last_report = replace(self._last_report, number=number, is_ping=True)
        return StateReport(number, self._epoch, (), self._held_leases, 0, awaits_grant=False)

    @property
    def last_report_number(self) -> int:
        """The number of the last report, by which its answer is recognised."""
        return self._last_report.number

    def apply_grant(self, epoch: str, grant: Grant, report_number: int, now: float) -> None:
        """Take in the answer to a report, by the governor named ``epoch``."""
        # The governor was replaced between two answers: what the earlier one granted is void.
        if self._epoch not in ("", epoch):
            self._forget_governor()
        self._epoch = epoch
        last = self._last_report
        if report_number == last.number:
            last.is_awaited = False
            last.is_ping = False
            self._next_poll_at = now + _URGENT_REPORT_DELAY_SECONDS
        if not grant.number:
            return
        self._acknowledged.append(grant.number)
        self._held_leases += grant.leases
        self._last_needed_at = now
        self._slots += grant.slots
        last.wanted_leases = max(0, last.wanted_leases - grant.leases)
        last.wanted_slots = max(0, last.wanted_slots - len(grant.slots))
        last.spare_slots = 0
        self.notice = grant.notice
        if self.notice.circuit_open_until and self._held_leases > self._in_flight:
            # All leases go back; the governor chooses who is to try the service.
            self._held_leases = self._in_flight
            self._report_due_at = now

    def handle_connection_loss(self, silent_until: float) -> None:
        """The governor is gone: what it granted is void. Nothing is reported before
        ``silent_until``."""
        self._forget_governor()
        self._silent_until = silent_until

    def _forget_governor(self) -> None:
        """Drop what only means something to the governor that is gone. Leases stay: requests are in
        flight under them, and the next governor learns from the report how many are held."""
        self._slots = []
        self._acknowledged = []
        self._returned_slots = []
        self._outcomes = []
        self.notice = Notice()
        self._last_report = _LastReport(number=self._last_report.number)
        self._report_due_at = _NEVER
        self._ping_count = 0
