"""The interface of the optimiser backends.

A step is: ``backward`` for each micro-batch, ``is_last`` true for the last one, then ``step``.

The loss given to ``backward`` is already divided by the token count of all workers, so the gradient
is the sum over workers. DDP, FSDP and DeepSpeed average over workers instead, which is why
``backward`` multiplies by their number. A mean of the workers' means would be another gradient,
because workers have different numbers of tokens.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from medr_ray.core.config import OptimiserConfig, TrainerConfig
from medr_ray.training.batches import MicroBatch
from medr_ray.training.collectives import world_size
from medr_ray.training.model_loading import ModelSource


@dataclass(frozen=True)
class StepOutcome:
    """What ``TrainerBackend.step`` did; the same on every worker.

    ``norm`` is the global norm of the gradient before clipping. It is infinite or NaN where the
    loss or the gradient of any worker was not finite. ``applied`` is then False: weights and
    optimiser are as before, and the gradients are dropped.
    """

    norm: float
    applied: bool


@dataclass(frozen=True)
class BackendSetup:
    """What a backend is made of.

    ``dtype`` is the number format of matrix products; logits are divided by ``temperature``.
    """

    source: ModelSource
    config: TrainerConfig
    optimiser_config: OptimiserConfig
    device: torch.device
    dtype: torch.dtype
    temperature: float

    @property
    def process_group(self) -> str:
        """What the workers exchange tensors of the device through."""
        return "gloo" if self.device.type == "cpu" else "nccl"


class TrainerBackend(Protocol):
    """One worker's share of the optimiser."""

    device: torch.device
    # The Hugging Face model, whose parameters may be a worker's part only.
    model: Any

    def forward(self, batch: MicroBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """(log-probabilities, entropies), as ``PolicyModule.forward``."""
        ...

    def backward(self, loss: torch.Tensor, is_last: bool) -> None:
        """Add the gradient of a micro-batch; ``is_last`` says that ``step`` follows."""
        ...

    def step(self, learning_rate: float) -> StepOutcome:
        """Apply the gradients, and drop them."""
        ...

    def state(self) -> dict[str, Any]:
        """The weights that are trained and the optimiser's state, for
        ``torch.distributed.checkpoint``; called by every worker.

        A flat dictionary of tensors: ``weight/NAME``, ``exp_avg/NAME``, ``exp_avg_sq/NAME`` and
        ``steps`` (the number of applied steps), where NAME is the parameter's in the Hugging Face
        model. All float32. A backend that splits the state over the workers gives DTensors, sharded
        in the first dimension, and the others whole tensors; the names and shapes are the same in
        every backend and for any number of workers, so what one has written another may read.

        The tensors may be the live ones: read into them, and then give them to ``load_state``.
        """
        ...

    def load_state(self, state: dict[str, Any]) -> None:
        """Take what ``state`` gave and a checkpoint was read into; called by every worker."""
        ...

    def stream_weights(self, adapter_only: bool = False) -> Iterator[tuple[str, torch.Tensor]]:
        """(parameter name, whole CPU tensor) of all weights, gathered one at a time.

        Every worker must iterate to the end, because gathering needs all of them; on rank 0 it
        yields, on the others nothing. The number format is that of ``select_export_dtype``. The
        names are those of ``named_parameters`` of the plain Hugging Face model. LoRA is merged into
        the weights, or with ``adapter_only`` the adapter's weights alone are streamed, under PEFT's
        names. Raises ValueError for ``adapter_only`` without LoRA.
        """
        ...


def scale_loss(loss: torch.Tensor) -> torch.Tensor:
    """The loss to backpropagate where the library averages gradients over the workers.

    A loss that is not finite becomes NaN, so that its gradient is NaN and with it the norm on every
    worker: an infinite loss may have a finite gradient.
    """
    factor = torch.where(torch.isfinite(loss.detach()), world_size(), torch.nan)
    return loss * factor
