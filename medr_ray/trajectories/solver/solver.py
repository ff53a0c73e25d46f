"""Chooses the rules teacher's next move: a search, the answer, or giving up.

``Solver.choose_move`` is a pure search over a plan, repeated after every tool response. It follows
the plan's hops as far as the notes allow and returns what to do where they end:

- The same plan, notes and log always give the same move.
- An entity is accepted only when every condition on it was read, or may be meant by what was read.
- A walk never returns to an entity where it has been.
- When a walk leads nowhere, the next candidate of the hop before is tried (backtracking).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from medr_ray.knowledge.predicates import PREDICATES
from medr_ray.trajectories.solver.comparison import find_first, measure_span
from medr_ray.trajectories.solver.notes import Notes
from medr_ray.trajectories.solver.plans import ONSET_KINDS, Condition, Plan, PlanHop, PlanWalk
from medr_ray.trajectories.solver.queries import (
    Query,
    Route,
    build_check,
    generate_searches,
    generate_share_searches,
    leads_to_candidates,
)

_CHECKS_PER_SEARCH = 3  # candidates to decide on before another search is sent
_MAX_ATTEMPTS = 3  # at a query whose call fails


@dataclass(frozen=True)
class SearchTarget:
    """What is looked for: the entity that meets all ``conditions`` and is none of ``excluded``.

    With ``share_of``, a disease and a finding, it is the share of the disease's patients who have
    the finding.
    """

    conditions: tuple[Condition, ...] = ()
    excluded: frozenset[str] = frozenset()
    share_of: tuple[str, str] | None = None

    def solutions(self, notes: Notes) -> list[str]:
        """The entities that meet all conditions, as far as the notes say."""
        return [
            candidate
            for candidate in self.candidates(notes)
            if not self.open_conditions(candidate, notes)
        ]

    def open_conditions(self, entity: str, notes: Notes) -> list[Condition]:
        """The conditions that no fact supports for an entity."""
        return [condition for condition in self.conditions if not notes.supports(condition, entity)]

    def candidates(self, notes: Notes) -> list[str]:
        """The entities that meet some condition, those with the fewest open conditions first."""
        # A dict keeps the order of reading, which decides between equal candidates.
        candidates = dict.fromkeys(
            entity
            for condition in self.conditions
            if leads_to_candidates(condition)
            for entity in notes.find_entities(condition)
        )
        return sorted(
            (candidate for candidate in candidates if candidate not in self.excluded),
            key=lambda candidate: len(self.open_conditions(candidate, notes)),
        )


@dataclass(frozen=True)
class SolvedTarget:
    """A target and the entity or share that it turned out to be."""

    target: SearchTarget
    value: str


@dataclass(frozen=True)
class Move:
    """What to do next: send ``query`` to find ``target``, or give ``answer``. Without either, the
    target cannot be found. ``chain`` is what is established so far, in the order of the hops."""

    chain: tuple[SolvedTarget, ...]
    target: SearchTarget = SearchTarget()
    query: Query | None = None
    answer: str | None = None

    @property
    def is_dead_end(self) -> bool:
        """Whether there is neither a query to send nor an answer."""
        return self.query is None and self.answer is None


@dataclass(frozen=True)
class SearchCall:
    """A query as a tool call: the tool, the query's text, the source that the search is limited to
    or "", and the first and last year or None."""

    tool: str
    text: str
    source: str = ""
    years: tuple[int, int] | None = None


class SearchLog:
    """The searches that were sent and whether they were answered.

    ``tools`` are the search tools of each route as (name, source), in the order of use: a query
    whose call fails goes to the next tool.
    """

    def __init__(self, tools: Mapping[Route, Sequence[tuple[str, str]]]) -> None:
        self._tools = tools
        self._answered: set[SearchCall] = set()
        self._failures: Counter[tuple[str, Route]] = Counter()
        self.checked: set[tuple[Condition, str]] = set()

    def next_call(self, query: Query) -> SearchCall:
        """The call that a query would be sent as now."""
        tools = self._tools[query.route]
        failure_count = self._failures[query.text, query.route]
        tool, source = tools[failure_count % len(tools)]
        # Only the medical retriever can limit a search to years; it is called with a source.
        return SearchCall(tool, query.text, source, query.years if source else None)

    def record(self, query: Query, failed: bool) -> None:
        """Record whether the call of a query failed or was answered."""
        if failed:
            self._failures[query.text, query.route] += 1
            return
        # The call is derived again: only a failure would have changed the tool.
        self._answered.add(self.next_call(query))
        self.checked.update(query.checks)

    def is_open(self, query: Query) -> bool:
        """Whether a query may be sent: its call was not answered yet and did not fail too often."""
        return (
            self.next_call(query) not in self._answered
            and self._failures[query.text, query.route] < _MAX_ATTEMPTS
        )


@dataclass(frozen=True)
class _Position:
    """Where a walk has come to: the current entity, all entities that it has visited, and the
    targets it has solved on the way.

    Entities are compared by type and name, because a finding may have the name of a disease.
    """

    entity: str
    visited: frozenset[tuple[str, str]]
    chain: tuple[SolvedTarget, ...]

    @classmethod
    def at_start(cls, walk: PlanWalk, previous: "_Position | None" = None) -> "_Position":
        """The start of a walk; ``previous`` is where the plan's other walk has come to."""
        visited = frozenset({(walk.hops[0].start_type, walk.start)})
        if previous is None:
            return cls(walk.start, visited, ())
        return cls(walk.start, visited | previous.visited, previous.chain)

    def target_of(self, hop: PlanHop, first_conditions: tuple[Condition, ...] = ()) -> SearchTarget:
        """What a hop from here leads to; it also has to meet ``first_conditions``."""
        excluded = frozenset(name for kind, name in self.visited if kind == hop.target_type)
        return SearchTarget((*first_conditions, *hop.conditions(self.entity)), excluded)

    def after(self, hop: PlanHop, solved: SolvedTarget) -> "_Position":
        """The position after a hop."""
        visited = self.visited | {(hop.target_type, solved.value)}
        return _Position(solved.value, visited, (*self.chain, solved))


_Continuation = Callable[[_Position], Move]  # what to do from a position on


class Solver:
    """Chooses moves for one plan from the notes and the log as they are."""

    def __init__(self, plan: Plan, notes: Notes, log: SearchLog) -> None:
        self._plan = plan
        self._notes = notes
        self._log = log

    def choose_move(self) -> Move:
        """The next move."""
        first, *others = self._plan.walks
        start = _Position.at_start(first)
        if not others and self._plan.answer_kind in ("entity", "share"):
            return self._follow(first.hops, start, self._answer)
        # Extremes and walks that intersect treat the last hop apart: it may have several ends.
        return self._follow(first.hops[:-1], start, self._take_last_hop)

    # --- following hops ---------------------------------------------------------------

    def _follow(
        self, hops: Sequence[PlanHop], position: _Position, continuation: _Continuation
    ) -> Move:
        """Follow the hops, then go on with ``continuation``."""
        if not hops:
            return continuation(position)
        first, *others = hops
        return self._find(
            position.target_of(first),
            first,
            position,
            lambda following: self._follow(others, following, continuation),
        )

    def _find(
        self, target: SearchTarget, hop: PlanHop, position: _Position, continuation: _Continuation
    ) -> Move:
        """Go on from each solution of the target until one leads on; search when none does."""
        dead_end = None
        for value in target.solutions(self._notes):
            move = continuation(position.after(hop, SolvedTarget(target, value)))
            if not move.is_dead_end:
                return move
            dead_end = move
        # Several conditions describe one single entity. Once it is found there is none to search.
        if dead_end is not None and len(target.conditions) > 1:
            return dead_end
        query = self._choose_query(target)
        if query is None and dead_end is not None:
            return dead_end
        return Move(position.chain, target, query)

    def _take_last_hop(self, position: _Position) -> Move:
        """At the last hop of the first walk: compare all its ends, or find the one that the second
        walk ends at as well."""
        first, *others = self._plan.walks
        last_hop = first.hops[-1]
        if not others:
            return self._compare_ends(position.target_of(last_hop), position)
        second = others[0]
        return self._follow(
            second.hops[:-1],
            _Position.at_start(second, position),
            lambda second_position: self._meet(
                position, last_hop, second_position, second.hops[-1]
            ),
        )

    def _meet(
        self, first: _Position, first_hop: PlanHop, second: _Position, second_hop: PlanHop
    ) -> Move:
        """Find the entity that the last hops of both walks lead to."""
        target = second.target_of(second_hop, first_hop.conditions(first.entity))
        return self._find(target, second_hop, second, self._answer)

    # --- the end of the plan ----------------------------------------------------------

    def _answer(self, position: _Position) -> Move:
        """Answer with the entity of the position, or with the share that was read of it."""
        if self._plan.answer_kind != "share":
            return Move(position.chain, answer=position.entity)
        disease, finding = position.entity, self._plan.finding
        target = SearchTarget(share_of=(disease, finding))
        shares = self._notes.qualifiers("has_finding", disease, finding)
        if shares:
            return Move((*position.chain, SolvedTarget(target, shares[0])), answer=shares[0])
        query = self._first_open(generate_share_searches(disease, finding))
        return Move(position.chain, target, query)

    def _compare_ends(self, group: SearchTarget, position: _Position) -> Move:
        """Answer with the extreme of all entities that solve ``group``, after every search for
        members and for the value of each member was sent."""
        # Any member may be the extreme, so all searches for members come first.
        query = self._first_open(generate_searches(group.conditions, self._notes))
        if query is not None:
            return Move(position.chain, group, query)
        members = group.solutions(self._notes)
        for member in members:
            if self._compared_values(member):
                continue
            query = self._first_open(self._generate_value_searches(member))
            if query is not None:
                return Move(position.chain, self._value_target(member), query)
        spans = {}
        for member in members:
            span = measure_span(self._compared_values(member), self._plan.answer_kind)
            if span is not None:
                spans[member] = span
        winner = find_first(spans, self._plan.answer_kind)
        if winner is None:
            return Move(position.chain, group)
        return Move((*position.chain, SolvedTarget(group, winner)), group, answer=winner)

    def _value_target(self, entity: str) -> SearchTarget:
        """The value of an entity that the question compares: its age of onset or its share."""
        if self._plan.answer_kind in ONSET_KINDS:
            return SearchTarget((Condition(PREDICATES["has_onset"], False, "", entity),))
        return SearchTarget(share_of=(entity, self._plan.finding))

    def _generate_value_searches(self, entity: str) -> Iterator[Query]:
        """The queries for the value of an entity that the question compares."""
        target = self._value_target(entity)
        if target.share_of:
            return generate_share_searches(*target.share_of)
        return generate_searches(target.conditions, self._notes)

    def _compared_values(self, entity: str) -> list[str]:
        """What was read about the value of an entity that the question compares."""
        if self._plan.answer_kind in ONSET_KINDS:
            return self._notes.objects("has_onset", entity)
        return self._notes.qualifiers("has_finding", entity, self._plan.finding)

    # --- choosing a query -------------------------------------------------------------

    def _choose_query(self, target: SearchTarget) -> Query | None:
        """The next query for a target: checks of candidates and searches for more in turn."""
        searches = list(generate_searches(target.conditions, self._notes))
        check = self._next_check(target)
        search = self._first_open(searches)
        if check is None or search is None:
            return check or search
        sent_count = sum(not self._log.is_open(query) for query in searches)
        checked_candidates = {
            candidate
            for condition, candidate in self._log.checked
            if condition in target.conditions
        }
        is_check_due = len(checked_candidates) < _CHECKS_PER_SEARCH * sent_count
        return check if is_check_due else search

    def _next_check(self, target: SearchTarget) -> Query | None:
        """The query that decides on the candidates with the fewest open conditions."""
        open_by_candidate: dict[str, list[Condition]] = {}
        for candidate in target.candidates(self._notes):
            open_conditions = target.open_conditions(candidate, self._notes)
            checks = {(condition, candidate) for condition in open_conditions}
            # A check that was answered and still left its condition open rules the candidate out.
            if open_conditions and self._log.checked.isdisjoint(checks):
                open_by_candidate[candidate] = open_conditions
        for open_conditions in open_by_candidate.values():
            # One query for all candidates with the same open condition, if they share a record.
            condition = open_conditions[0]
            alike = [
                candidate
                for candidate, conditions in open_by_candidate.items()
                if condition in conditions
            ]
            query = build_check(condition, alike)
            if self._log.is_open(query):
                return query
        return None

    def _first_open(self, queries: Iterable[Query]) -> Query | None:
        return next((query for query in queries if self._log.is_open(query)), None)
