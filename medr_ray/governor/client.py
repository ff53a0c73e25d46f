"""A process's side of the governor: where its requests wait, whatever thread and event loop they
run in.

A thread of its own talks to the governor, so that leases are kept and outcomes told while the
callers' loops are busy, and callers that find what they need at hand never wait for it. It ends
when nobody uses the desk any more. A governor that is lost is looked for again for ``PATIENCE``
seconds; what it had granted is void.
"""

import asyncio
import threading
import uuid
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from medr_ray.core.errors import InfrastructureError
from medr_ray.governor import clock
from medr_ray.governor.budget import BudgetExceeded, Charge, Spend
from medr_ray.governor.client_state import Holding, Times, Waiter
from medr_ray.governor.clock_offset import Offset
from medr_ray.governor.failures import CircuitOpen
from medr_ray.governor.limits import Amounts, Service
from medr_ray.governor.metrics import ServiceState
from medr_ray.governor.protocol import Message, Outcome, Reply, Slot

T = TypeVar("T")
PATIENCE = 60.0  # seconds that a lost governor is looked for
_AGAIN = 0.2  # seconds between two attempts to reach it


class GovernorLost(Exception):
    """The governor does not answer; another one may be found."""


class Port(Protocol):
    """The way to the governor (see ``Office``). Every method raises GovernorLost when it does not
    answer."""

    async def exchange(self, client: str, service: Service, message: Message) -> Reply: ...

    async def reserve(self, client: str, charge: Charge, before: Spend) -> str: ...

    async def settle(self, client: str, charge: Charge, used: Spend) -> None: ...

    async def snapshot(self) -> tuple[ServiceState, ...]: ...


Who = Future[Slot]


class _Counter:
    """One service at the desk."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.holding: Holding[Who] = Holding(service.limits)
        self.offset = Offset()
        self.changed: asyncio.Event | None = None  # of the desk's loop; None while nobody attends
        self.sleeps_until = float("-inf")
        self.lost_at: float | None = None

    def times(self) -> Times:
        now = clock.now()
        low, high = self.offset.bounds(now)
        return Times(now, now + low, now + high)


class Desk:
    """The desk of a process, open to all of its threads and event loops."""

    def __init__(self, port: Port) -> None:
        self._port, self._client = port, uuid.uuid4().hex
        self._lock = threading.Lock()
        self._counters: dict[str, _Counter] = {}
        self._reserved: dict[str, Spend] = {}  # by budget; touched in the desk's own loop only
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # --- requests ---------------------------------------------------------------------

    async def acquire(self, service: Service, amounts: Amounts) -> Slot:
        """Wait for the turn of a request, to be ended by ``finish``. Raises CircuitOpen, or
        InfrastructureError when there is no governor."""
        with self._lock:
            counter = self._counter(service)
            times = counter.times()
            self._check_circuit(counter, times)
            if (
                not counter.holding.waiting
                and (slot := counter.holding.take(amounts, times)) is not None
            ):
                self._attend(counter)
                return slot
            waiter = Waiter[Who](Future(), amounts)
            counter.holding.waiting.append(waiter)
            self._attend(counter)
        try:
            return await asyncio.wrap_future(waiter.who)
        except asyncio.CancelledError:
            self._abandon(counter, waiter)
            raise

    def _counter(self, service: Service) -> _Counter:
        counter = self._counters.get(service.key)
        if counter is None:
            counter = self._counters[service.key] = _Counter(service)
        if counter.service != service:
            counter.service = service
            counter.holding.limits = service.limits
        return counter

    def _check_circuit(self, counter: _Counter, times: Times) -> None:
        if (seconds := counter.holding.circuit_open(times)) > 0:
            raise CircuitOpen(counter.service.name, seconds)

    def _abandon(self, counter: _Counter, waiter: Waiter[Who]) -> None:
        with self._lock:
            if waiter in counter.holding.waiting:
                counter.holding.waiting.remove(waiter)
            elif (
                waiter.who.done() and not waiter.who.cancelled() and waiter.who.exception() is None
            ):
                counter.holding.unspent(waiter.who.result(), clock.now())
            self._attend(counter)

    def finish(self, service: Service, outcome: Outcome) -> None:
        """A request is over."""
        with self._lock:
            counter = self._counter(service)
            times = counter.times()
            counter.holding.finish(outcome, times.now)
            _serve(counter, times)
            self._attend(counter)

    # --- budgets ----------------------------------------------------------------------

    async def reserve(self, charge: Charge) -> None:
        """Set a request's estimate aside, to be settled; raises BudgetExceeded when the budget does
        not cover it."""
        asked = self._submit(self._reserve(charge))
        try:
            refused = await asyncio.shield(asyncio.wrap_future(asked))
        except asyncio.CancelledError:
            asked.add_done_callback(lambda done: self._undo(done, charge))
            raise
        if refused:
            raise BudgetExceeded(refused)

    def _undo(self, done: "Future[str]", charge: Charge) -> None:
        if done.exception() is None and not done.result():
            self.settle(charge, Spend())

    async def _reserve(self, charge: Charge) -> str:
        name = charge.budget.name
        refused = await self._patiently(
            lambda: self._port.reserve(self._client, charge, self._reserved.get(name, Spend()))
        )
        if not refused:
            self._reserved[name] = self._reserved.get(name, Spend()).plus(charge.most)
        return refused

    def settle(self, charge: Charge, used: Spend) -> None:
        """A request is over and took ``used``."""
        self._submit(self._settle(charge, used))

    async def _settle(self, charge: Charge, used: Spend) -> None:
        name = charge.budget.name
        self._reserved[name] = self._reserved.get(name, Spend()).minus(charge.most)
        await self._patiently(lambda: self._port.settle(self._client, charge, used))

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        until = clock.now() + PATIENCE
        while True:
            try:
                return await call()
            except GovernorLost as error:
                if clock.now() > until:
                    raise _gone(error) from error
            await asyncio.sleep(_AGAIN)

    async def snapshot(self) -> tuple[ServiceState, ...]:
        """Every service that the governor knows, as it stands."""
        return await asyncio.wrap_future(self._submit(self._patiently(self._port.snapshot)))

    # --- the desk's own thread --------------------------------------------------------

    def _submit(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        with self._lock:
            return asyncio.run_coroutine_threadsafe(work, self._running())

    def _running(self) -> asyncio.AbstractEventLoop:
        """The desk's loop, in its thread."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(
                target=_run, args=(self._loop,), name="medr-governor", daemon=True
            ).start()
            weakref.finalize(self, _stop, self._loop)
        return self._loop

    def close(self) -> None:
        """Leave the governor alone from now on; whoever waits gets an InfrastructureError."""
        with self._lock:
            for counter in self._counters.values():
                _refuse(counter, InfrastructureError("the governor's session is over"))
            if self._loop is not None:
                _stop(self._loop)

    def _attend(self, counter: _Counter) -> None:
        """See to it that what has changed at a counter is noticed. The lock is held."""
        if counter.changed is None:
            counter.changed = asyncio.Event()
            asyncio.run_coroutine_threadsafe(self._keep(counter, counter.changed), self._running())
        elif counter.holding.next_event(counter.times()) < counter.sleeps_until:
            counter.sleeps_until = float("-inf")
            self._running().call_soon_threadsafe(counter.changed.set)

    async def _keep(self, counter: _Counter, changed: asyncio.Event) -> None:
        """Keep a counter until nothing is held, waited for or left to say."""
        while True:
            with self._lock:
                message = self._advance(counter)
                if message is None and counter.holding.idle:
                    counter.changed = None
                    return
                number, counter.sleeps_until = (
                    counter.holding.last_message,
                    counter.holding.next_event(counter.times()),
                )
            if message is not None:
                task = asyncio.get_running_loop().create_task(
                    self._exchange(counter, message, number)
                )
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            await clock.signalled(changed, counter.sleeps_until)

    def _advance(self, counter: _Counter) -> Message | None:
        """Serve whom it is time to serve; what there is to say to the governor."""
        times = counter.times()
        try:
            self._check_circuit(counter, times)
        except CircuitOpen as error:
            _refuse(counter, error)
        _serve(counter, times)
        return counter.holding.message(times)

    async def _exchange(self, counter: _Counter, message: Message, number: int) -> None:
        sent = clock.now()
        try:
            reply = await self._port.exchange(self._client, counter.service, message)
        except Exception as error:  # whatever it is, nobody is to wait for ever
            self._lose(counter, error)
        else:
            with self._lock:
                received, counter.lost_at = clock.now(), None
                counter.offset.observe(sent, reply.heard, reply.answered, received)
                counter.holding.hear(reply.epoch, reply.grant, number, received)
        if counter.changed is not None:
            counter.changed.set()

    def _lose(self, counter: _Counter, error: Exception) -> None:
        with self._lock:
            now = clock.now()
            counter.lost_at, counter.offset = counter.lost_at or now, Offset()
            counter.holding.lost(now + _AGAIN)
            if now > counter.lost_at + PATIENCE:
                _refuse(counter, _gone(error))


def _gone(error: Exception) -> InfrastructureError:
    said = f"{type(error).__name__}: {error}"
    return InfrastructureError(f"the governor of the calls to services does not answer: {said}")


def _serve(counter: _Counter, times: Times) -> None:
    """Let those go whose turn it is."""
    for who, slot in counter.holding.served(times):
        if who.set_running_or_notify_cancel():
            who.set_result(slot)
        else:
            counter.holding.unspent(slot, times.now)


def _refuse(counter: _Counter, error: InfrastructureError) -> None:
    """Tell everybody who waits."""
    while counter.holding.waiting:
        who = counter.holding.waiting.popleft().who
        if who.set_running_or_notify_cancel():
            who.set_exception(error)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.close()


def _stop(loop: asyncio.AbstractEventLoop) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(loop.stop)
