"""The layers of a decoder: what is sharded together, and computed again in the backward pass."""

from functools import partial
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint


def list_layers(model: Any) -> list[nn.Module]:
    """The decoder's layers, in order. Raises ValueError where the model does not say which they
    are."""
    # Imported here, because transformers is slow to import.
    from transformers.modeling_layers import GradientCheckpointingLayer

    names = set(getattr(model, "_no_split_modules", None) or ())
    layers: list[nn.Module] = []
    inside: set[nn.Module] = set()
    for module in model.get_decoder().modules():
        is_layer = isinstance(module, GradientCheckpointingLayer) or type(module).__name__ in names
        if is_layer and module not in inside:
            layers.append(module)
            inside.update(module.modules())
    if not layers:
        raise ValueError(
            f"{type(model).__name__} does not say which modules are its layers; set "
            "activation_checkpointing to false, and backend to torch or deepspeed"
        )
    return layers


def recompute_layers(model: Any) -> None:
    """Keep only the input of each layer for the backward pass, and compute the rest again there.

    Transformers' own switch works in training mode only, in which dropout is on.
    """
    for layer in list_layers(model):
        # Around ``forward`` and not around the call, so that the hooks by which FSDP gathers a
        # layer's weights run once.
        layer.forward = partial(  # type: ignore[method-assign]
            checkpoint, layer.forward, use_reentrant=False
        )
