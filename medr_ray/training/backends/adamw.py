"""AdamW where the parameters are tensors or DTensors of their own (plain torch, FSDP2, ZeRO 0)."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from medr_ray.core.config import OptimiserConfig
from medr_ray.training.backends.base import StepOutcome


def make_optimiser(
    parameters: Iterable[nn.Parameter], optimiser_config: OptimiserConfig
) -> torch.optim.AdamW:
    return torch.optim.AdamW(
        parameters,
        lr=optimiser_config.learning_rate,
        betas=(optimiser_config.beta1, optimiser_config.beta2),
        weight_decay=optimiser_config.weight_decay,
        # A pass over the weights and their moments, in place of one for each operation on them.
        fused=True,
    )


def list_trained(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that are trained, by name; all of them without LoRA."""
    return {
        name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad
    }


def list_gradients(parameters: Mapping[str, nn.Parameter]) -> list[torch.Tensor]:
    return [parameter.grad for parameter in parameters.values() if parameter.grad is not None]


def apply_gradients(
    optimiser: torch.optim.AdamW,
    gradients: list[torch.Tensor],
    norm: float,
    clip_norm: float,
    learning_rate: float,
) -> StepOutcome:
    """One step with the gradients scaled down to ``clip_norm``; nothing where ``norm`` is not
    finite. ``gradients`` are this worker's tensors or shards, ``norm`` is over all workers."""
    is_finite = math.isfinite(norm)
    if is_finite:
        if norm > clip_norm:
            torch._foreach_mul_(gradients, clip_norm / norm)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate
        optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return StepOutcome(norm, is_finite)


def start_moments(optimiser: torch.optim.Optimizer, tensors: Iterable[torch.Tensor]) -> None:
    """Give each of ``tensors`` the state that AdamW gives it in its first step."""
    for tensor in tensors:
        if not optimiser.state[tensor]:
            optimiser.state[tensor].update(
                # Beside the tensor, where the fused step looks for it.
                step=torch.zeros((), device=tensor.device),
                exp_avg=torch.zeros_like(tensor),
                exp_avg_sq=torch.zeros_like(tensor),
            )


def read_state(
    parameters: Mapping[str, nn.Parameter], optimiser: torch.optim.Optimizer
) -> dict[str, Any]:
    """As ``TrainerBackend.state``; the tensors are the live ones."""
    start_moments(optimiser, parameters.values())
    state: dict[str, Any] = {}
    for name, parameter in parameters.items():
        moments = optimiser.state[parameter]
        state[f"weight/{name}"] = parameter.detach()
        state[f"exp_avg/{name}"] = moments["exp_avg"]
        state[f"exp_avg_sq/{name}"] = moments["exp_avg_sq"]
        state["steps"] = moments["step"].clone()
    return state


def write_state(
    parameters: Mapping[str, nn.Parameter],
    optimiser: torch.optim.Optimizer,
    state: Mapping[str, Any],
) -> None:
    """As ``TrainerBackend.load_state``."""
    start_moments(optimiser, parameters.values())
    with torch.no_grad():
        for name, parameter in parameters.items():
            moments = optimiser.state[parameter]
            parameter.copy_(state[f"weight/{name}"])
            moments["exp_avg"].copy_(state[f"exp_avg/{name}"])
            moments["exp_avg_sq"].copy_(state[f"exp_avg_sq/{name}"])
            moments["step"].copy_(state["steps"])
