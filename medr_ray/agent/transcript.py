"""A dialogue as steps: what the agent thought, what it called, and what each call was answered
with.

What holds: an observation is paired with the event of its call, in call order; a dialogue in which
the numbers of both differ (rows of an earlier form, where calls beyond the budget had no response)
pairs as many as there are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from medr_ray.agent.protocol import parse_reply, parse_responses
from medr_ray.core.records import Message, ToolEvent, Trajectory


@dataclass(frozen=True)
class Observed:
    """A call as it was answered: its event and the text that was shown."""

    event: ToolEvent
    text: str


@dataclass(frozen=True)
class Step:
    """One reply: its thought, its answer if it gave one, and its calls with what they were answered
    with."""

    thought: str
    answer: str | None = None
    observed: tuple[Observed, ...] = field(default=())


def steps_of(trajectory: Trajectory) -> list[Step]:
    """The steps of a finished run."""
    return list(_steps(trajectory.messages, trajectory.tool_events))


def _steps(messages: Sequence[Message], events: Sequence[ToolEvent]) -> Iterable[Step]:
    waiting = list(events)
    for index, message in enumerate(messages):
        if message.role != "assistant":
            continue
        reply = parse_reply(message.content)
        following = messages[index + 1] if index + 1 < len(messages) else None
        texts = (
            parse_responses(following.content)[0] if following and following.role == "user" else []
        )
        own, waiting = waiting[: len(texts)], waiting[len(texts) :]
        yield Step(reply.thought, reply.answer, tuple(map(Observed, own, texts)))
