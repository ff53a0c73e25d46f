"""What a process holds of one service: its side of the leases, as a pure state machine over given
times.

What holds: a request is sent between the times of its slot, whatever the governor's clock may show
by what is known of it; a process that comes too late for its slots asks for such as are good for
longer; no slot is used twice, none during a pause or while the circuit is open, as soon as the
process has heard of it; no more requests are in flight than seats are held; requests are served in
the order in which they came. What is no longer needed goes back: slots that passed unused, seats at
once where others wait for them.
"""

import itertools
import math
from collections import deque
from dataclasses import dataclass, replace
from typing import Generic, NamedTuple, TypeVar

from medr_ray.governor.failures import LONGEST_PAUSE
from medr_ray.governor.limits import Amounts, Limits, slack
from medr_ray.governor.protocol import LATEST, Grant, Message, News, Outcome, Slot

W = TypeVar("W")
_BATCH = 512  # most requests that are told of at once
_TELL = 0.05  # seconds that what makes room for others is gathered before it is told, and seats kept without news
_GATHER = 0.5  # seconds that what makes none is
_IDLE = 1.0  # seconds that a seat is kept for the next request
_MEMORY = 0.5  # seconds over which the rate of requests is averaged
_PATIENCE, _IMPATIENCE = (
    1.25,
    0.97,
)  # how much longer slots are to be good for after one was missed, or was not
_PINGS = 3  # times that a governor is asked for nothing but its time
_NEVER = float("inf")


class Times(NamedTuple):
    """A moment: our time, and the governor's, which is at least ``low`` and at most ``high``."""

    now: float
    low: float
    high: float


@dataclass(frozen=True)
class Waiter(Generic[W]):
    """A request that waits; ``who`` is whatever the caller knows it by."""

    who: W
    amounts: Amounts


@dataclass
class _Told:
    """What the governor still knows us to need, and whether it will answer."""

    seats: int = 0
    wants: int = 0
    extra: int = 0
    message: int = 0
    listening: bool = False
    pinged: bool = False
    member: bool = False


class Holding(Generic[W]):
    """Seats, slots and waiting requests of one service in one process."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.news = limits, News()
        self.waiting: deque[Waiter[W]] = deque()
        self._late = slack(limits.seconds)  # seconds that slots have to be good for
        self._held = self._busy = 0
        self._stock: list[Slot] = []
        self._outcomes: list[Outcome] = []
        self._returned: list[Slot] = []
        self._acks: list[int] = []
        self._epoch, self._told, self._pings = "", _Told(), 0
        self._rate, self._spent_at = 0.0, 0.0
        self._tell_at = _NEVER
        self._poll_at = self._quiet_until = self._needed_at = self._spoke_at = self._rests_until = (
            float("-inf")
        )

    # --- requests ---------------------------------------------------------------------

    def take(self, amounts: Amounts, times: Times) -> Slot | None:
        """The slot of a request that may be sent now; it holds a seat until it is finished."""
        paused = times.low < self.news.paused_until or times.now < self._rests_until
        if self._held <= self._busy or paused or times.high < self.news.open_until:
            return None
        slot = (
            self._usable(amounts, times)
            if self.limits.metered
            else Slot(times.high, times.high, amounts)
        )
        if slot is not None:
            self._busy += 1
            self._rate = self._rate_at(times.now) + 1 / _MEMORY
            self._spent_at = self._needed_at = times.now
            self._late = max(slack(self.limits.seconds), self._late * _IMPATIENCE)
        return slot

    def _usable(self, amounts: Amounts, times: Times) -> Slot | None:
        while self._stock and self._stock[0].until < times.high:
            self._give_back([self._stock.pop(0)], times.now)
        index = self._covering(amounts, self._stock)
        if index is None or self._stock[index].time > times.low:
            return None
        return self._stock.pop(index)

    def _covering(self, amounts: Amounts, slots: list[Slot]) -> int | None:
        """The first slot that is large enough."""
        if not self.limits.sized:
            return 0 if slots else None
        fitting = (
            n
            for n, slot in enumerate(slots)
            if all(a <= b for a, b in zip(amounts, slot.amounts, strict=True))
        )
        return next(fitting, None)

    def served(self, times: Times) -> list[tuple[W, Slot]]:
        """The waiting requests that may be sent now, in order."""
        found = []
        if (
            self.waiting
            and self._held > self._busy
            and self._stock
            and self._stock[0].until < times.high
        ):
            self._late = min(LATEST, self._late * _PATIENCE)
        while self.waiting and (slot := self.take(self.waiting[0].amounts, times)) is not None:
            found.append((self.waiting.popleft().who, slot))
        return found

    def finish(self, outcome: Outcome, now: float) -> None:
        """A request is over. Its seat goes back where others wait for one."""
        self._vacate(now)
        pause = outcome.retry_after or 0.0
        if (
            outcome.result == "refused" and pause <= LONGEST_PAUSE
        ):  # the others will be told, this process knows
            self._rests_until = max(self._rests_until, now + pause)
        self._outcomes.append(outcome)
        waits = (
            0.0
            if outcome.result in ("refused", "failed")
            else _TELL
            if self.limits.sized
            else _GATHER
        )
        self._tell_at = min(self._tell_at, now + waits)

    def unspent(self, slot: Slot, now: float) -> None:
        """A request that had its slot was never sent."""
        self._vacate(now)
        self._give_back([slot], now)

    def _vacate(self, now: float) -> None:
        self._busy -= 1
        if self.news.contended and self._held - self._busy > min(
            len(self._stock), len(self.waiting)
        ):
            self._held, self._tell_at = self._held - 1, now
        self._needed_at = now

    def _give_back(self, slots: list[Slot], now: float) -> None:
        if self.limits.metered:
            self._returned += slots
            self._tell_at = min(self._tell_at, now + _TELL)

    def circuit_open(self, times: Times) -> float:
        """Seconds for which nothing is sent because the service only fails; 0 when it is sent."""
        return max(0.0, self.news.open_until - times.high) if self.news.open_until else 0.0

    # --- talking to the governor ------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Nothing is held, waited for or left to say."""
        return not (self._active or self._told.member or self._outcomes or self._returned)

    @property
    def _idle_at(self) -> float:
        """When seats that nobody uses go back."""
        return (
            self._needed_at + _IDLE
            if self._held and not self._busy and not self.waiting
            else _NEVER
        )

    @property
    def _active(self) -> bool:
        return bool(self._held or self._busy or self.waiting)

    def next_event(self, times: Times) -> float:
        """Our time when something is to be said or somebody can be served."""
        return min(max(self._speak_at(times), self._quiet_until), self._due_at(times))

    def _due_at(self, times: Times) -> float:
        if not self.waiting or self._held <= self._busy:
            return _NEVER
        moment = self.news.paused_until
        if self.limits.metered:
            index = self._covering(self.waiting[0].amounts, self._stock)
            if index is None:
                return _NEVER
            moment = max(moment, self._stock[index].time)
        return max(times.now + max(0.0, moment - times.low), self._rests_until)

    def _speak_at(self, times: Times) -> float:
        now, told = times.now, self._told
        if told.pinged:
            return _NEVER
        free, seats, wants = self._needs()
        moments = [self._tell_at, self._idle_at]
        if seats > told.seats or len(wants) > told.wants:
            moments.append(self._ask_at(times))
        if (self.news.contended and free > len(wants)) or (not told.extra and self._extra(now)):
            return now
        if self._active and not told.listening:
            moments.append(now if self.waiting else self._poll_at)
        elif not self._active and told.member:
            return now
        return min(moments)

    def _ask_at(self, times: Times) -> float:
        """When to ask for more: at once by whoever has nothing, else when several requests may have
        come together."""
        if self._told.wants:
            return self._spoke_at + _TELL
        ahead = self._stock[-1].time - times.low if self._stock else 0.0
        return self._spoke_at + min(_TELL, max(0.0, ahead / 2))

    def _needs(self) -> tuple[int, int, tuple[Amounts, ...]]:
        """(seats without request or slot, seats missing for all that else could go, slots
        missing)."""
        vacant = self._held - self._busy
        missing, matched = self._without_slot() if self.limits.metered else ((), len(self.waiting))
        return (
            max(0, vacant - matched),
            min(self.limits.concurrency, max(0, matched - vacant)),
            missing,
        )

    def _without_slot(self) -> tuple[tuple[Amounts, ...], int]:
        """(what waits and has no slot yet, how many have one), as far as it is told at once."""
        if not self.limits.sized:
            matched = min(len(self._stock), len(self.waiting))
            return (Amounts(),) * min(_BATCH, len(self.waiting) - matched), matched
        missing, slots = [], list(self._stock)
        for waiter in itertools.islice(self.waiting, _BATCH):
            index = self._covering(waiter.amounts, slots)
            if index is None:
                missing.append(waiter.amounts)
            else:
                slots.pop(index)
        return tuple(missing), len(self._stock) - len(slots)

    def _extra(self, now: float) -> int:
        """Slots to be asked for while nobody waits: as many as requests are to be expected while a
        slot can be used, less those at hand; none before half are gone."""
        if self.waiting or not self.limits.metered or self.limits.sized:
            return 0
        expected = min(_BATCH, int(self._rate_at(now) * self._late))
        missing = expected - len(self._stock)
        return missing if expected > 1 and 2 * missing > expected else 0

    def _rate_at(self, now: float) -> float:
        return self._rate * math.exp(-max(0.0, now - self._spent_at) / _MEMORY)

    def message(self, times: Times) -> Message | None:
        """What is to be said now, if anything."""
        now = times.now
        if now < self._quiet_until or now < self._speak_at(times):
            return None
        if (
            self.limits.metered
            and self._pings < _PINGS
            and times.high - times.low > slack(self.limits.seconds)
        ):
            return self._ping()
        free, seats, wants = self._needs()
        if self.news.contended or now >= self._idle_at:
            excess = max(0, free - len(wants))
            self._held, free = self._held - excess, free - excess
        extra = self._extra(now)
        late = self._late + (times.high - times.low if self._epoch else 0.0)
        message = Message(
            self._told.message + 1,
            self._epoch,
            tuple(self._acks),
            self._held,
            free,
            seats,
            wants,
            extra,
            late,
            tuple(self._returned),
            tuple(self._outcomes),
            self._active,
        )
        self._acks, self._returned, self._outcomes, self._tell_at = [], [], [], _NEVER
        self._spoke_at = now
        self._told = _Told(
            seats,
            len(wants),
            extra,
            self._told.message + 1,
            listening=self._active,
            member=self._active,
        )
        return message

    def _ping(self) -> Message:
        """Nothing but a question for the time: slots could not be used before the governor's clock
        is known."""
        self._pings += 1
        told = self._told = replace(self._told, message=self._told.message + 1, pinged=True)
        return Message(told.message, self._epoch, (), self._held, 0, stay=False)

    @property
    def last_message(self) -> int:
        """The number of the last message; its answer is known by it."""
        return self._told.message

    def hear(self, epoch: str, grant: Grant, answers: int, now: float) -> None:
        """Take in the answer to the message numbered ``answers``, by the governor named
        ``epoch``."""
        if self._epoch not in ("", epoch):
            self._forget()
        self._epoch = epoch
        if answers == self._told.message:
            self._told.listening = self._told.pinged = False
            self._poll_at = now + _TELL
        if not grant.number:
            return
        self._acks.append(grant.number)
        self._held, self._needed_at = self._held + grant.seats, now
        self._stock += grant.slots
        self._told.seats = max(0, self._told.seats - grant.seats)
        self._told.wants, self._told.extra = max(0, self._told.wants - len(grant.slots)), 0
        self.news = grant.news
        if (
            self.news.open_until and self._held > self._busy
        ):  # whoever is to try the service will be told
            self._held, self._tell_at = self._busy, now

    def lost(self, until: float) -> None:
        """The governor is gone: what it gave is void. Nothing is said before ``until``."""
        self._forget()
        self._quiet_until = until

    def _forget(self) -> None:
        self._stock, self._acks, self._returned, self._outcomes = [], [], [], []
        self.news, self._told = News(), _Told(message=self._told.message)
        self._tell_at, self._pings = _NEVER, 0
