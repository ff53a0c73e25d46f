"""The engine contract over vLLM, an actor with the Python of an environment that has it, and the
served model over the same engine."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.engine_contract import EngineContract, EngineUnderTest
from support.tiny_reference import TinyReference

from medr_ray.core.config import EngineConfig
from medr_ray.engines.factory import ConfiguredEngineFactory, find_engine_problems
from medr_ray.engines.remote_engine import start_remote_engine
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
    factory = ConfiguredEngineFactory(str(reference.model_dir), CONFIG)
    engine = start_remote_engine(factory, {"CPU": 1}, {"PYTHONPATH": CHECKOUT})
    with asyncio.Runner() as runner:
        yield EngineUnderTest(engine, runner, reference)
    engine.close()


class TestVllmEngine(EngineContract):
    @pytest.fixture
    def under_test(self, vllm: EngineUnderTest) -> EngineUnderTest:
        return vllm


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
