"""Splits a dialogue into turns: a thought, the calls of the agent, and the result of each call.

Every observation is paired with the event of its call, in call order. In rows of an earlier form
calls beyond the budget had no response, so these calls have no observation.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from medr_ray.agent.protocol import parse_reply, parse_responses
from medr_ray.core.records import Message, ToolEvent, Trajectory


@dataclass(frozen=True)
class ToolObservation:
    """A call's event, and the text that the agent was shown for it."""

    event: ToolEvent
    text: str


@dataclass(frozen=True)
class ReplyTurn:
    """One reply: its thought, its answer if it gave one, and the observations of its calls."""

    thought: str
    answer: str | None = None
    observations: tuple[ToolObservation, ...] = field(default=())


def read_turns(trajectory: Trajectory) -> list[ReplyTurn]:
    """The turns of a finished run."""
    return list(_pair_turns(trajectory.messages, trajectory.tool_events))


def _pair_turns(messages: Sequence[Message], events: Sequence[ToolEvent]) -> Iterable[ReplyTurn]:
    remaining = list(events)
    for index, message in enumerate(messages):
        if message.role != "assistant":
            continue
        reply = parse_reply(message.content)
        texts = _responses_after(messages, index)
        reply_events = remaining[: len(texts)]
        remaining = remaining[len(texts) :]
        # Not strict: the last events of an earlier form have no response.
        observations = tuple(map(ToolObservation, reply_events, texts))
        yield ReplyTurn(reply.thought, reply.answer, observations)


def _responses_after(messages: Sequence[Message], index: int) -> list[str]:
    """The tool responses in the message behind number ``index``; none where it has none."""
    if index + 1 >= len(messages) or messages[index + 1].role != "user":
        return []
    responses, _ = parse_responses(messages[index + 1].content)
    return responses
