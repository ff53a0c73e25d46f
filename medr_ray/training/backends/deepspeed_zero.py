"""DeepSpeed ZeRO (arXiv 1910.02054): workers share optimiser state, gradients and weights."""

import contextlib
import os
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from medr_ray.core.config import OptimiserConfig, TrainerConfig
from medr_ray.training.batches import MicroBatch
from medr_ray.training.collectives import world_size
from medr_ray.training.policy import PolicyModule


class DeepSpeedBackend:
    """DeepSpeed ZeRO (arXiv 1910.02054): workers share the optimiser state (stage 1), also the
    gradients (2), also the weights (3). On CPU over gloo."""

    def __init__(
        self,
        module: PolicyModule,
        config: TrainerConfig,
        optimiser_config: OptimiserConfig,
        device: torch.device,
    ) -> None:
        if device.type == "cpu":
            # Before the import: DeepSpeed chooses its accelerator while it is imported.
            os.environ.setdefault("DS_ACCELERATOR", "cpu")
        import deepspeed

        if device.type == "cpu":
            # Without this DeepSpeed compiles its shared-memory collectives when it starts: two
            # minutes, and a C++ compiler that the machine may lack. Gloo does the same work.
            deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
        self.device = device
        if not dist.is_initialized():
            deepspeed.init_distributed(dist_backend="gloo" if device.type == "cpu" else "nccl")
        settings = deepspeed_settings(config, optimiser_config)
        self._engine, *_ = deepspeed.initialize(
            model=module, model_parameters=module.parameters(), config=settings
        )
        self._zero3 = config.zero_stage == 3

    def forward(self, batch: MicroBatch) -> tuple[torch.Tensor, torch.Tensor]:
        return self._engine(batch)

    def backward(self, loss: torch.Tensor, is_last: bool) -> None:
        # The number of micro-batches differs by step, so DeepSpeed cannot count them itself.
        self._engine.set_gradient_accumulation_boundary(is_boundary=is_last)
        self._engine.backward(loss * world_size())

    def step(self, learning_rate: float) -> float:
        for group in self._engine.optimizer.param_groups:
            group["lr"] = learning_rate
        self._engine.step()
        norm = self._engine.get_global_grad_norm()  # None under ZeRO 0
        return float(norm) if norm is not None else float("nan")

    def save(self, directory: Path) -> None:
        self._engine.save_checkpoint(str(directory), tag="deepspeed")

    def load(self, directory: Path) -> None:
        self._engine.load_checkpoint(str(directory), tag="deepspeed")

    def export_weights(self) -> dict[str, torch.Tensor]:
        import deepspeed

        weights = {}
        # Parameter by parameter, so that the device holds one more whole parameter, not the model.
        # Gathering is collective: every worker goes through them in the same order.
        for name, parameter in self._engine.module.model.named_parameters():
            gathered = contextlib.nullcontext()
            if self._zero3:
                gathered = deepspeed.zero.GatheredParameters([parameter])
            with gathered:
                # Cloned: what was gathered is freed at the end of this block.
                weights[name] = parameter.detach().to("cpu", torch.bfloat16).clone()
        return weights


def deepspeed_settings(config: TrainerConfig, optimiser_config: OptimiserConfig) -> dict[str, Any]:
    """The DeepSpeed configuration.

    Micro-batches are ours. DeepSpeed's batch size and accumulation stay at 1, so that it does not
    scale the loss.
    """
    return {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": optimiser_config.clip_norm,
        "zero_optimization": {"stage": config.zero_stage},
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
