"""The part of ``base.Engine`` that is the same for every engine: who waits, who may go on, and when
new weights answer.

An engine derives from ``ManagedEngine`` and does what is its own in the methods that begin with an
underscore. None of them but ``_sample`` and ``_stream_pieces`` is called while a request is in
work, and no two of those at a time.
"""

import abc
import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import TYPE_CHECKING

from medr_ray.core.errors import InfrastructureError
from medr_ray.engines.base import (
    Capability,
    Generation,
    Progress,
    Sampling,
    require_offered,
)
from medr_ray.engines.request_gate import RequestGate

if TYPE_CHECKING:
    import torch

# Why requests wait, for ``RequestGate``.
_PAUSED = "paused"
_ASLEEP = "asleep"
_CHANGING = "changing weights"


class ManagedEngine(abc.ABC):
    """An ``Engine``. It belongs to the coroutines of one event loop."""

    capabilities: frozenset[Capability] = frozenset()
    takes_adapters = False  # updates by a LoRA adapter alone

    def __init__(self) -> None:
        self._gate = RequestGate()
        # One change at a time: of weights, of memory, or of the cache.
        self._change_lock = asyncio.Lock()
        self._version = 0
        self._next_version: int | None = None  # that of an update which was begun

    async def generate(
        self, prompt: Sequence[int], sampling: Sampling, dialogue: str = ""
    ) -> Generation:
        """As ``Engine.generate``."""
        require_offered(self.capabilities, sampling)
        async with self._gate.admit_request():
            return await self._sample(prompt, sampling)

    async def stream(
        self, prompt: Sequence[int], sampling: Sampling
    ) -> AsyncGenerator[Progress | Generation, None]:
        """As ``SharedEngine.stream``."""
        require_offered(self.capabilities, sampling)
        async with (
            self._gate.admit_request(),
            contextlib.aclosing(self._stream_pieces(prompt, sampling)) as pieces,
        ):
            async for piece in pieces:
                yield piece

    async def get_version(self) -> int:
        """As ``Engine.get_version``."""
        return self._version

    async def pause(self) -> None:
        """As ``Engine.pause``."""
        await self._gate.close(_PAUSED)

    async def resume(self) -> None:
        """As ``Engine.resume``."""
        self._gate.open(_PAUSED)

    async def begin_weights(self, version: int, adapter_scaling: float | None = None) -> None:
        """As ``Engine.begin_weights``."""
        if adapter_scaling is not None and not self.takes_adapters:
            raise InfrastructureError("this engine takes whole weights, and no adapter alone")
        async with self._change_lock:
            if self._gate.is_closed_for(_ASLEEP):
                raise InfrastructureError("the engine sleeps: wake it before it is given weights")
            await self._gate.close(_CHANGING)
            self._next_version = None
            async with self._refuse_after_failure():
                await self._begin_update(adapter_scaling)
            self._next_version = version

    async def add_weights(self, bucket: "Mapping[str, torch.Tensor]") -> None:
        """As ``Engine.add_weights``."""
        async with self._change_lock:
            self._require_update()
            async with self._refuse_after_failure():
                await self._write_weights(bucket)

    async def finish_weights(self, checksum: str) -> int:
        """As ``Engine.finish_weights``."""
        async with self._change_lock:
            version = self._require_update()
            async with self._refuse_after_failure():
                received = await self._finish_update()
                if received != checksum:
                    raise InfrastructureError(
                        f"the weights of version {version} arrived with checksum {received}; "
                        f"{checksum} were sent"
                    )
                await self._drop_cache()
            self._next_version = None
            self._version = version
            self._gate.recover()
            self._gate.open(_CHANGING)
            return version

    async def checksum(self) -> str:
        """As ``Engine.checksum``."""
        async with self._change_lock, self._hold_requests("computing a checksum"):
            return await self._compute_checksum()

    async def reset_cache(self) -> None:
        """As ``Engine.reset_cache``."""
        async with self._change_lock, self._hold_requests("forgetting what was read"):
            await self._drop_cache()

    async def sleep(self, keep_weights: bool = True) -> None:
        """As ``Engine.sleep``. Raises InfrastructureError while weights come in."""
        async with self._change_lock:
            if self._next_version is not None:
                raise InfrastructureError("the engine is taking in weights: it cannot sleep")
            if self._gate.is_closed_for(_ASLEEP):
                return
            await self._gate.close(_ASLEEP)
            if not keep_weights:
                await self._gate.close(_CHANGING)
            await self._release_memory(keep_weights)

    async def wake(self) -> None:
        """As ``Engine.wake``."""
        async with self._change_lock:
            if not self._gate.is_closed_for(_ASLEEP):
                return
            await self._take_memory()
            self._gate.open(_ASLEEP)

    @abc.abstractmethod
    def close(self) -> None:
        """As ``SharedEngine.close``."""

    # --- what is an engine's own ----------------------------------------------------------

    @abc.abstractmethod
    async def _sample(self, prompt: Sequence[int], sampling: Sampling) -> Generation:
        """One continuation."""

    @abc.abstractmethod
    def _stream_pieces(
        self, prompt: Sequence[int], sampling: Sampling
    ) -> AsyncGenerator[Progress | Generation, None]:
        """Pieces of a continuation, then the whole Generation."""

    @abc.abstractmethod
    async def _begin_update(self, adapter_scaling: float | None) -> None:
        """Prepare for new weights, or for an adapter; an update that was begun before is
        dropped."""

    @abc.abstractmethod
    async def _write_weights(self, bucket: "Mapping[str, torch.Tensor]") -> None:
        """Check and take in a bucket (``weight_transfer.WeightTransfer``)."""

    @abc.abstractmethod
    async def _finish_update(self) -> str:
        """Put the new weights into use; returns the checksum of what came."""

    @abc.abstractmethod
    async def _compute_checksum(self) -> str:
        """The checksum of the weights in use."""

    @abc.abstractmethod
    async def _drop_cache(self) -> None:
        """Forget what was read."""

    @abc.abstractmethod
    async def _release_memory(self, keep_weights: bool) -> None:
        """Give back the device's memory, with what was read."""

    @abc.abstractmethod
    async def _take_memory(self) -> None:
        """Undo ``_release_memory``; weights that were not kept are undefined."""

    # --- helpers --------------------------------------------------------------------------

    def _require_update(self) -> int:
        """The version of the update that was begun."""
        if self._next_version is None:
            raise InfrastructureError("no weights are awaited: begin_weights comes first")
        return self._next_version

    @contextlib.asynccontextmanager
    async def _refuse_after_failure(self) -> AsyncGenerator[None, None]:
        """A part of an update: when it fails, the engine has no whole weights and refuses requests
        until a whole update has come."""
        try:
            yield
        except BaseException as error:
            self._next_version = None
            self._gate.fail(
                f"the engine has no whole weights, because an update failed: "
                f"{type(error).__name__}: {error}"
            )
            raise

    @contextlib.asynccontextmanager
    async def _hold_requests(self, reason: str) -> AsyncGenerator[None, None]:
        await self._gate.close(reason)
        try:
            yield
        finally:
            self._gate.open(reason)
