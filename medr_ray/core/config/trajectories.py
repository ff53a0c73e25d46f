"""How training dialogues are made from finished rollouts."""

from typing import Literal

from pydantic import Field, model_validator

from medr_ray.core.config.base import Backend, Section
from medr_ray.core.config.models import EndpointConfig

# How the rules teacher words its thoughts and queries.
TeachingStyle = Literal["plain", "natural"]


class TrajectoriesConfig(Section):
    """Synthesis of training dialogues (paper section 3.2)."""

    teacher: Backend = Field("rules", description="who plays the agent")
    style: TeachingStyle = Field(
        "natural",
        description="how the rules teacher words thoughts: natural varies them, checks candidates "
        'and cites documents; plain states "relation = value", which a small model can learn',
    )
    max_questions: int | None = Field(
        None, ge=1, description="train questions to play, drawn by the seed; null: all"
    )
    guided_fraction: float = Field(
        0.7, ge=0, le=1, description="share of rollouts with guidance, the paper's alpha"
    )
    rollouts_per_question: int = Field(1, ge=1, description="rollouts of each training question")
    tool_failure_rate: float = Field(
        0.05, ge=0, le=1, description="share of tool calls that fail on purpose"
    )
    max_tokens: int = Field(1024, ge=64, description="tokens of a dialogue that training keeps")
    rewrite: EndpointConfig | None = Field(
        None, description="chat model that rewords the thoughts; null: they stay"
    )
    balance: float = Field(
        0.0, ge=0, le=1, description="balance over specialties: 0 as they are, 1 all alike"
    )
    most_copies: int = Field(2, ge=1, description="times that balancing may take the same dialogue")

    @model_validator(mode="after")
    def _check_rewriter(self) -> "TrajectoriesConfig":
        if self.rewrite is not None and not self.rewrite.model:
            raise ValueError("rewrite.model is empty: name the model that the endpoint is to run")
        return self
