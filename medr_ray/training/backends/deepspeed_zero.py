"""DeepSpeed ZeRO (arXiv 1910.02054): workers share optimiser state, gradients and weights."""

import contextlib
import math
import os
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
import torch.distributed as dist

from medr_ray.core.config import OptimiserConfig, TrainerConfig
from medr_ray.training.backends.adamw import (
    apply_gradients,
    list_gradients,
    list_trained,
    read_state,
    start_moments,
    write_state,
)
from medr_ray.training.backends.base import BackendSetup, StepOutcome, scale_loss
from medr_ray.training.backends.weight_stream import WeightPart, stream_whole_weights, take_whole
from medr_ray.training.batches import MicroBatch
from medr_ray.training.collectives import get_rank, world_size
from medr_ray.training.layers import recompute_layers
from medr_ray.training.model_loading import load_model
from medr_ray.training.policy import PolicyModule
from medr_ray.training.row_shards import gather_rows, shard_rows

_MOMENTS = ("exp_avg", "exp_avg_sq")  # AdamW's state of a parameter, as torch names it


class DeepSpeedBackend:
    """DeepSpeed ZeRO (arXiv 1910.02054): workers share the optimiser state (stage 1), also the
    gradients (2), also the weights (3). On CPU over gloo.

    From stage 1 on the weights are in the format of the matrix products, and the optimiser steps on
    float32 copies that the workers share. In stage 0 they are float32 and cast where they are used.
    """

    def __init__(self, setup: BackendSetup) -> None:
        stage = setup.config.zero_stage
        deepspeed = _import_deepspeed(setup.device)
        self.device = setup.device
        if not dist.is_initialized():
            deepspeed.init_distributed(dist_backend=setup.process_group)
        weights_dtype = torch.float32 if stage == 0 else setup.dtype
        settings = deepspeed_settings(setup.config, setup.optimiser_config, weights_dtype)
        model = load_model(setup.source, weights_dtype, settings if stage == 3 else None)
        if setup.config.activation_checkpointing:
            recompute_layers(model)
        self.model = model
        module = PolicyModule(model, setup.temperature, setup.dtype, casts_weights=stage == 0)
        self._engine, *_ = deepspeed.initialize(
            model=module, model_parameters=list(list_trained(model).values()), config=settings
        )
        self._stage = stage
        self._clip_norm = setup.optimiser_config.clip_norm
        self._trained = list_trained(self._engine.module.model)

    def forward(self, batch: MicroBatch) -> tuple[torch.Tensor, torch.Tensor]:
        return self._engine(batch)

    def backward(self, loss: torch.Tensor, is_last: bool) -> None:
        # The number of micro-batches differs by step, so DeepSpeed cannot count them itself.
        self._engine.set_gradient_accumulation_boundary(is_boundary=is_last)
        self._engine.backward(scale_loss(loss))

    def step(self, learning_rate: float) -> StepOutcome:
        if self._stage == 0:
            # DeepSpeed would neither tell the norm nor look whether it is finite.
            gradients = list_gradients(self._trained)
            norm = float(torch.nn.utils.get_total_norm(gradients))
            return apply_gradients(
                self._engine.optimizer, gradients, norm, self._clip_norm, learning_rate
            )
        for group in self._engine.optimizer.param_groups:
            group["lr"] = learning_rate
        # It drops gradients that are not finite instead of applying them; the norm is then infinite
        # on all workers.
        self._engine.step()
        norm = float(self._engine.get_global_grad_norm())
        return StepOutcome(norm, math.isfinite(norm))

    def state(self) -> dict[str, Any]:
        if self._stage == 0:
            return read_state(self._trained, self._engine.optimizer)
        from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

        self._start_moments()
        state: dict[str, Any] = {}
        for name, parameter in self._trained.items():
            # Each is whole for a moment only: this worker keeps its rows.
            state[f"weight/{name}"] = shard_rows(safe_get_full_fp32_param(parameter))
            for moment in _MOMENTS:
                whole = safe_get_full_optimizer_state(parameter, moment)
                state[f"{moment}/{name}"] = shard_rows(whole)
        partition = self._partitions()[0]
        state["steps"] = self._engine.basic_optimizer.state[partition]["step"].clone()
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        if self._stage == 0:
            write_state(self._trained, self._engine.optimizer, state)
            return
        from deepspeed.utils import safe_set_full_fp32_param, safe_set_full_optimizer_state

        self._start_moments()
        for name, parameter in self._trained.items():
            whole = gather_rows(state[f"weight/{name}"], self.device)
            safe_set_full_fp32_param(parameter, whole)
            with self._opened(parameter):
                parameter.data.copy_(whole)
            for moment in _MOMENTS:
                whole = gather_rows(state[f"{moment}/{name}"], self.device)
                safe_set_full_optimizer_state(parameter, whole, moment)
        for partition in self._partitions():
            self._engine.basic_optimizer.state[partition]["step"].copy_(state["steps"])

    def stream_weights(self, adapter_only: bool = False) -> Iterator[tuple[str, torch.Tensor]]:
        model = self._engine.module.model
        return stream_whole_weights(model, self._split, self.device, adapter_only)

    def _split(self, parameter: torch.nn.Parameter) -> WeightPart:
        if self._stage != 3:
            return take_whole(parameter, world_size())
        # In stage 3 each worker has a run of the elements, the last ones filled up to the same
        # length. They are read where they are: DeepSpeed would gather the whole on every worker.
        zero_parameter: Any = parameter  # with DeepSpeed's attributes
        size = zero_parameter.ds_numel
        length = zero_parameter.ds_tensor.ds_numel
        starts = [min(size, rank * length) for rank in range(world_size() + 1)]
        runs = tuple(range(start, stop) for start, stop in pairwise(starts))
        own = zero_parameter.ds_tensor.detach()[: len(runs[get_rank()])]
        return WeightPart(own, zero_parameter.ds_shape, runs)

    def _opened(self, parameter: torch.nn.Parameter) -> contextlib.AbstractContextManager[Any]:
        """The whole of ``parameter`` inside the context; what rank 0 changes of it is kept."""
        if self._stage != 3:
            return contextlib.nullcontext()
        import deepspeed

        return deepspeed.zero.GatheredParameters([parameter], modifier_rank=0)

    def _partitions(self) -> list[torch.Tensor]:
        """This worker's float32 tensors, which the optimiser steps on."""
        optimiser = self._engine.optimizer
        if self._stage == 3:
            return list(optimiser.fp32_partitioned_groups_flat)
        if hasattr(optimiser, "fp32_groups_flat_partition"):  # stage 1 in bf16
            return list(optimiser.fp32_groups_flat_partition)
        return list(optimiser.single_partition_of_fp32_groups)

    def _start_moments(self) -> None:
        """Let the optimiser have its state before its first step."""
        start_moments(self._engine.basic_optimizer, self._partitions())
        if self._stage != 3:
            # DeepSpeed finds a parameter's part of the state by links that it makes at a step.
            self._engine.optimizer._lazy_init_hp_params_optimizer_state()


def _import_deepspeed(device: torch.device) -> Any:
    """The library, set up for ``device``."""
    if device.type == "cpu":
        # Before the import: DeepSpeed chooses its accelerator while it is imported.
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    import deepspeed

    if device.type == "cpu":
        # Without this DeepSpeed compiles its shared-memory collectives when it starts: two
        # minutes, and a C++ compiler that the machine may lack. Gloo does the same work.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    return deepspeed


def deepspeed_settings(
    config: TrainerConfig, optimiser_config: OptimiserConfig, dtype: torch.dtype
) -> dict[str, Any]:
    """The DeepSpeed configuration for weights in ``dtype``.

    Micro-batches are ours. DeepSpeed's batch size and accumulation stay at 1, so that it does not
    scale the loss.
    """
    zero: dict[str, Any] = {"stage": config.zero_stage}
    if config.offload:
        zero["offload_optimizer"] = {"device": "cpu"}
    settings: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": optimiser_config.clip_norm,
        "zero_optimization": zero,
        "optimizer": {
            "type": "AdamW",
            "params": {
                "lr": optimiser_config.learning_rate,
                "betas": [optimiser_config.beta1, optimiser_config.beta2],
                "weight_decay": optimiser_config.weight_decay,
                # DeepSpeed's own Adam is compiled at first use and needs a compiler on each node.
                "torch_adam": True,
            },
        },
    }
    if dtype == torch.bfloat16:
        settings["bf16"] = {"enabled": True}
        # Sums over micro-batches and workers: bf16 would lose the small ones.
        settings["data_types"] = {"grad_accum_dtype": "fp32"}
        settings["communication_data_type"] = "fp32"
    return settings
