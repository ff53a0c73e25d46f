"""The interface of the optimiser backends.

A step is: ``backward`` for each micro-batch, ``is_last`` true for the last one, then ``step``.

The loss given to ``backward`` is already divided by the token count of all workers, so the gradient
is the sum over workers. DDP and DeepSpeed average over workers instead, which is why ``backward``
multiplies by their number. A mean of the workers' means would be another gradient, because workers
have different numbers of tokens.
"""

from pathlib import Path
from typing import Protocol

import torch

from medr_ray.training.batches import MicroBatch


class TrainerBackend(Protocol):
    """One worker's share of the optimiser."""

    device: torch.device

    def forward(self, batch: MicroBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """(log-probabilities, entropies), as ``PolicyModule.forward``."""
        ...

    def backward(self, loss: torch.Tensor, is_last: bool) -> None:
        """Add the gradient of a micro-batch; gradients are exchanged with the last one."""
        ...

    def step(self, learning_rate: float) -> float:
        """Apply the gradients; returns their global norm before clipping."""
        ...

    def save(self, directory: Path) -> None:
        """Model and optimiser state; called by every worker."""
        ...

    def load(self, directory: Path) -> None:
        """What ``save`` wrote; called by every worker."""
        ...

    def export_weights(self) -> dict[str, torch.Tensor]:
        """Parameter name -> full bf16 CPU tensor; called by every worker, complete on each."""
        ...
