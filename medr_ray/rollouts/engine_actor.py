"""One engine as a Ray actor: the rollouts of all workers share its running batch and one version of
the weights.

Ray starts an actor that died again, on another node where its node is lost. What is started again
has the weights of the model's folder and no others, so an engine refuses requests until its fleet
has found that it has the present weights (``admit``).
"""

import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ray

from medr_ray.core.errors import InfrastructureError
from medr_ray.engines.base import Engine, Generation, Sampling, require_full_distribution
from medr_ray.rollouts.weight_buckets import read_shared_bucket

if TYPE_CHECKING:
    import numpy

# Ray queues the calls beyond this limit. The engine itself decides how many of the others run
# together.
_MAX_CONCURRENT_CALLS = 1024

# Makes the engine inside its actor; must be picklable.
EngineFactory = Callable[[], Engine]


class EngineNotAdmitted(InfrastructureError):
    """The engine has not been given the present weights. The request was not begun, so that another
    engine may answer it."""


@dataclass(frozen=True)
class EngineStatus:
    """What an engine says of itself.

    ``start`` is another text for each start of its process ``pid``; ``version`` is that of the
    weights that answer.
    """

    start: str
    pid: int
    version: int
    is_admitted: bool


class EngineServer:
    """The class of the actor: owns one engine, whose ``generate`` many agents call concurrently."""

    def __init__(self, make_engine: EngineFactory) -> None:
        self._start = uuid.uuid4().hex
        self._is_admitted = False
        self._engine = make_engine()

    async def describe(self) -> EngineStatus:
        """How the engine stands. Ray answers it after the constructor, which loads the model."""
        version = await self._engine.get_version()
        return EngineStatus(self._start, os.getpid(), version, self._is_admitted)

    async def generate(
        self, prompt: list[int], sampling: Sampling, dialogue: str = ""
    ) -> Generation:
        """Token ids after ``prompt``, with their log-probabilities.

        Raises ValueError for a sampling that training must not use, and EngineNotAdmitted.
        """
        require_full_distribution(sampling)
        if not self._is_admitted:
            raise EngineNotAdmitted("this engine has not been given the present weights")
        return await self._engine.generate(prompt, sampling, dialogue)

    async def admit(self) -> None:
        """Answer requests from now on."""
        self._is_admitted = True
        await self._engine.resume()

    async def pause(self) -> None:
        """Finish the requests in work and let new ones wait until ``resume`` or ``admit``."""
        await self._engine.pause()

    async def resume(self) -> None:
        """Go on with the requests that wait."""
        await self._engine.resume()

    async def begin_weights(self, version: int, adapter_scaling: float | None = None) -> None:
        """Begin to take in weights that will answer as ``version``, or an adapter."""
        await self._engine.begin_weights(version, adapter_scaling)

    async def add_weights(self, names: Sequence[str], *arrays: "numpy.ndarray[Any, Any]") -> None:
        """Take in a bucket of ``weight_buckets.share_bucket``."""
        await self._engine.add_weights(read_shared_bucket(names, arrays))

    async def finish_weights(self, checksum: str) -> int:
        """Answer with the new weights; returns their version."""
        return await self._engine.finish_weights(checksum)

    async def checksum(self) -> str:
        """The checksum of the weights that answer."""
        return await self._engine.checksum()

    async def sleep(self) -> None:
        """Give back the device's memory; new requests wait until ``wake``."""
        await self._engine.sleep()

    async def wake(self) -> None:
        """Take the memory again."""
        await self._engine.wake()


def start_engine_actor(
    make_engine: EngineFactory,
    resources: Mapping[str, float],
    labels: Mapping[str, str] | None = None,
    scheduling_strategy: Any = "DEFAULT",
    runtime_env: Mapping[str, Any] | None = None,
) -> Any:
    """Start an actor of an EngineServer, without waiting for it. ``resources`` are CPU and GPU; it
    is placed on a node with these labels."""
    options: dict[str, Any] = {}
    if labels:
        options["label_selector"] = dict(labels)
    if runtime_env:
        options["runtime_env"] = dict(runtime_env)
    actor_class: Any = ray.remote(EngineServer).options(
        num_cpus=resources.get("CPU", 0),
        num_gpus=resources.get("GPU", 0),
        max_concurrency=_MAX_CONCURRENT_CALLS,
        # Another handle would have to reach every rollout worker. How often is too often, the fleet
        # decides.
        max_restarts=-1,
        # Never by accident in the placement group of the trainer that starts it: all its bundles
        # are in use.
        scheduling_strategy=scheduling_strategy,
        **options,
    )
    return actor_class.remote(make_engine)
