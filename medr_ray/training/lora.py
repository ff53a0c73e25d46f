"""LoRA (Hu et al. 2021, arXiv 2106.09685) through PEFT: the weights stay as they are, and a small
adapter beside each matrix is trained."""

import math
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from medr_ray.core.config import LoraConfig

_ADAPTER = "default"  # PEFT's name of the only adapter
_PEFT_PREFIX = "base_model.model."  # before the names in a file that PEFT wrote


@dataclass(frozen=True)
class Adapter:
    """The adapter of one matrix: ``scaling`` x ``second`` (out, rank) @ ``first`` (rank, in)."""

    first: nn.Parameter
    second: nn.Parameter
    scaling: float


def add_adapters(model: Any, config: LoraConfig) -> None:
    """Put an adapter beside every matrix that ``config`` names; only they are trained from then on.

    The model is unchanged at first: the second matrix of an adapter is zero. Raises ImportError
    without PEFT, and ValueError where the names match no matrix.
    """
    try:
        import peft
    except ImportError as error:
        raise ImportError('lora needs PEFT: pip install "medr-ray[lora]"') from error

    peft.inject_adapter_in_model(_describe_to_peft(config), model)
    head = model.get_output_embeddings()
    if not isinstance(head, nn.Linear) or hasattr(head, "base_layer"):
        raise ValueError("lora.targets names the output layer, which takes no adapter here")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(is_adapter(name))
    for module in model.modules():
        # The model is in evaluation mode, so that its own dropout is off; the adapters' is not.
        if hasattr(module, "lora_dropout"):
            module.lora_dropout.train()


def save_adapter(
    stream: Iterable[tuple[str, torch.Tensor]], config: LoraConfig, base: Path, folder: Path
) -> None:
    """Write an adapter of ``base`` to ``folder``, as PEFT and vLLM read it. ``stream`` has its
    weights under PEFT's names."""
    from safetensors.torch import save_file

    folder.mkdir()
    save_file(dict(stream), folder / "adapter_model.safetensors", metadata={"format": "pt"})
    description = _describe_to_peft(config)
    description.base_model_name_or_path = str(base)
    description.inference_mode = True
    description.save_pretrained(str(folder))


def _describe_to_peft(config: LoraConfig) -> Any:
    import peft

    return peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=(
            config.targets if isinstance(config.targets, str) else list(config.targets)
        ),
        task_type="CAUSAL_LM",
    )


def is_adapter(name: str) -> bool:
    """Whether this parameter belongs to an adapter."""
    return ".lora_A." in name or ".lora_B." in name


def fill_adapter(name: str, values: torch.Tensor, columns: int) -> None:
    """Set the first values of the adapter parameter ``name``, which has ``columns`` columns.

    ``values`` is the whole parameter. The draw depends on the name alone: it is the same on every
    worker and in every backend.
    """
    if ".lora_B." in name:
        values.zero_()
        return
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    # The bounds of PEFT: kaiming_uniform_ with a = sqrt(5).
    bound = math.sqrt(1 / columns)
    drawn = torch.empty(values.shape).uniform_(-bound, bound, generator=generator)
    values.copy_(drawn)


def find_adapters(model: nn.Module) -> dict[str, Adapter]:
    """The adapters by the name of the adapted weight in the plain model."""
    adapters: dict[str, Adapter] = {}
    for name, module in model.named_modules():
        if _ADAPTER in getattr(module, "lora_A", ()):
            adapters[f"{name}.weight"] = Adapter(
                module.lora_A[_ADAPTER].weight,  # type: ignore[union-attr, index]
                module.lora_B[_ADAPTER].weight,  # type: ignore[union-attr, index]
                module.scaling[_ADAPTER],  # type: ignore[union-attr, index]
            )
    return adapters


def plain_name(name: str) -> str:
    """The name of a base parameter in the model without adapters."""
    return name.replace(".base_layer.", ".")


def peft_name(name: str) -> str:
    """The name of an adapter's parameter in PEFT's files."""
    return _PEFT_PREFIX + name.replace(f".{_ADAPTER}.", ".")


def merge_elements(
    elements: torch.Tensor,
    start: int,
    first: torch.Tensor,
    second: torch.Tensor,
    scaling: float,
) -> torch.Tensor:
    """Elements of a matrix with its adapter added, in float32. They are in one dimension, the rows
    of the matrix one after the other, from element ``start`` on; the adapter's two matrices are
    whole and in float32."""
    columns = first.shape[1]
    top = start // columns
    bottom = -(-(start + len(elements)) // columns)
    products = (second[top:bottom] @ first).mul_(scaling).view(-1)
    return products[start - top * columns :][: len(elements)].add_(elements.float())
