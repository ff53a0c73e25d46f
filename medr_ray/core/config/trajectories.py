"""What becomes of finished rollouts: training dialogues."""

from pydantic import Field, model_validator

from medr_ray.core.config.base import Backend, Section
from medr_ray.core.config.models import EndpointConfig


class TrajectoriesConfig(Section):
    """Synthesis of training dialogues (paper section 3.2)."""

    teacher: Backend = "rules"
    guided_fraction: float = Field(0.7, ge=0, le=1, description="the paper's alpha")
    rollouts_per_question: int = Field(1, ge=1)
    tool_failure_rate: float = Field(
        0.05, ge=0, le=1, description="simulated tool failures shown to the teacher"
    )
    max_tokens: int = Field(1024, ge=64, description="longest dialogue kept for training")
    rewrite: EndpointConfig | None = Field(
        None, description="the chat model that words the thoughts anew"
    )
    balance: float = Field(
        0.0, ge=0, le=1, description="over specialties: 0 takes all as they are, 1 all alike"
    )
    most_copies: int = Field(2, ge=1, description="how often balancing may take one dialogue")

    @model_validator(mode="after")
    def _rewriter_is_named(self) -> "TrajectoriesConfig":
        if self.rewrite is not None and not self.rewrite.model:
            raise ValueError("rewrite.model is empty: name the model that the endpoint is to run")
        return self
