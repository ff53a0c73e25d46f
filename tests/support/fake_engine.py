"""An engine without a model behind the engine contract: its answers name its weights, and it can be
told to misbehave."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from ray import cloudpickle

from medr_ray.core.errors import InfrastructureError
from medr_ray.engines.base import Generation, Sampling
from medr_ray.engines.weight_checksum import WeightChecksum
from medr_ray.engines.weight_transfer import WeightTransfer

# Actors cannot import the tests, so this module travels with what is sent to them.
cloudpickle.register_pickle_by_value(sys.modules[__name__])
SHAPES = {"a": (3, 5), "b": (7,), "scale": ()}


def make_weights(
    number: int, shapes: Mapping[str, tuple[int, ...]] = SHAPES
) -> dict[str, torch.Tensor]:
    """Whole weights of the fake engine, others for each number."""
    generator = torch.Generator().manual_seed(number)
    return {
        name: torch.randn(shape, generator=generator).to(torch.bfloat16)
        for name, shape in shapes.items()
    }


def compute_digest(weights: Mapping[str, torch.Tensor]) -> str:
    checksum = WeightChecksum()
    for name, tensor in weights.items():
        checksum.add(name, tensor)
    return checksum.hexdigest()


@dataclass(frozen=True)
class FakeEngineFactory:
    """Makes the engine. ``forgets``: it goes on with its old version. ``spoils``: what it keeps is
    not what it was given. ``seconds`` is what an answer takes; ``start_weights`` the number of the
    weights that it begins with. With ``mark``, a file, it starts only once.
    ``shapes`` are those of its weights."""

    forgets: bool = False
    spoils: bool = False
    seconds: float = 0.0
    start_weights: int = 0
    mark: str = ""
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=lambda: SHAPES)

    def __call__(self) -> "FakeEngine":
        if self.mark:
            # Raises at the second start.
            Path(self.mark).touch(exist_ok=False)
        return FakeEngine(self)


class FakeEngine:
    """Answers with the version of its weights, its process and the dialogue."""

    def __init__(self, manner: FakeEngineFactory) -> None:
        self._manner = manner
        self._weights = make_weights(manner.start_weights, manner.shapes)
        self._version = 0
        self._next_version = 0
        self._transfer: WeightTransfer | None = None
        self._open = asyncio.Event()
        self._open.set()
        self._running = 0
        self._is_asleep = False

    async def generate(
        self, prompt: Sequence[int], sampling: Sampling, dialogue: str = ""
    ) -> Generation:
        await self._open.wait()
        self._running += 1
        try:
            version = self._version
            await asyncio.sleep(self._manner.seconds)
            return Generation((1,), (-0.5,), f"{os.getpid()} {dialogue}", "stop", version)
        finally:
            self._running -= 1

    async def get_version(self) -> int:
        return self._version

    async def pause(self) -> None:
        self._open.clear()
        while self._running:
            await asyncio.sleep(0.01)

    async def resume(self) -> None:
        self._open.set()

    async def begin_weights(self, version: int, adapter_scaling: float | None = None) -> None:
        if self._is_asleep:
            raise InfrastructureError("the engine sleeps")
        self._next_version = version
        self._transfer = WeightTransfer(self._manner.shapes)
        self._weights = {}

    async def add_weights(self, bucket: Mapping[str, torch.Tensor]) -> None:
        if self._transfer is None:
            raise InfrastructureError("no weights are awaited")
        self._transfer.take_bucket(bucket)
        for name, tensor in bucket.items():
            self._weights[name] = tensor.clone()

    async def finish_weights(self, checksum: str) -> int:
        if self._transfer is None or self._transfer.finish() != checksum:
            raise InfrastructureError("the weights arrived with another checksum")
        self._transfer = None
        if self._manner.spoils:
            self._weights["a"] += 1
        if not self._manner.forgets:
            self._version = self._next_version
        return self._version

    async def checksum(self) -> str:
        return compute_digest(self._weights)

    async def reset_cache(self) -> None:
        """Nothing is cached."""

    async def sleep(self, keep_weights: bool = True) -> None:
        self._is_asleep = True
        await self.pause()

    async def wake(self) -> None:
        self._is_asleep = False
        await self.resume()

    def close(self) -> None:
        """Nothing is held."""
