"""A small GRPO run in a separate process that a test can disturb: ``grpo_driver.py ROOT``, then
settings.

Two trainers learn, and agents sample from two engines. Each trainer leaves the number of its
process in ``ROOT/processes/trainer-RANK``, and notes in ``ROOT/learnt-RANK.jsonl`` what the
optimiser is given: a line for each update that it begins to learn, with the optimiser's steps
before it.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.evaluation_run import fill_run, make_context
from support.questions import make_question

from medr_ray.core.config import PipelineConfig
from medr_ray.core.records import Question, Task, Trajectory
from medr_ray.core.run import StageContext
from medr_ray.core.session import ray_session
from medr_ray.engines.base import Engine, Generation, Sampling
from medr_ray.questions.artifacts import QUESTIONS
from medr_ray.rollouts import engine_placement
from medr_ray.rollouts.engine_actor import EngineFactory
from medr_ray.training import grpo, rewards
from medr_ray.training.artifacts import ScoredRollout
from medr_ray.training.grpo_stage import execute_grpo
from medr_ray.training.learner import Learner

UPDATES = 12
# Added to each turn and to each learning, so that a kill finds the run in every phase of an update.
PAUSE_SECONDS = 0.3
SETTINGS = (
    "ray.num_cpus=8",
    "ray.object_store_mb=200",
    "grpo.workers=2",
    f"grpo.updates={UPDATES}",
    "grpo.questions_per_update=2",
    "grpo.group_size=2",
    "grpo.checkpoint_every=3",
    "grpo.threads=1",
    "grpo.max_failures=8",
    "grpo.expert_weight=1.0",
    "engine.engines=2",
    "agent.max_tool_calls=2",
    "agent.max_tokens=2048",
    "rollouts.workers=1",
    "rollouts.max_workers=1",
    "rollouts.retries=5",
)


def list_questions() -> list[Question]:
    """The questions that are trained on: all of one number of hops."""
    return [make_question(number, split="train") for number in range(5)]


def open_context(root: Path, settings: Sequence[str] = ()) -> StageContext:
    """The GRPO stage of the run below ``root``, which is made where it is not there."""
    context = make_context(root, *SETTINGS, *settings)
    if not (root / "filled").exists():
        fill_run(context)
        context.run.write(QUESTIONS, list_questions())
        (root / "filled").touch()
    return StageContext(context.config, context.run, context.run.stage("grpo"), context.console)


def note_process(root: Path, name: str) -> None:
    """Leave the number of this process, whole or not at all."""
    folder = root / "processes"
    folder.mkdir(exist_ok=True)
    draft = folder / f".{name}"
    draft.write_text(str(os.getpid()))
    draft.rename(folder / name)


class SlowEngineFactory:
    """Makes an engine whose answers take ``PAUSE_SECONDS`` longer."""

    def __init__(self, make_engine: EngineFactory) -> None:
        self._make_engine = make_engine

    def __call__(self) -> Engine:
        engine = self._make_engine()
        generate = engine.generate

        async def wait_and_generate(
            prompt: Sequence[int], sampling: Sampling, dialogue: str = ""
        ) -> Generation:
            await asyncio.sleep(PAUSE_SECONDS)
            return await generate(prompt, sampling, dialogue)

        engine.generate = wait_and_generate  # type: ignore[method-assign]
        return engine


def noting_worker(settings: dict[str, Any]) -> None:
    """The worker of GRPO, with rewards that always differ within a group, and with notes."""
    from medr_ray.training.collectives import get_rank

    config: PipelineConfig = settings["job"].config
    root = Path(config.run.root)
    rank = get_rank()
    note_process(root, f"trainer-{rank}")
    learn = Learner.learn

    def note_and_learn(learner: Learner, rollouts: Sequence[ScoredRollout], update: int) -> Any:
        steps = int(learner._backend.state()["steps"])
        taught = [
            (row.group, row.trajectory.rollout) for row in rollouts if row.advantage is not None
        ]
        with (root / f"learnt-{rank}.jsonl").open("a") as notes:
            notes.write(json.dumps({"update": update, "steps": steps, "taught": taught}) + "\n")
        time.sleep(PAUSE_SECONDS)
        return learn(learner, rollouts, update)

    def score_by_number(
        _: Any, trajectories: Sequence[Trajectory], tasks: Sequence[Task]
    ) -> list[float | None]:
        return [float(trajectory.rollout % 2) for trajectory in trajectories]

    choose_engine_factory = engine_placement.choose_engine_factory

    def choose_slow_engine_factory(*arguments: Any) -> EngineFactory:
        return SlowEngineFactory(choose_engine_factory(*arguments))

    engine_placement.choose_engine_factory = choose_slow_engine_factory
    Learner.learn = note_and_learn  # type: ignore[method-assign]
    rewards.RulesPreference.score = score_by_number  # type: ignore[method-assign]
    grpo.grpo_worker(settings)


def main(root: Path, settings: Sequence[str]) -> None:
    # The workers of Ray Train import this module.
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    context = open_context(root, settings)
    import medr_ray.training.grpo as room

    run_worker = room.grpo_worker
    with ray_session(context.config.ray):
        # What Ray Train starts is the worker of this name.
        room.grpo_worker = noting_worker
        try:
            counts = execute_grpo(context)
        finally:
            room.grpo_worker = run_worker
    print(f"finished: {json.dumps(counts)}", flush=True)


if __name__ == "__main__":
    import support.grpo_driver as module

    module.main(Path(sys.argv[1]), sys.argv[2:])
