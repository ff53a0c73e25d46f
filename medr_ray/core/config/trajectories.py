"""What becomes of finished rollouts: training dialogues."""

from pydantic import Field

from medr_ray.core.config.section import Backend, Section


class TrajectoriesConfig(Section):
    """Synthesis of training dialogues (paper section 3.2)."""

    teacher: Backend = "rules"
    guided_fraction: float = Field(0.7, ge=0, le=1, description="the paper's alpha")
    rollouts_per_question: int = Field(1, ge=1)
    tool_failure_rate: float = Field(0.05, ge=0, le=1, description="simulated tool failures shown to the teacher")
    max_tokens: int = Field(1024, ge=64, description="longest dialogue kept for training")
