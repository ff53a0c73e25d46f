"""What each process does in the test of an update that is dealt to several workers."""

import random
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from support.backend_work import OPTIMISER, read_gradients

from medr_ray.core.config import GRPOConfig
from medr_ray.core.records import Reward, Trajectory, Turn, Usage
from medr_ray.training.artifacts import ScoredRollout
from medr_ray.training.backends import make_backend
from medr_ray.training.dealing import deal_rollouts
from medr_ray.training.learner import Learner
from medr_ray.training.tree_attention import enable_tree_attention


def draw_rollouts() -> list[ScoredRollout]:
    """Three groups of four dialogues in two turns; the last group has no spread."""
    drawn = random.Random(0)
    rollouts = []
    for group in range(3):
        question = tuple(drawn.randint(3, 300) for _ in range(40))
        for number in range(4):
            first = _draw_turn(drawn, question)
            result = tuple(drawn.randint(3, 300) for _ in range(15))
            second = _draw_turn(drawn, first.prompt_ids + first.output_ids + result)
            trajectory = Trajectory(
                trajectory_id=f"{group}-{number}",
                question_id=str(group),
                mode="exploring",
                rollout=number,
                messages=(),
                turns=(first, second),
                tool_events=(),
                documents=(),
                answer=None,
                stop_reason="answered",
                usage=Usage(0, 0, 0),
                cost=None,
            )
            advantage = None if group == 2 else drawn.uniform(-1, 1)
            reward = Reward(task=0.0, expert=None, efficiency=None, total=0.0)
            rollouts.append(ScoredRollout(0, str(group), trajectory, reward, advantage))
    return rollouts


def _draw_turn(drawn: random.Random, prompt: tuple[int, ...]) -> Turn:
    output = tuple(drawn.randint(3, 300) for _ in range(drawn.randint(5, 40)))
    return Turn(prompt, output, tuple(-5.0 - drawn.random() for _ in output), 0)


def learn_dealt(model_dir: Path, tree: bool) -> dict[str, Any]:
    """The ``figures`` of an update of which this worker has its part alone, without those of time,
    the ``gradients`` by parameter, and the number of ``own`` sequences."""
    config = GRPOConfig(
        dtype="float32", threads=1, tree=tree, optimiser=OPTIMISER, micro_tokens=300
    )
    backend = make_backend(model_dir, config, OPTIMISER, torch.device("cpu"))
    if tree:
        enable_tree_attention(backend.model)
    dealt = deal_rollouts(draw_rollouts(), dist.get_world_size(), tree)[dist.get_rank()]
    figures = vars(Learner(backend, config, 0).learn(dealt, 0))
    return {
        "figures": {name: value for name, value in figures.items() if name != "learn_seconds"},
        "gradients": read_gradients(backend),
        "own": len(dealt.own),
    }
