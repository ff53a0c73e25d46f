"""Supervised fine-tuning and reinforcement."""

from typing import Literal

from pydantic import Field

from medr_ray.core.config.base import Backend, Operational, Section


class OptimiserConfig(Section):
    """AdamW."""

    learning_rate: float = Field(..., gt=0)
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.99, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0)
    clip_norm: float = Field(1.0, gt=0)
    warmup_steps: int = Field(0, ge=0)
    schedule: Literal["constant", "cosine"] = "constant"


class TrainerConfig(Section):
    """The workers a training stage runs on; shared by SFT and GRPO."""

    backend: Literal["torch", "deepspeed"] = "torch"
    workers: int = Field(1, ge=1)
    use_gpu: Operational[bool] = False
    cpus_per_worker: Operational[int] = Field(1, ge=1)
    gpus_per_worker: Operational[float] = Field(
        1, gt=0, description="with use_gpu; below 1 to share the GPU with the engine"
    )
    threads: Operational[int] = Field(2, ge=1, description="torch threads of a worker on CPU")
    micro_tokens: Operational[int] = Field(
        4096, ge=256, description="padded tokens per forward and backward pass"
    )
    zero_stage: Operational[int] = Field(2, ge=0, le=3, description="DeepSpeed ZeRO stage")
    max_failures: Operational[int] = Field(1, ge=0)


class SFTConfig(TrainerConfig):
    """Supervised fine-tuning: loss on the assistant's tokens only."""

    epochs: int = Field(3, ge=1)
    max_steps: int | None = Field(None, ge=1)
    batch_size: int = Field(4, ge=1, description="dialogues per worker and step")
    max_tokens: int = Field(1024, ge=64)
    checkpoint_every: Operational[int] = Field(10, ge=1, description="steps")
    optimiser: OptimiserConfig = OptimiserConfig(learning_rate=3e-4)


class GRPOConfig(TrainerConfig):
    """Group-relative policy optimisation (paper section 4.2)."""

    updates: int = Field(14, ge=1)
    questions_per_update: int = Field(6, ge=1)
    group_size: int = Field(6, ge=2)
    temperature: float = Field(1.0, gt=0)
    clip_low: float = Field(0.2, gt=0)
    clip_high: float = Field(0.28, gt=0)
    raise_at: float = Field(
        0.5,
        gt=0,
        le=1,
        description="pass rate of the recent groups at which questions of one more hop join",
    )
    min_group_fraction: float = Field(
        0.75, gt=0, le=1, description="rollouts a group needs to be used"
    )
    task_weight: float = 1.0
    expert_weight: float = 0.2
    efficiency_weight: float = 0.1
    expert: Backend = "rules"
    checkpoint_every: Operational[int] = Field(2, ge=1, description="updates")
    optimiser: OptimiserConfig = OptimiserConfig(learning_rate=1e-5)
