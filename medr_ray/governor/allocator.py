"""Grants leases and slots of one service to clients: the governor's side, as a pure state machine
over given times.

Guaranteed, for times that do not run backwards: slots are granted in the order of their times, at
most ``SLOT_HORIZON_SECONDS`` ahead, and the rate limiters bound all of them together; at most
``ConcurrencyLimit.limit`` leases are held by clients that were heard from within ``LEASE_SECONDS``;
clients are served in turn, each as far as it has requests waiting. Nothing is granted during a
pause or while the circuit is open. A slot that is returned unused does not count.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from medr_ray.governor.circuit_breaker import CircuitBreaker
from medr_ray.governor.concurrency import ConcurrencyLimit
from medr_ray.governor.failures import MAX_PAUSE_SECONDS
from medr_ray.governor.limits import Amounts, GovernedService, min_slot_seconds
from medr_ray.governor.metrics import RequestCounts, ServiceState
from medr_ray.governor.protocol import (
    LEASE_SECONDS,
    MAX_SLOT_SECONDS,
    SLOT_HORIZON_SECONDS,
    Grant,
    Notice,
    Outcome,
    Slot,
    StateReport,
)
from medr_ray.governor.rate_limiter import build_limiters

# Slots of a busy service are granted when the first of them is this near, several at a time.
_REFILL_AHEAD_SECONDS = SLOT_HORIZON_SECONDS / 2
# Slots that nobody waits for are granted less far ahead, because they may pass unused.
_SPARE_AHEAD_SECONDS = SLOT_HORIZON_SECONDS / 4
# A client that was silent for so long has lost its leases. Less than LEASE_SECONDS, so that they
# are in use again within that time.
_MAX_SILENCE_SECONDS = 0.9 * LEASE_SECONDS
_MIN_WAIT_SECONDS = 0.001  # between two allocations, so that rounding cannot make a busy loop
# A service without a request for so long is forgotten. Longer than any pause and any window in use.
_FORGET_AFTER_SECONDS = 3600.0
_DEFAULT_PAUSE_SECONDS = 1.0  # if a service refuses without saying for how long

# The slots that an earlier governor may have granted end at most so long after it was lost: some
# were granted ahead, returned and granted ahead once more, and each may be used late.
_PREDECESSOR_SECONDS = 2 * SLOT_HORIZON_SECONDS + 3 * MAX_SLOT_SECONDS


@dataclass
class _ClientRecord:
    """A client as it reported itself, plus what it was granted since.

    ``granted_leases`` and ``granted_slots`` were not sent yet; ``unacknowledged`` holds (leases,
    slots) of the grants that were sent, by number. ``turn`` orders the clients by when they were
    served last."""

    turn: int
    expires_at: float = 0.0
    report_number: int = 0
    held_leases: int = 0
    idle_leases: int = 0
    wanted_leases: int = 0
    wanted_slots: list[Amounts] = field(default_factory=list)
    spare_slots: int = 0
    slot_seconds: float = 0.0
    is_listening: bool = False
    last_notice: Notice = field(default_factory=Notice)
    unacknowledged: dict[int, tuple[int, int]] = field(default_factory=dict)
    granted_leases: int = 0
    granted_slots: list[Slot] = field(default_factory=list)

    def apply_report(self, report: StateReport) -> None:
        """Take over a report. It was written before the unacknowledged grants arrived, so these
        are added to it."""
        leases_on_way = sum(leases for leases, _ in self.unacknowledged.values())
        slots_on_way = sum(slots for _, slots in self.unacknowledged.values())
        slots_wanted = len(report.wanted_slots)
        self.report_number = report.number
        self.held_leases = report.held_leases + leases_on_way
        self.wanted_leases = max(0, report.wanted_leases - leases_on_way)
        # Slots are granted in the order of the requests, so those on their way are for the first
        # ones.
        self.wanted_slots = list(report.wanted_slots[slots_on_way:])
        self.spare_slots = report.spare_slots
        # A slot that is on its way will occupy a lease, unless it is a spare one.
        leases_used_by_slots = min(slots_on_way, slots_wanted)
        self.idle_leases = max(0, report.idle_leases + leases_on_way - leases_used_by_slots)
        self.is_listening = report.awaits_grant


class LeaseAllocator:
    """The state of one service. ``predecessor_until``: the time until which another governor may
    have granted slots, if there was one."""

    def __init__(
        self,
        service: GovernedService,
        epoch: str,
        now: float,
        predecessor_until: float | None = None,
    ) -> None:
        self.service = service
        self._epoch = epoch
        self._limiters = build_limiters(service.limits, now)
        maximum = service.limits.concurrency
        # Starts at the configured bound: unlike TCP, the user has said what the service takes.
        self._concurrency = ConcurrencyLimit(maximum, level=maximum)
        self._breaker = CircuitBreaker()
        self._clients: dict[str, _ClientRecord] = {}
        self._turns = itertools.count(1)
        self._grant_numbers = itertools.count(1)
        self._last_slot_start = float("-inf")
        self._paused_until = float("-inf")
        self._last_report_at = now
        self._counts = RequestCounts()
        if predecessor_until is not None:
            for limiter in self._limiters:
                limiter.drain(predecessor_until + _PREDECESSOR_SECONDS)

    def update_service(self, service: GovernedService, now: float) -> None:
        """Go on under other limits; what was granted under the old ones counts on."""
        if service.limits == self.service.limits:
            return
        previous = {limiter.weights: limiter for limiter in self._limiters}
        self._limiters = [
            limiter.carry_over(previous.get(limiter.weights))
            for limiter in build_limiters(service.limits, now)
        ]
        self._concurrency.set_maximum(service.limits.concurrency)
        self.service = service

    # --- what clients report ----------------------------------------------------------

    def receive_report(self, client_id: str, report: StateReport, now: float) -> bool:
        """Take in a client's state. False if a newer report is known, so that only the outcomes and
        acknowledgements of this one counted."""
        if client_id not in self._clients:
            self._clients[client_id] = _ClientRecord(turn=next(self._turns))
        client = self._clients[client_id]
        is_current = report.epoch == self._epoch
        self._record_outcomes(report, is_current, now)
        acknowledged = [client.unacknowledged.pop(number, (0, 0)) for number in report.acknowledged]
        if report.number < client.report_number:
            # The newer report, which arrived first, counts these leases already.
            client.held_leases -= sum(leases for leases, _ in acknowledged)
            return False
        if not is_current:
            client.unacknowledged = {}
        client.apply_report(report)
        shortest = min_slot_seconds(self.service.limits.seconds)
        client.slot_seconds = min(MAX_SLOT_SECONDS, max(report.slot_seconds, shortest))
        client.expires_at = now + _MAX_SILENCE_SECONDS
        self._last_report_at = now
        if not client.held_leases:
            self._breaker.release_probe(client_id)
            if not report.awaits_grant:
                del self._clients[client_id]
        return True

    def _record_outcomes(self, report: StateReport, is_current: bool, now: float) -> None:
        """Learn from finished requests. Slots of another governor are not in these limiters, so
        nothing is corrected for them."""
        for outcome in report.outcomes:
            if is_current:
                self._correct_usage(outcome)
            self._record_result(outcome, now)
            self._counts.add_outcome(outcome)
        if is_current:
            for slot in report.returned_slots:
                for limiter in self._limiters:
                    # A returned slot was never used, so all of it is free again.
                    limiter.correct(-limiter.cost(slot.amounts), slot.end)

    def _correct_usage(self, outcome: Outcome) -> None:
        """Replace the estimate by what the request used."""
        for limiter in self._limiters:
            difference = limiter.cost(outcome.used) - limiter.cost(outcome.slot.amounts)
            if difference:
                limiter.correct(difference, outcome.slot.end)

    def _record_result(self, outcome: Outcome, now: float) -> None:
        sent = outcome.slot.start
        # Without this a service that refuses and names no time would be asked again at once.
        pause = _DEFAULT_PAUSE_SECONDS if outcome.retry_after is None else outcome.retry_after
        is_as_good_as_down = pause > MAX_PAUSE_SECONDS
        if outcome.result == "succeeded":
            self._breaker.record_success(sent)
            self._concurrency.record_success()
        elif outcome.result == "failed" or is_as_good_as_down:
            self._breaker.record_failure(sent, now)
        elif outcome.result == "refused":
            self._paused_until = max(self._paused_until, now + pause)
        if outcome.result == "refused" or outcome.overloaded:
            self._concurrency.record_overload(sent, now)

    def stop_listening(self, client_id: str) -> None:
        """The client was answered without a grant, or no longer waits for this answer."""
        if client_id in self._clients:
            self._clients[client_id].is_listening = False

    # --- what clients get -------------------------------------------------------------

    def allocate(self, now: float) -> dict[str, Grant]:
        """Hand out what there is. Returns the grants to send, by client."""
        self._drop_silent_clients(now)
        if self._breaker.state(now) != "open":
            self._grant_wanted_leases(now)
            self._grant_wanted_slots(now)
        grants = {}
        for client_id in self._clients:
            grant = self._take_grant(client_id, now)
            if grant is not None:
                grants[client_id] = grant
        return grants

    def _drop_silent_clients(self, now: float) -> None:
        silent = [key for key, client in self._clients.items() if client.expires_at <= now]
        for client_id in silent:
            self._breaker.release_probe(client_id)
            del self._clients[client_id]

    def _count_free_leases(self, now: float) -> int:
        """Leases that may be granted: a single one where a service is tried again. Negative after
        the limit shrank below what is held."""
        if self._breaker.state(now) == "half-open":
            return 1 if self._breaker.probe is None else 0
        held = sum(client.held_leases for client in self._clients.values())
        return self._concurrency.limit - held

    def _grant_lease(self, client_id: str, client: _ClientRecord, now: float) -> None:
        client.held_leases += 1
        client.idle_leases += 1
        client.granted_leases += 1
        if self._breaker.state(now) == "half-open":
            self._breaker.probe = client_id

    def _grant_wanted_leases(self, now: float) -> None:
        def needs_lease(client: _ClientRecord) -> bool:
            return client.wanted_leases > 0 and self._count_free_leases(now) > 0

        for client_id, client in self._take_turns(needs_lease):
            self._grant_lease(client_id, client, now)
            client.wanted_leases -= 1

    def _grant_wanted_slots(self, now: float) -> None:
        """Grant slots, each with a lease where the client has none. Not earlier, because others may
        have a use for the lease until the slot begins."""
        first = self._next_slot_start(now)
        if first is None:
            self._grant_spare_slots(now)
            return
        if first > now + _REFILL_AHEAD_SECONDS:
            return
        for client_id, client in self._take_turns(lambda client: self._can_use_slot(client, now)):
            start = self._earliest_start(client.wanted_slots[0], now)
            # Slots that are granted cannot be taken back, so no more of them than a dead client may
            # waste.
            if start > now + SLOT_HORIZON_SECONDS:
                return
            if not client.idle_leases:
                self._grant_lease(client_id, client, now)
            client.granted_slots.append(self._book_slot(client, start, client.wanted_slots.pop(0)))
            client.idle_leases -= 1

    def _can_use_slot(self, client: _ClientRecord, now: float) -> bool:
        if not client.wanted_slots:
            return False
        return client.idle_leases > 0 or self._count_free_leases(now) > 0

    def _grant_spare_slots(self, now: float) -> None:
        """Grant slots for requests that are only expected. Only services whose requests are all of
        one size get them, so they are booked without amounts."""
        for _, client in self._take_turns(lambda client: client.spare_slots > 0):
            start = self._earliest_start(Amounts(), now)
            if start > now + _SPARE_AHEAD_SECONDS:
                return
            client.granted_slots.append(self._book_slot(client, start, Amounts()))
            client.spare_slots -= 1

    def _take_turns(
        self, is_in_need: Callable[[_ClientRecord], bool]
    ) -> Iterator[tuple[str, _ClientRecord]]:
        """The clients that listen and are in need, round after round until none is left. Whoever
        was served longest ago comes first."""
        while True:
            ready = [
                (client_id, client)
                for client_id, client in self._clients.items()
                if client.is_listening and is_in_need(client)
            ]
            if not ready:
                return
            for client_id, client in sorted(ready, key=lambda item: item[1].turn):
                # What the clients before it got may have left nothing for this one.
                if is_in_need(client):
                    yield client_id, client
                    client.turn = next(self._turns)

    def _next_slot_start(self, now: float) -> float | None:
        """When the next slot that somebody waits for can begin; None when nobody waits."""
        ready = [
            client
            for client in self._clients.values()
            if client.is_listening and self._can_use_slot(client, now)
        ]
        if not ready:
            return None
        first = min(ready, key=lambda client: client.turn)
        return self._earliest_start(first.wanted_slots[0], now)

    def _earliest_start(self, amounts: Amounts, now: float) -> float:
        """The first time that all limiters allow, not before the last slot that was granted."""
        start = max(now, self._last_slot_start, self._paused_until)
        costs = [(limiter, limiter.cost(amounts)) for limiter in self._limiters]
        # One limiter may postpone the start to a time that another one does not allow.
        while True:
            allowed = [limiter.earliest_time(cost, start) for limiter, cost in costs]
            later = max([start, *allowed])
            if later <= start:
                return start
            start = later

    def _book_slot(self, client: _ClientRecord, start: float, amounts: Amounts) -> Slot:
        end = start + client.slot_seconds
        for limiter in self._limiters:
            limiter.take(limiter.cost(amounts), start, end)
        self._last_slot_start = start
        return Slot(start, end, amounts)

    def _take_grant(self, client_id: str, now: float) -> Grant | None:
        """What there is to send to a client, which then no longer listens; None when nothing has
        changed for it."""
        client = self._clients[client_id]
        notice = self._build_notice(client_id, now)
        has_granted = bool(client.granted_leases or client.granted_slots)
        if not client.is_listening or not (has_granted or notice != client.last_notice):
            return None
        grant = Grant(
            next(self._grant_numbers), client.granted_leases, tuple(client.granted_slots), notice
        )
        # Kept until the client confirms it: a report that crosses the grant does not count it yet.
        client.unacknowledged[grant.number] = (grant.leases, len(grant.slots))
        client.granted_leases = 0
        client.granted_slots = []
        client.is_listening = False
        client.last_notice = notice
        return grant

    def _build_notice(self, client_id: str, now: float) -> Notice:
        free_leases = self._count_free_leases(now)
        others_wait = any(
            client.wanted_leases or (client.wanted_slots and not client.idle_leases)
            for other_id, client in self._clients.items()
            if other_id != client_id
        )
        open_until = self._breaker.open_until
        # After the circuit opened one single lease may be in use: all others have to come back.
        is_contended = (
            free_leases < 0 or (others_wait and not free_leases) or open_until is not None
        )
        if self._breaker.state(now) != "open":
            open_until = None
        return Notice(
            max(0.0, self._paused_until),
            open_until or 0.0,
            is_contended and self._clients[client_id].held_leases > 0,
        )

    def next_wakeup(self, now: float) -> float:
        """When to allocate again at the latest, if no report comes before."""
        moments = [client.expires_at for client in self._clients.values()]
        open_until = self._breaker.open_until
        if open_until is not None and self._breaker.state(now) == "open":
            moments.append(open_until)
        else:
            first = self._next_slot_start(now)
            if first is not None:
                moments.append(max(now + _MIN_WAIT_SECONDS, first - _REFILL_AHEAD_SECONDS))
        return min(moments, default=float("inf"))

    def is_forgettable(self, now: float) -> bool:
        """Whether the last report is so long ago that none of the state matters any more."""
        return not self._clients and now > self._last_report_at + _FORGET_AFTER_SECONDS

    def snapshot(self, now: float) -> ServiceState:
        """The service as it stands."""
        waiting = sum(
            max(client.wanted_leases, len(client.wanted_slots)) for client in self._clients.values()
        )
        held = sum(client.held_leases for client in self._clients.values())
        usages = [
            limiter.window.usage(now) / limiter.window.limit for limiter in self._limiters
        ] or [held / self._concurrency.limit]
        return ServiceState(
            name=self.service.name,
            key=self.service.key,
            counts=self._counts,
            waiting=waiting,
            leases=held,
            concurrency=self._concurrency.limit,
            breaker=self._breaker.state(now),
            paused=max(0.0, self._paused_until - now),
            utilisation=max(usages),
        )
