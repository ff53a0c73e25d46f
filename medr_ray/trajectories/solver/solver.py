"""From what was read to what to do next: a pure search over a plan.

What holds: the same plan, notes and log always give the same move; an entity is taken only when
everything told of it was read, or may be meant by what was read; a walk never comes back to where
it has been; where a walk ends in nothing, the next candidate of the step before is tried.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from medr_ray.knowledge.predicates import PREDICATES
from medr_ray.trajectories.solver import comparison as comparing
from medr_ray.trajectories.solver import queries as asking
from medr_ray.trajectories.solver.notes import Notes
from medr_ray.trajectories.solver.plans import ONSETS, Condition, Hop, Plan, Walk
from medr_ray.trajectories.solver.queries import Query, Route

_CHECKS_PER_SEARCH = 3  # candidates decided on before searching on
_ATTEMPTS = 3  # at a query that fails


@dataclass(frozen=True)
class Unknown:
    """An entity that is looked for: what holds of it, and who it is not. Or, with ``share_of`` a
    disease and a finding, the share of its patients who have it."""

    conditions: tuple[Condition, ...] = ()
    excluded: frozenset[str] = frozenset()
    share_of: tuple[str, str] | None = None

    def found(self, notes: Notes) -> list[str]:
        """The entities of which everything was read."""
        return [
            candidate for candidate in self.candidates(notes) if not self.missing(candidate, notes)
        ]

    def missing(self, entity: str, notes: Notes) -> list[Condition]:
        """What was not read of an entity."""
        return [condition for condition in self.conditions if not notes.holds(condition, entity)]

    def candidates(self, notes: Notes) -> list[str]:
        """The entities of which something was read, those of which most was first."""
        candidates = dict.fromkeys(
            end
            for condition in self.conditions
            if asking.leads(condition)
            for end in notes.fitting(condition)
        )
        return sorted(
            (candidate for candidate in candidates if candidate not in self.excluded),
            key=lambda one: len(self.missing(one, notes)),
        )


@dataclass(frozen=True)
class Step:
    """An entity that was looked for, and who it is."""

    unknown: Unknown
    value: str


@dataclass(frozen=True)
class Move:
    """What to do: send ``query`` to find ``unknown``, give ``answer``, or, without either, give up
    on ``unknown``. ``chain`` is what is established so far."""

    chain: tuple[Step, ...]
    unknown: Unknown = Unknown()
    query: Query | None = None
    answer: str | None = None

    @property
    def leads_nowhere(self) -> bool:
        return self.query is None and self.answer is None


@dataclass(frozen=True)
class Call:
    """A search as a tool call: the tool, the query, the source it is kept to or "", and the years
    or None."""

    tool: str
    text: str
    source: str = ""
    years: tuple[int, int] | None = None


class Log:
    """The searches sent and what became of them. ``tools`` are the agent's search tools in the
    order it tries them, as (name, source); a query that fails goes to the next."""

    def __init__(self, tools: Mapping[Route, Sequence[tuple[str, str]]]) -> None:
        self._tools = tools
        self._answered: set[Call] = set()
        self._failed: Counter[tuple[str, Route]] = Counter()
        self.checked: set[tuple[Condition, str]] = set()

    def call(self, query: Query) -> Call:
        """The call that a query is sent as now."""
        tools = self._tools[query.route]
        tool, source = tools[self._failed[query.text, query.route] % len(tools)]
        return Call(tool, query.text, source, query.years if source else None)

    def note(self, query: Query, failed: bool) -> None:
        """Keep what became of a query."""
        if failed:
            self._failed[query.text, query.route] += 1
            return
        self._answered.add(self.call(query))
        self.checked.update(query.checks)

    def is_open(self, query: Query) -> bool:
        """Whether to send it, or send it again: an answered call is not repeated."""
        return (
            self.call(query) not in self._answered
            and self._failed[query.text, query.route] < _ATTEMPTS
        )


@dataclass(frozen=True)
class _Place:
    """Where the search stands: the entity it has come to, all it has been at by type and name (a
    sign may go by the name of a disease), and the steps that led there."""

    known: str
    seen: frozenset[tuple[str, str]]
    chain: tuple[Step, ...]

    @classmethod
    def at_start(cls, walk: Walk, before: "_Place | None" = None) -> "_Place":
        """Where a walk starts, after what came ``before``."""
        seen = frozenset({(walk.hops[0].known_type, walk.start)})
        return (
            cls(walk.start, seen | before.seen, before.chain)
            if before
            else cls(walk.start, seen, ())
        )

    def unknown(self, hop: Hop, first: tuple[Condition, ...] = ()) -> Unknown:
        """What a hop leads to from here, and of which ``first`` holds as well."""
        excluded = frozenset(name for kind, name in self.seen if kind == hop.target_type)
        return Unknown((*first, *hop.conditions(self.known)), excluded)

    def after(self, hop: Hop, step: Step) -> "_Place":
        return _Place(step.value, self.seen | {(hop.target_type, step.value)}, (*self.chain, step))


_Then = Callable[[_Place], Move]


class Solver:
    """Searches one plan, given what was read and done so far."""

    def __init__(self, plan: Plan, notes: Notes, log: Log) -> None:
        self._plan, self._notes, self._log = plan, notes, log

    def move(self) -> Move:
        """What to do next."""
        first, *others = self._plan.walks
        start = _Place.at_start(first)
        if not others and self._plan.asked in ("entity", "share"):
            return self._walk(first.hops, start, self._end)
        return self._walk(first.hops[:-1], start, self._before_last)

    # --- walking ----------------------------------------------------------------------

    def _walk(self, hops: Sequence[Hop], place: _Place, then: _Then) -> Move:
        """Over the hops and ``then`` on."""
        if not hops:
            return then(place)
        return self._find(
            place.unknown(hops[0]), hops[0], place, lambda found: self._walk(hops[1:], found, then)
        )

    def _find(self, unknown: Unknown, hop: Hop, place: _Place, then: _Then) -> Move:
        """Whatever fits, one after another until one leads on; search where none does. Where a
        question tells several things of an entity there is but one."""
        move = None
        for value in unknown.found(self._notes):
            move = then(place.after(hop, Step(unknown, value)))
            if not move.leads_nowhere:
                return move
        query = (
            None if move is not None and len(unknown.conditions) > 1 else self._next_query(unknown)
        )
        return move if query is None and move is not None else Move(place.chain, unknown, query)

    def _before_last(self, place: _Place) -> Move:
        """A walk has come to its last hop: compare all its ends, or find what another walk ends at
        as well."""
        last = self._plan.walks[0].hops[-1]
        if len(self._plan.walks) == 1:
            return self._choose(place.unknown(last), place)
        second = self._plan.walks[1]
        again = _Place.at_start(second, place)
        return self._walk(
            second.hops[:-1], again, lambda other: self._meet(place, last, other, second.hops[-1])
        )

    def _meet(self, one: _Place, last: Hop, other: _Place, final: Hop) -> Move:
        unknown = other.unknown(final, last.conditions(one.known))
        return self._find(unknown, final, other, self._end)

    # --- the end ----------------------------------------------------------------------

    def _end(self, place: _Place) -> Move:
        if self._plan.asked != "share":
            return Move(place.chain, answer=place.known)
        of = place.known, self._plan.finding
        share = Unknown(share_of=of)
        stated = self._notes.qualifiers("has_finding", *of)
        if stated:
            return Move((*place.chain, Step(share, stated[0])), answer=stated[0])
        return Move(place.chain, share, self._first_open(asking.share_of(*of)))

    def _choose(self, group: Unknown, place: _Place) -> Move:
        """Which of all that fit comes first, once what is compared was looked up for each."""
        query = self._first_open(asking.discover(group.conditions, self._notes))
        if query is not None:
            return Move(place.chain, group, query)
        ends = group.found(self._notes)
        for candidate in ends:
            query = (
                None if self._compared(candidate) else self._first_open(self._comparing(candidate))
            )
            if query is not None:
                return Move(place.chain, self._unknown_of(candidate), query)
        spans = {
            end: span
            for end in ends
            if (span := comparing.span_of(self._compared(end), self._plan.asked))
        }
        winner = comparing.first_of(spans, self._plan.asked)
        chain = place.chain if winner is None else (*place.chain, Step(group, winner))
        return Move(chain, group, answer=winner)

    def _unknown_of(self, entity: str) -> Unknown:
        """What the question compares of an entity, while it is not known."""
        if self._plan.asked in ONSETS:
            return Unknown((Condition(PREDICATES["has_onset"], False, "", entity),))
        return Unknown(share_of=(entity, self._plan.finding))

    def _comparing(self, entity: str) -> Iterator[Query]:
        """The queries for it."""
        unknown = self._unknown_of(entity)
        if unknown.share_of:
            return asking.share_of(*unknown.share_of)
        return asking.discover(unknown.conditions, self._notes)

    def _compared(self, entity: str) -> list[str]:
        """What was read of an entity that the question compares."""
        if self._plan.asked in ONSETS:
            return self._notes.objects("has_onset", entity)
        return self._notes.qualifiers("has_finding", entity, self._plan.finding)

    # --- searching --------------------------------------------------------------------

    def _next_query(self, unknown: Unknown) -> Query | None:
        """Checks of candidates and further searches in turn."""
        searches = list(asking.discover(unknown.conditions, self._notes))
        check, search = self._next_check(unknown), self._first_open(searches)
        if check is None or search is None:
            return check or search
        searched = sum(not self._log.is_open(search) for search in searches)
        checked = len(
            {candidate for each, candidate in self._log.checked if each in unknown.conditions}
        )
        return check if checked < _CHECKS_PER_SEARCH * searched else search

    def _next_check(self, unknown: Unknown) -> Query | None:
        """What decides on the candidates of which most was read."""
        lacking = {
            candidate: missing
            for candidate in unknown.candidates(self._notes)
            if (missing := unknown.missing(candidate, self._notes))
            and self._log.checked.isdisjoint((each, candidate) for each in missing)
        }
        for missing in lacking.values():
            alike = [other for other, lacks in lacking.items() if missing[0] in lacks]
            query = asking.verify(missing[0], alike)
            if self._log.is_open(query):
                return query
        return None

    def _first_open(self, queries: Iterable[Query]) -> Query | None:
        return next((query for query in queries if self._log.is_open(query)), None)
