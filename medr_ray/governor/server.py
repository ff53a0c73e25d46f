"""The governor without its place: hears messages and answers them when there is something to say.

It runs in one event loop, that of the cluster's actor or of a process without Ray. The decisions
are ``Meter``'s.
"""

import asyncio
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from medr_ray.governor import clock
from medr_ray.governor.allocator import Meter
from medr_ray.governor.budget import Charge, Purse, Spend
from medr_ray.governor.limits import Service
from medr_ray.governor.metrics import ServiceState, frozen
from medr_ray.governor.protocol import LEASE, RENEWAL, Grant, Message, News, Reply

_NOTHING = Grant(0, 0, (), News())
_PUBLISH = 1.0  # seconds between publications of the metrics
Publish = Callable[[Iterable[ServiceState]], None]


@dataclass
class _Poll:
    """A message whose answer is waited for."""

    answer: asyncio.Future[Reply]
    heard: float
    until: float


class Office:
    """All services and budgets. ``restarted``: another one may have handed out slots until this one
    began."""

    def __init__(self, restarted: bool = False, publish: Publish | None = None) -> None:
        self._epoch, self._begun, self._publish = uuid.uuid4().hex, clock.now(), publish
        self._restarted = restarted
        self._meters: dict[str, Meter] = {}
        self._polls: dict[str, dict[str, _Poll]] = {}
        self._purses: dict[str, Purse] = {}
        self._heard: dict[str, float] = {}
        self._due: dict[str, float] = {}
        self._changed = asyncio.Event()
        self._clockwork: asyncio.Task[None] | None = None
        self._sleeps_until = self._published = float("-inf")

    async def exchange(self, client: str, service: Service, message: Message) -> Reply:
        """Hear a message; the answer comes when there is something to say, at the latest after
        ``RENEWAL``."""
        now = self._heard[client] = clock.now()
        meter, polls = self._meter(service, message, now), self._polls.setdefault(service.key, {})
        if not meter.hear(client, message, now):
            return Reply(self._epoch, now, now, _NOTHING)
        if (older := polls.pop(client, None)) is not None:
            self._answer(older, _NOTHING, now)
        poll = polls[client] = _Poll(
            asyncio.get_running_loop().create_future(), now, now + RENEWAL if message.stay else now
        )
        self._deal(service.key, now)
        self._wind()
        return await poll.answer

    def _meter(self, service: Service, message: Message, now: float) -> Meter:
        meter = self._meters.get(service.key)
        if meter is None:
            second = self._restarted or message.epoch not in ("", self._epoch)
            meter = self._meters[service.key] = Meter(
                service, self._epoch, now, self._begun if second else None
            )
        meter.adopt(service, now)
        return meter

    def _deal(self, key: str, now: float) -> None:
        meter, polls = self._meters[key], self._polls[key]
        for client, grant in meter.deal(now).items():
            self._answer(polls.pop(client), grant, now)
        for client in [one for one, poll in polls.items() if poll.until <= now]:
            meter.silence(client)
            self._answer(polls.pop(client), _NOTHING, now)
        self._due[key] = min([meter.wake(now), *(poll.until for poll in polls.values())])

    def _answer(self, poll: _Poll, grant: Grant, now: float) -> None:
        if not poll.answer.done():
            poll.answer.set_result(Reply(self._epoch, poll.heard, now, grant))

    def _wind(self) -> None:
        """Have the clockwork wake in time."""
        if self._clockwork is None or self._clockwork.done():
            self._changed = asyncio.Event()
            self._clockwork = asyncio.get_running_loop().create_task(self._tick(self._changed))
        elif self._next() < self._sleeps_until:
            self._changed.set()

    async def _tick(self, changed: asyncio.Event) -> None:
        """Deal whenever time alone makes a difference."""
        while True:
            now = clock.now()
            for key in [one for one, due in self._due.items() if due <= now]:
                self._deal(key, now)
            self._bury(now)
            if self._publish is not None and now >= self._published + _PUBLISH:
                self._published = now
                self._publish(self._states())
            self._sleeps_until = self._next()
            await clock.signalled(changed, self._sleeps_until)

    def _next(self) -> float:
        moments = [*self._due.values(), *(heard + LEASE for heard in self._heard.values())]
        if self._publish is not None and any(self._polls.values()):
            moments.append(self._published + _PUBLISH)
        return min(moments, default=float("inf"))

    def _bury(self, now: float) -> None:
        for client in [one for one, heard in self._heard.items() if heard + LEASE <= now]:
            del self._heard[client]
            for purse in self._purses.values():
                purse.died(client)
        for key in [one for one, meter in self._meters.items() if meter.forgettable(now)]:
            del self._meters[key], self._polls[key], self._due[key]

    # --- budgets ----------------------------------------------------------------------

    async def reserve(self, client: str, charge: Charge, before: Spend) -> str:
        """Set an estimate aside; the reason why not, if the budget does not cover it (see
        ``Purse``)."""
        self._heard[client] = clock.now()
        self._wind()
        purse = self._purses.setdefault(charge.budget.name, Purse(charge.budget.spent))
        return purse.reserve(client, charge, before)

    async def settle(self, client: str, charge: Charge, used: Spend) -> None:
        """Replace an estimate by what was used."""
        if (
            purse := self._purses.get(charge.budget.name)
        ) is not None:  # else the next request says what is spent
            purse.settle(client, charge.most, used)

    async def snapshot(self) -> tuple[ServiceState, ...]:
        """Every service as it stands."""
        return self._states()

    def _states(self) -> tuple[ServiceState, ...]:
        return frozen(meter.state(clock.now()) for meter in self._meters.values())
