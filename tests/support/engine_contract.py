"""What every engine must do, as one class of tests (``medr_ray.engines.base.Engine``).

A test module derives from ``EngineContract`` and makes the engine. One engine serves all tests of
the class, because some take a minute to start; every test begins with the weights of seed 0.
"""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pytest
import torch

from medr_ray.core.errors import InfrastructureError
from medr_ray.engines.base import (
    ALL_CAPABILITIES,
    Engine,
    Generation,
    Progress,
    Sampling,
    Shaping,
    find_needed_capabilities,
)
from medr_ray.engines.weight_transfer import compute_checksum

Weights = Mapping[str, torch.Tensor]
# Natural logarithms; engines compute in float32, in another order of operations.
_TOLERANCE = 2e-3
_WAIT_SECONDS = 0.3  # long enough for a request that is not held back to be answered
_LIMIT_SECONDS = 120.0  # for what must come; an engine may share its machine


class Reference(Protocol):
    """The same model, computed plainly."""

    end_id: int

    def encode(self, text: str) -> list[int]: ...

    def make_weights(self, seed: int) -> Weights:
        """Whole weights in bfloat16; seed 0 are those the engine starts with, rounded."""
        ...

    def compute_logprobs(self, weights: Weights, ids: Sequence[int]) -> torch.Tensor:
        """Of shape (ids, vocabulary): log-probabilities of the token behind each of ``ids``."""
        ...


@dataclass
class EngineUnderTest:
    """An engine, the event loop it belongs to, and the reference."""

    engine: Engine
    runner: asyncio.Runner
    reference: Reference

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(asyncio.wait_for(work, _LIMIT_SECONDS))

    async def give(self, weights: Weights, version: int, checksum: str | None = None) -> int:
        """Send weights in two buckets."""
        names = sorted(weights)
        middle = (len(names) + 1) // 2
        await self.engine.begin_weights(version)
        for part in (names[:middle], names[middle:]):
            await self.engine.add_weights({name: weights[name] for name in part})
        return await self.engine.finish_weights(checksum or compute_checksum(weights))

    def assert_sampled_from(
        self, weights: Weights, prompt: list[int], generation: Generation, temperature: float = 1.0
    ) -> None:
        """The log-probabilities are those of the reference with these weights."""
        whole = [*prompt, *generation.output_ids]
        logits = self.reference.compute_logprobs(weights, whole[:-1])[len(prompt) - 1 :]
        logprobs = (logits / temperature).log_softmax(-1)
        own = logprobs[range(len(generation.output_ids)), list(generation.output_ids)]
        assert torch.allclose(own, torch.tensor(generation.logprobs), atol=_TOLERANCE)


class EngineContract:
    """Derive from it and give the fixture ``under_test``, of the whole class or module."""

    @pytest.fixture(autouse=True)
    def base_weights(self, under_test: EngineUnderTest) -> None:
        under_test.run(under_test.engine.wake())
        under_test.run(under_test.engine.resume())
        base = under_test.reference.make_weights(0)
        assert under_test.run(under_test.give(base, 0)) == 0

    # --- sampling -------------------------------------------------------------------------

    @pytest.mark.parametrize("temperature", [1.0, 0.7])
    def test_every_token_comes_with_its_log_probability(
        self, under_test: EngineUnderTest, temperature: float
    ) -> None:
        reference = under_test.reference
        prompt = reference.encode("What is the inheritance of Marfan syndrome?")
        sampling = Sampling(12, temperature, seed=3)
        generation = under_test.run(under_test.engine.generate(prompt, sampling))
        assert 1 <= len(generation.output_ids) <= 12
        assert generation.version == 0
        under_test.assert_sampled_from(reference.make_weights(0), prompt, generation, temperature)

    def test_greedy_takes_the_likeliest_token(self, under_test: EngineUnderTest) -> None:
        reference = under_test.reference
        prompt = reference.encode("Marfan")
        generation = under_test.run(under_test.engine.generate(prompt, Sampling(6, 0.0)))
        whole = [*prompt, *generation.output_ids]
        logprobs = reference.compute_logprobs(reference.make_weights(0), whole[:-1])
        likeliest = logprobs[len(prompt) - 1 :].argmax(-1).tolist()
        assert list(generation.output_ids) == likeliest
        under_test.assert_sampled_from(reference.make_weights(0), prompt, generation)

    def test_a_seed_decides_the_tokens_alone_and_in_company(
        self, under_test: EngineUnderTest
    ) -> None:
        engine = under_test.engine
        prompt = under_test.reference.encode("a question")
        other = under_test.reference.encode("another one that is longer")

        async def sample_in_company() -> list[Generation]:
            return await asyncio.gather(
                engine.generate(other, Sampling(20, seed=1)),
                engine.generate(prompt, Sampling(16, seed=5)),
                engine.generate(prompt, Sampling(16, seed=6)),
            )

        alone = under_test.run(engine.generate(prompt, Sampling(16, seed=5)))
        _, same, different = under_test.run(sample_in_company())
        assert same.output_ids == alone.output_ids
        assert different.output_ids != alone.output_ids

    @pytest.mark.parametrize("seed", [0, 2**31, 2**63 - 1, 2**64 - 1, -7])
    def test_a_seed_of_any_size_is_a_seed(self, under_test: EngineUnderTest, seed: int) -> None:
        prompt = under_test.reference.encode("x")
        sampling = Sampling(4, seed=seed)
        first = under_test.run(under_test.engine.generate(prompt, sampling))
        second = under_test.run(under_test.engine.generate(prompt, sampling))
        assert first.output_ids == second.output_ids

    def test_an_answer_ends_with_its_end_token_or_at_its_length(
        self, under_test: EngineUnderTest
    ) -> None:
        engine, end_id = under_test.engine, under_test.reference.end_id
        prompt = under_test.reference.encode("y")

        async def sample_many() -> list[Generation]:
            return await asyncio.gather(
                *(engine.generate(prompt, Sampling(60, seed=seed)) for seed in range(40))
            )

        generations = under_test.run(sample_many())
        reasons = {generation.finish_reason for generation in generations}
        assert reasons == {"stop", "length"}
        for generation in generations:
            *before, last = generation.output_ids
            assert end_id not in before
            assert (last == end_id) == (generation.finish_reason == "stop")
            assert len(generation.output_ids) <= 60
            assert len(generation.logprobs) == len(generation.output_ids)

    def test_a_stop_text_ends_an_answer_and_is_cut_off(self, under_test: EngineUnderTest) -> None:
        engine = under_test.engine
        prompt = under_test.reference.encode("z")
        whole = under_test.run(engine.generate(prompt, Sampling(24, 0.0)))
        stop = whole.text[5:8]
        cut = under_test.run(engine.generate(prompt, Sampling(24, 0.0, stop=(stop,))))
        assert cut.text == whole.text[: whole.text.index(stop)]
        assert cut.finish_reason == "stop"
        assert cut.output_ids == whole.output_ids[: len(cut.output_ids)]

    def test_a_stream_brings_the_whole_text_once(self, under_test: EngineUnderTest) -> None:
        engine = under_test.engine
        prompt = under_test.reference.encode("z")
        sampling = Sampling(24, 0.0, stop=("\x00never",))

        async def collect() -> list[Progress | Generation]:
            return [piece async for piece in engine.stream(prompt, sampling)]

        *pieces, last = under_test.run(collect())
        assert isinstance(last, Generation)
        assert "".join(piece.text for piece in pieces) == last.text
        whole = under_test.run(engine.generate(prompt, sampling))
        assert (last.text, last.output_ids) == (whole.text, whole.output_ids)

    def test_a_stream_that_nobody_reads_any_more_ends(self, under_test: EngineUnderTest) -> None:
        engine = under_test.engine
        prompt = under_test.reference.encode("z")

        async def leave_early() -> None:
            stream = engine.stream(prompt, Sampling(100, seed=1))
            await anext(stream)
            await stream.aclose()
            await engine.pause()  # returns when nothing is in work
            await engine.resume()

        under_test.run(leave_early())

    def test_what_the_engine_does_not_offer_is_refused_by_name(
        self, under_test: EngineUnderTest
    ) -> None:
        wishes = [
            Sampling(2, shaping=Shaping(top_p=0.5)),
            Sampling(2, shaping=Shaping(top_k=3)),
            Sampling(2, shaping=Shaping(presence_penalty=0.5)),
            Sampling(2, shaping=Shaping(frequency_penalty=0.5)),
            Sampling(2, shaping=Shaping(repetition_penalty=1.5)),
            Sampling(2, shaping=Shaping(logit_bias={3: 1.0})),
            Sampling(2, shaping=Shaping(constraint=_Nothing())),
            Sampling(2, top_logprobs=1),
            Sampling(2, prompt_logprobs=True),
        ]
        engine = under_test.engine
        prompt = under_test.reference.encode("z")
        named = [name for wish in wishes for name in find_needed_capabilities(wish)]
        assert set(named) == ALL_CAPABILITIES
        for wish in wishes:
            (name,) = find_needed_capabilities(wish)
            if name in engine.capabilities:
                if name != "constraint":
                    under_test.run(engine.generate(prompt, wish))
            else:
                with pytest.raises(ValueError, match=name):
                    under_test.run(engine.generate(prompt, wish))

    # --- weights --------------------------------------------------------------------------

    def test_new_weights_answer_under_their_version(self, under_test: EngineUnderTest) -> None:
        engine, reference = under_test.engine, under_test.reference
        prompt = reference.encode("What is the inheritance of Marfan syndrome?")
        sampling = Sampling(12, seed=3)
        old = under_test.run(engine.generate(prompt, sampling))
        new_weights = reference.make_weights(1)
        assert under_test.run(under_test.give(new_weights, 7)) == 7
        assert under_test.run(engine.get_version()) == 7
        # The same prompt: what was read of it under the old weights must not be used.
        new = under_test.run(engine.generate(prompt, sampling))
        assert (old.version, new.version) == (0, 7)
        under_test.assert_sampled_from(new_weights, prompt, new)
        with pytest.raises(AssertionError):
            under_test.assert_sampled_from(reference.make_weights(0), prompt, new)

    def test_the_checksum_is_that_of_the_weights_in_use(self, under_test: EngineUnderTest) -> None:
        reference = under_test.reference
        for seed in (0, 1):
            weights = reference.make_weights(seed)
            under_test.run(under_test.give(weights, seed))
            assert under_test.run(under_test.engine.checksum()) == compute_checksum(weights)

    def test_weights_that_are_not_what_was_sent_answer_nothing(
        self, under_test: EngineUnderTest
    ) -> None:
        engine, reference = under_test.engine, under_test.reference
        prompt = reference.encode("q")
        weights = reference.make_weights(1)
        with pytest.raises(InfrastructureError, match="checksum"):
            under_test.run(under_test.give(weights, 1, compute_checksum(reference.make_weights(2))))
        with pytest.raises(InfrastructureError, match="whole weights"):
            under_test.run(engine.generate(prompt, Sampling(4)))
        assert under_test.run(under_test.give(weights, 2)) == 2
        generation = under_test.run(engine.generate(prompt, Sampling(4, seed=1)))
        assert generation.version == 2
        under_test.assert_sampled_from(weights, prompt, generation)

    @pytest.mark.parametrize("fault", ["missing", "unknown", "shape", "format", "twice"])
    def test_weights_that_are_not_the_models_are_refused(
        self, under_test: EngineUnderTest, fault: str
    ) -> None:
        engine, reference = under_test.engine, under_test.reference
        weights = dict(reference.make_weights(1))
        checksum = compute_checksum(weights)
        name = sorted(weights)[0]

        async def send() -> None:
            await engine.begin_weights(1)
            if fault == "missing":
                del weights[name]
            elif fault == "unknown":
                weights["nobody.weight"] = torch.zeros(1, dtype=torch.bfloat16)
            elif fault == "shape":
                weights[name] = weights[name][:-1].clone()
            elif fault == "format":
                weights[name] = weights[name].double()
            elif fault == "twice":
                await engine.add_weights({name: weights[name]})
            await engine.add_weights(weights)
            await engine.finish_weights(checksum)

        with pytest.raises(InfrastructureError, match="weights"):
            under_test.run(send())
        with pytest.raises(InfrastructureError, match="whole weights"):
            under_test.run(engine.generate(reference.encode("q"), Sampling(4)))

    def test_weights_without_a_beginning_are_refused(self, under_test: EngineUnderTest) -> None:
        weights = under_test.reference.make_weights(1)
        with pytest.raises(InfrastructureError, match="begin_weights"):
            under_test.run(under_test.engine.add_weights(weights))
        with pytest.raises(InfrastructureError, match="begin_weights"):
            under_test.run(under_test.engine.finish_weights(compute_checksum(weights)))
        prompt = under_test.reference.encode("q")
        assert under_test.run(under_test.engine.generate(prompt, Sampling(4))).version == 0

    def test_an_update_that_was_dropped_leaves_nothing_behind(
        self, under_test: EngineUnderTest
    ) -> None:
        engine, reference = under_test.engine, under_test.reference
        prompt = reference.encode("q")
        dropped = reference.make_weights(2)
        weights = reference.make_weights(1)

        async def drop_and_send() -> int:
            await engine.begin_weights(1)
            name = sorted(dropped)[0]
            await engine.add_weights({name: dropped[name]})
            return await under_test.give(weights, 3)

        assert under_test.run(drop_and_send()) == 3
        generation = under_test.run(engine.generate(prompt, Sampling(8, seed=2)))
        under_test.assert_sampled_from(weights, prompt, generation)

    def test_no_answer_comes_from_two_versions(self, under_test: EngineUnderTest) -> None:
        engine, reference = under_test.engine, under_test.reference
        prompt = reference.encode("q")
        weights = reference.make_weights(1)

        async def change_under_load() -> list[Generation]:
            running = [
                asyncio.create_task(engine.generate(prompt, Sampling(30, seed=seed)))
                for seed in range(6)
            ]
            await asyncio.sleep(0)
            change = asyncio.create_task(under_test.give(weights, 4))
            await asyncio.sleep(0)
            later = [
                asyncio.create_task(engine.generate(prompt, Sampling(30, seed=seed)))
                for seed in range(6)
            ]
            assert await change == 4
            return list(await asyncio.gather(*running, *later))

        generations = under_test.run(change_under_load())
        assert [generation.version for generation in generations] == [0] * 6 + [4] * 6
        for generation in generations:
            own = weights if generation.version else reference.make_weights(0)
            under_test.assert_sampled_from(own, prompt, generation)

    # --- pausing, memory ------------------------------------------------------------------

    def test_a_pause_lets_the_running_finish_and_the_others_wait(
        self, under_test: EngineUnderTest
    ) -> None:
        engine = under_test.engine
        prompt = under_test.reference.encode("q")

        async def pause_under_load() -> None:
            running = asyncio.create_task(engine.generate(prompt, Sampling(40, seed=3)))
            await asyncio.sleep(0.05)
            await engine.pause()
            assert running.done() or (await asyncio.wait([running], timeout=5))[0]
            waiting = asyncio.create_task(engine.generate(prompt, Sampling(4, seed=3)))
            await asyncio.sleep(_WAIT_SECONDS)
            assert not waiting.done()
            await engine.resume()
            assert len((await waiting).output_ids) <= 4

        under_test.run(pause_under_load())

    def test_a_request_that_nobody_awaits_any_more_does_not_hold_up_a_pause(
        self, under_test: EngineUnderTest
    ) -> None:
        engine = under_test.engine
        prompt = under_test.reference.encode("q")

        async def cancel_and_pause() -> None:
            running = asyncio.create_task(engine.generate(prompt, Sampling(100, seed=3)))
            await asyncio.sleep(0.02)
            running.cancel()
            await engine.pause()
            await engine.resume()
            assert (await engine.generate(prompt, Sampling(2))).version == 0

        under_test.run(cancel_and_pause())

    def test_a_cache_that_was_reset_changes_no_answer(self, under_test: EngineUnderTest) -> None:
        engine = under_test.engine
        prompt = under_test.reference.encode("a question that is asked twice")
        first = under_test.run(engine.generate(prompt, Sampling(8, 0.0)))
        under_test.run(engine.reset_cache())
        second = under_test.run(engine.generate(prompt, Sampling(8, 0.0)))
        assert first.output_ids == second.output_ids

    def test_an_engine_that_sleeps_answers_when_it_wakes(self, under_test: EngineUnderTest) -> None:
        engine = under_test.engine
        prompt = under_test.reference.encode("q")

        async def sleep_and_wake() -> Generation:
            await engine.sleep()
            await engine.sleep()  # no effect
            waiting = asyncio.create_task(engine.generate(prompt, Sampling(8, 0.0)))
            await asyncio.sleep(_WAIT_SECONDS)
            assert not waiting.done()
            with pytest.raises(InfrastructureError, match="wake"):
                await engine.begin_weights(1)
            await engine.wake()
            await engine.wake()  # no effect
            return await waiting

        before = under_test.run(engine.generate(prompt, Sampling(8, 0.0)))
        assert under_test.run(sleep_and_wake()).output_ids == before.output_ids

    def test_an_engine_that_gave_up_its_weights_waits_for_new_ones(
        self, under_test: EngineUnderTest
    ) -> None:
        engine, reference = under_test.engine, under_test.reference
        prompt = reference.encode("q")
        weights = reference.make_weights(1)

        async def sleep_without_weights() -> Generation:
            await engine.sleep(keep_weights=False)
            await engine.wake()
            waiting = asyncio.create_task(engine.generate(prompt, Sampling(8, seed=1)))
            await asyncio.sleep(_WAIT_SECONDS)
            assert not waiting.done()
            assert await under_test.give(weights, 9) == 9
            return await waiting

        generation = under_test.run(sleep_without_weights())
        assert generation.version == 9
        under_test.assert_sampled_from(weights, prompt, generation)


class _Nothing:
    """A constraint that no engine gets as far as asking."""

    def allowed_tokens(self) -> Any:
        raise NotImplementedError

    def accept_token(self, token: int) -> None:
        raise NotImplementedError
