"""The engine as a Ray actor: the rollouts of all workers share one running batch and one version of
the weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray

from medr_ray.core.config import EngineConfig
from medr_ray.engines.base import Generation, Sampling, require_full_distribution
from medr_ray.engines.batching_loop import EngineLoop

# Ray queues the calls beyond this limit. The engine itself decides how many of the others run
# together.
_MAX_CONCURRENT_CALLS = 1024


class EngineServer:
    """The class of the actor: owns one engine, whose ``generate`` many agents call concurrently."""

    def __init__(
        self, model_dir: str, config: EngineConfig, trust_remote_code: bool = False
    ) -> None:
        from medr_ray.engines.transformers import TransformersEngine

        self._engine = TransformersEngine(Path(model_dir), config, trust_remote_code)
        self._loop = EngineLoop(self._engine)

    async def generate(self, prompt: list[int], sampling: Sampling) -> Generation:
        """Token ids after ``prompt``, with their log-probabilities.

        Raises ValueError for a sampling that training must not use.
        """
        require_full_distribution(sampling)
        return await self._loop.generate(prompt, sampling)

    async def load_weights(self, weights: Mapping[str, Any], version: int) -> int:
        """Swap the weights once the running requests are done; returns the version now served."""
        await self._loop.run_exclusively(lambda: self._engine.load_weights(weights, version))
        return self._engine.version

    def wait_until_loaded(self) -> int:
        """Returns the version of the weights. Ray runs it after the constructor, which loads the
        model."""
        return self._engine.version


class EngineClient:
    """Handle to an engine actor. It can be sent to other processes; only the process that started
    the engine should call ``close``."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    async def generate(self, prompt: list[int], sampling: Sampling) -> Generation:
        """Token ids after ``prompt``, with their log-probabilities."""
        return await self._actor.generate.remote(prompt, sampling)

    def load_weights(self, weights: Mapping[str, Any], version: int) -> int:
        """Swap the weights once the running requests are done; returns the version now served."""
        # The weights are large: they travel through the object store, which is shared memory on one
        # machine, and not inside the call.
        return ray.get(self._actor.load_weights.remote(ray.put(weights), version))

    def close(self) -> None:
        """Kill the actor, with all requests that are still running."""
        ray.kill(self._actor)


def start_engine(
    model_dir: Path, config: EngineConfig, trust_remote_code: bool = False
) -> EngineClient:
    """Start an engine actor and wait until its model is loaded."""
    has_gpu = config.device != "cpu" and ray.cluster_resources().get("GPU", 0) > 0
    engine_class = ray.remote(EngineServer).options(
        num_cpus=1,
        num_gpus=config.gpu_share if has_gpu else 0,
        max_concurrency=_MAX_CONCURRENT_CALLS,
        # Do not inherit the placement group of the trainer that starts the engine: all its bundles
        # are in use.
        scheduling_strategy="DEFAULT",
    )
    actor: Any = engine_class.remote(str(model_dir), config, trust_remote_code)
    # Raises here when the model cannot be loaded.
    ray.get(actor.wait_until_loaded.remote())
    return EngineClient(actor)
