"""Who gets what of one service: the governor's side, as a pure state machine over given times.

What holds, for times that do not run backwards: slots are handed out in the order of their times,
at most ``HORIZON`` ahead, and the buckets bound all of them together; at most ``Concurrency.limit``
seats are held by processes that were heard of within ``LEASE``; processes are served in turn, each
as far as it has requests waiting. Nothing is handed out during a pause or while the circuit is
open. A slot that is given back unused does not count.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from medr_ray.governor.circuit_breaker import Breaker
from medr_ray.governor.concurrency import Concurrency
from medr_ray.governor.failures import LONGEST_PAUSE
from medr_ray.governor.limits import Amounts, Service, slack
from medr_ray.governor.metrics import Counts, ServiceState
from medr_ray.governor.protocol import HORIZON, LATEST, LEASE, Grant, Message, News, Outcome, Slot
from medr_ray.governor.rate_limiter import buckets_of

_REFILL = HORIZON / 2  # the slots of a busy service are handed out this often, several at a time
_SPARE = HORIZON / 4  # slots that nobody waits for are handed out this far ahead
_SILENCE = 0.9 * LEASE  # seconds after which a process that was not heard of has lost its seats
_STEP = 0.001  # seconds that time goes on at least between two looks
_FORGET = 3600.0  # seconds; above any pause, and any window in use
_PAUSE = 1.0  # seconds, where a service refuses without saying for how long


@dataclass
class _Member:
    """A process as last heard of, and what it was given since (``gift``) or has not acknowledged
    (``unseen``)."""

    expires: float = 0.0
    number: int = 0
    held: int = 0
    free: int = 0
    seats: int = 0
    wants: list[Amounts] = field(default_factory=list)
    extra: int = 0
    late: float = 0.0
    listening: bool = False
    told: News = field(default_factory=News)
    turn: int = 0
    unseen: dict[int, tuple[int, int]] = field(default_factory=dict)
    gift_seats: int = 0
    gift_slots: list[Slot] = field(default_factory=list)


class Meter:
    """The state of one service. ``before``: another governor may have handed out slots until
    then."""

    def __init__(
        self, service: Service, epoch: str, now: float, before: float | None = None
    ) -> None:
        self.service, self._epoch = service, epoch
        self._buckets = buckets_of(service.limits, now)
        self._concurrency = Concurrency(service.limits.concurrency, service.limits.concurrency)
        self._breaker = Breaker()
        self._members: dict[str, _Member] = {}
        self._turns, self._numbers = itertools.count(1), itertools.count(1)
        self._last_slot = self._paused_until = float("-inf")
        self._heard_at, self._counts = now, Counts()
        if before is not None:
            for bucket in self._buckets:
                bucket.drained(
                    before + 2 * HORIZON + 3 * LATEST
                )  # slots dealt, given back, dealt again; late

    def adopt(self, service: Service, now: float) -> None:
        """Go on under other limits; what was granted under the old ones counts on."""
        if service.limits == self.service.limits:
            return
        old = {bucket.weights: bucket for bucket in self._buckets}
        self._buckets = [
            bucket.after(old.get(bucket.weights)) for bucket in buckets_of(service.limits, now)
        ]
        self._concurrency.adopt(service.limits.concurrency)
        self.service = service

    # --- what processes say -----------------------------------------------------------

    def hear(self, client: str, message: Message, now: float) -> bool:
        """Take in a process's state, unless a newer one is known (False). It listens for an answer,
        if it stays."""
        member = self._members.setdefault(client, _Member(turn=next(self._turns)))
        current = message.epoch == self._epoch
        self._learn(message, current, now)
        acknowledged = [member.unseen.pop(number, (0, 0)) for number in message.seen]
        if message.number < member.number:
            member.held -= sum(seats for seats, _ in acknowledged)  # the newer state counts them
            return False
        if not current:
            member.unseen = {}
        seats, slots = (sum(column) for column in zip((0, 0), *member.unseen.values(), strict=True))
        member.number, member.held, member.seats = (
            message.number,
            message.held + seats,
            max(0, message.seats - seats),
        )
        member.wants, member.extra = list(message.wants[slots:]), message.extra
        member.late = min(LATEST, max(message.late, slack(self.service.limits.seconds)))
        member.free = max(0, message.free + seats - min(slots, len(message.wants)))
        self._heard_at, member.expires, member.listening = now, now + _SILENCE, message.stay
        if not member.held:
            self._breaker.gone(client)
            if not message.stay:
                del self._members[client]
        return True

    def _learn(self, message: Message, current: bool, now: float) -> None:
        for outcome in message.outcomes:
            if current:
                self._settle(outcome)
            self._judge(outcome, now)
            self._counts.add(outcome)
        for slot in message.returned if current else ():
            for bucket in self._buckets:
                bucket.correct(-bucket.amount(slot.amounts), slot.until)

    def _settle(self, outcome: Outcome) -> None:
        for bucket in self._buckets:
            difference = bucket.amount(outcome.used) - bucket.amount(outcome.slot.amounts)
            if difference:
                bucket.correct(difference, outcome.slot.until)

    def _judge(self, outcome: Outcome, now: float) -> None:
        sent, pause = outcome.slot.time, outcome.retry_after
        endless = pause is not None and pause > LONGEST_PAUSE
        if outcome.result == "succeeded":
            self._breaker.succeeded(sent)
            self._concurrency.succeeded()
        elif outcome.result == "failed" or endless:
            self._breaker.failed(sent, now)
        elif outcome.result == "refused":
            self._paused_until = max(self._paused_until, now + (_PAUSE if pause is None else pause))
        if outcome.result == "refused" or outcome.overloaded:
            self._concurrency.overloaded(sent, now)

    def silence(self, client: str) -> None:
        """The process was answered, or no longer waits for this answer."""
        if client in self._members:
            self._members[client].listening = False

    # --- what they get ----------------------------------------------------------------

    def deal(self, now: float) -> dict[str, Grant]:
        """What there is to tell, by process."""
        for client in [one for one, member in self._members.items() if member.expires <= now]:
            self._breaker.gone(client)
            del self._members[client]
        if self._breaker.state(now) != "open":
            self._deal_seats(now)
            self._deal_slots(now)
        return {
            client: grant
            for client in self._members
            if (grant := self._answer(client, now)) is not None
        }

    def _room(self, now: float) -> int:
        """Seats that may be handed out; a single one where a service is tried again."""
        if self._breaker.state(now) == "half-open":
            return 1 if self._breaker.probe is None else 0
        return self._concurrency.limit - sum(member.held for member in self._members.values())

    def _give_seat(self, client: str, member: _Member, now: float) -> None:
        member.held, member.free, member.gift_seats = (
            member.held + 1,
            member.free + 1,
            member.gift_seats + 1,
        )
        if self._breaker.state(now) == "half-open":
            self._breaker.probe = client

    def _deal_seats(self, now: float) -> None:
        for client, member in self._in_turn(lambda one: one.seats > 0 and self._room(now) > 0):
            self._give_seat(client, member, now)
            member.seats -= 1

    def _deal_slots(self, now: float) -> None:
        """Slots, each with a seat where the process has none: not before, for others may have a use
        for it."""
        first = self._next_slot(now)
        if first is None:
            self._deal_spare(now)
        elif first <= now + _REFILL:
            for client, member in self._in_turn(lambda one: self._can_use_slot(one, now)):
                if (moment := self._earliest(member.wants[0], now)) > now + HORIZON:
                    return
                if not member.free:
                    self._give_seat(client, member, now)
                member.gift_slots.append(self._slot(member, moment, member.wants.pop(0)))
                member.free -= 1

    def _can_use_slot(self, member: _Member, now: float) -> bool:
        return bool(member.wants) and (member.free > 0 or self._room(now) > 0)

    def _deal_spare(self, now: float) -> None:
        for _, member in self._in_turn(lambda one: one.extra > 0):
            if (moment := self._earliest(Amounts(), now)) > now + _SPARE:
                return
            member.gift_slots.append(self._slot(member, moment, Amounts()))
            member.extra -= 1

    def _in_turn(self, needs: Callable[[_Member], bool]) -> Iterator[tuple[str, _Member]]:
        """Those who listen and need something, one after another and again, whoever was served
        longest ago first."""
        while ready := [
            item for item in self._members.items() if item[1].listening and needs(item[1])
        ]:
            for client, member in sorted(ready, key=lambda item: item[1].turn):
                if needs(member):
                    yield client, member
                    member.turn = next(self._turns)

    def _next_slot(self, now: float) -> float | None:
        """When the next slot that somebody waits for can be; None when nobody does."""
        ready = [
            one for one in self._members.values() if one.listening and self._can_use_slot(one, now)
        ]
        if not ready:
            return None
        return self._earliest(min(ready, key=lambda one: one.turn).wants[0], now)

    def _earliest(self, amounts: Amounts, now: float) -> float:
        moment = max(now, self._last_slot, self._paused_until)
        while (
            later := max([moment, *(b.earliest(b.amount(amounts), moment) for b in self._buckets)])
        ) > moment:
            moment = later
        return moment

    def _slot(self, member: _Member, moment: float, amounts: Amounts) -> Slot:
        for bucket in self._buckets:
            bucket.take(bucket.amount(amounts), moment, moment + member.late)
        self._last_slot = moment
        return Slot(moment, moment + member.late, amounts)

    def _answer(self, client: str, now: float) -> Grant | None:
        member, news = self._members[client], self._news(client, now)
        given = bool(member.gift_seats or member.gift_slots)
        if not member.listening or not (given or news != member.told):
            return None
        grant = Grant(next(self._numbers), member.gift_seats, tuple(member.gift_slots), news)
        member.unseen[grant.number] = (grant.seats, len(grant.slots))
        member.gift_seats, member.gift_slots, member.listening, member.told = 0, [], False, news
        return grant

    def _news(self, client: str, now: float) -> News:
        room = self._room(now)
        wanted = any(
            member.seats or (member.wants and not member.free)
            for other, member in self._members.items()
            if other != client
        )
        contended = room < 0 or (wanted and not room) or self._breaker.open_until is not None
        open_until = self._breaker.open_until if self._breaker.state(now) == "open" else None
        return News(
            max(0.0, self._paused_until),
            open_until or 0.0,
            contended and self._members[client].held > 0,
        )

    def wake(self, now: float) -> float:
        """When to deal again at the latest, if nothing is heard before."""
        moments = [member.expires for member in self._members.values()]
        if self._breaker.open_until is not None and self._breaker.state(now) == "open":
            moments.append(self._breaker.open_until)
        elif (first := self._next_slot(now)) is not None:
            moments.append(max(now + _STEP, first - _REFILL))
        return min(moments, default=float("inf"))

    def forgettable(self, now: float) -> bool:
        """Whether nobody has asked for so long that nothing of it matters."""
        return not self._members and now > self._heard_at + _FORGET

    def state(self, now: float) -> ServiceState:
        """The service as it stands."""
        waiting = sum(max(member.seats, len(member.wants)) for member in self._members.values())
        held = sum(member.held for member in self._members.values())
        used = max(
            (bucket.window.used(now) / bucket.window.limit for bucket in self._buckets),
            default=None,
        )
        return ServiceState(
            self.service.name,
            self.service.key,
            self._counts,
            waiting,
            held,
            self._concurrency.limit,
            self._breaker.state(now),
            max(0.0, self._paused_until - now),
            held / self._concurrency.limit if used is None else used,
        )
