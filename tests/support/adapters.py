"""LoRA adapters of the tiny model, and the weights that an engine has with them."""

from pathlib import Path

import torch
from safetensors.torch import load_file

ADAPTED = "model.layers.0.self_attn.q_proj.weight"  # 32 x 32
SCALING = 2.0
Tensors = dict[str, torch.Tensor]


def make_adapter(seed: int, rank: int = 2) -> Tensors:
    generator = torch.Generator().manual_seed(seed)
    prefix = f"base_model.model.{ADAPTED.removesuffix('.weight')}"
    return {
        f"{prefix}.lora_A.weight": torch.randn(rank, 32, generator=generator).bfloat16(),
        f"{prefix}.lora_B.weight": torch.randn(32, rank, generator=generator).bfloat16(),
    }


def add_adapter(weights: Tensors, adapter: Tensors) -> Tensors:
    """The weights that an engine is to have, in bf16."""
    first, second = (value.float() for value in adapter.values())
    merged = weights[ADAPTED].float() + SCALING * (second @ first)
    return {**weights, ADAPTED: merged.bfloat16()}


def read_weights(model: Path) -> Tensors:
    tensors = load_file(model / "model.safetensors")
    return {name: tensor.bfloat16() for name, tensor in tensors.items()}
