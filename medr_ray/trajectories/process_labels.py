"""What each reply of a dialogue did for its question: the labels that training can weigh turns by.

The labels are a pure function of the dialogue and the question. A reply may have several:

- ``found_needed_fact``: one of its calls brought up a needed value for the first time.
- ``error``: one of its calls failed, was malformed or was beyond the budget, or it is neither a
  call nor an answer.
- ``redundant``: it calls tools, all calls succeed, and every line that they return was returned
  before.
- ``verification``: one of its calls checks a candidate (``agent.answer_checks``).
- ``recovery``: one of its calls makes up for an earlier one that failed or did not help.

The needed values are those of the question's steps and its answer, in any spelling. A value of one
or two characters, such as a score, needs the name of what it is about beside it in the same
document's part of the response. What is counted or calculated stands nowhere, and what is not
recorded neither: for these, each further document that names what the step starts from is needed.

A call does not help when it succeeds while a value is still to be found, brings up no needed value
and checks no candidate; it is empty when it shows no document. A call makes up for an earlier one
when it succeeds, is by another tool or in other words, asks for the same (its query shares a word
with the earlier one's, or opens a document that was shown before), and brings up a needed value
that the earlier call lacked; where no value was left to be found, when it checks a candidate.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from medr_ray.agent.answer_checks import find_checks, is_count
from medr_ray.agent.state import READ, document_passages, query_text
from medr_ray.agent.transcript import ToolObservation, read_turns
from medr_ray.agent.wording import content_words, find_names
from medr_ray.core.records import ProcessLabel, Question, QuestionStep, Trajectory, TurnLabels
from medr_ray.questions.plans import NAMED

_SHORT = 3  # characters; a shorter value stands in almost any text
_TYPED_VALUE = "VALUE"  # what the ids of dates, numbers, categories and texts begin with
_CALCULATED_TYPES = frozenset({"number", "share"})


@dataclass(frozen=True)
class NeededFact:
    """A value that a question's plan leads over. ``names`` are its spellings, ``subjects`` the
    names of what it is said of; ``is_stated`` is False where no document states it."""

    names: tuple[str, ...]
    subjects: tuple[str, ...]
    is_stated: bool


@dataclass(frozen=True)
class Call:
    """A call, with what it did for the question.

    ``found`` are the places of the needed facts that it brought up first, ``open_before`` of those
    that nobody had brought up until then. ``brings_nothing_new``: every line was returned before.
    """

    reply: int
    observation: ToolObservation
    found: frozenset[int]
    open_before: frozenset[int]
    is_check: bool
    brings_nothing_new: bool
    documents_before: frozenset[str]

    @property
    def has_failed(self) -> bool:
        """Whether it returned an error, and no result."""
        return self.observation.event.status != "ok"

    @property
    def is_unhelpful(self) -> bool:
        """Whether it succeeded and brought nothing that was needed then."""
        has_purpose = bool(self.open_before)
        return has_purpose and not (self.has_failed or self.found or self.is_check)


def label_replies(trajectory: Trajectory, question: Question) -> tuple[TurnLabels, ...]:
    """The labels of every reply, in order."""
    calls = analyse_calls(trajectory, question)
    recoveries = [later.reply for _, later in find_recoveries(calls)]
    labels = []
    for reply, turn in enumerate(read_turns(trajectory)):
        own_calls = [call for call in calls if call.reply == reply]
        is_broken = not own_calls and turn.answer is None
        reply_labels: list[ProcessLabel] = []
        if any(call.found for call in own_calls):
            reply_labels.append("found_needed_fact")
        if own_calls and all(call.brings_nothing_new for call in own_calls):
            reply_labels.append("redundant")
        if is_broken or any(call.has_failed for call in own_calls):
            reply_labels.append("error")
        if reply in recoveries:
            reply_labels.append("recovery")
        if any(call.is_check for call in own_calls):
            reply_labels.append("verification")
        labels.append(TurnLabels(reply, tuple(reply_labels)))
    return tuple(labels)


def list_needed_facts(question: Question) -> list[NeededFact]:
    """The needed facts, in the order of the plan."""
    facts = []
    for place, step in enumerate(question.steps):
        if step.kind == NAMED:
            continue
        names = [step.name, _read_number(step)]
        if place == len(question.steps) - 1:
            names += [question.task.answer, *question.task.aliases]
        subjects = _list_subjects(step, question.steps)
        spellings = dict.fromkeys(filter(None, names))
        is_stated = bool(step.value) and step.value_type not in _CALCULATED_TYPES
        facts.append(NeededFact(tuple(spellings), subjects, is_stated and not is_count(step.name)))
    return facts


def _list_subjects(step: QuestionStep, steps: Sequence[QuestionStep]) -> tuple[str, ...]:
    inputs = (steps[place] for place in step.inputs)
    names = [name for given in inputs for name in (given.name, _read_number(given))]
    return tuple(dict.fromkeys(name for name in names if len(name) >= _SHORT))


def _read_number(step: QuestionStep) -> str:
    """The number of a record that a step names or finds ("NDA022496"); "" for a typed value, whose
    name says it."""
    registry, _, number = step.value.partition(":")
    return "" if registry == _TYPED_VALUE else number


def analyse_calls(trajectory: Trajectory, question: Question) -> list[Call]:
    """The calls of a dialogue that have a response, in order."""
    needed = list_needed_facts(question)
    open_facts = set(range(len(needed)))
    documents: set[str] = set()
    lines: set[str] = set()
    checks = find_checks(trajectory)
    calls = []
    for reply, turn in enumerate(read_turns(trajectory)):
        # Calls of one reply were decided on together.
        open_before = frozenset(open_facts)
        documents_before = frozenset(documents)
        for place, observation in enumerate(turn.observations):
            is_ok = observation.event.status == "ok"
            text_lines = _list_lines(observation.text)
            found_facts = set()
            if is_ok:
                found_facts = {
                    fact
                    for fact, need in enumerate(needed)
                    if _brings_up(observation, need, fact in open_facts, documents)
                }
                open_facts -= found_facts
                documents.update(observation.event.documents)
            is_known = observation.event.repeated or (bool(text_lines) and text_lines <= lines)
            calls.append(
                Call(
                    reply,
                    observation,
                    frozenset(found_facts),
                    open_before,
                    place in checks[reply],
                    is_ok and is_known,
                    documents_before,
                )
            )
            if is_ok:
                lines |= text_lines
    return calls


def _list_lines(text: str) -> set[str]:
    """The lines of a response, without the numbers of its results."""
    lines = (line.strip() for line in text.splitlines())
    return {line.partition("] ")[2] if line.startswith("[") else line for line in lines if line}


def _brings_up(
    observation: ToolObservation, fact: NeededFact, is_open: bool, documents: set[str]
) -> bool:
    passages = document_passages(observation)
    if not fact.is_stated:
        return any(
            document not in documents and find_names(text, fact.subjects)
            for document, text in passages
        )
    return is_open and any(_states(text, fact) for text in _list_texts(observation, passages))


def _list_texts(observation: ToolObservation, passages: Iterable[tuple[str, str]]) -> Iterator[str]:
    texts = [text for _, text in passages]
    # Rows of an earlier form name no documents.
    yield from texts or [observation.text]


def _states(text: str, fact: NeededFact) -> bool:
    long_names = [name for name in fact.names if len(name) >= _SHORT]
    if find_names(text, long_names):
        return True
    short_names = [name for name in fact.names if len(name) < _SHORT]
    return bool(find_names(text, short_names) and find_names(text, fact.subjects))


def find_recoveries(calls: Sequence[Call]) -> list[tuple[Call, Call]]:
    """(call that failed or did not help, call that made up for it), each with the first that
    did."""
    pairs = []
    for place, call in enumerate(calls):
        if call.has_failed or call.is_unhelpful:
            later_calls = (later for later in calls[place + 1 :] if later.reply > call.reply)
            makes_up = next((later for later in later_calls if _makes_up(call, later)), None)
            if makes_up is not None:
                pairs.append((call, makes_up))
    return pairs


def _makes_up(call: Call, later: Call) -> bool:
    if later.has_failed:
        return False
    brings_need = bool(later.found & call.open_before)
    if not brings_need and (call.open_before or not later.is_check):
        return False
    event = call.observation.event
    later_event = later.observation.event
    if (event.tool, event.arguments) == (later_event.tool, later_event.arguments):
        return False
    opens_shown = later_event.tool == READ and bool(
        set(later_event.documents) & later.documents_before
    )
    words = content_words(query_text(call.observation))
    return opens_shown or bool(words & content_words(query_text(later.observation)))
