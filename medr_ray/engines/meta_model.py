"""A model without its weights: for the names and shapes that these have, and for the names that its
files give them."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch


def build_meta_model(model_dir: Path, trust_remote_code: bool = False) -> Any:
    """The model that ``model_dir`` describes, on the meta device: its weights take no memory."""
    # Imported here, because transformers is slow to import.
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(model_dir, trust_remote_code=trust_remote_code)
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)


def convert_to_file_names(
    model: Any, stream: Iterable[tuple[str, torch.Tensor]]
) -> Iterator[tuple[str, torch.Tensor]]:
    """Tensors under the names that files of this architecture have.

    For most they are the names of the parameters. Some, such as mixtures of experts, keep in one
    parameter what the files keep in many.
    """
    from transformers.core_model_loading import revert_weight_conversion

    for name, tensor in stream:
        yield from revert_weight_conversion(model, {name: tensor}).items()
        del tensor
