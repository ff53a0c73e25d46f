"""Optimiser backends behind one interface: plain torch (DDP when there are several workers) and
DeepSpeed (ZeRO).

A step is: ``backward`` for each micro-batch, ``is_last`` true for the last one, then ``step``.

The loss given to ``backward`` is already divided by the token count of all workers, so the gradient
is the sum over workers. DDP and DeepSpeed average over workers instead, which is why ``backward``
multiplies by their number. A mean of the workers' means would be another gradient, because workers
have different numbers of tokens.
"""

import contextlib
import os
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.distributed as dist

from medr_ray.core.config import OptimiserConfig, TrainerConfig
from medr_ray.training.batches import MicroBatch
from medr_ray.training.policy import PolicyModule


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


def world_size() -> int:
    """The number of workers; 1 where torch.distributed is not set up."""
    return dist.get_world_size() if dist.is_initialized() else 1


class TorchBackend:
    """AdamW on float32 weights; every worker has the whole model and optimiser."""

    def __init__(
        self, module: PolicyModule, optimiser_config: OptimiserConfig, device: torch.device
    ) -> None:
        self.device = device
        self._module = module.to(device)
        self._runner: Any = self._module  # what forward goes through: DDP where there is one
        if world_size() > 1:
            from ray.train.torch import prepare_model

            # Not moved: it is on this worker's device already.
            self._runner = prepare_model(self._module, move_to_device=False)
        self._clip = optimiser_config.clip_norm
        self._optimiser = torch.optim.AdamW(
            self._module.parameters(),
            lr=optimiser_config.learning_rate,
            betas=(optimiser_config.beta1, optimiser_config.beta2),
            weight_decay=optimiser_config.weight_decay,
        )

    def forward(self, batch: MicroBatch) -> tuple[torch.Tensor, torch.Tensor]:
        return self._runner(batch)

    def backward(self, loss: torch.Tensor, is_last: bool) -> None:
        exchanges = is_last or self._runner is self._module
        # One exchange for a step, not one for each micro-batch.
        with contextlib.nullcontext() if exchanges else self._runner.no_sync():
            (loss * world_size()).backward()

    def step(self, learning_rate: float) -> float:
        # After the exchange all workers have the same gradients, and so the same norm.
        norm = torch.nn.utils.clip_grad_norm_(self._module.parameters(), self._clip)
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        return float(norm)

    def save(self, directory: Path) -> None:
        # All workers have the same state.
        if not dist.is_initialized() or dist.get_rank() == 0:
            state = {
                "model": self._module.model.state_dict(),
                "optimiser": self._optimiser.state_dict(),
            }
            torch.save(state, directory / "torch.pt")

    def load(self, directory: Path) -> None:
        state = torch.load(directory / "torch.pt", weights_only=True, map_location=self.device)
        self._module.model.load_state_dict(state["model"])
        self._optimiser.load_state_dict(state["optimiser"])

    def export_weights(self) -> dict[str, torch.Tensor]:
        return {
            name: parameter.detach().to("cpu", torch.bfloat16)
            for name, parameter in self._module.model.named_parameters()
        }


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


def make_backend(
    module: PolicyModule,
    config: TrainerConfig,
    optimiser_config: OptimiserConfig,
    device: torch.device,
) -> TrainerBackend:
    """The backend ``config.backend`` names."""
    if config.backend == "deepspeed":
        return DeepSpeedBackend(module, config, optimiser_config, device)
    return TorchBackend(module, optimiser_config, device)
