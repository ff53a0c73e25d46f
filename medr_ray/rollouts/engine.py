"""The engine as a Ray actor: rollouts of all workers are generated together, under one weights version at a time.

Requests are gathered by ``serve.batch`` (Ray's dynamic batching, which also works outside Serve). Weights are swapped
between batches, never inside one.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
from ray import serve

from medr_ray.core.config import EngineConfig
from medr_ray.engines.base import Generation, Sampling
from medr_ray.engines.loading import load_engine

_GATHER_SECONDS = 0.08  # agents answer each other's tool results within this; a batch of one costs as much as of eight


class EngineServer:
    """Holds one engine; ``generate`` is called concurrently by many agents."""

    def __init__(self, model_dir: str, config: EngineConfig, trust_remote_code: bool = False) -> None:
        self._engine = load_engine(Path(model_dir), config, trust_remote_code)
        self._lock = asyncio.Lock()
        self._batched.set_max_batch_size(config.max_batch)

    async def generate(self, prompt: list[int], sampling: Sampling) -> Generation:
        return await self._batched((prompt, sampling))

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=_GATHER_SECONDS)
    async def _batched(self, requests: list[tuple[list[int], Sampling]]) -> list[Generation]:
        """One engine call for requests of equal temperature; the longest allowance is generated and cut per request."""
        done: list[Generation | None] = [None] * len(requests)
        async with self._lock:
            for key in dict.fromkeys(_compatible(sampling) for _, sampling in requests):
                chosen = [i for i, (_, sampling) in enumerate(requests) if _compatible(sampling) == key]
                longest = max((requests[i][1] for i in chosen), key=lambda one: one.max_tokens)
                out = await asyncio.to_thread(self._engine.generate, [requests[i][0] for i in chosen], longest)
                for i, generation in zip(chosen, out, strict=True):
                    done[i] = _cut(generation, requests[i][1].max_tokens)
        return [one for one in done if one is not None]

    async def load_weights(self, weights: Mapping[str, Any], version: int) -> int:
        """Swap the weights once the running batch is done; returns the version now served."""
        async with self._lock:
            await asyncio.to_thread(self._engine.load_weights, weights, version)
        return self._engine.version

    def load_model(self) -> int:
        """The version served; answers once the model is loaded."""
        return self._engine.version


def _compatible(sampling: Sampling) -> tuple[float, tuple[str, ...], int | None]:
    return sampling.temperature, sampling.stop, sampling.seed


def _cut(generation: Generation, max_tokens: int) -> Generation:
    """A request that asked for fewer tokens than its batch gets no more than it asked for."""
    if len(generation.output_ids) <= max_tokens:
        return generation
    return Generation(generation.output_ids[:max_tokens], generation.logprobs[:max_tokens], generation.text, "length",
                      generation.version)


def start_engine(model_dir: Path, config: EngineConfig, trust_remote_code: bool = False) -> Any:
    """An engine actor with the model loaded; the caller owns it and ends it with ``ray.kill``."""
    gpus = config.tensor_parallel if config.device != "cpu" and ray.cluster_resources().get("GPU", 0) else 0
    actor = ray.remote(EngineServer).options(
        num_cpus=1, num_gpus=gpus, max_concurrency=1024, scheduling_strategy="DEFAULT",  # outside a trainer's group
    ).remote(str(model_dir), config, trust_remote_code)
    ray.get(actor.load_model.remote())
    return actor
