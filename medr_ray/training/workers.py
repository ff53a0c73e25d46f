"""How a Ray Train worker starts: the model is loaded into its backend, on its device."""

from pathlib import Path
from typing import Any

import torch

from medr_ray.core.config import GRPOConfig, OptimiserConfig, SFTConfig, TrainerConfig
from medr_ray.core.errors import ConfigError
from medr_ray.training.backends import TrainerBackend, make_backend
from medr_ray.training.tree_attention import enable_tree_attention, find_tree_problem


def load_backend(
    model_dir: Path,
    config: TrainerConfig,
    optimiser_config: OptimiserConfig,
    temperature: float = 1.0,
    trust_remote_code: bool = False,
) -> TrainerBackend:
    """This worker's backend with the model loaded, on the device that Ray Train assigned."""
    # Imported here, because only a training worker needs it.
    from ray.train.torch import get_device

    device = get_device() if config.use_gpu else torch.device("cpu")
    if device.type == "cpu":
        # By default, torch starts a thread for every core of the node in each worker.
        torch.set_num_threads(config.threads)
    backend = make_backend(
        model_dir, config, optimiser_config, device, temperature, trust_remote_code
    )
    if config.tree or (isinstance(config, SFTConfig) and config.packing):
        _prepare_for_trees(backend.model, model_dir, config)
    return backend


def _prepare_for_trees(model: Any, model_dir: Path, config: TrainerConfig) -> None:
    """Let the model take prefix trees. Raises ConfigError when it cannot."""
    problem = find_tree_problem(model)
    if problem is not None:
        section = "grpo" if isinstance(config, GRPOConfig) else "sft"
        raise ConfigError(
            f"{section}.tree: {model_dir} cannot be trained on prefix trees: {problem}. "
            f"Set {section}.tree: false (and sft.packing: false) to train its sequences as padded "
            "rows"
        )
    enable_tree_attention(model)
