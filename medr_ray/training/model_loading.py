"""Loads the model that is trained: whole, in the parts of ZeRO 3, or in rows for FSDP."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from medr_ray.core.config import LoraConfig
from medr_ray.core.json_text import parse_json
from medr_ray.training import lora
from medr_ray.training.collectives import get_rank, world_size
from medr_ray.training.row_shards import rows_of_rank

_INDEX = "model.safetensors.index.json"  # which file has which weight, where there are several
_SINGLE = "model.safetensors"


@dataclass(frozen=True)
class ModelSource:
    """A model directory in Hugging Face format, and what is trained of it.

    Without ``lora`` all weights are trained.
    """

    directory: Path
    trust_remote_code: bool = False
    lora: LoraConfig | None = None


def load_model(
    source: ModelSource, dtype: torch.dtype, zero3_settings: dict[str, Any] | None = None
) -> Any:
    """The whole model on the CPU, its weights in ``dtype``, and the adapters' in float32.

    Dropout is off, because the log-probabilities must match those of the engine. With the settings
    of ZeRO 3 the weights are split over the workers while they are loaded, so no worker needs
    memory for the whole model; they are then in the format that the settings say.
    """
    # Imported here, because transformers is slow to import.
    from transformers import AutoModelForCausalLM

    sharding = None
    if zero3_settings is not None:
        from transformers.integrations import HfDeepSpeedConfig

        # ``from_pretrained`` splits the weights as long as this object exists. Transformers holds
        # only a weak reference to it, so it needs a name until the model is loaded.
        sharding = HfDeepSpeedConfig(zero3_settings)
    model = AutoModelForCausalLM.from_pretrained(
        source.directory, dtype=dtype, trust_remote_code=source.trust_remote_code
    ).eval()
    del sharding
    if source.lora is not None:
        lora.add_adapters(model, source.lora)
        for name, parameter in model.named_parameters():
            if lora.is_adapter(name):
                parameter.data = parameter.data.float()
                lora.fill_adapter(name, parameter.data, parameter.shape[-1])
    return model


def build_empty_model(source: ModelSource, dtype: torch.dtype) -> Any:
    """The model without its weights: parameters are on the meta device, in ``dtype`` (the adapters'
    in float32), and buffers are as the model computes them."""
    # Imported here, because transformers is slow to import.
    from accelerate import init_empty_weights
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.initialization import no_init_weights

    config = AutoConfig.from_pretrained(
        source.directory, trust_remote_code=source.trust_remote_code
    )
    with init_empty_weights(include_buffers=False), no_init_weights():
        model = AutoModelForCausalLM.from_config(
            config, dtype=dtype, trust_remote_code=source.trust_remote_code
        ).eval()
    # Above, the weights of output layer and embedding were made one after the other.
    model.tie_weights()
    if source.lora is not None:
        with init_empty_weights(include_buffers=False):
            lora.add_adapters(model, source.lora)
        for name, parameter in model.named_parameters():
            if lora.is_adapter(name):
                parameter.data = parameter.data.float()
    return model


def fill_rows(model: nn.Module, source: ModelSource) -> None:
    """Read this worker's rows of every parameter of ``model``, which are DTensors split by rows,
    and the buffers that are stored beside them.

    Only these rows are read. Raises ValueError for a directory whose files name the weights
    otherwise than the model does, or have no safetensors.
    """
    from safetensors import safe_open

    files = _find_files(source.directory)
    adapters = {}
    by_file: dict[Path, list[tuple[str, torch.Tensor]]] = {}
    for name, buffer in model.named_buffers():
        if name in files:
            by_file.setdefault(files[name], []).append((name, buffer))
    for name, parameter in model.named_parameters():
        stored = lora.plain_name(name)
        if lora.is_adapter(name):
            adapters[name] = parameter
        elif stored in files:
            by_file.setdefault(files[stored], []).append((stored, parameter))
        else:
            raise ValueError(
                f"{source.directory}: no weight {stored} in its safetensors files; fsdp2 reads the "
                "weights under the names of the model's parameters: set backend to torch or "
                "deepspeed"
            )
    with torch.no_grad():
        for path, tensors in by_file.items():
            with safe_open(path, framework="pt") as opened:
                for name, tensor in tensors:
                    _copy_rows(opened.get_slice(name), tensor, f"{path}: {name}")
        for name, parameter in adapters.items():
            whole = torch.empty(parameter.shape)
            lora.fill_adapter(name, whole, parameter.shape[-1])
            rows = rows_of_rank(len(whole), get_rank(), world_size())
            parameter.to_local().copy_(whole[rows.start : rows.stop])  # type: ignore[attr-defined]


def _copy_rows(stored: Any, tensor: torch.Tensor, described: str) -> None:
    shape = tuple(stored.get_shape())
    if shape != tuple(tensor.shape):
        raise ValueError(f"{described} has shape {shape}, the model's {tuple(tensor.shape)}")
    if isinstance(tensor, DTensor):
        rows = rows_of_rank(len(tensor), get_rank(), world_size())
        tensor.to_local().copy_(stored[rows.start : rows.stop])
    else:
        tensor.copy_(stored[...])


def _find_files(directory: Path) -> dict[str, Path]:
    """The file of each weight, by its name."""
    from safetensors import safe_open

    index = directory / _INDEX
    if index.exists():
        weights = parse_json(index.read_bytes(), str(index))["weight_map"]
        return {name: directory / file for name, file in weights.items()}
    path = directory / _SINGLE
    if not path.exists():
        raise ValueError(f"{directory}: no {_SINGLE} and no {_INDEX}")
    with safe_open(path, framework="pt") as opened:
        return dict.fromkeys(opened.keys(), path)
