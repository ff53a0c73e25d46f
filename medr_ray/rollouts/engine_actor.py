"""The engine as a Ray actor: the rollouts of all workers share one running batch and one version of
the weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray

from medr_ray.core.config import EngineConfig
from medr_ray.engines.base import Generation, Sampling
from medr_ray.engines.batching_loop import EngineLoop

# Calls in flight; Ray queues what comes beyond. The engine itself decides how many run together.
_MAX_CALLS = 1024


class EngineServer:
    """Holds one engine; many agents call ``generate`` concurrently."""

    def __init__(
        self, model_dir: str, config: EngineConfig, trust_remote_code: bool = False
    ) -> None:
        from medr_ray.engines.transformers import TransformersEngine

        self._engine = TransformersEngine(Path(model_dir), config, trust_remote_code)
        self._loop = EngineLoop(self._engine)

    async def generate(self, prompt: list[int], sampling: Sampling) -> Generation:
        """Token ids after ``prompt``, with their log-probabilities."""
        return await self._loop.generate(prompt, sampling)

    async def load_weights(self, weights: Mapping[str, Any], version: int) -> int:
        """Swap the weights once the running requests are done; returns the version now served."""
        await self._loop.run_exclusively(lambda: self._engine.load_weights(weights, version))
        return self._engine.version

    def load_model(self) -> int:
        """The version served; returns once the model is loaded."""
        return self._engine.version


class EngineClient:
    """An engine actor, for whoever samples from it. It may be sent to other processes; the one that
    started the engine ends it with ``close``."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    async def generate(self, prompt: list[int], sampling: Sampling) -> Generation:
        """Token ids after ``prompt``, with their log-probabilities."""
        return await self._actor.generate.remote(prompt, sampling)

    def load_weights(self, weights: Mapping[str, Any], version: int) -> int:
        """Swap the weights once the running requests are done; returns the version now served."""
        return ray.get(self._actor.load_weights.remote(ray.put(weights), version))

    def close(self) -> None:
        """End the engine."""
        ray.kill(self._actor)


def start_engine(
    model_dir: Path, config: EngineConfig, trust_remote_code: bool = False
) -> EngineClient:
    """An engine actor with the model loaded."""
    has_gpu = config.device != "cpu" and ray.cluster_resources().get("GPU", 0) > 0
    engine_class = ray.remote(EngineServer).options(
        num_cpus=1,
        num_gpus=config.gpu_share if has_gpu else 0,
        max_concurrency=_MAX_CALLS,
        # Not in the placement group of a trainer that starts the engine: its bundles are taken.
        scheduling_strategy="DEFAULT",
    )
    actor: Any = engine_class.remote(str(model_dir), config, trust_remote_code)
    # The first call is answered after the constructor, which loads the model.
    ray.get(actor.load_model.remote())
    return EngineClient(actor)
