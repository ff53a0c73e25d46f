"""Chooses the rules teacher's next move: a search, reading a record, the answer, or giving up.

``Solver.choose_move`` works the plan out from the notes again after every tool response
(``rules``). Where they do not say what a step needs, it looks that up: by the first phrasing that
was not answered yet (``queries``); where a search showed the record but not the line, by reading
the record. The same plan, notes and log always give the same move.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from medr_ray.questions.plans import PlanNode
from medr_ray.retrieval.documents import REGISTRIES
from medr_ray.trajectories.solver.notes import Notes
from medr_ray.trajectories.solver.queries import generate_queries
from medr_ray.trajectories.solver.rules import Established, LookUp, Unstated, Workings

MEDICAL_SEARCH = "medical_search"
READ = "read"
SEARCHES = ("search", MEDICAL_SEARCH)
_ENOUGH_SEARCHES = 1000  # more than any rule asks for
_MAX_ATTEMPTS = 3  # at a call that fails
Outcome = Literal["answered", "failed"]
_NOTHING = LookUp("", ())  # where there is nothing to look up


@dataclass(frozen=True)
class Toolset:
    """The tools that the teacher uses.

    ``searches`` are in the order in which they are tried; ``sources`` are those that the medical
    search can be limited to.
    """

    searches: tuple[str, ...]
    can_read: bool = False
    sources: Collection[str] = ()


@dataclass(frozen=True)
class PlannedCall:
    """A call for a look-up, before it is known which tool takes it: a search for ``text`` among
    ``sources``, or with ``document_id`` a reading of that document for ``text``.

    ``kind`` is the kind of evidence that is looked for among the records of registries. ``place``
    counts the phrasings before: each goes to another tool.
    """

    text: str
    sources: tuple[str, ...] = ()
    document_id: str = ""
    kind: str = ""
    place: int = 0


@dataclass(frozen=True)
class Move:
    """What to do next: send ``call`` for ``look_up``, or give ``answer``, the id of a value, "" for
    one that no record states. Without either, the look-up leads nowhere. ``established`` is what
    was worked out so far."""

    established: tuple[Established, ...]
    look_up: LookUp = _NOTHING
    call: PlannedCall | None = None
    answer: str | None = None


@dataclass
class SearchLog:
    """The calls that were sent, and how they went."""

    answered: dict[PlannedCall, None] = field(default_factory=dict)
    failures: Counter[PlannedCall] = field(default_factory=Counter)
    searches: Counter[LookUp] = field(default_factory=Counter)

    def record(self, look_up: LookUp, call: PlannedCall, outcome: Outcome) -> None:
        """Take note of a call's outcome."""
        if outcome == "failed":
            self.failures[call] += 1
            return
        self.answered[call] = None
        self.searches[look_up] += 1

    def is_open(self, call: PlannedCall) -> bool:
        """Whether a call may be sent: it was not answered yet and did not fail too often."""
        return call not in self.answered and self.failures[call] < _MAX_ATTEMPTS


class Solver:
    """Chooses moves for one plan."""

    def __init__(self, plan: PlanNode, notes: Notes, log: SearchLog, tools: Toolset) -> None:
        self._plan = plan
        self._notes = notes
        self._log = log
        self._tools = tools

    def choose_move(self, *, is_last: bool = False) -> Move:
        """The next move; with ``is_last`` no call can be sent any more."""
        workings = Workings(self._notes, self._count_searches, is_last)
        try:
            answer = _work_out(self._plan, workings)
        except Unstated as unstated:
            look_up = unstated.look_up
            call = None if is_last else self._choose_call(look_up)
            return Move(tuple(workings.established), look_up, call)
        return Move(tuple(workings.established), answer=answer)

    def _count_searches(self, look_up: LookUp) -> int:
        """How many calls for a look-up were answered; many where none can be sent any more, so that
        what was read has to do."""
        if self._choose_call(look_up) is None:
            return _ENOUGH_SEARCHES
        return self._log.searches[look_up]

    def _choose_call(self, look_up: LookUp) -> PlannedCall | None:
        calls = self._generate_calls(look_up)
        return next((call for call in calls if self._log.is_open(call)), None)

    def _generate_calls(self, look_up: LookUp) -> Iterator[PlannedCall]:
        """The calls for a look-up: for each phrasing a search, then reading the record for it if it
        was shown."""
        for place, query in enumerate(generate_queries(look_up, self._notes)):
            yield PlannedCall(query.text, query.sources, kind=query.kind, place=place)
            yield from self._generate_readings(look_up, query.text)

    def _generate_readings(self, look_up: LookUp, goal: str) -> Iterator[PlannedCall]:
        if not self._tools.can_read:
            return
        for value in look_up.inputs:
            record = self._notes.find_record(value)
            if record is not None:
                yield PlannedCall(goal, document_id=record.document_id)


def _work_out(node: PlanNode, workings: Workings) -> str:
    if node.is_named:
        return node.value
    inputs = [_work_out(given, workings) for given in node.inputs]
    return workings.find(node.kind, *inputs)


def choose_tool(call: PlannedCall, tools: Toolset, attempt: int) -> tuple[str, Mapping[str, str]]:
    """The tool for a call and its arguments; ``attempt`` counts the failures before, each of which
    leads to the next tool."""
    if call.document_id:
        return READ, {"url": call.document_id, "goal": call.text}
    name = tools.searches[(call.place + attempt) % len(tools.searches)]
    arguments = {"query": call.text}
    source = _choose_source(call.sources, tools.sources)
    if name == MEDICAL_SEARCH and source:
        arguments["source"] = source
        if source == REGISTRIES:
            arguments["type"] = call.kind
    return name, arguments


def _choose_source(wanted: Sequence[str], sources: Collection[str]) -> str:
    return next((source for source in wanted if source in sources), "")
