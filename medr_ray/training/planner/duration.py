"""Steps, tokens and hours of a training stage, with what is assumed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medr_ray.core.config import PipelineConfig
from medr_ray.core.earlier_results import read_latest_counts
from medr_ray.core.run import RunDirectory
from medr_ray.training.planner.gpus import GPU
from medr_ray.training.planner.micro_batch_sizes import TARGET_SHARE
from medr_ray.training.planner.shapes import ModelShape

# Share of a GPU's peak that training reaches; with long dialogues and sharded weights 0.3 to 0.45
# are usual.
FLOPS_SHARE = 0.35
# Where no dialogue has been counted: how many there are, and which share of the limit each fills.
_ASSUMED_DIALOGUES = 2000
DIALOGUE_SHARE = 0.4


@dataclass(frozen=True)
class Work:
    """``tokens`` of all ``sequences`` of all steps, prompts and answers of tools included.
    ``basis`` says where the counts are from."""

    steps: int
    sequences: int
    tokens: int
    basis: str


def estimate_sft_work(config: PipelineConfig, run: RunDirectory) -> Work:
    """Of the accepted trajectories, where there are any, or of as many as the settings ask for."""
    sft = config.sft
    counts = read_latest_counts(run, "trajectories") if sft.data is None else {}
    mean, mean_basis = _find_mean_tokens(counts, sft.max_tokens)
    limit = config.trajectories.max_questions or config.questions.max_questions
    dialogues = _ASSUMED_DIALOGUES
    basis = f"{dialogues:,} dialogues (assumed)"
    if counts.get("accepted"):
        dialogues = counts["accepted"]
        basis = f"{dialogues:,} accepted trajectories"
    elif limit and sft.data is None:
        dialogues = limit
        basis = f"{dialogues:,} dialogues at most"
    dialogues = max(1, round(dialogues * (1 - sft.evaluation_fraction)))
    steps = sft.epochs * -(-dialogues // sft.batch_size)
    if sft.max_steps is not None:
        steps = min(steps, sft.max_steps)
    sequences = steps * sft.batch_size
    return Work(steps, sequences, round(sequences * mean), f"{basis}, {mean_basis}")


def estimate_grpo_work(config: PipelineConfig, run: RunDirectory) -> Work:
    """Of all rollouts of all updates."""
    grpo = config.grpo
    counts = read_latest_counts(run, "trajectories")
    mean, mean_basis = _find_mean_tokens(counts, config.agent.max_tokens)
    rollouts = grpo.updates * grpo.questions_per_update * grpo.group_size
    basis = f"{rollouts:,} rollouts, {mean_basis}"
    return Work(grpo.updates, rollouts, round(rollouts * mean), basis)


def _find_mean_tokens(counts: Mapping[str, Any], limit: int) -> tuple[float, str]:
    """(mean tokens of a dialogue, where it is from)."""
    counted = counts.get("statistics", {}).get("tokens")
    if counted:
        return counted["value"], f"{counted['value']:,.0f} tokens each, as counted"
    mean = limit * DIALOGUE_SHARE
    return mean, f"{mean:,.0f} tokens each ({DIALOGUE_SHARE:.0%} of the limit, assumed)"


def count_flops(shape: ModelShape, tokens: int, mean: float, passes: float) -> float:
    """Floating point operations over ``tokens`` in sequences of ``mean`` tokens.

    ``passes`` are forward passes; a backward pass counts as two. Attention looks at half of the
    sequence on average. The output layer is computed for the targets alone.
    """
    matrices = shape.layers * shape.linear_parameters
    head = shape.vocabulary_parameters * TARGET_SHARE
    attention = shape.layers * 2 * shape.query_width * mean / 2
    return tokens * passes * 2 * (matrices + head + attention)


def estimate_learning_hours(flops: float, gpu: GPU, gpus: int) -> float:
    return flops / (gpu.flops * FLOPS_SHARE * gpus) / 3600
