"""The loss on dialogues that are not learnt: how it is taken, when it stops the training, and whose
weights are kept.

All workers take part in every evaluation and get the same figure, so they decide alike.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from medr_ray.training.backends import TrainerBackend
from medr_ray.training.batches import Example
from medr_ray.training.collectives import (
    get_rank,
    max_over_workers,
    sum_over_workers,
    world_size,
)
from medr_ray.training.losses import sft_loss
from medr_ray.training.micro_batches import build_micro_batch, plan_micro_batches

_LOSS_DIGITS = 5  # behind the point


@dataclass(frozen=True)
class Progress:
    """What the evaluations so far say; part of a checkpoint's state.

    ``first_loss`` is the untrained model's, which is never the best. ``best_step`` is the step with
    the smallest loss, 0 before the first, and ``evaluations_since`` how many later evaluations were
    not better.
    """

    first_loss: float
    best_loss: float = math.inf
    best_step: int = 0
    evaluations_since: int = 0

    def after(self, step: int, loss: float) -> "Progress":
        """The progress with one more evaluation. A loss that is no number is never the best."""
        if loss < self.best_loss:
            return Progress(self.first_loss, loss, step)
        return Progress(self.first_loss, self.best_loss, self.best_step, self.evaluations_since + 1)


class EvaluationLoss:
    """Evaluates every so many steps, and after the last one.

    ``examples`` are those of all workers; without any nothing is evaluated. ``patience`` is the
    number of evaluations without a smaller loss after which training stops; None: never.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        every: int,
        patience: int | None,
        micro_tokens: int,
        pad_id: int,
        tree: bool = False,
    ) -> None:
        self._examples = examples
        self._every = every
        self._patience = patience
        self._micro_tokens = micro_tokens
        self._pad_id = pad_id
        self._tree = tree
        self.progress: Progress | None = None

    def begin(self, backend: TrainerBackend, state: dict[str, Any] | None) -> None:
        """Evaluate the untrained model, or go on from a checkpoint's ``dump``."""
        if state is not None:
            self.progress = Progress(**state)
        elif self._examples:
            loss = self._compute_loss(backend)
            self.progress = Progress(loss)

    def dump(self) -> dict[str, Any] | None:
        """The progress as JSON values; None where nothing is evaluated."""
        return None if self.progress is None else asdict(self.progress)

    def is_due(self, step: int, is_last: bool) -> bool:
        """Whether to evaluate after ``step``, which counts from 1."""
        return self.progress is not None and (is_last or step % self._every == 0)

    def evaluate(self, backend: TrainerBackend, step: int) -> float:
        """The loss per token after ``step``. Every worker must call this."""
        # As it is reported: a smaller difference is no progress.
        loss = round(self._compute_loss(backend), _LOSS_DIGITS)
        if self.progress is not None:
            self.progress = self.progress.after(step, loss)
        return loss

    def is_best(self, step: int) -> bool:
        """Whether the weights after ``step`` are the best so far."""
        return self.progress is not None and self.progress.best_step == step

    def has_best(self) -> bool:
        """Whether any evaluation gave a number, so that there are best weights."""
        return self.progress is not None and self.progress.best_step > 0

    def is_over(self) -> bool:
        """Whether to stop because the loss has not fallen for long enough."""
        if self.progress is None or self._patience is None:
            return False
        return self.progress.evaluations_since >= self._patience

    def _compute_loss(self, backend: TrainerBackend) -> float:
        own = self._examples[get_rank() :: world_size()]
        # A worker without an example of its own takes part in the passes of the others.
        plans = plan_micro_batches(
            own or self._examples[:1], self._micro_tokens, self._tree, backend.device
        )
        rounds = max_over_workers(len(plans))
        total = 0.0
        for number in range(rounds):
            is_own = bool(own) and number < len(plans)
            plan = plans[number if is_own else 0]
            batch = build_micro_batch(plan, self._pad_id, backend.device)
            with torch.no_grad():
                logprobs, _ = backend.forward(batch)
                loss = float(sft_loss(logprobs, batch.advantages))
            total += loss if is_own else 0.0
        loss_sum, tokens = sum_over_workers(total, sum(sum_weights(example) for example in own))
        return loss_sum / tokens


def sum_weights(example: Example) -> float:
    """The weight of an example's targets together: their number, where they have none."""
    return sum(example.advantages) if example.advantages else float(len(example.targets))
