"""The engine contract over the engine of this process, over the same engine in an actor, and over a
model without a library."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
import torch
from support.bigram_engine import (
    END_ID,
    BigramEngine,
    compute_bigram_logits,
    encode_letters,
    make_bigram_weights,
)
from support.engine_contract import EngineContract, EngineUnderTest
from support.tiny_reference import TinyReference

from medr_ray.core.config import EngineConfig
from medr_ray.engines.factory import ConfiguredEngineFactory
from medr_ray.engines.local_engine import LocalEngine
from medr_ray.engines.remote_engine import start_remote_engine

CONFIG = EngineConfig(dtype="float32", device="cpu", threads=1, max_batch=4)


class BigramReference:
    """The model of ``BigramEngine``."""

    end_id = END_ID

    def encode(self, text: str) -> list[int]:
        return encode_letters(text)

    def make_weights(self, seed: int) -> Mapping[str, torch.Tensor]:
        return make_bigram_weights(seed)

    def compute_logprobs(
        self, weights: Mapping[str, torch.Tensor], ids: Sequence[int]
    ) -> torch.Tensor:
        return compute_bigram_logits(weights, ids).log_softmax(-1)


class TestModelWithoutLibrary(EngineContract):
    @pytest.fixture(scope="class")
    @classmethod
    def under_test(cls) -> Iterator[EngineUnderTest]:
        with asyncio.Runner() as runner:
            yield EngineUnderTest(BigramEngine(), runner, BigramReference())


@pytest.mark.slow
class TestLocalEngine(EngineContract):
    @pytest.fixture(scope="class")
    @classmethod
    def under_test(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineUnderTest]:
        reference = TinyReference(tmp_path_factory.mktemp("models"))
        engine = LocalEngine(Path(reference.model_dir), CONFIG)
        with asyncio.Runner() as runner:
            yield EngineUnderTest(engine, runner, reference)
        engine.close()


@pytest.mark.slow
class TestRemoteEngine(EngineContract):
    @pytest.fixture(scope="class")
    @classmethod
    def under_test(
        cls, ray_local: None, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[EngineUnderTest]:
        reference = TinyReference(tmp_path_factory.mktemp("models"))
        factory = ConfiguredEngineFactory(str(reference.model_dir), CONFIG)
        engine = start_remote_engine(factory, {"CPU": 1})
        with asyncio.Runner() as runner:
            yield EngineUnderTest(engine, runner, reference)
        engine.close()
