"""The governor's server: it receives the reports of clients and answers them when there is
something to grant.

It runs in one event loop, that of the cluster's actor or of a process without Ray.
``LeaseAllocator`` and ``BudgetLedger`` make the decisions.
"""

import asyncio
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from medr_ray.governor import clock
from medr_ray.governor.allocator import LeaseAllocator
from medr_ray.governor.budget import BudgetLedger, Charge, Spend
from medr_ray.governor.limits import GovernedService
from medr_ray.governor.metrics import ServiceState, copy_states
from medr_ray.governor.protocol import (
    LEASE_SECONDS,
    NO_GRANT,
    POLL_SECONDS,
    GovernorResponse,
    Grant,
    StateReport,
)

_PUBLISH_INTERVAL = 1.0  # seconds between two publications of the metrics
PublishMetrics = Callable[[Iterable[ServiceState]], None]


@dataclass
class _LongPoll:
    """A report that is not answered yet; it is at ``expires_at``, with or without a grant."""

    response: asyncio.Future[GovernorResponse]
    received_at: float
    expires_at: float


class GovernorServer:
    """All services and budgets. ``restarted``: another server may have granted slots until this one
    began. ``publish`` is called with the state of all services, once a second while any client
    waits."""

    def __init__(self, restarted: bool = False, publish: PublishMetrics | None = None) -> None:
        self._epoch = uuid.uuid4().hex
        self._started_at = clock.now()
        self._restarted = restarted
        self._publish = publish
        self._published_at = float("-inf")
        self._allocators: dict[str, LeaseAllocator] = {}  # by service key, as the next two
        self._polls: dict[str, dict[str, _LongPoll]] = {}  # then by client
        self._wakeups: dict[str, float] = {}  # when to allocate again
        self._ledgers: dict[str, BudgetLedger] = {}  # by budget name
        self._last_contact: dict[str, float] = {}  # by client
        self._timer: asyncio.Task[None] | None = None
        self._timer_signal = asyncio.Event()
        self._timer_sleeps_until = float("-inf")

    async def exchange(
        self, client_id: str, service: GovernedService, report: StateReport
    ) -> GovernorResponse:
        """Receive a report. The answer comes when there is something to grant, at the latest after
        ``POLL_SECONDS``."""
        now = clock.now()
        self._last_contact[client_id] = now
        allocator = self._find_allocator(service, report, now)
        polls = self._polls.setdefault(service.key, {})
        if not allocator.receive_report(client_id, report, now):
            return GovernorResponse(self._epoch, now, now, NO_GRANT)
        # A client acts on the answer to its newest report; the older call must end all the same.
        older = polls.pop(client_id, None)
        if older is not None:
            self._respond_to_poll(older, NO_GRANT, now)
        # A long poll: the answer waits here for a grant, and the client need not ask again and
        # again.
        expires_at = now + POLL_SECONDS if report.awaits_grant else now
        poll = _LongPoll(asyncio.get_running_loop().create_future(), now, expires_at)
        polls[client_id] = poll
        self._allocate_service(service.key, now)
        self._schedule_timer()
        return await poll.response

    def _find_allocator(
        self, service: GovernedService, report: StateReport, now: float
    ) -> LeaseAllocator:
        """The service's allocator, under the limits that the client knows."""
        allocator = self._allocators.get(service.key)
        if allocator is None:
            # A client that knows another epoch shows that there was a server before, also where
            # this one is not the same actor restarted but a new one.
            has_predecessor = self._restarted or report.epoch not in ("", self._epoch)
            predecessor_until = self._started_at if has_predecessor else None
            allocator = LeaseAllocator(service, self._epoch, now, predecessor_until)
            self._allocators[service.key] = allocator
        allocator.update_service(service, now)
        return allocator

    def _allocate_service(self, key: str, now: float) -> None:
        """Answer every client of a service that got something or waited long enough."""
        allocator = self._allocators[key]
        polls = self._polls[key]
        for client_id, grant in allocator.allocate(now).items():
            self._respond_to_poll(polls.pop(client_id), grant, now)
        expired = [client_id for client_id, poll in polls.items() if poll.expires_at <= now]
        for client_id in expired:
            allocator.stop_listening(client_id)
            self._respond_to_poll(polls.pop(client_id), NO_GRANT, now)
        expiries = [poll.expires_at for poll in polls.values()]
        self._wakeups[key] = min([allocator.next_wakeup(now), *expiries])

    def _respond_to_poll(self, poll: _LongPoll, grant: Grant, now: float) -> None:
        # The future is done already if the caller was cancelled.
        if not poll.response.done():
            poll.response.set_result(GovernorResponse(self._epoch, poll.received_at, now, grant))

    # --- what time alone changes ------------------------------------------------------

    def _schedule_timer(self) -> None:
        """Have the timer wake in time."""
        if self._timer is None or self._timer.done():
            self._timer_signal = asyncio.Event()
            loop = asyncio.get_running_loop()
            self._timer = loop.create_task(self._run_timer(self._timer_signal))
        elif self._next_event_time() < self._timer_sleeps_until:
            self._timer_signal.set()

    async def _run_timer(self, signal: asyncio.Event) -> None:
        """Allocate, clean up and publish whenever their time has come."""
        while True:
            now = clock.now()
            due = [key for key, wakeup in self._wakeups.items() if wakeup <= now]
            for key in due:
                self._allocate_service(key, now)
            self._remove_dead_clients(now)
            self._remove_forgettable_services(now)
            if self._publish is not None and now >= self._published_at + _PUBLISH_INTERVAL:
                self._published_at = now
                self._publish(self._copy_states())
            self._timer_sleeps_until = self._next_event_time()
            await clock.wait_for_signal(signal, self._timer_sleeps_until)

    def _next_event_time(self) -> float:
        lease_ends = [moment + LEASE_SECONDS for moment in self._last_contact.values()]
        moments = [*self._wakeups.values(), *lease_ends]
        # While nobody waits the figures stand still, and the timer may sleep.
        if self._publish is not None and any(self._polls.values()):
            moments.append(self._published_at + _PUBLISH_INTERVAL)
        return min(moments, default=float("inf"))

    def _remove_dead_clients(self, now: float) -> None:
        dead = [
            client_id
            for client_id, moment in self._last_contact.items()
            if moment + LEASE_SECONDS <= now
        ]
        for client_id in dead:
            del self._last_contact[client_id]
            for ledger in self._ledgers.values():
                # The requests may have been sent and billed. A budget is a hard stop, so it errs on
                # that side.
                ledger.write_off_client(client_id)

    def _remove_forgettable_services(self, now: float) -> None:
        forgettable = [
            key for key, allocator in self._allocators.items() if allocator.is_forgettable(now)
        ]
        for key in forgettable:
            del self._allocators[key]
            del self._polls[key]
            del self._wakeups[key]

    # --- budgets ----------------------------------------------------------------------

    async def reserve(self, client_id: str, charge: Charge, already_reserved: Spend) -> str:
        """Set an estimate aside. Returns the reason why not if the budget does not cover it, else
        an empty text (see ``BudgetLedger``)."""
        self._last_contact[client_id] = clock.now()
        self._schedule_timer()
        budget = charge.budget
        # What earlier runs spent counts when the ledger is made. After that it counts by itself.
        ledger = self._ledgers.setdefault(budget.name, BudgetLedger(budget.spent))
        return ledger.reserve(client_id, charge, already_reserved)

    async def settle(self, client_id: str, charge: Charge, used: Spend) -> None:
        """Replace an estimate by what was used."""
        ledger = self._ledgers.get(charge.budget.name)
        # A server without the ledger was restarted; the next request says what is spent.
        if ledger is not None:
            ledger.settle(client_id, charge.estimate, used)

    async def snapshot(self) -> tuple[ServiceState, ...]:
        """Every service as it stands."""
        return self._copy_states()

    def _copy_states(self) -> tuple[ServiceState, ...]:
        now = clock.now()
        return copy_states(allocator.snapshot(now) for allocator in self._allocators.values())
