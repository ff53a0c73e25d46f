"""Which weights answer which benchmarks, and how they are judged."""

from typing import Literal

from pydantic import Field

from medr_ray.core.config.base import Backend, Operational, Section


class EvaluationConfig(Section):
    """Which weights answer which benchmarks, over HTTP."""

    benchmarks: tuple[str, ...] = Field(
        ("heldout",),
        min_length=1,
        description="names of benchmarks in medr_ray/evaluation/benchmarks, or "
        "package.module:attribute",
    )
    weights: tuple[Literal["base", "sft", "grpo"], ...] = ("base", "sft", "grpo")
    max_questions: int | None = Field(None, ge=1)
    rollouts: int = Field(
        1, ge=1, description="attempts per question; the first is compared, all give pass@k"
    )
    concurrency: Operational[int] = Field(16, ge=1)
    temperature: float = Field(0.0, ge=0)
    judge: Backend = "rules"
    confidence: float = Field(0.95, gt=0, lt=1)
