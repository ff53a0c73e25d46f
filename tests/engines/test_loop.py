"""Many coroutines on one engine: joining, leaving, cancelling, and actions that run alone."""

import asyncio
import threading
from dataclasses import dataclass, field

import pytest

from medr_ray.core.errors import InfrastructureError
from medr_ray.engines.base import Generation, Progress, Sampling
from medr_ray.engines.batching_loop import EngineLoop


@dataclass(eq=False)
class Letters:
    """A request that is answered with one letter a step."""

    length: int
    text: str = ""
    cancelled: bool = False
    generation: Generation | None = None
    failure: Exception | None = None


@dataclass
class LetterEngine:
    """Answers ``max_tokens`` letters of the current version."""

    letter: str = "a"
    open: list[Letters] = field(default_factory=list)
    steps: int = 0

    def submit(self, prompt: object, sampling: Sampling) -> Letters:
        self.open.append(Letters(sampling.max_tokens))
        return self.open[-1]

    def step(self) -> None:
        self.steps += 1
        for sequence in self.open:
            sequence.text += self.letter
            if sequence.cancelled or len(sequence.text) == sequence.length:
                sequence.generation = Generation((), (), sequence.text, "stop", 0)
        self.open = [sequence for sequence in self.open if sequence.generation is None]

    def reset(self) -> None:
        self.open = []

    def text_so_far(self, request: Letters) -> str:
        return request.text

    def rename(self, letter: str) -> str:
        assert not self.open
        self.letter = letter
        return letter


def sample_tokens(count: int) -> Sampling:
    return Sampling(count)


def test_a_short_request_does_not_wait_for_a_long_one_it_shares_the_batch_with() -> None:
    async def scenario() -> int:
        engine = LetterEngine()
        loop = EngineLoop(engine)
        long = asyncio.create_task(loop.generate([], sample_tokens(500)))
        await asyncio.sleep(0)
        short = await loop.generate([], sample_tokens(3))
        at = engine.steps
        assert short.text == "aaa"
        assert (await long).text == "a" * 500
        assert engine.steps <= 500 + at
        return at

    assert asyncio.run(scenario()) < 100


def test_an_action_runs_between_the_requests_before_it_and_those_after_it() -> None:
    async def scenario() -> list[str]:
        engine = LetterEngine()
        loop = EngineLoop(engine)
        before = asyncio.create_task(loop.generate([], sample_tokens(40)))
        await asyncio.sleep(0.01)
        action = asyncio.create_task(loop.run_exclusively(lambda: engine.rename("b")))
        await asyncio.sleep(0)
        after = asyncio.create_task(loop.generate([], sample_tokens(5)))
        assert await action == "b"
        return [(await before).text, (await after).text]

    assert asyncio.run(scenario()) == ["a" * 40, "b" * 5]


def test_an_action_that_fails_is_its_callers_error_and_the_loop_goes_on() -> None:
    async def scenario() -> str:
        loop = EngineLoop(LetterEngine())

        def broken() -> None:
            raise ValueError("no such weights")

        with pytest.raises(ValueError, match="no such weights"):
            await loop.run_exclusively(broken)
        return (await loop.generate([], sample_tokens(2))).text

    assert asyncio.run(scenario()) == "aa"


def test_a_request_nobody_awaits_any_more_leaves_the_batch() -> None:
    async def scenario() -> int:
        engine = LetterEngine()
        loop = EngineLoop(engine)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(loop.generate([], sample_tokens(10**9)), 0.05)
        await loop.run_exclusively(lambda: None)  # its turn comes only when the batch is empty
        return len(engine.open)

    assert asyncio.run(scenario()) == 0


def test_a_failing_step_fails_those_who_were_in_it_only() -> None:
    async def scenario() -> str:
        engine = LetterEngine()
        loop = EngineLoop(engine)
        step = engine.step

        def broken() -> None:
            engine.step = step  # type: ignore[method-assign]
            raise MemoryError("too long")

        engine.step = broken  # type: ignore[method-assign]
        with pytest.raises(InfrastructureError, match="MemoryError: too long"):
            await loop.generate([], sample_tokens(2))
        return (await loop.generate([], sample_tokens(2))).text

    assert asyncio.run(scenario()) == "aa"


def test_a_request_that_the_engine_refuses_fails_alone() -> None:
    async def scenario() -> list[object]:
        engine = LetterEngine()
        loop = EngineLoop(engine)
        submit = engine.submit

        def refuse_seeds(prompt: object, sampling: Sampling) -> Letters:
            if sampling.seed is not None:
                raise RuntimeError("Overflow when unpacking long")
            return submit(prompt, sampling)

        engine.submit = refuse_seeds  # type: ignore[method-assign]
        refused = Sampling(2, seed=2**64)
        answers = await asyncio.gather(
            loop.generate([], sample_tokens(2)),
            loop.generate([], refused),
            loop.generate([], sample_tokens(3)),
            return_exceptions=True,
        )
        with pytest.raises(InfrastructureError):
            async for _ in loop.stream([], refused):
                pass
        return [*answers, await loop.generate([], sample_tokens(1))]

    first, refusal, third, later = asyncio.run(scenario())
    assert [answer.text for answer in (first, third, later)] == ["aa", "aaa", "a"]  # type: ignore[attr-defined]
    assert "Overflow" in str(refusal)


def test_a_reset_that_fails_too_leaves_the_loop_running() -> None:
    async def scenario() -> str:
        engine = LetterEngine()
        loop = EngineLoop(engine)
        step, reset = engine.step, engine.reset

        def broken_step() -> None:
            engine.step = step  # type: ignore[method-assign]
            raise MemoryError("too long")

        def broken_reset() -> None:
            engine.reset = reset  # type: ignore[method-assign]
            engine.open = []
            raise RuntimeError("no device")

        engine.step, engine.reset = broken_step, broken_reset  # type: ignore[method-assign]
        with pytest.raises(InfrastructureError, match="too long"):
            await loop.generate([], sample_tokens(2))
        return (await loop.generate([], sample_tokens(2))).text

    assert asyncio.run(scenario()) == "aa"


def test_a_text_that_cannot_be_read_fails_its_own_stream() -> None:
    async def scenario() -> str:
        engine = LetterEngine()
        loop = EngineLoop(engine)
        engine.text_so_far = lambda request: 1 / 0  # type: ignore[method-assign,assignment]

        async def read_stream() -> None:
            async for _ in loop.stream([], sample_tokens(5)):
                pass

        whole, stream = await asyncio.gather(
            loop.generate([], sample_tokens(5)), read_stream(), return_exceptions=True
        )
        assert isinstance(stream, InfrastructureError)
        return whole.text  # type: ignore[union-attr]

    assert asyncio.run(scenario()) == "aaaaa"


def test_a_step_that_does_not_end_fails_who_waits_and_who_comes() -> None:
    async def scenario() -> str:
        engine = LetterEngine()
        loop = EngineLoop(engine, stall_seconds=0.05)
        step = engine.step
        may_end = threading.Event()

        def stalled() -> None:
            engine.step = step  # type: ignore[method-assign]
            may_end.wait(30)

        engine.step = stalled  # type: ignore[method-assign]
        try:
            with pytest.raises(InfrastructureError, match=r"within 0\.05 s"):
                await loop.generate([], sample_tokens(2))
            with pytest.raises(InfrastructureError, match=r"within 0\.05 s"):
                await loop.generate([], sample_tokens(2))
        finally:
            may_end.set()
        loop._stall_seconds = 60.0  # what comes now shall end, also on a busy machine
        await loop.run_exclusively(lambda: None)
        return (await loop.generate([], sample_tokens(2))).text

    assert asyncio.run(scenario()) == "aa"


def test_what_comes_while_the_reader_is_busy_comes_in_one_piece_and_nothing_is_lost() -> None:
    async def scenario() -> list[str]:
        loop = EngineLoop(LetterEngine())
        pieces = []
        async for item in loop.stream([], sample_tokens(200)):
            if isinstance(item, Progress):
                pieces.append(item.text)
            await asyncio.sleep(0.005)
        return pieces

    pieces = asyncio.run(scenario())
    assert "".join(pieces) == "a" * 200
    assert len(pieces) < 100


def test_between_two_pieces_of_a_stream_is_a_gap_and_the_first_and_the_end_wait_for_none() -> None:
    asked = []

    def compute_gap(streams: int) -> float:
        asked.append(streams)
        return 600.0

    async def collect(loop: EngineLoop, length: int) -> list[str]:
        items = [item async for item in loop.stream([], sample_tokens(length))]
        assert isinstance(items[-1], Generation)
        assert items[-1].text == "a" * length
        return [item.text for item in items if isinstance(item, Progress)]

    async def scenario() -> list[list[str]]:
        loop = EngineLoop(LetterEngine(), compute_gap=compute_gap)
        streams = [collect(loop, length) for length in (300, 200)]
        return [*await asyncio.gather(*streams), await collect(loop, 1)]

    # Two pieces each, in much less than the gap.
    longer, shorter, single = asyncio.run(asyncio.wait_for(scenario(), 60))
    for pieces, length in ((longer, 300), (shorter, 200)):
        assert len(pieces) == 2
        assert len(pieces[0]) < length / 2
        assert "".join(pieces) == "a" * length
    assert single == ["a"]
    assert set(asked) == {2}
