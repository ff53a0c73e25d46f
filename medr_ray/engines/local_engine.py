"""The transformers engine of this process behind the engine contract (``base.Engine``)."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from medr_ray.core.config import EngineConfig
from medr_ray.core.errors import InfrastructureError
from medr_ray.engines.adapters import AdaptedWeights, AdapterTransfer
from medr_ray.engines.base import ALL_CAPABILITIES, Generation, Progress, Sampling
from medr_ray.engines.batching_loop import EngineLoop
from medr_ray.engines.managed_engine import ManagedEngine
from medr_ray.engines.transformers import TransformersEngine
from medr_ray.engines.weight_transfer import WeightTransfer, compute_checksum

if TYPE_CHECKING:
    import torch


class LocalEngine(ManagedEngine):
    """A ``TransformersEngine`` and the loop that runs it.

    On a CPU, ``sleep`` gives back the cache and, without ``keep_weights``, the weights.
    ``compute_gap``: see ``EngineLoop``.
    """

    capabilities = ALL_CAPABILITIES
    takes_adapters = True

    def __init__(
        self,
        model_dir: Path,
        config: EngineConfig,
        trust_remote_code: bool = False,
        compute_gap: Callable[[int], float] | None = None,
    ) -> None:
        super().__init__()
        self._engine = TransformersEngine(model_dir, config, trust_remote_code)
        self._loop = EngineLoop(self._engine, compute_gap=compute_gap)
        self._transfer: WeightTransfer | AdapterTransfer | None = None
        self._adapted = AdaptedWeights(dict(self._engine.model.named_parameters()))
        self._adapter_scaling: float | None = None
        self._has_whole_weights = True

    def close(self) -> None:
        """As ``SharedEngine.close``."""
        self._loop.close()

    async def _sample(self, prompt: Sequence[int], sampling: Sampling) -> Generation:
        return await self._loop.generate(prompt, sampling)

    def _stream_pieces(
        self, prompt: Sequence[int], sampling: Sampling
    ) -> AsyncGenerator[Progress | Generation, None]:
        return self._loop.stream(prompt, sampling)

    async def _begin_update(self, adapter_scaling: float | None) -> None:
        self._adapter_scaling = adapter_scaling
        if adapter_scaling is None:
            self._transfer = WeightTransfer(self._engine.weight_shapes)
        elif not self._has_whole_weights:
            raise InfrastructureError("an adapter needs whole weights to be added to: send them")
        else:
            self._transfer = AdapterTransfer(self._engine.weight_shapes)

    async def _write_weights(self, bucket: "Mapping[str, torch.Tensor]") -> None:
        transfer = self._transfer
        if transfer is None:
            raise InfrastructureError("no update was begun")

        def write() -> None:
            transfer.take_bucket(bucket)
            if isinstance(transfer, WeightTransfer):
                # Not only at the end: an update that fails leaves no whole weights.
                self._has_whole_weights = False
                self._adapted.forget()
                self._engine.write_weights(bucket)

        await self._loop.run_exclusively(write)

    async def _finish_update(self) -> str:
        transfer = self._transfer
        if transfer is None:
            raise InfrastructureError("no update was begun")
        self._transfer = None
        checksum = transfer.finish()
        if isinstance(transfer, AdapterTransfer):
            scaling = self._adapter_scaling or 0.0
            await self._loop.run_exclusively(lambda: self._adapted.apply(transfer, scaling))
        self._has_whole_weights = True
        # The requests that follow carry the version that the engine itself has.
        self._engine.version = self._require_update()
        return checksum

    async def _compute_checksum(self) -> str:
        # Over the weights themselves: rounded to bfloat16 they are what was given.
        checksum: str = await self._loop.run_exclusively(
            lambda: compute_checksum(dict(self._engine.model.named_parameters()))
        )
        return checksum

    async def _drop_cache(self) -> None:
        await self._loop.run_exclusively(self._engine.forget_prefixes)

    async def _release_memory(self, keep_weights: bool) -> None:
        self._has_whole_weights = self._has_whole_weights and keep_weights
        await self._loop.run_exclusively(lambda: self._engine.release_memory(keep_weights))

    async def _take_memory(self) -> None:
        await self._loop.run_exclusively(self._engine.take_memory)
