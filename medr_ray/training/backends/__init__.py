"""Optimiser backends behind one interface (``TrainerBackend``): plain torch, FSDP2, and DeepSpeed
ZeRO."""

from pathlib import Path

import torch

from medr_ray.core.config import OptimiserConfig, TrainerConfig
from medr_ray.engines.number_format import select_dtype
from medr_ray.training.backends.base import BackendSetup, StepOutcome, TrainerBackend
from medr_ray.training.model_loading import ModelSource

__all__ = ["StepOutcome", "TrainerBackend", "make_backend"]

_DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


def make_backend(
    model_dir: Path,
    config: TrainerConfig,
    optimiser_config: OptimiserConfig,
    device: torch.device,
    temperature: float = 1.0,
    trust_remote_code: bool = False,
) -> TrainerBackend:
    """The backend that ``config.backend`` names, with the model loaded.

    Where there are several workers torch.distributed must be set up, and each of them calls this.
    """
    setup = BackendSetup(
        source=ModelSource(model_dir, trust_remote_code, config.lora),
        config=config,
        optimiser_config=optimiser_config,
        device=device,
        dtype=_DTYPES.get(config.dtype) or select_dtype(device.type),
        temperature=temperature,
    )
    # Imported here, because a worker needs only its own backend.
    if config.backend == "deepspeed":
        from medr_ray.training.backends.deepspeed_zero import DeepSpeedBackend

        return DeepSpeedBackend(setup)
    if config.backend == "fsdp2":
        from medr_ray.training.backends.fsdp2 import FSDP2Backend

        return FSDP2Backend(setup)
    from medr_ray.training.backends.plain_torch import TorchBackend

    return TorchBackend(setup)
