"""Which trajectories are worth learning from, and why not.

What holds: a verdict gives every reason there is, each with a detail that says where; a tool's
failure alone is none. Loops are found by what was called with which arguments, never by tool names
alone.

The reasons, by code:

- ``no answer``: the run ended without one; the detail is its stop reason.
- ``gave up``: the agent answers that it does not know.
- ``wrong answer``: the answer is another than the question's.
- ``answer not in any tool response``: right, but nothing that was read says it.
- ``malformed reply``: a reply that is neither a call nor an answer, or a call that cannot be read.
- ``made-up response``: the agent wrote a tool response itself.
- ``calls and responses differ``: a turn with more or fewer responses than calls, or messages out of
  turn.
- ``same call answered twice``: a call repeated with the same arguments after it had succeeded.
- ``calls in a cycle``: the same few calls over and over; word order and case do not count, nor do
  calls that failed.
- ``failure not made up for``: a call failed and none succeeded after it.
- ``call without a thought``: a reply without a thought of its own.
- ``guidance in a message``: the masked triples, or words only they use, stand in the dialogue.
- ``too long``: more tokens than training takes.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from medr_ray.agent.protocol import parse_reply, parse_responses
from medr_ray.core.records import FilteredTrajectory, Task, ToolEvent, Trajectory
from medr_ray.knowledge.predicates import INVERSE, PREDICATES
from medr_ray.questions.answer_matching import answers_match, canonical_form


class Code(StrEnum):
    """The reasons of the module's docstring."""

    NO_ANSWER = "no answer"
    GAVE_UP = "gave up"
    WRONG = "wrong answer"
    UNGROUNDED = "answer not in any tool response"
    MALFORMED = "malformed reply"
    MADE_UP = "made-up response"
    UNPAIRED = "calls and responses differ"
    REPEATED = "same call answered twice"
    CYCLING = "calls in a cycle"
    UNRECOVERED = "failure not made up for"
    THOUGHTLESS = "call without a thought"
    LEAKED = "guidance in a message"
    TOO_LONG = "too long"


@dataclass(frozen=True)
class Reason:
    """Why a trajectory is not kept: the code, and where or what."""

    code: Code
    detail: str

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"

    @classmethod
    def read(cls, text: str) -> "Reason":
        """The reason as a record keeps it."""
        code, _, detail = text.partition(": ")
        return cls(Code(code), detail)


UNKNOWN = "unknown"  # the answer of an agent that does not know
_TIMES = 3  # the same calls in a row are a cycle
_LONGEST_CYCLE = 4  # calls
_SHOWN = 80  # characters of a detail that quotes
_PLACEHOLDER = re.compile(r"\[MASK\]|\bEntity_[A-Z]+\b")
_PREDICATE = re.compile(rf"\b{INVERSE}(?:{'|'.join(PREDICATES)})\b|\b(?:{'|'.join(PREDICATES)})\b")


def judge_trajectory(
    trajectory: Trajectory, task: Task, tokens: int, most_tokens: int
) -> FilteredTrajectory:
    """The filter's verdict; ``tokens`` is the dialogue's length as training counts it."""
    reasons = [*_answer_reasons(trajectory, task)]
    reasons += [Reason(code, detail) for code, check in _CHECKS for detail in check(trajectory)]
    if tokens > most_tokens:
        reasons.append(Reason(Code.TOO_LONG, f"{tokens} of {most_tokens} tokens"))
    return FilteredTrajectory(trajectory, not reasons, tuple(map(str, reasons)))


def reason_counts(judged: Sequence[FilteredTrajectory]) -> dict[str, int]:
    """How many trajectories each reason turned away, by code; one with several counts for each."""
    counts = Counter(
        code for entry in judged for code in {Reason.read(text).code for text in entry.reasons}
    )
    return {str(code): counts[code] for code in Code if counts[code]}


def _answer_reasons(trajectory: Trajectory, task: Task) -> Iterator[Reason]:
    if trajectory.answer is None:
        yield Reason(Code.NO_ANSWER, trajectory.stop_reason)
    elif canonical_form(trajectory.answer) == UNKNOWN:
        yield Reason(Code.GAVE_UP, f"after {len(trajectory.tool_events)} calls")
    elif not answers_match(trajectory.answer, task.answer, task.aliases):
        yield Reason(Code.WRONG, f"{_cut(trajectory.answer)} in place of {_cut(task.answer)}")
    elif not is_supported(trajectory):
        yield Reason(Code.UNGROUNDED, _cut(trajectory.answer))


def is_supported(trajectory: Trajectory) -> bool:
    """The answer stands in some tool response."""
    answer = canonical_form(trajectory.answer or "")
    return bool(answer) and any(
        answer in canonical_form(m.content) for m in trajectory.messages[2:] if m.role == "user"
    )


def repeated_calls(trajectory: Trajectory) -> int:
    """Successful calls beyond the first with the same tool and the same arguments."""
    return sum(count - 1 for count in _successes(trajectory).values())


# --- one check each: the details of what it finds -------------------------------------


def _malformed(trajectory: Trajectory) -> Iterator[str]:
    for number, text in _replies(trajectory):
        reply = parse_reply(text)
        if reply.answer is None:
            yield from (f"message {number}: {_cut(problem)}" for problem in reply.problems)


def _made_up(trajectory: Trajectory) -> Iterator[str]:
    yield from (
        f"message {number}" for number, text in _replies(trajectory) if "<tool_response>" in text
    )


def _unpaired(trajectory: Trajectory) -> Iterator[str]:
    for number, text in _replies(trajectory):
        following = (
            trajectory.messages[number + 1] if number + 1 < len(trajectory.messages) else None
        )
        reply = parse_reply(text)
        if reply.answer is not None or (following is None and trajectory.stop_reason != "answered"):
            continue
        call_count = len(reply.calls) + len(reply.problems)
        responses = (
            len(parse_responses(following.content)[0])
            if following and following.role == "user"
            else 0
        )
        if call_count != responses:
            yield f"message {number}: {call_count} calls, {responses} responses"


def _repeated(trajectory: Trajectory) -> Iterator[str]:
    for (tool, arguments), count in _successes(trajectory).items():
        if count > 1:
            yield f"{tool} {_cut(arguments)}: {count} times"


def _cycling(trajectory: Trajectory) -> Iterator[str]:
    calls = [
        (event.tool, _plain_arguments(event))
        for event in trajectory.tool_events
        if event.status == "ok"
    ]
    for length in range(1, _LONGEST_CYCLE + 1):
        for start in range(len(calls) - _TIMES * length + 1):
            block = calls[start : start + length]
            if calls[start : start + _TIMES * length] == block * _TIMES:
                yield f"{length} from successful call {start + 1} on, {_TIMES} times"
                return


def _unrecovered(trajectory: Trajectory) -> Iterator[str]:
    statuses = [event.status for event in trajectory.tool_events]
    if "error" in statuses and "ok" not in statuses[statuses.index("error") :]:
        yield f"call {statuses.index('error') + 1} of {len(statuses)}"


def _thoughtless(trajectory: Trajectory) -> Iterator[str]:
    yield from (
        f"message {number}"
        for number, text in _replies(trajectory)
        if not parse_reply(text).thought
    )


def _leaked(trajectory: Trajectory) -> Iterator[str]:
    for number, message in enumerate(trajectory.messages):
        leak = leak_in(message.content)
        if leak:
            yield f"message {number}: {leak}"


def leak_in(text: str) -> str:
    """What only guidance says and a text repeats, or ""."""
    match = _PLACEHOLDER.search(text) or _PREDICATE.search(text)
    return match.group() if match else ""


_CHECKS: tuple[tuple[Code, Callable[[Trajectory], Iterator[str]]], ...] = (
    (Code.MALFORMED, _malformed),
    (Code.MADE_UP, _made_up),
    (Code.UNPAIRED, _unpaired),
    (Code.REPEATED, _repeated),
    (Code.CYCLING, _cycling),
    (Code.UNRECOVERED, _unrecovered),
    (Code.THOUGHTLESS, _thoughtless),
    (Code.LEAKED, _leaked),
)


def _replies(trajectory: Trajectory) -> Iterator[tuple[int, str]]:
    """(number of the message, its text) of each reply."""
    return (
        (number, message.content)
        for number, message in enumerate(trajectory.messages)
        if message.role == "assistant"
    )


def _successes(trajectory: Trajectory) -> Counter[tuple[str, str]]:
    return Counter(
        (event.tool, event.arguments) for event in trajectory.tool_events if event.status == "ok"
    )


def _plain_arguments(event: ToolEvent) -> str:
    """The arguments with their texts' words sorted and in lower case: what a loop repeats."""
    values = json.loads(event.arguments or "{}")
    plain = {
        key: sorted(value.casefold().split()) if isinstance(value, str) else value
        for key, value in values.items()
    }
    return json.dumps(plain, sort_keys=True, ensure_ascii=False)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
