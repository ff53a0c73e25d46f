"""The engine as a Ray actor: rollouts of all workers share one running batch, under one weights
version at a time."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray

from medr_ray.core.config import EngineConfig
from medr_ray.engines.base import Generation, Sampling
from medr_ray.engines.batching_loop import EngineLoop


class EngineServer:
    """Holds one engine; ``generate`` is called concurrently by many agents."""

    def __init__(
        self, model_dir: str, config: EngineConfig, trust_remote_code: bool = False
    ) -> None:
        from medr_ray.engines.transformers import TransformersEngine

        self._engine = TransformersEngine(Path(model_dir), config, trust_remote_code)
        self._loop = EngineLoop(self._engine)

    async def generate(self, prompt: list[int], sampling: Sampling) -> Generation:
        return await self._loop.generate(prompt, sampling)

    async def load_weights(self, weights: Mapping[str, Any], version: int) -> int:
        """Swap the weights once the running requests are done; returns the version now served."""
        await self._loop.run_exclusively(lambda: self._engine.load_weights(weights, version))
        return self._engine.version

    def load_model(self) -> int:
        """The version served; answers once the model is loaded."""
        return self._engine.version


def start_engine(model_dir: Path, config: EngineConfig, trust_remote_code: bool = False) -> Any:
    """An engine actor with the model loaded; the caller owns it and ends it with ``ray.kill``."""
    gpus = (
        config.gpu_share if config.device != "cpu" and ray.cluster_resources().get("GPU", 0) else 0
    )
    actor = (
        ray.remote(EngineServer)
        .options(
            num_cpus=1,
            num_gpus=gpus,
            max_concurrency=1024,
            scheduling_strategy="DEFAULT",  # outside a trainer's group
        )
        .remote(str(model_dir), config, trust_remote_code)
    )
    ray.get(actor.load_model.remote())  # type: ignore[attr-defined]
    return actor
