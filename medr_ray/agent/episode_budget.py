"""Decides when an episode must end with an answer, by pure functions of what it has used.

The answer is requested while the agent can still give it. The last observations are cut so that an
answer fits behind them, as far as tokens can be estimated.
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
# Fewer than English has and about what Chinese has: an estimate of tokens on the high side.
_BYTES_PER_TOKEN = 3
_ELLIPSIS = "…"
_FEWEST_BYTES = 60  # of an observation that are always shown


@dataclass(frozen=True)
class EpisodeUsage:
    """What an episode has used: calls, identical calls among them, tokens of context (0 where the
    policy counts none), seconds."""

    calls: int
    repeats: int
    context: int
    seconds: float


def find_spent_budget(agent: AgentConfig, usage: EpisodeUsage) -> Budget | Literal[""]:
    """Which budget is nearly spent, "" for none. Tokens are nearly spent when two more replies of
    full length would not fit: one more turn, and the answer."""
    # In this order: where several are spent, the first names the stop reason.
    if usage.calls >= agent.max_tool_calls:
        return CALLS
    if usage.repeats > agent.max_repeats:
        return REPEATS
    if usage.context and usage.context + 2 * agent.max_turn_tokens > agent.max_tokens:
        return TOKENS
    if usage.seconds >= agent.seconds * (1 - agent.answer_reserve):
        return SECONDS
    return ""


def estimate_tokens(text: str) -> int:
    """About how many tokens a text is, rather too many than too few."""
    return len(text.encode()) // _BYTES_PER_TOKEN + 1


def cut_observations(
    texts: Sequence[str], agent: AgentConfig, context: int, frame: str
) -> list[str]:
    """The last observations, cut evenly so that they leave room for a full reply.

    ``frame`` is the rest of their message. They stay whole where the context's tokens are not known
    (0).
    """
    if not context or not texts:
        return list(texts)
    available_tokens = agent.max_tokens - context - agent.max_turn_tokens - estimate_tokens(frame)
    byte_limit = max(available_tokens * _BYTES_PER_TOKEN // len(texts), _FEWEST_BYTES)
    return [cut_bytes(text, byte_limit) for text in texts]


def cut_bytes(text: str, limit: int) -> str:
    """The text in at most ``limit`` bytes of UTF-8, with an ellipsis where it was longer."""
    data = text.encode()
    if len(data) <= limit:
        return text
    kept = data[: limit - len(_ELLIPSIS.encode())]
    # The cut may split a character; what remains of it is ignored.
    return kept.decode(errors="ignore").rstrip() + _ELLIPSIS
