"""The engine as a Ray actor: rollouts of all workers are generated together, under one weights version at a time.

Requests that arrive while a batch is running form the next one. (``serve.batch`` would do, but works only inside a
Serve replica.) Weights are swapped between batches, never inside one; a failed batch fails its own requests alone.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray

from medr_ray.core.config import EngineConfig
from medr_ray.core.errors import InfrastructureError
from medr_ray.engines.base import Generation, Sampling

_GATHER_SECONDS = 0.4  # agents are back from their tools within this; a batch of one takes as long as one of ten

_Request = tuple[list[int], Sampling, "asyncio.Future[Generation]"]


class EngineServer:
    """Holds one engine; ``generate`` is called concurrently by many agents."""

    def __init__(self, model_dir: str, config: EngineConfig, trust_remote_code: bool = False) -> None:
        from medr_ray.engines.transformers import TransformersEngine

        self._engine = TransformersEngine(Path(model_dir), config, trust_remote_code)
        self._max_batch = config.max_batch
        self._lock = asyncio.Lock()
        self._waiting: list[_Request] = []
        self._server: asyncio.Task[None] | None = None

    async def generate(self, prompt: list[int], sampling: Sampling) -> Generation:
        future: asyncio.Future[Generation] = asyncio.get_running_loop().create_future()
        self._waiting.append((prompt, sampling, future))
        if self._server is None or self._server.done():
            self._server = asyncio.create_task(self._serve())
        return await future

    async def _serve(self) -> None:
        """Batches until nobody waits: the oldest request and those compatible with it, up to ``max_batch``."""
        while self._waiting:
            await asyncio.sleep(_GATHER_SECONDS)
            key = _compatible(self._waiting[0][1])
            chosen = [one for one in self._waiting if _compatible(one[1]) == key][:self._max_batch]
            self._waiting = [one for one in self._waiting if not any(one is taken for taken in chosen)]
            await self._run(chosen)

    async def _run(self, requests: list[_Request]) -> None:
        """One engine call; the longest allowance is generated and cut per request."""
        longest = max((sampling for _, sampling, _ in requests), key=lambda one: one.max_tokens)
        try:
            async with self._lock:
                out = await asyncio.to_thread(self._engine.generate, [prompt for prompt, _, _ in requests], longest)
        except Exception as error:
            for _, _, future in requests:
                future.set_exception(InfrastructureError(f"the engine failed: {type(error).__name__}: {error}"))
            return
        for (_, sampling, future), generation in zip(requests, out, strict=True):
            if not future.done():
                future.set_result(_cut(generation, sampling.max_tokens))

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
    gpus = config.gpu_share if config.device != "cpu" and ray.cluster_resources().get("GPU", 0) else 0
    actor = ray.remote(EngineServer).options(
        num_cpus=1, num_gpus=gpus, max_concurrency=1024, scheduling_strategy="DEFAULT",  # outside a trainer's group
    ).remote(str(model_dir), config, trust_remote_code)
    ray.get(actor.load_model.remote())  # type: ignore[attr-defined]
    return actor
