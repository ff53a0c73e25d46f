"""Decides when an episode must end with an answer, by pure functions of what it has used.

The answer is requested while the agent can still give it. The last observations are cut so that an
answer fits behind them, as far as tokens can be estimated.
"""

import bisect
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from medr_ray.core.config import AgentConfig
from medr_ray.core.records import Budget, StopReason

CALLS: Final = "calls"
REPEATS: Final = "repeats"
TOKENS: Final = "tokens"
SECONDS: Final = "seconds"
USD: Final = "usd"
STOP_REASON: dict[Budget, StopReason] = {
    CALLS: "max_turns",
    REPEATS: "loop",
    TOKENS: "max_tokens",
    SECONDS: "max_seconds",
    USD: "max_usd",
}
# An estimate of tokens on the high side. Records are full of numbers, ids and signs, each of which
# many tokenizers take apart. Over the observations of two runs SmolLM2's tokenizer has 0.94 of the
# estimated tokens on average; with three bytes a token it had up to twice as many as estimated.
_LOWER_CASE_PER_TOKEN = 4  # letters
_UPPER_CASE_PER_TOKEN = 2  # letters: most stand in ids and abbreviations
_OTHER_BYTES_PER_TOKEN = 3  # a character of Chinese
_LOWER_CASE = re.compile(r"[a-z]+")
_UPPER_CASE = re.compile(r"[A-Z]+")
_FIGURES_AND_SIGNS = re.compile(r"[!-@\[-`{-~]+")  # each a token
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_ELLIPSIS = "…"
_FEWEST_TOKENS = 20  # of an observation that are always shown


@dataclass(frozen=True)
class EpisodeUsage:
    """What an episode has used: calls, identical calls among them, tokens of context (0 where the
    policy counts none), seconds, tokens of all replies and their prompts, USD (0 where unknown)."""

    calls: int
    repeats: int
    context: int
    seconds: float
    spent_tokens: int = 0
    usd: float = 0.0


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
    # The same share is kept for the answer of what only adds up. A reply may still go beyond it.
    unreserved = 1 - agent.answer_reserve
    if agent.max_spent_tokens and usage.spent_tokens >= agent.max_spent_tokens * unreserved:
        return TOKENS
    if agent.max_usd and usage.usd >= agent.max_usd * unreserved:
        return USD
    if usage.seconds >= agent.seconds * unreserved:
        return SECONDS
    return ""


def estimate_tokens(text: str) -> int:
    """About how many tokens a text is, rather too many than too few. Spaces are part of words."""
    lower_case = sum(map(len, _LOWER_CASE.findall(text)))
    upper_case = sum(map(len, _UPPER_CASE.findall(text)))
    others = sum(len(run.encode(errors="replace")) for run in _NOT_ASCII.findall(text))
    tokens = (
        lower_case / _LOWER_CASE_PER_TOKEN
        + upper_case / _UPPER_CASE_PER_TOKEN
        + sum(map(len, _FIGURES_AND_SIGNS.findall(text)))
        + others / _OTHER_BYTES_PER_TOKEN
    )
    return math.ceil(tokens) + 1


def count_room(agent: AgentConfig, context: int, frame: str) -> int:
    """The estimated tokens that are left beside a full reply and ``frame``, a part of the next
    message; it may be negative."""
    return agent.max_tokens - context - agent.max_turn_tokens - estimate_tokens(frame)


def count_recap_room(agent: AgentConfig, context: int, frame: str) -> int:
    """The estimated tokens that a recap may take: half of what is left beside a full reply, which
    the last observations share, and at most a quarter of all; a quarter where the context's tokens
    are not known (0)."""
    quarter = agent.max_tokens // 4
    return min(count_room(agent, context, frame) // 2, quarter) if context else quarter


def cut_observations(
    texts: Sequence[str], agent: AgentConfig, context: int, frame: str
) -> list[str]:
    """The last observations, cut evenly so that they leave room for a full reply.

    ``frame`` is the rest of their message. They stay whole where the context's tokens are not known
    (0).
    """
    if not context or not texts:
        return list(texts)
    limit = max(count_room(agent, context, frame) // len(texts), _FEWEST_TOKENS)
    return [cut_to_tokens(text, limit) for text in texts]


def cut_to_tokens(text: str, limit: int) -> str:
    """The text in at most ``limit`` estimated tokens, with an ellipsis where it was longer."""
    if estimate_tokens(text) <= limit:
        return text
    # The longest beginning that fits: the estimate never falls with more characters.
    length = bisect.bisect_right(
        range(len(text)), limit, key=lambda end: estimate_tokens(text[:end] + _ELLIPSIS)
    )
    return text[: max(length - 1, 0)].rstrip() + _ELLIPSIS


def cut_bytes(text: str, limit: int) -> str:
    """The text in at most ``limit`` bytes of UTF-8, with an ellipsis where it was longer."""
    data = text.encode()
    if len(data) <= limit:
        return text
    kept = data[: limit - len(_ELLIPSIS.encode())]
    # The cut may split a character; what remains of it is ignored.
    return kept.decode(errors="ignore").rstrip() + _ELLIPSIS
