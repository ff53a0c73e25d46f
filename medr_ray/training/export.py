"""Writes a trained model in Hugging Face format."""

import os
import tempfile
from pathlib import Path

import torch

from medr_ray.training.backends import TrainerBackend
from medr_ray.training.collectives import get_rank_and_world_size


def save_model(
    backend: TrainerBackend, source: Path, target: Path, trust_remote_code: bool = False
) -> None:
    """Write the trained model to ``target`` in Hugging Face format. Every worker must call this.

    The weights are bf16, and the tokenizer is that of ``source``. ``target`` is complete as soon as
    it exists. Raises RuntimeError when the weights do not fit the model of ``source``.
    """
    # Before ranks other than 0 return: gathering the weights needs every worker (ZeRO 3).
    weights = dict(backend.stream_weights())
    if get_rank_and_world_size()[0] != 0:
        return
    # Imported here, because transformers is slow to import.
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    config = AutoConfig.from_pretrained(source, trust_remote_code=trust_remote_code)
    model = AutoModelForCausalLM.from_config(
        config, dtype=torch.bfloat16, trust_remote_code=trust_remote_code
    )
    # Not strict, because a tied weight is exported under one of its names only. ``tie_weights``
    # fills in the other name; any other difference is an error.
    missing, unexpected = model.load_state_dict(weights, strict=False)
    tied = set(getattr(model, "_tied_weights_keys", None) or ())
    untied_missing = set(missing) - tied
    if unexpected or untied_missing:
        raise RuntimeError(
            f"exported weights do not fit {source}: missing {missing}, unexpected {unexpected}"
        )
    model.tie_weights()
    # In the folder of ``target``, so that the rename stays in one file system and is atomic.
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        model.save_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=trust_remote_code)
        tokenizer.save_pretrained(folder)
        Path(folder).chmod(0o755)  # a temporary folder is closed to other users
        os.rename(folder, target)
        Path(folder).mkdir()  # the context manager removes this folder and fails where it is gone
