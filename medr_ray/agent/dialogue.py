"""Questions that follow one another, and the limits of one.

The first question of a dialogue is put to the model as it stands, as models are trained; a later
one comes with the questions and answers before it, as far back as there is room.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from medr_ray.agent.episode_budget import estimate_tokens
from medr_ray.core.config import AgentConfig
from medr_ray.core.prompts import read_prompt
from medr_ray.core.records import Language

# The share of a dialogue's tokens that earlier questions and answers may take; the rest is for the
# documents and replies of the new question.
_EARLIER_SHARE = 0.25


@dataclass(frozen=True)
class Exchange:
    """A question of the dialogue so far, and its answer; "" where it had none."""

    question: str
    answer: str


@dataclass(frozen=True)
class ResearchLimits:
    """Limits of one question, where it is to have less than the configuration allows."""

    max_tool_calls: int | None = None
    max_turn_tokens: int | None = None
    seconds: float | None = None

    def apply(self, agent: AgentConfig) -> AgentConfig:
        """The configuration with the smaller of each limit."""
        limits = {name: value for name, value in dataclasses.asdict(self).items() if value}
        return agent.model_copy(
            update={name: min(value, getattr(agent, name)) for name, value in limits.items()}
        )


NO_LIMITS = ResearchLimits()


def word_question(
    question: str, earlier: Sequence[Exchange], language: Language, agent: AgentConfig
) -> str:
    """What the model is asked: the question, and in front of a later one the dialogue before it,
    as far back as there is room."""
    room = int(agent.max_tokens * _EARLIER_SHARE)
    kept: list[str] = []
    for exchange in reversed(earlier):
        text = _read_text("exchange", language).replace("{question}", exchange.question)
        text = text.replace("{answer}", exchange.answer or "-")
        room -= estimate_tokens(text)
        if room < 0:
            break
        kept.insert(0, text)
    if not kept:
        return question
    template = _read_text("follow_up", language)
    return template.replace("{earlier}", "\n".join(kept)).replace("{question}", question)


def _read_text(name: str, language: Language) -> str:
    return read_prompt("medr_ray.agent", name, language).strip()
