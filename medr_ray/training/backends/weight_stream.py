"""The weights of a model one after the other, whole on rank 0, with adapters merged.

The other workers hold their own part of one weight meanwhile, and of no other worker's. Parts go
from worker to worker without a buffer in between; gloo's own gathering would take each twice.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn

from medr_ray.engines.number_format import select_export_dtype
from medr_ray.training.collectives import get_rank
from medr_ray.training.lora import find_adapters, is_adapter, merge_elements, peft_name, plain_name

# Of float32 sums with an adapter at the same time: 1 MiB.
_MERGED_ELEMENTS = 2**18


@dataclass(frozen=True)
class WeightPart:
    """This worker's elements of a weight.

    ``elements`` are in one dimension, in any number format; the whole has the ``shape``. ``runs``
    has by rank which of the whole's elements, in their order, a worker is to give; no two workers
    give the same.
    """

    elements: torch.Tensor
    shape: torch.Size
    runs: tuple[range, ...]

    @property
    def own_run(self) -> range:
        return self.runs[get_rank()]

    @property
    def is_split(self) -> bool:
        """Whether another than rank 0 gives any."""
        return any(self.runs[1:])


@dataclass(frozen=True)
class _Factors:
    """An adapter as ``lora.Adapter``, its matrices whole and in float32."""

    first: torch.Tensor
    second: torch.Tensor
    scaling: float


Split = Callable[[nn.Parameter], WeightPart]


def take_whole(parameter: nn.Parameter, workers: int) -> WeightPart:
    """The part of a weight that every worker has whole: all of it on rank 0."""
    runs = [range(parameter.numel()), *(range(0) for _ in range(workers - 1))]
    elements = parameter.detach().reshape(-1)[: len(runs[get_rank()])]
    return WeightPart(elements, parameter.shape, tuple(runs))


def stream_whole_weights(
    model: nn.Module, split: Split, device: torch.device, adapter_only: bool
) -> Iterator[tuple[str, torch.Tensor]]:
    """As ``TrainerBackend.stream_weights``. ``split`` gives this worker's part of a parameter;
    parts are exchanged on ``device``, where the model is trained."""
    dtype = select_export_dtype(device.type)
    adapters = find_adapters(model)
    if adapter_only and not adapters:
        raise ValueError("there is no adapter to stream: the model is trained without lora")
    for name, parameter in model.named_parameters():
        # Otherwise an adapter is merged into its matrix.
        if is_adapter(name) != adapter_only:
            continue
        exported_name = peft_name(name) if adapter_only else plain_name(name)
        part = split(parameter)
        factors = None
        if exported_name in adapters:
            adapter = adapters[exported_name]
            first = _share_whole(split(adapter.first), part.is_split, device)
            second = _share_whole(split(adapter.second), part.is_split, device)
            factors = _Factors(first, second, adapter.scaling)
        whole = _collect(part, dtype, device, factors)
        if get_rank() == 0:
            yield exported_name, whole.cpu()
        del part, factors, whole  # or they would be held while the next one is collected


def _share_whole(part: WeightPart, is_needed: bool, device: torch.device) -> torch.Tensor:
    """The whole weight in float32: on rank 0, and where ``is_needed`` on every worker."""
    whole = _collect(part, torch.float32, device)
    if is_needed:
        if get_rank() != 0:
            whole = torch.empty(part.shape, device=device)
        dist.broadcast(whole, 0)
    return whole


def _collect(
    part: WeightPart, dtype: torch.dtype, device: torch.device, factors: _Factors | None = None
) -> torch.Tensor:
    """The whole weight on rank 0, with the adapter of these ``factors`` added; on another worker
    its own elements. A copy."""
    run = part.own_run
    if get_rank() != 0:
        own = torch.empty(len(run), dtype=dtype, device=device)
        _fill(own, part, factors)
        if run:
            _exchange([dist.P2POp(dist.isend, own, 0)])
        return own
    whole = torch.empty(part.shape, dtype=dtype, device=device)
    flat = whole.view(-1)
    _fill(flat[: run.stop], part, factors)
    if part.is_split:
        _exchange(
            [
                dist.P2POp(dist.irecv, flat[given.start : given.stop], rank)
                for rank, given in enumerate(part.runs)
                if rank and given
            ]
        )
    return whole


def _exchange(operations: list[dist.P2POp]) -> None:
    for work in dist.batch_isend_irecv(operations):
        work.wait()


def _fill(target: torch.Tensor, part: WeightPart, factors: _Factors | None) -> None:
    """Write this worker's elements to ``target``."""
    if factors is None:
        target.copy_(part.elements)
        return
    first = part.own_run.start
    for start in range(0, len(target), _MERGED_ELEMENTS):
        block = part.elements[start : start + _MERGED_ELEMENTS].to(target.device)
        target[start : start + _MERGED_ELEMENTS] = merge_elements(
            block, first + start, factors.first, factors.second, factors.scaling
        )
