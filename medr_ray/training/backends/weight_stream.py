"""The weights of a model one after the other, whole, with adapters merged."""

from collections.abc import Callable, Iterator

import torch
from torch import nn

from medr_ray.engines.number_format import select_export_dtype
from medr_ray.training.collectives import get_rank
from medr_ray.training.lora import find_adapters, is_adapter, merge_adapter, peft_name, plain_name


def stream_whole_weights(
    model: nn.Module,
    gather: Callable[[nn.Parameter], torch.Tensor],
    adapter_only: bool,
    device: torch.device,
) -> Iterator[tuple[str, torch.Tensor]]:
    """As ``TrainerBackend.stream_weights``. ``gather`` returns the whole of a parameter, in any
    number format; it is called on every worker, for one after the other. ``device`` is where the
    model is trained."""
    dtype = select_export_dtype(device.type)
    adapters = find_adapters(model)
    if adapter_only and not adapters:
        raise ValueError("there is no adapter to stream: the model is trained without lora")
    for name, parameter in model.named_parameters():
        if is_adapter(name):
            if not adapter_only:
                continue  # merged into its matrix
            exported_name, weight = peft_name(name), gather(parameter)
        elif adapter_only:
            continue
        else:
            exported_name, weight = plain_name(name), gather(parameter)
            if exported_name in adapters:
                weight = merge_adapter(weight, adapters[exported_name], gather)
        if get_rank() == 0:
            # Copied, because what was gathered may be freed or changed behind this.
            yield exported_name, weight.detach().to("cpu", dtype, copy=True)
        del weight
