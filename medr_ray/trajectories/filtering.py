"""Judges trajectories: which are worth learning from, and every reason against the others.

A verdict lists all reasons, each with a detail that says where. A tool's failure alone is not
a reason, and a malformed call that the agent repaired is none. Loops are found by comparing calls
with their arguments, not by the names of tools alone.

The reasons, by code:

- ``no answer``: the run ended without one; the detail is its stop reason.
- ``gave up``: the agent answers that it does not know.
- ``wrong answer``: the answer is not the question's.
- ``answer not in any tool response``: the answer is right, but no tool response contains it or
  another of its names, in any spelling of dates and figures.
- ``answer in the question's own record alone``: the only documents that state the answer are those
  whose number the question names, and the agent neither read one of them nor asked for it by its
  number: the answer came along with something else, and nothing supports it.
- ``malformed reply``: a reply that is neither a call nor an answer, or a call that cannot be read,
  and no later call that succeeded does what it tried: at least half of that call's words stand in
  the malformed one. A reply that tried nothing is repaired by any later success.
- ``made-up response``: the agent wrote a tool response itself.
- ``calls and responses differ``: a turn with more or fewer responses than calls, or messages out of
  turn.
- ``same call answered twice``: a call repeated with the same arguments after it had succeeded.
- ``calls in a cycle``: the same few calls over and over; word order and case do not count, nor do
  calls that failed.
- ``failure not made up for``: a call failed and none succeeded after it.
- ``call without a thought``: a reply without a thought of its own.
- ``guidance in a message``: the dialogue contains the masked triples, or words only they use.
- ``beyond the budget``: calls that were not run, because the budget was spent.
- ``too long``: more tokens than training takes.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from medr_ray.agent.protocol import parse_reply, parse_responses
from medr_ray.agent.state import document_passages, query_text
from medr_ray.agent.transcript import ToolObservation, read_turns
from medr_ray.agent.wording import content_words
from medr_ray.core.json_text import parse_json
from medr_ray.core.records import FilteredTrajectory, Task, ToolEvent, Trajectory
from medr_ray.llm.thoughts import split_thought
from medr_ray.questions.answer_matching import answers_match, canonical_form
from medr_ray.questions.drafting.answer_names import NOT_RECORDED
from medr_ray.questions.steps import STEP_KINDS


class ReasonCode(StrEnum):
    """The reasons of the module's docstring."""

    NO_ANSWER = "no answer"
    GAVE_UP = "gave up"
    WRONG_ANSWER = "wrong answer"
    UNSUPPORTED_ANSWER = "answer not in any tool response"
    OWN_RECORD_ALONE = "answer in the question's own record alone"
    MALFORMED_REPLY = "malformed reply"
    MADE_UP_RESPONSE = "made-up response"
    UNPAIRED_CALLS = "calls and responses differ"
    REPEATED_CALL = "same call answered twice"
    CALL_CYCLE = "calls in a cycle"
    UNRECOVERED_FAILURE = "failure not made up for"
    MISSING_THOUGHT = "call without a thought"
    LEAKED_GUIDANCE = "guidance in a message"
    BEYOND_BUDGET = "beyond the budget"
    TOO_LONG = "too long"


@dataclass(frozen=True)
class Reason:
    """Why a trajectory is rejected: the code, and a detail that says where or what."""

    code: ReasonCode
    detail: str

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"

    @classmethod
    def parse(cls, text: str) -> "Reason":
        """The reason from its text in a record."""
        code, _, detail = text.partition(": ")
        return cls(ReasonCode(code), detail)


UNKNOWN_ANSWER = "unknown"  # the answer of an agent that does not know
_CYCLE_REPEATS = 3  # times in a row that make the same calls a cycle
_MAX_CYCLE_CALLS = 4
_MIN_SHARED_WORDS = 0.5  # of a later call's words, for it to do what a malformed one tried
_MAX_QUOTE_CHARS = 80  # of a text that a detail quotes
_NUMBER = "number"  # the type of answers that are numbers
_NOT_RECORDED = frozenset(names[0] for names in NOT_RECORDED.values())
_WORD = re.compile(r"[a-z0-9]+")
_PLACEHOLDER = re.compile(r"\[MASK\]|\bEntity_[A-Z]+\b")
# The names of steps ("gene_of_disease") stand in guidance and in no document.
_STEP = re.compile(rf"\b(?:{'|'.join(STEP_KINDS)})\b")


def judge_trajectory(
    trajectory: Trajectory, task: Task, token_count: int, max_tokens: int
) -> FilteredTrajectory:
    """The trajectory with its verdict; ``token_count`` is its length as training counts it."""
    reasons = [*_judge_answer(trajectory, task)]
    for code, find_details in _CHECKS:
        reasons += [Reason(code, detail) for detail in find_details(trajectory)]
    if token_count > max_tokens:
        reasons.append(Reason(ReasonCode.TOO_LONG, f"{token_count} of {max_tokens} tokens"))
    return FilteredTrajectory(trajectory, not reasons, tuple(map(str, reasons)))


def count_reasons(judged: Sequence[FilteredTrajectory]) -> dict[str, int]:
    """How many trajectories each reason rejects, by code. A trajectory counts once for each of its
    codes."""
    counts: Counter[ReasonCode] = Counter()
    for entry in judged:
        counts.update({Reason.parse(text).code for text in entry.reasons})
    return {str(code): counts[code] for code in ReasonCode if counts[code]}


def _judge_answer(trajectory: Trajectory, task: Task) -> Iterator[Reason]:
    answer = trajectory.answer
    if answer is None:
        yield Reason(ReasonCode.NO_ANSWER, trajectory.stop_reason)
    elif canonical_form(answer) == UNKNOWN_ANSWER:
        yield Reason(ReasonCode.GAVE_UP, f"after {len(trajectory.tool_events)} calls")
    elif not answers_match(answer, task.answer, task.aliases):
        detail = f"{_shorten(answer)} in place of {_shorten(task.answer)}"
        yield Reason(ReasonCode.WRONG_ANSWER, detail)
    elif not is_supported(trajectory, task):
        yield Reason(ReasonCode.UNSUPPORTED_ANSWER, _shorten(answer))
    elif own_records := _find_own_records_alone(trajectory, task):
        yield Reason(ReasonCode.OWN_RECORD_ALONE, ", ".join(own_records))


def is_supported(trajectory: Trajectory, task: Task) -> bool:
    """Whether some tool response contains the answer, under any of its names.

    A number may be counted or calculated, and what no record states stands nowhere: for these it is
    enough that some call showed a document. Where the events of calls have no documents, it is
    enough that a call succeeded.
    """
    if _stands_nowhere(task):
        successes = [event for event in trajectory.tool_events if event.status == "ok"]
        has_documents = any(event.documents for event in trajectory.tool_events)
        shown_documents = [event for event in successes if event.documents]
        return bool(shown_documents if has_documents else successes)
    names = _list_spellings(trajectory, task)
    # The first two messages are the system's and the question, which is not support.
    responses = (message for message in trajectory.messages[2:] if message.role == "user")
    return any(_states_any(response.content, names) for response in responses)


def _stands_nowhere(task: Task) -> bool:
    return task.answer_type == _NUMBER or task.answer in _NOT_RECORDED


def _list_spellings(trajectory: Trajectory, task: Task) -> list[str]:
    """The canonical forms of the answer's names, that which was given first."""
    names = (trajectory.answer or "", task.answer, *task.aliases)
    return [name for name in dict.fromkeys(map(canonical_form, names)) if name]


def _states_any(text: str, names: Sequence[str]) -> bool:
    """Whether a text has one of the canonical names; never within a longer word."""
    words = f" {canonical_form(text)} "
    return any(f" {name} " in words for name in names)


def _find_own_records_alone(trajectory: Trajectory, task: Task) -> list[str]:
    """The documents that state the answer, where all of them are records whose number the question
    names and the agent asked for none of them; none otherwise."""
    names = _list_spellings(trajectory, task)
    observations = [
        observation for turn in read_turns(trajectory) for observation in turn.observations
    ]
    stating = dict.fromkeys(
        document
        for observation in observations
        for document, text in document_passages(observation)
        if _stands_nowhere(task) or _states_any(text, names)
    )
    numbers = {document: document.rpartition(":")[2] for document in stating}
    are_own = all(
        f" {number.casefold()} " in f" {_spell_words(task.text)} " for number in numbers.values()
    )
    arguments = " ".join(observation.event.arguments for observation in observations).casefold()
    is_asked_for = any(number.casefold() in arguments for number in numbers.values())
    return [] if is_asked_for or not are_own else list(stating)


def _spell_words(text: str) -> str:
    return " ".join(_WORD.findall(text.casefold()))


def count_repeated_calls(trajectory: Trajectory) -> int:
    """Successful calls beyond the first with the same tool and the same arguments."""
    return sum(count - 1 for count in _count_successes(trajectory).values())


# --- checks: each yields the details of what it finds ---------------------------------


def _find_malformed_replies(trajectory: Trajectory) -> Iterator[str]:
    turns = read_turns(trajectory)
    for place, (number, text) in enumerate(_list_replies(trajectory)):
        reply = parse_reply(text)
        if reply.answer is not None or not reply.problems:
            continue
        later_calls = (
            observation
            for turn in turns[place + 1 :]
            for observation in turn.observations
            if observation.event.status == "ok"
        )
        if not any(_repairs(observation, text) for observation in later_calls):
            for problem in reply.problems:
                yield f"message {number}: {_shorten(problem)}"


def _repairs(later: ToolObservation, text: str) -> bool:
    """Whether a call does what a reply with a malformed call tried."""
    has_call = "<tool_call>" in text
    tried_words = content_words(split_thought(text).rest)
    words = content_words(query_text(later))
    shared_words = words & tried_words
    return not has_call or len(shared_words) >= _MIN_SHARED_WORDS * max(len(words), 1)


def _find_skipped_calls(trajectory: Trajectory) -> Iterator[str]:
    skipped = sum(event.status == "skipped" for event in trajectory.tool_events)
    if skipped:
        yield f"{skipped} calls not run, the budget of {trajectory.asked or 'calls'} was spent"


def _find_made_up_responses(trajectory: Trajectory) -> Iterator[str]:
    for number, text in _list_replies(trajectory):
        if "<tool_response>" in split_thought(text).rest:
            yield f"message {number}"


def _find_unpaired_calls(trajectory: Trajectory) -> Iterator[str]:
    for number, text in _list_replies(trajectory):
        reply = parse_reply(text)
        is_last = number + 1 == len(trajectory.messages)
        # A run that was stopped may end with calls that nobody answered.
        if reply.answer is not None or (is_last and trajectory.stop_reason != "answered"):
            continue
        response_count = 0
        if not is_last and trajectory.messages[number + 1].role == "user":
            responses, _ = parse_responses(trajectory.messages[number + 1].content)
            response_count = len(responses)
        # A call that cannot be parsed is answered as well, with an error.
        call_count = len(reply.calls) + len(reply.problems)
        if call_count != response_count:
            yield f"message {number}: {call_count} calls, {response_count} responses"


def _find_repeated_calls(trajectory: Trajectory) -> Iterator[str]:
    for (tool, arguments), count in _count_successes(trajectory).items():
        if count > 1:
            yield f"{tool} {_shorten(arguments)}: {count} times"


def _find_call_cycle(trajectory: Trajectory) -> Iterator[str]:
    """The shortest and earliest cycle, if there is one."""
    calls = [
        (event.tool, _normalise_arguments(event))
        for event in trajectory.tool_events
        if event.status == "ok"
    ]
    # Failed calls are left out: sending a call again after a failure is right.
    for length in range(1, _MAX_CYCLE_CALLS + 1):
        repeated_length = _CYCLE_REPEATS * length
        for start in range(len(calls) - repeated_length + 1):
            cycle = calls[start : start + length]
            if calls[start : start + repeated_length] == cycle * _CYCLE_REPEATS:
                yield f"{length} from successful call {start + 1} on, {_CYCLE_REPEATS} times"
                return


def _find_unrecovered_failure(trajectory: Trajectory) -> Iterator[str]:
    statuses = [event.status for event in trajectory.tool_events]
    if "error" not in statuses:
        return
    first_failure = statuses.index("error")
    if "ok" not in statuses[first_failure:]:
        yield f"call {first_failure + 1} of {len(statuses)}"


def _find_missing_thoughts(trajectory: Trajectory) -> Iterator[str]:
    for number, text in _list_replies(trajectory):
        if not parse_reply(text).thought:
            yield f"message {number}"


def _find_leaked_guidance(trajectory: Trajectory) -> Iterator[str]:
    for number, message in enumerate(trajectory.messages):
        leak = find_leak(message.content)
        if leak:
            yield f"message {number}: {leak}"


def find_leak(text: str) -> str:
    """The first words in a text that only guidance uses, or ""."""
    match = _PLACEHOLDER.search(text) or _STEP.search(text)
    return match.group() if match else ""


# In the order in which a verdict lists the reasons.
_CHECKS: tuple[tuple[ReasonCode, Callable[[Trajectory], Iterator[str]]], ...] = (
    (ReasonCode.MALFORMED_REPLY, _find_malformed_replies),
    (ReasonCode.MADE_UP_RESPONSE, _find_made_up_responses),
    (ReasonCode.UNPAIRED_CALLS, _find_unpaired_calls),
    (ReasonCode.REPEATED_CALL, _find_repeated_calls),
    (ReasonCode.CALL_CYCLE, _find_call_cycle),
    (ReasonCode.UNRECOVERED_FAILURE, _find_unrecovered_failure),
    (ReasonCode.MISSING_THOUGHT, _find_missing_thoughts),
    (ReasonCode.LEAKED_GUIDANCE, _find_leaked_guidance),
    (ReasonCode.BEYOND_BUDGET, _find_skipped_calls),
)


def _list_replies(trajectory: Trajectory) -> Iterator[tuple[int, str]]:
    """(message number, text) of each reply of the agent."""
    for number, message in enumerate(trajectory.messages):
        if message.role == "assistant":
            yield number, message.content


def _count_successes(trajectory: Trajectory) -> Counter[tuple[str, str]]:
    """How often each (tool, arguments) was called with success."""
    return Counter(
        (event.tool, event.arguments) for event in trajectory.tool_events if event.status == "ok"
    )


def _normalise_arguments(event: ToolEvent) -> str:
    """The arguments with the words of each text sorted and in lower case, so that a reordered query
    still counts as the same."""
    arguments = parse_json(event.arguments or "{}", "the arguments of a call")
    normalised = {
        key: sorted(value.casefold().split()) if isinstance(value, str) else value
        for key, value in arguments.items()
    }
    return json.dumps(normalised, sort_keys=True, ensure_ascii=False)


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_QUOTE_CHARS else f"{text[:_MAX_QUOTE_CHARS]}…"
