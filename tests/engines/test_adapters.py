"""Updates of an engine by a LoRA adapter alone."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import torch
from support.adapters import ADAPTED, SCALING, add_adapter, make_adapter, read_weights
from support.tiny_model import build_tiny_model

from medr_ray.core.config import EngineConfig
from medr_ray.core.errors import InfrastructureError
from medr_ray.engines.base import Sampling
from medr_ray.engines.local_engine import LocalEngine
from medr_ray.engines.weight_transfer import compute_checksum

Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("model"), context=64)


def run(model: Path, talk: Callable[[LocalEngine], Coroutine[Any, Any, None]]) -> None:
    """Let ``talk`` use an engine in bf16."""

    async def use() -> None:
        engine = LocalEngine(model, EngineConfig(dtype="bfloat16", threads=1))
        try:
            await talk(engine)
        finally:
            engine.close()

    asyncio.run(use())


async def send(
    engine: LocalEngine, weights: Tensors, version: int, scaling: float | None = SCALING
) -> None:
    await engine.begin_weights(version, scaling)
    for name, tensor in weights.items():
        await engine.add_weights({name: tensor})
    await engine.finish_weights(compute_checksum(weights))


def test_an_adapter_is_added_to_the_weights_it_belongs_to_and_to_no_earlier_adapter(
    model: Path,
) -> None:
    original = read_weights(model)

    async def talk(engine: LocalEngine) -> None:
        for version in (1, 2):
            adapter = make_adapter(version)
            await send(engine, adapter, version)
            assert await engine.checksum() == compute_checksum(add_adapter(original, adapter))
        generation = await engine.generate([5, 6, 7], Sampling(max_tokens=3, seed=0))
        assert generation.version == 2

        # New whole weights are what the next adapter belongs to.
        halved = {name: tensor / 2 for name, tensor in original.items()}
        await send(engine, halved, 3, scaling=None)
        assert await engine.checksum() == compute_checksum(halved)
        await send(engine, make_adapter(4), 4)
        expected = add_adapter(halved, make_adapter(4))
        assert await engine.checksum() == compute_checksum(expected)

    run(model, talk)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda adapter: adapter.popitem(), "half of the adapter"),
        (lambda adapter: adapter.clear(), "no adapter came"),
        (
            lambda adapter: adapter.update({"model.norm.weight": torch.ones(32).bfloat16()}),
            "nothing that 'model.norm.weight' would adapt",
        ),
        (lambda adapter: adapter.update(make_adapter(1, rank=3)), None),
        (
            lambda adapter: adapter.update(
                {name: tensor.T.contiguous() for name, tensor in adapter.items()}
            ),
            "the weight is of",
        ),
        (
            lambda adapter: adapter.update({n: t.double() for n, t in adapter.items()}),
            "they travel as torch.bfloat16 or torch.float32",
        ),
    ],
)
def test_half_or_wrong_adapters_are_refused_and_leave_no_answer(
    model: Path, change: Callable[[Tensors], Any], problem: str | None
) -> None:
    adapter = make_adapter(1)
    change(adapter)

    async def talk(engine: LocalEngine) -> None:
        if problem is None:
            await send(engine, adapter, 1)
            return
        with pytest.raises(InfrastructureError, match=problem):
            await send(engine, adapter, 1)
        with pytest.raises(InfrastructureError, match="no whole weights"):
            await engine.generate([5], Sampling(max_tokens=1))
        await send(engine, make_adapter(2), 2)
        expected = add_adapter(read_weights(model), make_adapter(2))
        assert await engine.checksum() == compute_checksum(expected)

    run(model, talk)


def test_an_adapter_is_refused_where_whole_weights_did_not_arrive(model: Path) -> None:
    whole = read_weights(model)

    async def talk(engine: LocalEngine) -> None:
        first = {ADAPTED: whole[ADAPTED] * 2}
        with pytest.raises(InfrastructureError, match="did not come"):
            await send(engine, first, 1, scaling=None)
        with pytest.raises(InfrastructureError, match="needs whole weights"):
            await send(engine, make_adapter(1), 2)
        await send(engine, whole, 3, scaling=None)
        await send(engine, make_adapter(1), 4)
        assert await engine.checksum() == compute_checksum(add_adapter(whole, make_adapter(1)))

    run(model, talk)
