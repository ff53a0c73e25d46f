"""The events of an episode as they happen, for whoever watches it.

``run_episode`` calls its observer with each of them: the reply's thought and calls when the reply
has come, each result when its call has returned, the request for an answer, and the answer with
its sources at the end. ``events_of_trajectory`` gives the same events of a record. ``to_json`` is
the one form in which they travel: to the terminal as lines, over HTTP as server-sent events, and
into the browser.

Two things differ between an episode that is watched and its record. Calls of one reply return in
any order, where a record has that of the calls. And the record has the last results as far as they
fitted beside the request for an answer, where the observer saw them whole.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from medr_ray.agent.cited_answer import (
    NO_EDITIONS,
    CitedDocument,
    FindDocument,
    UnresolvedId,
    cite_answer,
)
from medr_ray.agent.protocol import ToolCall, parse_responses
from medr_ray.agent.transcript import ToolObservation, read_turns
from medr_ray.agent.wording import detect_language
from medr_ray.core.json_text import InvalidJson, parse_json
from medr_ray.core.records import (
    Budget,
    Language,
    StopReason,
    ToolStatus,
    Trajectory,
    Usage,
)
from medr_ray.retrieval.documents import document_url

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StartEvent:
    """The episode began. ``model`` is who is asked, ``tools`` what it may call."""

    type: ClassVar[str] = "start"
    question: str
    language: Language
    model: str
    tools: tuple[str, ...]


@dataclass(frozen=True)
class ThoughtEvent:
    """What the agent thought in reply number ``turn`` (from 0)."""

    type: ClassVar[str] = "thought"
    turn: int
    text: str


@dataclass(frozen=True)
class ToolCallEvent:
    """A call of reply number ``turn``, number ``call`` (from 0) of the episode. A call that could
    not be read has no tool and no arguments; its result says what is wrong with it."""

    type: ClassVar[str] = "tool_call"
    turn: int
    call: int
    tool: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class LinkedDocument:
    """A document that a result shows, and the page that has it; "" where none is known."""

    id: str
    url: str


@dataclass(frozen=True)
class ToolResultEvent:
    """What call number ``call`` returned, as the agent reads it."""

    type: ClassVar[str] = "tool_result"
    turn: int
    call: int
    tool: str
    status: ToolStatus
    seconds: float
    text: str
    documents: tuple[LinkedDocument, ...]


@dataclass(frozen=True)
class AnswerRequestEvent:
    """The agent was asked for its answer behind reply number ``turn``, because ``budget`` is nearly
    spent. A second one for the same turn takes the place of the first."""

    type: ClassVar[str] = "answer_request"
    turn: int
    budget: Budget


@dataclass(frozen=True)
class AnswerEvent:
    """The end: the answer with its sources (see ``cited_answer``), None where there is none.
    ``seconds`` is None for a record that does not say."""

    type: ClassVar[str] = "answer"
    text: str | None
    stop_reason: StopReason
    citations: tuple[CitedDocument, ...]
    unresolved: tuple[UnresolvedId, ...]
    remark: str
    notice: str
    usage: Usage
    seconds: float | None


@dataclass(frozen=True)
class ErrorEvent:
    """The episode ended without an answer, for a reason that is not the agent's."""

    type: ClassVar[str] = "error"
    message: str


EpisodeEvent = (
    StartEvent
    | ThoughtEvent
    | ToolCallEvent
    | ToolResultEvent
    | AnswerRequestEvent
    | AnswerEvent
    | ErrorEvent
)
Observer = Callable[[EpisodeEvent], None]


def to_json(event: EpisodeEvent) -> dict[str, Any]:
    """The event as a JSON object; ``type`` says which it is."""
    return {"type": event.type, **asdict(event)}


class EventSender:
    """Hands events to an observer, whose errors are logged and go no further."""

    def __init__(self, observer: Observer | None) -> None:
        self._observer = observer

    @property
    def has_observer(self) -> bool:
        return self._observer is not None

    def send(self, event: EpisodeEvent) -> None:
        """Call the observer, if there is one."""
        if self._observer is None:
            return
        try:
            self._observer(event)
        except Exception:
            # The episode is worth more than who watches it.
            _logger.exception("the observer of an episode failed at a %s event", event.type)


def build_call_event(turn: int, number: int, attempt: ToolCall | str) -> ToolCallEvent:
    """An attempt to call a tool; a text says what is wrong with it."""
    if isinstance(attempt, str):
        return ToolCallEvent(turn, number, "", {})
    return ToolCallEvent(turn, number, attempt.name, attempt.arguments)


def build_result_event(turn: int, number: int, observation: ToolObservation) -> ToolResultEvent:
    """What came back of a call."""
    event = observation.event
    return ToolResultEvent(
        turn,
        number,
        event.tool,
        event.status,
        event.seconds,
        observation.text,
        tuple(LinkedDocument(document, document_url(document)) for document in event.documents),
    )


def build_answer_event(
    trajectory: Trajectory,
    language: Language,
    seconds: float | None,
    find_document: FindDocument | None = None,
    editions: Mapping[str, str] = NO_EDITIONS,
) -> AnswerEvent:
    """The end of a finished episode. ``find_document`` and ``editions``: see ``cite_answer``."""
    cited = cite_answer(trajectory, language, find_document, editions)
    return AnswerEvent(
        trajectory.answer,
        trajectory.stop_reason,
        cited.citations,
        cited.unresolved,
        cited.remark,
        cited.notice,
        trajectory.usage,
        seconds,
    )


def events_of_trajectory(
    trajectory: Trajectory,
    *,
    language: Language | None = None,
    tools: Sequence[str] | None = None,
    seconds: float | None = None,
    find_document: FindDocument | None = None,
) -> list[EpisodeEvent]:
    """The events of a recorded episode, in order.

    A record does not say its language, its tools and its seconds: without them they are that of the
    question, the tools that were called, and None.
    """
    question = _find_question(trajectory)
    language = language or detect_language(question)
    if tools is None:
        tools = tuple(dict.fromkeys(event.tool for event in trajectory.tool_events if event.tool))
    start = StartEvent(question, language, trajectory.mode, tuple(tools))
    answer = build_answer_event(trajectory, language, seconds, find_document)
    return [start, *_list_turn_events(trajectory), answer]


def _find_question(trajectory: Trajectory) -> str:
    questions = (message.content for message in trajectory.messages if message.role == "user")
    return next(questions, "")


def _list_turn_events(trajectory: Trajectory) -> Iterator[EpisodeEvent]:
    number = 0
    requested_turn = _find_requested_turn(trajectory) if trajectory.asked else None
    for place, turn in enumerate(read_turns(trajectory)):
        if turn.thought:
            yield ThoughtEvent(place, turn.thought)
        numbered = list(enumerate(turn.observations, number))
        for call, observation in numbered:
            event = observation.event
            yield ToolCallEvent(place, call, event.tool, _read_arguments(event.arguments))
        for call, observation in numbered:
            yield build_result_event(place, call, observation)
        number += len(numbered)
        if place == requested_turn and trajectory.asked:
            yield AnswerRequestEvent(place, trajectory.asked)


def _find_requested_turn(trajectory: Trajectory) -> int | None:
    """The number of the last reply behind which the user says more than what the tools returned."""
    requested = None
    turn = -1
    for message in trajectory.messages:
        if message.role == "assistant":
            turn += 1
        elif turn >= 0 and parse_responses(message.content)[1]:
            requested = turn
    return requested


def _read_arguments(text: str) -> Mapping[str, Any]:
    """The arguments of a call; none where the record has nothing that can be read."""
    try:
        arguments = parse_json(text or "{}", "the arguments of a call")
    except InvalidJson:
        return {}
    return arguments if isinstance(arguments, dict) else {}
