"""Optimiser backends behind one interface (``TrainerBackend``): plain torch, and DeepSpeed ZeRO."""

import torch

from medr_ray.core.config import OptimiserConfig, TrainerConfig
from medr_ray.training.backends.base import TrainerBackend
from medr_ray.training.policy import PolicyModule

__all__ = ["TrainerBackend", "make_backend"]


def make_backend(
    module: PolicyModule,
    config: TrainerConfig,
    optimiser_config: OptimiserConfig,
    device: torch.device,
) -> TrainerBackend:
    """The backend ``config.backend`` names."""
    # Imported here, because a worker needs only its own backend.
    if config.backend == "deepspeed":
        from medr_ray.training.backends.deepspeed_zero import DeepSpeedBackend

        return DeepSpeedBackend(module, config, optimiser_config, device)
    from medr_ray.training.backends.plain_torch import TorchBackend

    return TorchBackend(module, optimiser_config, device)
