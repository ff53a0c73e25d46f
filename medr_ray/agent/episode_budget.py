"""When the agent is asked for its answer: pure decisions over what was spent.

What holds: the agent is asked while it can still answer. What it is shown last is cut so that an
answer fits behind it, as far as tokens can be estimated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from medr_ray.core.config import AgentConfig
from medr_ray.core.records import Budget, StopReason

CALLS: Final = "calls"
REPEATS: Final = "repeats"
TOKENS: Final = "tokens"
SECONDS: Final = "seconds"
STOP_REASON: dict[Budget, StopReason] = {
    CALLS: "max_turns",
    REPEATS: "loop",
    TOKENS: "max_tokens",
    SECONDS: "max_seconds",
}
_BYTES_PER_TOKEN = 3  # fewer than English has, about what Chinese has: an estimate on the high side
_MORE = "…"
_FEWEST = 60  # bytes of an observation that are always shown


@dataclass(frozen=True)
class Spent:
    """What an episode has used: calls, identical calls among them, tokens of context (0 where the
    policy counts none), seconds."""

    calls: int
    repeats: int
    context: int
    seconds: float


def nearly_spent(agent: AgentConfig, spent: Spent) -> Budget | Literal[""]:
    """What is nearly spent, or "". Tokens are when two more replies of full length would not
    fit."""
    if spent.calls >= agent.max_tool_calls:
        return CALLS
    if spent.repeats > agent.max_repeats:
        return REPEATS
    if spent.context and spent.context + 2 * agent.max_turn_tokens > agent.max_tokens:
        return TOKENS
    if spent.seconds >= agent.seconds * (1 - agent.answer_reserve):
        return SECONDS
    return ""


def estimated_tokens(text: str) -> int:
    """About how many tokens a text is, rather too many than too few."""
    return len(text.encode()) // _BYTES_PER_TOKEN + 1


def shown_last(texts: Sequence[str], agent: AgentConfig, context: int, frame: str) -> list[str]:
    """The last observations, cut evenly so that with the rest of their message, ``frame``, they
    leave room for a full reply; as they are where the context is not known (0)."""
    if not context or not texts:
        return list(texts)
    room = agent.max_tokens - context - agent.max_turn_tokens - estimated_tokens(frame)
    each = max(room * _BYTES_PER_TOKEN // len(texts), _FEWEST)
    return [cut_bytes(one, each) for one in texts]


def cut_bytes(text: str, limit: int) -> str:
    """The text in at most ``limit`` bytes of UTF-8, with an ellipsis where it was longer."""
    data = text.encode()
    return (
        text
        if len(data) <= limit
        else data[: limit - len(_MORE.encode())].decode(errors="ignore").rstrip() + _MORE
    )
