"""The client of the governor in each process. Its requests wait here, in any thread and event loop.

A separate thread talks to the governor, so leases are renewed and outcomes reported while the
callers' event loops are busy. A caller for whom a slot is ready never waits for the governor. The
thread ends when nobody uses the client any more. A governor that does not answer is tried again for
``RECONNECT_SECONDS``; what it had granted is void.
"""

import asyncio
import itertools
import threading
import uuid
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from medr_ray.core.errors import InfrastructureError
from medr_ray.governor import clock
from medr_ray.governor.budget import BudgetExceeded, Charge, Spend
from medr_ray.governor.client_state import ClientState, ClockReading, Waiter
from medr_ray.governor.clock_offset import ClockOffset
from medr_ray.governor.failures import CircuitOpen
from medr_ray.governor.limits import Amounts, GovernedService
from medr_ray.governor.metrics import ServiceState
from medr_ray.governor.protocol import GovernorResponse, Outcome, Slot, StateReport

T = TypeVar("T")
RECONNECT_SECONDS = 60.0  # for which a governor that does not answer is tried again
_RETRY_INTERVAL_SECONDS = 0.2  # between two attempts to reach it

SlotFuture = Future[Slot]  # what a waiting request waits for


class GovernorLost(Exception):
    """The governor does not answer; another one may be found."""


class GovernorConnection(Protocol):
    """The connection to the governor (see ``GovernorServer`` for the methods). Every method raises
    GovernorLost when it does not answer."""

    async def exchange(
        self, client_id: str, service: GovernedService, report: StateReport
    ) -> GovernorResponse: ...

    async def reserve(self, client_id: str, charge: Charge, already_reserved: Spend) -> str: ...

    async def settle(self, client_id: str, charge: Charge, used: Spend) -> None: ...

    async def snapshot(self) -> tuple[ServiceState, ...]: ...


class _ServiceEntry:
    """One service at this client. ``changed`` wakes its task in the client's loop; None while no
    task runs."""

    def __init__(self, service: GovernedService) -> None:
        self.service = service
        self.state: ClientState[SlotFuture] = ClientState(service.limits)
        self.offset = ClockOffset()
        self.changed: asyncio.Event | None = None
        self.sleeps_until = float("-inf")
        self.lost_at: float | None = None

    def read_clock(self) -> ClockReading:
        now = clock.now()
        low, high = self.offset.bounds(now)
        return ClockReading(now, now + low, now + high)

    def check_circuit(self, reading: ClockReading) -> None:
        """Raises CircuitOpen while the service is left alone."""
        seconds = self.state.circuit_open_seconds(reading)
        if seconds > 0:
            raise CircuitOpen(self.service.name, seconds)

    def serve_waiters(self, reading: ClockReading) -> None:
        """Release the requests whose turn it is."""
        for future, slot in self.state.serve_waiters(reading):
            # False where the caller was cancelled meanwhile: its slot goes to the next one.
            if future.set_running_or_notify_cancel():
                future.set_result(slot)
            else:
                self.state.return_slot(slot, reading.now)

    def fail_waiters(self, error: InfrastructureError) -> None:
        """Raise an error in every request that waits."""
        while self.state.waiting:
            future = self.state.waiting.popleft().caller
            if future.set_running_or_notify_cancel():
                future.set_exception(error)


class GovernorClient:
    """The client of a process, for all of its threads and event loops."""

    def __init__(self, connection: GovernorConnection) -> None:
        self._connection = connection
        # Not the process id: that is the same on several hosts, and is used again.
        self._client_id = uuid.uuid4().hex
        self._lock = threading.Lock()  # of the entries, the turns and the loop
        self._entries: dict[str, _ServiceEntry] = {}  # by service key
        self._turns = itertools.count(1)  # of requests, in the order in which they come
        self._reserved: dict[str, Spend] = {}  # by budget; used in the client's own loop only
        self._loop: asyncio.AbstractEventLoop | None = None
        # An event loop keeps only weak references to its tasks.
        self._exchanges: set[asyncio.Task[None]] = set()

    # --- requests ---------------------------------------------------------------------

    async def acquire(self, service: GovernedService, amounts: Amounts) -> Slot:
        """Wait for the turn of a request, which ``finish`` has to end. Raises CircuitOpen, or
        InfrastructureError when there is no governor."""
        with self._lock:
            entry = self._find_entry(service)
            reading = entry.read_clock()
            entry.check_circuit(reading)
            # A new request takes a slot at once only if it overtakes nobody.
            slot = None if entry.state.waiting else entry.state.take_slot(amounts, reading)
            if slot is not None:
                self._wake_service_task(entry)
                return slot
            waiter: Waiter[SlotFuture] = Waiter(Future(), amounts, next(self._turns))
            entry.state.waiting.append(waiter)
            self._wake_service_task(entry)
        while True:
            slot = await self._wait_for_slot(entry, waiter)
            with self._lock:
                reading = entry.read_clock()
                if not entry.state.is_too_late(slot, reading):
                    return slot
                # The caller's event loop was so busy that the slot has passed: a request sent now
                # would be one more in the window of those that follow.
                waiter = replace(waiter, caller=Future())
                entry.state.wait_again(waiter, slot, reading.now)
                entry.serve_waiters(reading)
                self._wake_service_task(entry)
                if waiter.caller.done():
                    # Not awaited: the event loop could be late for this slot as well.
                    return waiter.caller.result()

    async def _wait_for_slot(self, entry: _ServiceEntry, waiter: Waiter[SlotFuture]) -> Slot:
        try:
            # A ``concurrent.futures`` future, because the caller's event loop is not the client's.
            return await asyncio.wrap_future(waiter.caller)
        except asyncio.CancelledError:
            self._abandon_request(entry, waiter)
            raise

    def _find_entry(self, service: GovernedService) -> _ServiceEntry:
        entry = self._entries.get(service.key)
        if entry is None:
            entry = _ServiceEntry(service)
            self._entries[service.key] = entry
        if entry.service != service:
            entry.service = service
            entry.state.limits = service.limits
        return entry

    def _abandon_request(self, entry: _ServiceEntry, waiter: Waiter[SlotFuture]) -> None:
        """The caller was cancelled: leave the queue, or return the slot that it got meanwhile."""
        future = waiter.caller
        with self._lock:
            if waiter in entry.state.waiting:
                entry.state.waiting.remove(waiter)
            elif future.done() and not future.cancelled() and future.exception() is None:
                entry.state.return_slot(future.result(), clock.now())
            self._wake_service_task(entry)

    def finish(self, service: GovernedService, outcome: Outcome) -> None:
        """End a request: its lease goes to the next one that waits."""
        with self._lock:
            entry = self._find_entry(service)
            reading = entry.read_clock()
            entry.state.finish_request(outcome, reading.now)
            entry.serve_waiters(reading)
            self._wake_service_task(entry)

    # --- budgets ----------------------------------------------------------------------

    async def reserve(self, charge: Charge) -> None:
        """Reserve a request's estimate; ``settle`` must release it. Raises BudgetExceeded when the
        budget does not cover it."""
        reservation = self._run_in_loop(self._reserve_from_governor(charge))
        try:
            # Shielded: a reservation on its way cannot be taken back, only undone afterwards.
            refusal = await asyncio.shield(asyncio.wrap_future(reservation))
        except asyncio.CancelledError:
            reservation.add_done_callback(lambda done: self._undo_reservation(done, charge))
            raise
        if refusal:
            raise BudgetExceeded(refusal)

    def _undo_reservation(self, reservation: "Future[str]", charge: Charge) -> None:
        # The caller is gone, so a reservation that was made after all is ended with nothing used.
        was_granted = reservation.exception() is None and not reservation.result()
        if was_granted:
            self.settle(charge, Spend())

    async def _reserve_from_governor(self, charge: Charge) -> str:
        name = charge.budget.name
        refusal = await self._retry_while_lost(
            lambda: self._connection.reserve(
                self._client_id, charge, self._reserved.get(name, Spend())
            )
        )
        if not refusal:
            self._reserved[name] = self._reserved.get(name, Spend()).plus(charge.estimate)
        return refusal

    def settle(self, charge: Charge, used: Spend) -> None:
        """End a reservation: the request took ``used``. Does not wait for the governor."""
        self._run_in_loop(self._settle_with_governor(charge, used))

    async def _settle_with_governor(self, charge: Charge, used: Spend) -> None:
        name = charge.budget.name
        self._reserved[name] = self._reserved.get(name, Spend()).minus(charge.estimate)
        await self._retry_while_lost(lambda: self._connection.settle(self._client_id, charge, used))

    async def _retry_while_lost(self, call: Callable[[], Awaitable[T]]) -> T:
        give_up_at = clock.now() + RECONNECT_SECONDS
        while True:
            try:
                return await call()
            except GovernorLost as error:
                if clock.now() > give_up_at:
                    raise _unreachable_error(error) from error
            await asyncio.sleep(_RETRY_INTERVAL_SECONDS)

    async def snapshot(self) -> tuple[ServiceState, ...]:
        """The current state of every service that the governor knows."""
        states = self._run_in_loop(self._retry_while_lost(self._connection.snapshot))
        return await asyncio.wrap_future(states)

    # --- the client's own thread ------------------------------------------------------

    def _run_in_loop(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Run something in the client's loop."""
        with self._lock:
            return asyncio.run_coroutine_threadsafe(work, self._ensure_loop())

    def _ensure_loop(self) -> asyncio.AbstractEventLoop:
        """The client's loop, started in its thread if it does not run yet. The lock is held."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            thread = threading.Thread(
                target=_run_loop, args=(self._loop,), name="medr-governor", daemon=True
            )
            thread.start()
            # The thread must not refer to the client, or the client would never be collected.
            weakref.finalize(self, _stop_loop, self._loop)
        return self._loop

    def close(self) -> None:
        """Stop talking to the governor. Requests that wait raise InfrastructureError."""
        with self._lock:
            for entry in self._entries.values():
                entry.fail_waiters(InfrastructureError("the governor's session is over"))
            if self._loop is not None:
                _stop_loop(self._loop)

    def _wake_service_task(self, entry: _ServiceEntry) -> None:
        """Have the service's task notice what has changed; start it if none runs. The lock is
        held."""
        if entry.changed is None:
            entry.changed = asyncio.Event()
            task = self._run_service_task(entry, entry.changed)
            asyncio.run_coroutine_threadsafe(task, self._ensure_loop())
        elif entry.state.next_event_time(entry.read_clock()) < entry.sleeps_until:
            # It is awake from now on: one signal is enough for any number of changes.
            entry.sleeps_until = float("-inf")
            self._ensure_loop().call_soon_threadsafe(entry.changed.set)

    async def _run_service_task(self, entry: _ServiceEntry, changed: asyncio.Event) -> None:
        """Serve requests and report to the governor, until nothing is held, waited for or left to
        report."""
        while True:
            with self._lock:
                report = self._serve_and_build_report(entry)
                if report is None and entry.state.is_idle:
                    entry.changed = None
                    return
                report_number = entry.state.last_report_number
                entry.sleeps_until = entry.state.next_event_time(entry.read_clock())
            if report is not None:
                # Its answer may take seconds, and slots come due meanwhile.
                task = asyncio.get_running_loop().create_task(
                    self._send_report(entry, report, report_number)
                )
                self._exchanges.add(task)
                task.add_done_callback(self._exchanges.discard)
            await clock.wait_for_signal(changed, entry.sleeps_until)

    def _serve_and_build_report(self, entry: _ServiceEntry) -> StateReport | None:
        """Serve the requests whose time has come. Returns what there is to report, if anything."""
        reading = entry.read_clock()
        try:
            entry.check_circuit(reading)
        except CircuitOpen as error:
            entry.fail_waiters(error)
        entry.serve_waiters(reading)
        return entry.state.build_report(reading)

    async def _send_report(self, entry: _ServiceEntry, report: StateReport, number: int) -> None:
        sent_at = clock.now()
        try:
            response = await self._connection.exchange(self._client_id, entry.service, report)
        # Whatever the error is, no request may wait for ever.
        except Exception as error:
            self._handle_connection_loss(entry, error)
        else:
            with self._lock:
                received_at = clock.now()
                entry.lost_at = None
                entry.offset.observe_exchange(
                    sent_at, response.received_at, response.answered_at, received_at
                )
                entry.state.apply_grant(response.epoch, response.grant, number, received_at)
        if entry.changed is not None:
            # Something may have come due while the answer was on its way.
            entry.changed.set()

    def _handle_connection_loss(self, entry: _ServiceEntry, error: Exception) -> None:
        with self._lock:
            now = clock.now()
            if entry.lost_at is None:
                entry.lost_at = now
            entry.offset = ClockOffset()  # another governor has another clock
            entry.state.handle_connection_loss(silent_until=now + _RETRY_INTERVAL_SECONDS)
            if now > entry.lost_at + RECONNECT_SECONDS:
                entry.fail_waiters(_unreachable_error(error))


def _unreachable_error(error: Exception) -> InfrastructureError:
    reason = f"{type(error).__name__}: {error}"
    return InfrastructureError(f"the governor of the calls to services does not answer: {reason}")


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    """The body of the client's thread: run the loop until it is stopped, then end its tasks."""
    asyncio.set_event_loop(loop)
    loop.run_forever()
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    # Tasks must end before the loop closes, or Python warns of each when it is collected.
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.close()


def _stop_loop(loop: asyncio.AbstractEventLoop) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(loop.stop)
