"""Choosing the engine a configuration names."""

from pathlib import Path

from medr_ray.core.config import EngineConfig
from medr_ray.engines.base import Engine


def load_engine(model_dir: Path, config: EngineConfig, trust_remote_code: bool = False) -> Engine:
    """The engine for ``config.backend`` with the model in ``model_dir`` loaded."""
    if config.backend == "vllm":
        from medr_ray.engines.vllm import VLLMEngine

        return VLLMEngine(model_dir, config, trust_remote_code)
    from medr_ray.engines.transformers import TransformersEngine

    return TransformersEngine(model_dir, config, trust_remote_code)
