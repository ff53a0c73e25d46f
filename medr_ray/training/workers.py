"""How a Ray Train worker starts: the model is loaded into its backend, on its device."""

from pathlib import Path

import torch

from medr_ray.core.config import GRPOConfig, OptimiserConfig, TrainerConfig
from medr_ray.core.errors import ConfigError
from medr_ray.training.backends import TrainerBackend, make_backend
from medr_ray.training.backends.deepspeed_zero import deepspeed_settings
from medr_ray.training.policy import PolicyModule, load_policy_module
from medr_ray.training.prefix_tree import find_tree_problem


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
    deepspeed_config = None
    if config.backend == "deepspeed":
        deepspeed_config = deepspeed_settings(config, optimiser_config)
    module = load_policy_module(model_dir, temperature, trust_remote_code, deepspeed_config)
    if config.tree:
        _check_trees(module, model_dir, config)
    return make_backend(module, config, optimiser_config, device)


def _check_trees(module: PolicyModule, model_dir: Path, config: TrainerConfig) -> None:
    """Raise ConfigError when the model would compute something else in a prefix tree."""
    problem = find_tree_problem(module.model)
    if problem is not None:
        section = "grpo" if isinstance(config, GRPOConfig) else "sft"
        raise ConfigError(
            f"{section}.tree: {model_dir} cannot be trained on prefix trees: {problem}. "
            f"Set {section}.tree: false to train its sequences as padded rows"
        )
