"""Supervised fine-tuning and reinforcement learning."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from medr_ray.core.config.base import Backend, Operational, Section
from medr_ray.core.config.names import registered_in
from medr_ray.core.config.urls import StorageUri

PolicyLossName = Annotated[str, registered_in("medr_ray.training.losses:POLICY_LOSSES")]


class TrackingConfig(Section):
    """Where the metrics of training go beside ``metrics.jsonl`` and TensorBoard's files. Keys come
    from the service's own environment variables (MLFLOW_TRACKING_TOKEN, WANDB_API_KEY)."""

    service: Operational[Literal["none", "mlflow", "wandb"]] = Field(
        "none", description="tracking service; its package must be installed: mlflow or wandb"
    )
    uri: Operational[str] = Field(
        "", description="MLflow's server or folder; empty: MLFLOW_TRACKING_URI"
    )
    project: Operational[str] = Field(
        "medr", min_length=1, description="experiment of MLflow, or project of W&B"
    )


class OptimiserConfig(Section):
    """AdamW."""

    learning_rate: float = Field(..., gt=0, description="learning rate after the warm-up")
    beta1: float = Field(0.9, ge=0, lt=1, description="decay of the mean of the gradient")
    beta2: float = Field(0.99, ge=0, lt=1, description="decay of the mean of its square")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay")
    clip_norm: float = Field(1.0, gt=0, description="largest norm of the whole gradient")
    warmup_steps: int = Field(0, ge=0, description="steps of linear warm-up")
    schedule: Literal["constant", "cosine"] = Field(
        "constant", description="course of the learning rate after the warm-up"
    )


class LoraConfig(Section):
    """An adapter that is trained instead of the whole model."""

    rank: int = Field(16, ge=1, description="rank of the adapter's matrices")
    alpha: int = Field(32, ge=1, description="the adapter counts alpha / rank times")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout before the adapter")
    targets: tuple[str, ...] | Literal["all-linear"] = Field(
        "all-linear",
        description="endings of the names of the adapted matrices; all-linear: all but the output "
        "layer",
    )


class TrainerConfig(Section):
    """The workers of a training stage; shared by SFT and GRPO."""

    backend: Operational[Literal["torch", "fsdp2", "deepspeed"]] = Field(
        "torch",
        description="library that spreads the model over workers: torch has the whole model on "
        "each, fsdp2 and deepspeed split it",
    )
    dtype: Literal["auto", "bfloat16", "float32"] = Field(
        "auto",
        description="number format of matrix products; auto is bfloat16, and float32 on a CPU "
        "without instructions for bfloat16. What the optimiser steps on is float32 in any case",
    )
    activation_checkpointing: Operational[bool] = Field(
        False,
        description="keep only the input of each layer for the backward pass and compute the rest "
        "again: less memory, a third more time",
    )
    offload: Operational[bool] = Field(
        False,
        description="keep the optimiser's part (with fsdp2 the weights too) in the memory of the "
        "host instead of the GPU; not for torch",
    )
    lora: LoraConfig | None = Field(
        None, description="train an adapter instead of all weights; null: all weights"
    )
    workers: Operational[int] = Field(1, ge=1, description="Ray Train workers")
    use_gpu: Operational[bool] = Field(False, description="train on GPUs")
    cpus_per_worker: Operational[int] = Field(
        1, ge=1, description="logical CPUs that a worker reserves"
    )
    gpus_per_worker: Operational[float] = Field(
        1, gt=0, description="GPUs that a worker reserves; below 1 to share one with the engine"
    )
    threads: Operational[int] = Field(2, ge=1, description="torch threads of a worker on CPU")
    micro_tokens: Operational[int] = Field(
        4096, ge=256, description="padded tokens per forward and backward pass"
    )
    tree: Operational[bool] = Field(
        True,
        description="compute the tokens that sequences have in common at their start once (prefix "
        "trees); the gradient is the same",
    )
    zero_stage: Operational[int] = Field(2, ge=0, le=3, description="DeepSpeed ZeRO stage")
    labels: Operational[dict[str, str]] = Field(
        {}, description="labels that a node must have (ray start --labels) to be given a worker"
    )
    max_failures: Operational[int] = Field(
        1, ge=0, description="restarts of the training after a failure"
    )

    @property
    def adapter_rank(self) -> int:
        """The rank of the adapter that is trained; 0 where all weights are."""
        return self.lora.rank if self.lora else 0

    @model_validator(mode="after")
    def _check_offload(self) -> Self:
        if self.offload and self.backend == "torch":
            raise ValueError(
                "offload is for backend fsdp2 or deepspeed, because torch has one copy of all"
            )
        if self.offload and self.backend == "deepspeed" and self.zero_stage == 0:
            raise ValueError("offload needs a zero_stage from 1 to 3, because 0 shares nothing")
        return self


class SFTConfig(TrainerConfig):
    """Supervised fine-tuning: loss on the tokens of ``learn_from``, the assistant's."""

    data: StorageUri | None = Field(
        None,
        description="chat data to learn from: JSON lines or Parquet, plain or gzip, a path or URI; "
        "null: the accepted trajectories of the run, without it no earlier stage is needed",
    )
    learn_from: tuple[Literal["system", "user", "assistant", "tool"], ...] = Field(
        ("assistant",), min_length=1, description="roles whose texts carry the loss"
    )
    evaluation_fraction: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="share of the questions that is not learnt but gives the evaluation loss",
    )
    evaluate_every: int = Field(
        10, ge=1, description="steps between two evaluations, where evaluation_fraction is above 0"
    )
    early_stop: int | None = Field(
        None,
        ge=1,
        description="evaluations without a smaller loss after which training stops; null: never",
    )
    epochs: int = Field(3, ge=1, description="passes over the dialogues")
    max_steps: int | None = Field(None, ge=1, description="optimiser steps; null: no limit")
    batch_size: int = Field(4, ge=1, description="dialogues per step, over all workers")
    max_tokens: int = Field(1024, ge=64, description="tokens of a dialogue")
    packing: Operational[bool] = Field(
        False,
        description="put dialogues behind one another without padding even where they begin "
        "otherwise; the gradient is the same. Their mask costs more than little padding does",
    )
    checkpoint_every: Operational[int] = Field(10, ge=1, description="steps between checkpoints")
    optimiser: OptimiserConfig = Field(
        OptimiserConfig(learning_rate=3e-4), description="settings of AdamW"
    )

    @model_validator(mode="after")
    def _check_early_stop(self) -> Self:
        if self.early_stop is not None and not self.evaluation_fraction:
            raise ValueError("early_stop needs an evaluation_fraction above 0")
        return self


class GRPOConfig(TrainerConfig):
    """Group-relative policy optimisation (paper section 4.2)."""

    updates: int = Field(14, ge=1, description="updates of the policy")
    questions_per_update: int = Field(6, ge=1, description="questions, and so groups, per update")
    group_size: int = Field(6, ge=2, description="rollouts of each question")
    learnt_rollouts: int | None = Field(
        None,
        ge=2,
        description="rollouts of a group that are learnt from, those whose rewards differ most; "
        "null: all",
    )
    temperature: float = Field(1.0, gt=0, description="sampling temperature of the rollouts")
    loss: PolicyLossName = Field("clipped", description="the policy loss")
    # Wider above than below ("clip-higher"), with the values of DAPO (Yu et al. 2025, arXiv
    # 2503.14476): unlikely tokens may grow, which keeps up exploration.
    clip_low: float = Field(
        0.2, gt=0, description="the probability ratio is clipped below 1 minus this"
    )
    clip_high: float = Field(
        0.28, gt=0, description="the probability ratio is clipped above 1 plus this"
    )
    dual_clip: float = Field(
        3.0,
        gt=1,
        description="loss clipped: where the advantage is negative, the ratio counts up to this",
    )
    ratio_cap: float = Field(
        2.0,
        gt=1,
        description="loss truncated: a token's weight is its ratio up to this; for every loss, a "
        "ratio above it or below its inverse counts as mismatched",
    )
    max_mismatch_kl: Operational[float] = Field(
        0.02,
        gt=0,
        description="KL of engine and trainer, in nats per token, above which an update warns",
    )
    evaluate_every: Operational[int | None] = Field(
        None,
        ge=1,
        description="updates between two measurements on held-out questions, of which the first is "
        "before all updates; null: none",
    )
    evaluation_questions: Operational[int] = Field(
        50, ge=1, description="held-out questions of a measurement, with one rollout each"
    )
    raise_at: float = Field(
        0.5,
        gt=0,
        le=1,
        description="pass rate of the recent groups at which questions of one more hop join",
    )
    truncated: Literal["scored", "masked"] = Field(
        "scored",
        description="rollouts that the agent's tokens, calls, USD or seconds cut off: scored as no "
        "answer, or masked (in neither baseline nor gradient)",
    )
    max_excluded: Operational[float] = Field(
        0.3,
        ge=0,
        le=1,
        description="share of an update's rollouts that infrastructure may lose before the run "
        "stops",
    )
    max_empty_updates: Operational[int] = Field(
        3, ge=1, description="updates in a row without anything to learn after which the run stops"
    )
    max_staleness: Literal[0, 1] = Field(
        0,
        description="updates by which the weights that sample may be older than those that learn; "
        "1: the rollouts of the next update run while this one is learnt",
    )
    refill: int = Field(
        0,
        ge=0,
        description="further questions that an update may roll out in place of those whose group "
        "teaches nothing",
    )
    min_spread: float = Field(
        0.0,
        ge=0,
        description="difference of the best and the worst reward of a group below which it teaches "
        "nothing",
    )
    min_group_fraction: float = Field(
        0.75, gt=0, le=1, description="share of its rollouts that a group needs to be used"
    )
    task_weight: float = Field(1.0, description="weight of the exact match in the reward")
    expert_weight: float = Field(0.2, description="weight of the expert preference in the reward")
    efficiency_weight: float = Field(
        0.1, description="weight of superfluous tool calls, which lower the reward"
    )
    turn_reward: float = Field(
        0.0,
        ge=0,
        description="reward of a turn for the share of the needed facts that its tool results "
        "state first; 0: all turns of a rollout have its advantage",
    )
    expert: Backend = Field("rules", description="who scores the expert preference")
    checkpoint_every: Operational[int] = Field(2, ge=1, description="updates between checkpoints")
    optimiser: OptimiserConfig = Field(
        OptimiserConfig(learning_rate=1e-5), description="settings of AdamW"
    )
