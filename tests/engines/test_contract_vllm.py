"""The engine contract over vLLM, an actor with the Python of an environment that has it, and the
served model over the same engine."""

import asyncio
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from support.adapters import ADAPTED, SCALING, make_adapter
from support.engine_contract import EngineContract, EngineUnderTest
from support.tiny_reference import TinyReference
from support.vllm_processes import find_vllm_processes, wait_until_ended

from medr_ray.core.config import EngineConfig
from medr_ray.core.errors import InfrastructureError
from medr_ray.engines.base import Sampling
from medr_ray.engines.factory import ConfiguredEngineFactory, find_engine_problems
from medr_ray.engines.remote_engine import start_remote_engine
from medr_ray.engines.weight_transfer import compute_checksum
from medr_ray.serving.messages import (
    ChatJob,
    ChatTurn,
    Completion,
    Delta,
    Opening,
    Refusal,
    StreamItem,
)
from medr_ray.serving.model import ModelServer, find_capabilities
from medr_ray.serving.model_cache import ModelCache

CONFIG = EngineConfig(backend="vllm", dtype="float32", device="cpu", threads=1, max_batch=8)
PROBLEMS = find_engine_problems(CONFIG)
# Of this package the actor needs the checkout alone, whose dependencies its environment has.
CHECKOUT = str(Path(__file__).resolve().parents[2])


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(PROBLEMS), reason="; ".join(PROBLEMS)),
    # vLLM starts in half a minute on two idle cores, and in several on busy ones.
    pytest.mark.timeout(1800),
]


@pytest.fixture(scope="module")
def vllm(ray_local: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineUnderTest]:
    """One engine for all tests of the module."""
    reference = TinyReference(tmp_path_factory.mktemp("models"))
    factory = ConfiguredEngineFactory(str(reference.model_dir), CONFIG, adapter_rank=2)
    engine = start_remote_engine(factory, {"CPU": 1}, {"PYTHONPATH": CHECKOUT})
    with asyncio.Runner() as runner:
        yield EngineUnderTest(engine, runner, reference)
    engine.close()


class TestVllmEngine(EngineContract):
    @pytest.fixture
    def under_test(self, vllm: EngineUnderTest) -> EngineUnderTest:
        return vllm


# --- adapters ------------------------------------------------------------------------------

Tensors = dict[str, torch.Tensor]


async def send_adapter(vllm: EngineUnderTest, adapter: Tensors, version: int) -> int:
    await vllm.engine.begin_weights(version, SCALING)
    for name, tensor in adapter.items():
        await vllm.engine.add_weights({name: tensor})
    return await vllm.engine.finish_weights(compute_checksum(adapter))


def add_exactly(weights: Mapping[str, torch.Tensor], adapter: Tensors) -> Tensors:
    """The weights with an adapter beside them, which nothing rounds."""
    first, second = (value.float() for value in adapter.values())
    merged = weights[ADAPTED].float() + SCALING * (second @ first)
    return {**weights, ADAPTED: merged}


@pytest.fixture
def based(vllm: EngineUnderTest) -> EngineUnderTest:
    """The engine with the weights of seed 0 and no adapter."""
    vllm.run(vllm.give(vllm.reference.make_weights(0), 0))
    return vllm


def test_an_adapter_answers_beside_the_weights_that_came_whole(based: EngineUnderTest) -> None:
    engine, reference = based.engine, based.reference
    prompt = reference.encode("What is the inheritance of Marfan syndrome?")
    sampling = Sampling(12, seed=3)
    whole = reference.make_weights(0)
    for version in (1, 2):
        adapter = make_adapter(version)
        assert based.run(send_adapter(based, adapter, version)) == version
        generation = based.run(engine.generate(prompt, sampling))
        assert generation.version == version
        based.assert_sampled_from(add_exactly(whole, adapter), prompt, generation)
        with pytest.raises(AssertionError):
            based.assert_sampled_from(whole, prompt, generation)

    # New whole weights are without it, and what the next adapter belongs to.
    whole = reference.make_weights(1)
    based.run(based.give(whole, 3))
    based.assert_sampled_from(whole, prompt, based.run(engine.generate(prompt, sampling)))
    based.run(send_adapter(based, make_adapter(4), 4))
    generation = based.run(engine.generate(prompt, sampling))
    based.assert_sampled_from(add_exactly(whole, make_adapter(4)), prompt, generation)


def test_the_checksum_tells_adapters_and_weights_apart(based: EngineUnderTest) -> None:
    engine, reference = based.engine, based.reference
    checksums = [based.run(engine.checksum())]
    for number in (1, 2, 1):
        based.run(send_adapter(based, make_adapter(number), number))
        checksums.append(based.run(engine.checksum()))
    based.run(based.give(reference.make_weights(1), 5))
    based.run(send_adapter(based, make_adapter(1), 6))
    checksums.append(based.run(engine.checksum()))
    assert checksums[1] == checksums[3]
    assert len(set(checksums)) == 4


def test_an_adapter_that_does_not_fit_leaves_no_answer(based: EngineUnderTest) -> None:
    engine = based.engine
    for rank, change, problem in (
        (2, Tensors.popitem, "half of the adapter"),
        # The engine was started for less.
        (16, lambda adapter: None, "rank 16"),
    ):
        adapter = make_adapter(1, rank)
        change(adapter)
        with pytest.raises(InfrastructureError, match=problem):
            based.run(send_adapter(based, adapter, 1))
        with pytest.raises(InfrastructureError, match="whole weights"):
            based.run(engine.generate([5], Sampling(1)))
    assert based.run(send_adapter(based, make_adapter(2), 2)) == 2
    assert based.run(engine.generate([5], Sampling(1))).version == 2


# --- processes -----------------------------------------------------------------------------


def test_vllms_processes_end_when_the_engine_is_killed(
    vllm: EngineUnderTest, ray_local: None
) -> None:
    """Or they kept the device's memory from the engine that is started in its place."""
    before = find_vllm_processes()
    factory = ConfiguredEngineFactory(str(vllm.reference.model_dir), CONFIG)
    engine = start_remote_engine(factory, {"CPU": 1}, {"PYTHONPATH": CHECKOUT})
    started = {pid: name for pid, name in find_vllm_processes().items() if pid not in before}
    assert len(started) >= 1
    print(started)
    actors = {psutil.Process(pid).ppid() for pid in started} - started.keys()
    for actor in actors:
        os.kill(actor, signal.SIGKILL)
    wait_until_ended(started, 60.0)
    with pytest.raises(InfrastructureError, match="lost"):
        vllm.run(engine.get_version())


# --- serving over it -------------------------------------------------------------------


@pytest.fixture
def server(vllm: EngineUnderTest) -> ModelServer:
    directory = str(vllm.reference.model_dir)
    cache = ModelCache({"agent": directory}, lambda _: vllm.engine, 1)
    return ModelServer(cache, max_tokens=64, capabilities=find_capabilities(CONFIG))


def ask(**fields: Any) -> ChatJob:
    return ChatJob("agent", (ChatTurn("user", "what is it"),), temperature=0.0, **fields)


def test_a_served_answer_is_the_same_whole_and_streamed(
    vllm: EngineUnderTest, server: ModelServer
) -> None:
    async def collect() -> list[StreamItem]:
        return [item async for item in server.stream(ask(max_tokens=16))]

    whole = vllm.run(server.complete(ask(max_tokens=16)))
    assert isinstance(whole, Completion)
    opening, *deltas, ending = vllm.run(collect())
    assert isinstance(opening, Opening)
    assert isinstance(ending, Completion)
    texts = [delta.text for delta in deltas if isinstance(delta, Delta)]
    assert len(texts) > 1
    assert "".join(texts) == whole.choices[0].text
    assert ending.output_tokens == whole.output_tokens == 16


def test_several_choices_are_answered_together(vllm: EngineUnderTest, server: ModelServer) -> None:
    completion = vllm.run(server.complete(ask(max_tokens=8, n=3, seed=4)))
    assert isinstance(completion, Completion)
    assert len(completion.choices) == 3


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"logprobs": True, "top_logprobs": 2}, "logprobs"),
        ({"response_format": {"type": "object"}}, "response_format"),
    ],
)
def test_what_vllm_does_not_offer_here_is_refused_by_the_parameters_name(
    vllm: EngineUnderTest, server: ModelServer, fields: dict[str, Any], name: str
) -> None:
    refusal = vllm.run(server.complete(ask(max_tokens=8, **fields)))
    assert isinstance(refusal, Refusal)
    assert refusal.param == name
    assert "does not offer" in refusal.message
