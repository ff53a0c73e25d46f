"""FSDP2 of torch (``fully_shard``): workers share weights, gradients and optimiser by rows.

Transformers can shard a model while it loads it (``DistributedConfig``). This is not done here,
because its root is the whole model, whose ``forward`` is never called here (it would compute all
logits), and because adapters that are added behind it are not sharded.
"""

from collections.abc import Iterator
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import CPUOffloadPolicy, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from medr_ray.training.backends.adamw import (
    apply_gradients,
    list_trained,
    make_optimiser,
    read_state,
    write_state,
)
from medr_ray.training.backends.base import BackendSetup, StepOutcome, scale_loss
from medr_ray.training.backends.weight_stream import WeightPart, stream_whole_weights
from medr_ray.training.batches import MicroBatch
from medr_ray.training.collectives import sum_over_workers, world_size
from medr_ray.training.layers import list_layers, recompute_layers
from medr_ray.training.model_loading import build_empty_model, fill_rows
from medr_ray.training.policy import PolicyModule
from medr_ray.training.row_shards import rows_of_rank


class FSDP2Backend:
    """AdamW on float32 rows of the weights. A layer's weights are gathered in the format of the
    matrix products while it computes, and its gradients are summed in float32.

    Embedding and output layer stay gathered from the forward to the end of the backward pass.
    """

    def __init__(self, setup: BackendSetup) -> None:
        self.device = setup.device
        if not dist.is_initialized():  # a worker alone
            dist.init_process_group(
                setup.process_group,
                store=dist.HashStore(),
                rank=0,
                world_size=1,
            )
        model = build_empty_model(setup.source, setup.dtype if setup.source.lora else torch.float32)
        if setup.config.activation_checkpointing:
            recompute_layers(model)
        self.model = model
        self._module = PolicyModule(model, setup.temperature, setup.dtype, casts_weights=False)
        offloads = setup.config.offload and setup.device.type != "cpu"
        self._shard(setup.dtype, offloads)
        home = torch.device("cpu") if offloads else setup.device
        self._module._apply(
            lambda tensor: (
                torch.empty_like(tensor, device=home) if tensor.is_meta else tensor.to(setup.device)
            )
        )
        fill_rows(model, setup.source)
        self._clip_norm = setup.optimiser_config.clip_norm
        self._trained = list_trained(model)
        self._optimiser = make_optimiser(self._trained.values(), setup.optimiser_config)

    def _shard(self, dtype: torch.dtype, offloads: bool) -> None:
        options: dict[str, Any] = {
            "mesh": init_device_mesh(self.device.type, (world_size(),)),
            "mp_policy": MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32),
        }
        if offloads:
            options["offload_policy"] = CPUOffloadPolicy()
        for layer in list_layers(self._module.model):
            fully_shard(layer, **options)
        fully_shard(self._module, **options)

    def forward(self, batch: MicroBatch) -> tuple[torch.Tensor, torch.Tensor]:
        scores = self._module(batch)
        if not torch.is_grad_enabled():
            # Left gathered for a backward pass that does not come.
            self._module.reshard()  # type: ignore[operator]
        return scores

    def backward(self, loss: torch.Tensor, is_last: bool) -> None:
        # Gradients are exchanged with every micro-batch: unexchanged ones would be as large as the
        # whole model.
        scale_loss(loss).backward()

    def step(self, learning_rate: float) -> StepOutcome:
        gradients = [
            parameter.grad.to_local()  # type: ignore[attr-defined]
            for parameter in self._trained.values()
            if parameter.grad is not None
        ]
        own = sum(float(gradient.double().square().sum()) for gradient in gradients)
        (squares,) = sum_over_workers(own)
        return apply_gradients(
            self._optimiser, gradients, squares**0.5, self._clip_norm, learning_rate
        )

    def state(self) -> dict[str, Any]:
        return read_state(self._trained, self._optimiser)

    def load_state(self, state: dict[str, Any]) -> None:
        write_state(self._trained, self._optimiser, state)

    def stream_weights(self, adapter_only: bool = False) -> Iterator[tuple[str, torch.Tensor]]:
        return stream_whole_weights(self._module.model, _split, self.device, adapter_only)


def _split(parameter: nn.Parameter) -> WeightPart:
    """This worker's rows, as a run of elements."""
    rows = cast(DTensor, parameter.detach())
    columns = rows.numel() // len(rows)
    workers = world_size()
    of_ranks = [rows_of_rank(len(rows), rank, workers) for rank in range(workers)]
    runs = tuple(range(own.start * columns, own.stop * columns) for own in of_ranks)
    return WeightPart(rows.to_local().reshape(-1), rows.shape, runs)
