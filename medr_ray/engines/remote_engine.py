"""An engine in another process, which may have another environment: a Ray actor that serves the
engine contract, and a client with the same contract.

Ray keeps no order between the calls of such an actor. The client does (``CallOrder``): an engine is
told of a change when it has the requests that were made before. It says so by ``RECEIVED``, the
first piece of every answer.

``EngineActor`` is imported in the environment of the engine, which has no more of this package's
dependencies than the room of engines needs.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import ray
from ray.exceptions import RayError, RayTaskError

from medr_ray.core.errors import InfrastructureError
from medr_ray.engines.base import (
    Capability,
    Engine,
    Generation,
    Progress,
    Sampling,
    require_offered,
)
from medr_ray.engines.call_order import CallOrder
from medr_ray.engines.factory import ConfiguredEngineFactory, build_runtime_env

if TYPE_CHECKING:
    import torch

# Ray queues the calls beyond this limit. The engine itself decides how many of the others run
# together.
_MAX_CONCURRENT_CALLS = 1024
# For the engine's processes to start and the model to be read: vLLM takes a minute on an idle
# machine, and reading 65 GB from a disk takes several.
START_SECONDS = 900.0
_CLOSE_SECONDS = 30.0  # for the engine's processes to end
RECEIVED: Final = None  # the engine has a request: it is in work, or waits for it to be let in


class EngineActor:
    """The class of the actor: one engine behind calls of the same names."""

    def __init__(self, make_engine: ConfiguredEngineFactory) -> None:
        self._make_engine = make_engine
        self._engine: Engine | None = None

    async def start(self) -> frozenset[Capability]:
        """Load the model; returns what the engine offers. Called once, before everything else."""
        # Not in the constructor, which has no event loop yet.
        self._engine = self._make_engine()
        return self._engine.capabilities

    async def generate(
        self, prompt: Sequence[int], sampling: Sampling, dialogue: str = ""
    ) -> AsyncIterator[Generation | None]:
        """RECEIVED, then what ``Engine.generate`` returns."""
        answer = asyncio.create_task(self._get_engine().generate(prompt, sampling, dialogue))
        try:
            # The task goes first, as far as the engine's gate.
            await asyncio.sleep(0)
            yield RECEIVED
            yield await answer
        finally:
            answer.cancel()

    async def stream(
        self, prompt: Sequence[int], sampling: Sampling
    ) -> AsyncIterator[Progress | Generation | None]:
        """RECEIVED, then as ``Engine.stream``."""
        async with contextlib.aclosing(self._get_engine().stream(prompt, sampling)) as pieces:
            first = asyncio.create_task(anext(pieces))
            try:
                await asyncio.sleep(0)
                yield RECEIVED
                yield await first
            finally:
                # Or the generator, which the task is in, could not be closed.
                first.cancel()
                await asyncio.wait([first])
            async for piece in pieces:
                yield piece

    async def call(self, method: str, *arguments: Any) -> Any:
        """Any other method of the engine."""
        return await getattr(self._get_engine(), method)(*arguments)

    async def close(self) -> None:
        """End the engine's processes."""
        self._get_engine().close()

    def _get_engine(self) -> Engine:
        if self._engine is None:
            raise InfrastructureError("the engine was not started")
        return self._engine


class RemoteEngine:
    """An ``Engine`` in an actor. Make it with ``start_remote_engine``."""

    def __init__(self, actor: Any, capabilities: frozenset[Capability]) -> None:
        self._actor = actor
        self._order = CallOrder()
        self.capabilities = capabilities

    async def generate(
        self, prompt: Sequence[int], sampling: Sampling, dialogue: str = ""
    ) -> Generation:
        """As ``Engine.generate``."""
        # Here, because the engine's process may not know what it would be sent.
        require_offered(self.capabilities, sampling)
        arguments = (list(prompt), sampling, dialogue)
        async with contextlib.aclosing(self._request("generate", *arguments)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Generation):
                    return piece
        raise InfrastructureError("the engine ended a request without an answer")

    async def stream(
        self, prompt: Sequence[int], sampling: Sampling
    ) -> AsyncGenerator[Progress | Generation, None]:
        """As ``SharedEngine.stream``."""
        require_offered(self.capabilities, sampling)
        arguments = (list(prompt), sampling)
        async with contextlib.aclosing(self._request("stream", *arguments)) as pieces:
            async for piece in pieces:
                yield piece

    async def get_version(self) -> int:
        """As ``Engine.get_version``."""
        version: int = await self._call("get_version")
        return version

    async def pause(self) -> None:
        """As ``Engine.pause``."""
        async with self._order.send_change():
            await self._call("pause")

    async def resume(self) -> None:
        """As ``Engine.resume``."""
        await self._call("resume")

    async def begin_weights(self, version: int, adapter_scaling: float | None = None) -> None:
        """As ``Engine.begin_weights``."""
        async with self._order.send_change():
            await self._call("begin_weights", version, adapter_scaling)

    async def add_weights(self, bucket: "Mapping[str, torch.Tensor]") -> None:
        """As ``Engine.add_weights``."""
        await self._call("add_weights", dict(bucket))

    async def finish_weights(self, checksum: str) -> int:
        """As ``Engine.finish_weights``."""
        version: int = await self._call("finish_weights", checksum)
        return version

    async def checksum(self) -> str:
        """As ``Engine.checksum``."""
        checksum: str = await self._call("checksum")
        return checksum

    async def reset_cache(self) -> None:
        """As ``Engine.reset_cache``."""
        await self._call("reset_cache")

    async def sleep(self, keep_weights: bool = True) -> None:
        """As ``Engine.sleep``."""
        async with self._order.send_change():
            await self._call("sleep", keep_weights)

    async def wake(self) -> None:
        """As ``Engine.wake``."""
        await self._call("wake")

    def close(self) -> None:
        """As ``SharedEngine.close``; ends the actor and the processes of its engine."""
        with contextlib.suppress(RayError):
            # The engine's own processes would outlive an actor that is killed.
            ray.get(self._actor.close.remote(), timeout=_CLOSE_SECONDS)
        ray.kill(self._actor)

    async def _request(
        self, method: str, *arguments: Any
    ) -> AsyncGenerator[Progress | Generation, None]:
        """Pieces of an answer. Closing the generator ends the request."""
        async with self._order.send_request() as received:
            with _name_lost_engine():
                call = getattr(self._actor, method).options(num_returns="streaming")
                pieces = call.remote(*arguments)
                is_whole = False
                try:
                    async for reference in pieces:
                        piece = await reference
                        received.set()
                        if piece is not RECEIVED:
                            is_whole = isinstance(piece, Generation)
                            yield piece
                finally:
                    if not is_whole:
                        # Nobody waits for the rest of it.
                        ray.cancel(pieces)

    async def _call(self, method: str, *arguments: Any) -> Any:
        with _name_lost_engine():
            reference = self._actor.call.remote(method, *arguments)
            try:
                return await reference
            except asyncio.CancelledError:
                ray.cancel(reference)
                raise


def start_remote_engine(
    make_engine: ConfiguredEngineFactory,
    resources: Mapping[str, float],
    environment: Mapping[str, str] | None = None,
    start_seconds: float = START_SECONDS,
) -> RemoteEngine:
    """Start an engine in an actor and wait until its model is loaded.

    ``resources`` are the CPU and GPU that it takes from Ray, ``environment`` further variables of
    its process. Raises what loading raises, and InfrastructureError when it is not there in time.
    """
    runtime_env = build_runtime_env(make_engine.config)
    if environment:
        runtime_env["env_vars"] = dict(environment)
    actor_class: Any = ray.remote(EngineActor).options(
        num_cpus=resources.get("CPU", 0),
        num_gpus=resources.get("GPU", 0),
        max_concurrency=_MAX_CONCURRENT_CALLS,
        runtime_env=runtime_env,
    )
    actor = actor_class.remote(make_engine)
    try:
        capabilities = ray.get(actor.start.remote(), timeout=start_seconds)
    except TimeoutError as error:
        ray.kill(actor)
        raise InfrastructureError(
            f"the engine did not start within {start_seconds:g} s; it takes {dict(resources)} from "
            f"Ray, which has {ray.available_resources()}"
        ) from error
    except BaseException:
        ray.kill(actor)
        raise
    return RemoteEngine(actor, capabilities)


@contextlib.contextmanager
def _name_lost_engine() -> Iterator[None]:
    """What the engine raised is raised; a lost actor is an InfrastructureError."""
    try:
        yield
    except RayTaskError:
        raise
    except RayError as error:
        raise InfrastructureError(f"the engine is lost: {type(error).__name__}: {error}") from error
