"""Plain torch: every worker has the whole model; DDP where there are several."""

import contextlib
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from medr_ray.core.config import OptimiserConfig
from medr_ray.training.batches import MicroBatch
from medr_ray.training.collectives import world_size
from medr_ray.training.policy import PolicyModule


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
