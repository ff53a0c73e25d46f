"""Plain torch: every worker has the whole model; DDP where there are several."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from medr_ray.training.backends.adamw import (
    apply_gradients,
    list_gradients,
    list_trained,
    make_optimiser,
    read_state,
    write_state,
)
from medr_ray.training.backends.base import BackendSetup, StepOutcome, scale_loss
from medr_ray.training.backends.weight_stream import WeightPart, stream_whole_weights, take_whole
from medr_ray.training.batches import MicroBatch
from medr_ray.training.collectives import world_size
from medr_ray.training.layers import recompute_layers
from medr_ray.training.model_loading import load_model
from medr_ray.training.policy import PolicyModule


class TorchBackend:
    """AdamW on float32 weights; every worker has the whole model and optimiser.

    Under LoRA the weights that are not trained are in the format of the matrix products.
    """

    def __init__(self, setup: BackendSetup) -> None:
        self.device = setup.device
        model = load_model(setup.source, setup.dtype if setup.source.lora else torch.float32)
        if setup.config.activation_checkpointing:
            recompute_layers(model)
        self.model = model
        self._module = PolicyModule(model, setup.temperature, setup.dtype).to(setup.device)
        self._runner: Any = self._module  # what forward goes through: DDP where there are several
        if world_size() > 1:
            self._runner = DistributedDataParallel(
                self._module,
                device_ids=None if setup.device.type == "cpu" else [setup.device],
                # The buffers are tables of positions: equal on all workers.
                broadcast_buffers=False,
                # Otherwise DDP keeps every gradient twice.
                gradient_as_bucket_view=True,
            )
        self._clip_norm = setup.optimiser_config.clip_norm
        self._trained = list_trained(self._module.model)
        self._optimiser = make_optimiser(self._trained.values(), setup.optimiser_config)

    def forward(self, batch: MicroBatch) -> tuple[torch.Tensor, torch.Tensor]:
        return self._runner(batch)

    def backward(self, loss: torch.Tensor, is_last: bool) -> None:
        exchanges = is_last or self._runner is self._module
        # One exchange for a step, not one for each micro-batch.
        with contextlib.nullcontext() if exchanges else self._runner.no_sync():
            scale_loss(loss).backward()

    def step(self, learning_rate: float) -> StepOutcome:
        # After the exchange all workers have the same gradients, and so the same norm.
        gradients = list_gradients(self._trained)
        norm = float(torch.nn.utils.get_total_norm(gradients))
        return apply_gradients(self._optimiser, gradients, norm, self._clip_norm, learning_rate)

    def state(self) -> dict[str, Any]:
        return read_state(self._trained, self._optimiser)

    def load_state(self, state: dict[str, Any]) -> None:
        write_state(self._trained, self._optimiser, state)

    def stream_weights(self, adapter_only: bool = False) -> Iterator[tuple[str, torch.Tensor]]:
        return stream_whole_weights(self._module.model, self._split, self.device, adapter_only)

    def _split(self, parameter: nn.Parameter) -> WeightPart:
        return take_whole(parameter, world_size())
