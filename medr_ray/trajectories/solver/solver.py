"""Chooses the rules teacher's next move: calls, the answer, or giving up.

``Solver.choose_move`` works the plan out from the notes again after every tool response
(``rules``). Where they do not say what a step needs, it looks that up: by the first phrasing that
was not answered yet (``queries``); where a search showed the record but not the line, by reading
the record; where all of a list are wanted, by the next page of hits. What does not depend on each
other is looked up in one move. The same plan, notes and log always give the same move.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from medr_ray.core.records import FactSource
from medr_ray.graph.facts.registry_relations import is_value
from medr_ray.questions.plans import PlanNode
from medr_ray.questions.steps import STEP_KINDS
from medr_ray.retrieval.documents import REGISTRIES, REGISTRY_PREFIXES
from medr_ray.trajectories.solver.notes import Notes, ReadDocument
from medr_ray.trajectories.solver.queries import Query, QueryWriter, list_looked_up_kinds
from medr_ray.trajectories.solver.rules import (
    Conflict,
    Established,
    Grounds,
    LookUp,
    PlannedCall,
    SearchLog,
    Unstated,
    Workings,
    collect_each,
)

MEDICAL_SEARCH = "medical_search"
READ = "read"
SEARCHES = ("search", MEDICAL_SEARCH)
MAX_PAGES = 5  # of hits for a list; who needs more gives up
# Kinds that all records of a list decide, and kinds that all lines of one record decide, with the
# registry whose record that is.
LISTED = frozenset(
    {
        "approvals_of_company_in_year",
        "first_application_for_drug",
        "first_generic_approval_of_drug",
        "generic_applications_of_drug",
        "latest_application_for_drug",
        "latest_application_of_company",
    }
)
WHOLE_RECORD: Mapping[str, FactSource] = {
    "countries_of_trial": "clinical_trials",
    "exclusivity_end_of_application": "orange_book",
    "last_patent_expiry_of_application": "orange_book",
    "marketing_status_of_application": "drugs_at_fda",
    "patents_of_application": "orange_book",
}


@dataclass(frozen=True)
class Toolset:
    """The tools that the teacher uses. ``sources`` are those that the medical search can be limited
    to."""

    searches: tuple[str, ...]
    can_read: bool = False
    sources: Collection[str] = ()


@dataclass(frozen=True)
class Move:
    """What to do next: send ``calls``, each for its look-up, or give ``answer``, the id of a value,
    "" for one that no record states. Without either, ``missing`` leads nowhere.

    ``established`` is what was worked out so far, and ``grounds`` from what; ``candidate`` is the
    value that a part of the evidence gives, "" for none; ``begun`` are the look-ups that have
    something already and are continued.
    """

    established: tuple[Established, ...]
    conflicts: tuple[Conflict, ...] = ()
    missing: tuple[LookUp, ...] = ()
    calls: tuple[tuple[LookUp, PlannedCall], ...] = ()
    candidate: str = ""
    answer: str | None = None
    support: Mapping[LookUp, tuple[str, ...]] = field(default_factory=dict)
    grounds: Mapping[LookUp, Grounds] = field(default_factory=dict)
    begun: Collection[LookUp] = ()


class Solver:
    """Chooses moves for one plan. At most ``max_parallel`` calls go into a move.

    ``is_thorough``: whether it searches once more for what may be overlooked, and for the listing
    of an application before it reads that in full. Else it takes the shortest way.
    """

    def __init__(
        self,
        plan: PlanNode,
        notes: Notes,
        log: SearchLog,
        tools: Toolset,
        queries: QueryWriter,
        max_parallel: int = 1,
        is_thorough: bool = False,
    ) -> None:
        self._plan = plan
        self._notes = notes
        self._log = log
        self._tools = tools
        self._queries = queries
        self._max_parallel = max_parallel
        self._is_thorough = is_thorough

    def choose_move(self, calls_left: int | None = None) -> Move:
        """The next move; ``calls_left`` is how many calls can still be sent, None for any."""
        is_last = calls_left is not None and calls_left < 1
        workings = Workings(
            self._notes,
            self._log,
            self._has_open_call,
            self._tools.can_read,
            is_last,
            self._is_thorough,
        )
        try:
            answer = _work_out(self._plan, workings)
        except Unstated as unstated:
            limit = (
                self._max_parallel if calls_left is None else min(self._max_parallel, calls_left)
            )
            calls = self._choose_calls(unstated.look_ups, limit, workings.begun)
            return Move(
                tuple(workings.established),
                tuple(workings.conflicts),
                unstated.look_ups,
                calls,
                candidate=unstated.candidate if len(calls) == 1 else "",
                grounds=workings.grounds,
                begun=workings.begun,
            )
        return Move(
            tuple(workings.established),
            tuple(workings.conflicts),
            answer=answer,
            support=workings.support,
            grounds=workings.grounds,
        )

    def _choose_calls(
        self, look_ups: tuple[LookUp, ...], limit: int, begun: Collection[LookUp]
    ) -> tuple[tuple[LookUp, PlannedCall], ...]:
        calls: dict[PlannedCall, LookUp] = {}
        for look_up in look_ups:
            call = self._choose_call(look_up, look_up in begun)
            if call is not None and len(calls) < limit:
                calls.setdefault(call, look_up)
        return tuple((look_up, call) for call, look_up in calls.items())

    def _has_open_call(self, look_up: LookUp) -> bool:
        return self._choose_call(look_up) is not None

    def _choose_call(self, look_up: LookUp, has_part: bool = False) -> PlannedCall | None:
        calls = self._generate_calls(look_up, has_part)
        return next((call for call in calls if self._log.is_open(call)), None)

    def _generate_calls(self, look_up: LookUp, has_part: bool) -> Iterator[PlannedCall]:
        """The calls for a look-up: for each phrasing a search, then reading the record for it if it
        was shown; the reading first where a part of the record was shown already."""
        if look_up.kind in WHOLE_RECORD and (has_part or not self._is_thorough):
            yield from self._generate_readings(look_up)
        can_page = look_up.kind in LISTED and MEDICAL_SEARCH in self._tools.searches
        for place, query in enumerate(self._queries.generate(look_up, self._notes)):
            if can_page and query.registry:
                yield from self._generate_pages(query, place)
            else:
                yield query.plan_call(place)
            yield from self._generate_readings(look_up)

    def _generate_pages(self, query: Query, place: int) -> Iterator[PlannedCall]:
        """The pages of hits, up to one without any or that is the last to look at."""
        for page in range(1, MAX_PAGES + 1):
            call = query.plan_call(place, page)
            yield call
            if call in self._log.empty or call in self._log.last_pages:
                return

    def _generate_readings(self, look_up: LookUp) -> Iterator[PlannedCall]:
        if not self._tools.can_read:
            return
        for value in look_up.inputs:
            record = find_record(self._notes, look_up.kind, value)
            if record is not None:
                goal = self._queries.write_goal(look_up, self._notes)
                yield PlannedCall(goal, document_id=record.document_id)


def find_record(notes: Notes, kind: str, entity_id: str) -> ReadDocument | None:
    """The record of an entity that was shown, of a registry that the kind of look-up asks."""
    step_kind = STEP_KINDS.get(kind)
    sources: tuple[str, ...] = step_kind.sources if step_kind else ()
    if kind in WHOLE_RECORD:
        sources = (WHOLE_RECORD[kind],)
    prefixes = [REGISTRY_PREFIXES[source] for source in sources if source in REGISTRY_PREFIXES]
    return notes.find_record(entity_id, prefixes)


def _work_out(node: PlanNode, workings: Workings) -> str:
    if node.is_named:
        return node.value
    attempts = [lambda given=given: _work_out(given, workings) for given in node.inputs]
    return workings.find(node.kind, *collect_each(attempts))


def choose_tool(
    call: PlannedCall, tools: Toolset, attempt: int, prefers_medical: bool = True
) -> tuple[str, Mapping[str, Any]]:
    """The tool for a call and its arguments; ``attempt`` counts the failures before, each of which
    leads to the next tool. Where hits are wanted behind the first page it is the medical search,
    which has pages."""
    if call.document_id:
        return READ, {"url": call.document_id, "goal": call.text}
    searches = sorted(tools.searches, key=lambda name: (name == MEDICAL_SEARCH) != prefers_medical)
    name = searches[(call.place + attempt) % len(searches)]
    if call.page > 1:
        name = MEDICAL_SEARCH
    arguments: dict[str, Any] = {"query": call.text}
    source = _choose_source(call.sources, tools.sources)
    if name == MEDICAL_SEARCH and source:
        arguments["source"] = source
        if source == REGISTRIES:
            arguments["type"] = call.kind
    if call.page > 1:
        arguments["page"] = call.page
    return name, arguments


def _choose_source(wanted: tuple[str, ...], sources: Collection[str]) -> str:
    return next((source for source in wanted if source in sources), "")


def select_results(move: Move) -> list[Established]:
    """What a move's answer rests on, the last first: the result that gives it, and those that give
    its inputs; of a value that is compared or worked out from others, also those.

    What was found about a candidate that was not chosen otherwise is left out.
    """
    needed = {move.answer}
    parts: set[str] = set()  # of what is worked out, such as the drugs that are compared
    selected: dict[Established, None] = {}
    # What is found from a part comes behind the result that gives the part, so twice.
    for result in [*reversed(move.established)] * 2:
        inputs = set(result.look_up.inputs)
        if result.value not in needed and not parts & inputs:
            continue
        selected[result] = None
        needed |= inputs
        grounds = move.grounds.get(result.look_up)
        if grounds is not None and grounds.method == "comparison":
            parts |= set(grounds.items)
        if result.look_up.kind not in list_looked_up_kinds():
            parts |= {*inputs, result.value}
        elif parts & inputs and not is_value(result.value):
            parts.add(result.value)
    return [result for result in reversed(move.established) if result in selected]


def select_deciding(move: Move) -> list[Established]:
    """The results that give a move's answer, and those whose values it was chosen or worked out
    from, such as the dates that are compared."""
    if move.answer is None:
        return []
    giving = {result for result in move.established if result.value == move.answer}
    compared = {
        value
        for result in giving
        if result.look_up in move.grounds
        for value in move.grounds[result.look_up].values
    }
    return [
        result for result in select_results(move) if result in giving or result.value in compared
    ]
