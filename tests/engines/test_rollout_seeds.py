"""What a rollout draws follows from the run's seed, its question and its number."""

import asyncio
from pathlib import Path

import pytest
from support.tiny_model import build_tiny_model

from medr_ray.core.config import AgentConfig, EngineConfig
from medr_ray.core.records import Message, Task
from medr_ray.engines.base import Generation, Sampling
from medr_ray.engines.local_engine import LocalEngine
from medr_ray.rollouts.worker import RolloutRequest
from medr_ray.training.engine_policies import EnginePolicyFactory

pytestmark = pytest.mark.slow
AGENT = AgentConfig(max_tokens=400, max_turn_tokens=16)
QUESTIONS = ("one", "two")
Drawn = dict[tuple[str, int], tuple[tuple[int, ...], ...]]  # tokens of turns, by rollout


class OneEngine:
    """A fleet of one, without actors."""

    def __init__(self, model: Path) -> None:
        config = EngineConfig(dtype="float32", device="cpu", threads=1, max_batch=8)
        self.engine = LocalEngine(model, config)

    def open_dialogue(self, name: str) -> "OneEngine":
        return self

    async def generate(self, prompt: list[int], sampling: Sampling) -> Generation:
        return await self.engine.generate(prompt, sampling)


async def draw_rollouts(model: Path, seed: int, numbers: list[int]) -> Drawn:
    """Two turns of every rollout, all at once, by an engine of their own."""
    engine = OneEngine(model)
    factory = EnginePolicyFactory(engine, str(model), AGENT, 1.0, False, seed)

    async def roll_out(question: str, number: int) -> tuple[tuple[int, ...], ...]:
        policy = factory(RolloutRequest(Task(question, "Q?", "en", "A"), rollout=number))
        messages = [Message("system", "S"), Message("user", "Q?")]
        turns = []
        for _ in range(2):
            reply = await policy.respond(messages)
            assert reply is not None
            turns.append(reply.turn.output_ids)
            messages += [Message("assistant", reply.text), Message("user", "page")]
        return tuple(turns)

    keys = [(question, number) for question in QUESTIONS for number in numbers]
    drawn = await asyncio.gather(*(roll_out(*key) for key in keys))
    engine.engine.close()
    return dict(zip(keys, drawn, strict=True))


def test_a_rollout_is_repeated_by_its_seed_question_and_number_alone(tmp_path: Path) -> None:
    model = build_tiny_model(tmp_path)
    first = asyncio.run(draw_rollouts(model, 7, [0, 1, 2]))
    # In another order, beside fewer others.
    again = asyncio.run(draw_rollouts(model, 7, [2, 0]))
    assert again == {key: first[key] for key in again}
    other = asyncio.run(draw_rollouts(model, 8, [0, 1, 2]))
    drawn = [*first.values(), *other.values()]
    assert len(set(drawn)) == len(drawn)
    # Each turn has numbers of its own.
    assert all(one_turn != next_turn for one_turn, next_turn in drawn)
