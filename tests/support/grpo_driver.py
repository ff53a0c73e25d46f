"""A small GRPO run in a separate process that a test can disturb: ``grpo_driver.py ROOT``, then
settings.

Two trainers learn, with the notes of ``support.noting_trainer``, and agents sample from two
engines.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support import differing_rewards
from support.evaluation_run import fill_run, make_context
from support.noting_trainer import run_noting_job
from support.questions import make_question

from medr_ray.core.records import Question
from medr_ray.core.run import StageContext
from medr_ray.questions.artifacts import QUESTIONS

SETTINGS = (
    "ray.num_cpus=8",
    "ray.object_store_mb=200",
    "grpo.workers=2",
    "grpo.questions_per_update=2",
    "grpo.group_size=2",
    "grpo.checkpoint_every=3",
    "grpo.threads=1",
    "grpo.max_failures=20",
    differing_rewards.SETTING,
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


def main(root: Path, settings: Sequence[str]) -> None:
    from medr_ray.core.session import ray_session
    from medr_ray.training import grpo_job
    from medr_ray.training.grpo_stage import execute_grpo

    # What Ray Train starts is the function of this name. Its workers import ``support``.
    grpo_job.run_grpo_job = run_noting_job
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    context = open_context(root, settings)
    with ray_session(context.config.ray):
        counts = execute_grpo(context)
    print(f"finished: {json.dumps(counts)}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
