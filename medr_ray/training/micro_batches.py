"""The micro-batches of an update: which sequences go through the model together, and how.

A plan says which, and is cheap. Its tensors are built one micro-batch at a time, when their turn
comes, because the attention mask of a tree is large.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from medr_ray.training.batches import Example, MicroBatch, collate, group_into_micro_batches


@dataclass(frozen=True)
class MicroBatchPlan:
    """The sequences of one forward and backward pass."""

    examples: tuple[Example, ...]


def plan_micro_batches(examples: Sequence[Example], max_tokens: int) -> list[MicroBatchPlan]:
    """Put every example into one micro-batch of at most ``max_tokens`` tokens, padding included.

    A longer sequence is a micro-batch of its own.
    """
    groups = group_into_micro_batches(examples, max_tokens)
    return [MicroBatchPlan(tuple(group)) for group in groups]


def build_micro_batch(plan: MicroBatchPlan, pad_id: int, device: str | torch.device) -> MicroBatch:
    """The tensors of a planned micro-batch, on ``device``."""
    return collate(plan.examples, pad_id, device)
