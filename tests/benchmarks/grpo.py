"""Reinforcement learning: the learning part of an update with prefix trees against padded rows,
what this makes of a whole update, and rollouts against a loop in lock-step.

The rollouts learned from are those of a finished run, ``runs/quickstart`` of the checkout or the
folder that MEDR_BENCH_RUN names; the embedded policy learns. Both sides take the same rollouts in
turn, and their losses and gradient norms are compared before the times. ``quick`` learns from one
question's rollouts and counts the others by their tokens.
"""

import asyncio
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import torch
from support.waiting_environment import ANSWER, Script, WaitingEnvironment, make_requests

from medr_ray.core.config import GRPOConfig, OptimiserConfig
from medr_ray.core.measurement import Measurement, build_measurement, skip_measurement
from medr_ray.core.run import RunDirectory
from medr_ray.core.settings import load_config
from medr_ray.engines.weights import model_path
from medr_ray.rollouts.pool import RolloutPool
from medr_ray.rollouts.worker import RolloutRequest
from medr_ray.training.artifacts import GRPO_METRICS, GRPO_ROLLOUTS, ScoredRollout
from medr_ray.training.backends import make_backend
from medr_ray.training.experience import make_examples
from medr_ray.training.learner import Learner
from medr_ray.training.micro_batches import plan_micro_batches
from medr_ray.training.tree_attention import enable_tree_attention
from medr_ray.training.update_metrics import LearningFigures

_RUN = Path(__file__).resolve().parents[2] / "runs" / "quickstart"
_MODEL = "embedded:smollm2-135m-instruct"
_MICRO_TOKENS = 2048  # as in configs/quickstart.yaml
# Too small to change a weight: both sides are to learn from the same model.
_LEARNING_RATE = 1e-12
# In bf16, whose precision is 0.4 %, products of other shapes are rounded differently.
_TOLERANCE = 0.05
_ROUNDS, _QUICK_ROUNDS = 2, 1
# The goals: at most 0.65 of the rows' seconds; and ratios.
_LEARNING_SHARE, _UPDATE_RATIO, _REFILL_RATIO, _ROLLOUT_RATIO = 0.65, 1.2, 1.3, 3.0
_PEER = "padded rows (grpo.tree: false)"
_TOOL_SECONDS = 0.5
_SCRIPTS = {
    "one": Script(turns=1, wait=_TOOL_SECONDS),
    "three": Script(turns=3, wait=_TOOL_SECONDS),
}
_ROLLOUTS, _QUICK_ROLLOUTS = 32, 16


@dataclass(frozen=True)
class _Update:
    """A recorded update: its rollouts by question, those that teach, and its row of metrics."""

    groups: list[list[ScoredRollout]]
    metrics: dict[str, Any]

    @property
    def teaching(self) -> list[list[ScoredRollout]]:
        return [group for group in self.groups if any(make_examples(r) for r in group)]


@dataclass(frozen=True)
class _Learning:
    """Seconds of learning from all rollouts of an update, with trees and as rows."""

    tree: float
    rows: float


def measure(quick: bool) -> Iterator[Measurement]:
    directory = RunDirectory(os.environ.get("MEDR_BENCH_RUN") or str(_RUN))
    if directory.exists(GRPO_METRICS.path):
        update = _read_update(directory, 0)
        groups = update.teaching[:1] if quick else update.teaching
        rollouts = [rollout for group in groups for rollout in group]
        figures = _learn_both_ways(rollouts, _QUICK_ROUNDS if quick else _ROUNDS)
        yield _compare_learning(rollouts, figures)
        learning = _extend_to_update(update, rollouts, figures)
        yield _compare_update(update, learning)
        yield _compare_refill(update, learning)
    else:
        yield skip_measurement("seconds of learning", _PEER, "make demo, or MEDR_BENCH_RUN")
    yield _compare_rollouts(quick)


# --- learning ---------------------------------------------------------------------------


def _read_update(directory: RunDirectory, number: int) -> _Update:
    groups: dict[str, list[ScoredRollout]] = {}
    for rollout in directory.read(GRPO_ROLLOUTS):
        if rollout.update == number:
            groups.setdefault(rollout.group, []).append(rollout)
    lines = directory.read_bytes(GRPO_METRICS.path).splitlines()
    return _Update(list(groups.values()), json.loads(lines[number]))


def _learn_both_ways(
    rollouts: Sequence[ScoredRollout], rounds: int
) -> dict[bool, list[LearningFigures]]:
    """The figures of learning from the rollouts in each round, by whether with trees."""
    configs = {
        tree: GRPOConfig(
            tree=tree,
            micro_tokens=_MICRO_TOKENS,
            threads=torch.get_num_threads(),
            optimiser=OptimiserConfig(learning_rate=_LEARNING_RATE),
        )
        for tree in (True, False)
    }
    backend = make_backend(
        model_path(_MODEL), configs[True], configs[True].optimiser, torch.device("cpu")
    )
    enable_tree_attention(backend.model)
    learners = {tree: Learner(backend, config, 0, 0, 1) for tree, config in configs.items()}
    # The first passes of a process fetch memory for all later ones.
    learners[True].learn(rollouts[:1], 0)
    figures: dict[bool, list[LearningFigures]] = {True: [], False: []}
    for _ in range(rounds):
        for tree, learner in learners.items():
            figures[tree].append(learner.learn(rollouts, 0))
    return figures


def _compare_learning(
    rollouts: Sequence[ScoredRollout], figures: dict[bool, list[LearningFigures]]
) -> Measurement:
    tree, rows = figures[True][0], figures[False][0]
    for name in ("loss", "grad_norm", "entropy"):
        mine, other = getattr(tree, name), getattr(rows, name)
        if abs(mine - other) > _TOLERANCE * abs(other):
            raise RuntimeError(f"{name} {mine} with trees, {other} as rows")
    return build_measurement(
        "seconds of learning from an update's rollouts",
        _least_seconds(figures[True]),
        _least_seconds(figures[False]),
        _PEER,
        least_ratio=1 / _LEARNING_SHARE,
        lower_is_better=True,
        unit="s",
        note=(
            f"{_count_tokens(rollouts, True)} tokens computed instead of "
            f"{_count_tokens(rollouts, False)}; loss {tree.loss} and {rows.loss}, "
            f"gradient norm {tree.grad_norm} and {rows.grad_norm}"
        ),
    )


def _least_seconds(figures: Sequence[LearningFigures]) -> float:
    return min(figure.learn_seconds for figure in figures)


def _count_tokens(rollouts: Sequence[ScoredRollout], tree: bool) -> int:
    examples = [example for rollout in rollouts for example in make_examples(rollout)]
    return sum(plan.tokens for plan in plan_micro_batches(examples, _MICRO_TOKENS, tree))


def _extend_to_update(
    update: _Update, rollouts: Sequence[ScoredRollout], figures: dict[bool, list[LearningFigures]]
) -> _Learning:
    """Seconds for all rollouts of the update, by the tokens that are computed for them."""
    everything = [rollout for group in update.groups for rollout in group]
    seconds = []
    for tree in (True, False):
        share = _count_tokens(everything, tree) / _count_tokens(rollouts, tree)
        seconds.append(_least_seconds(figures[tree]) * share)
    return _Learning(*seconds)


def _compare_update(update: _Update, learning: _Learning) -> Measurement:
    rest = update.metrics["rollout_seconds"] + update.metrics["sync_seconds"]
    return build_measurement(
        "seconds of a whole update",
        rest + learning.tree,
        rest + learning.rows,
        _PEER,
        least_ratio=_UPDATE_RATIO,
        lower_is_better=True,
        unit="s",
        note=f"{rest:.1f} s of them, for rollouts and weights, are as the run recorded them",
    )


def _compare_refill(update: _Update, learning: _Learning) -> Measurement:
    """Seconds of an update for each group that teaches: with trees and a refill, by arithmetic,
    against rows without one."""
    teaching, asked = len(update.teaching), len(update.groups)
    rollout_seconds = update.metrics["rollout_seconds"]
    sync_seconds = update.metrics["sync_seconds"]
    # As many more questions as it takes until all groups teach, at the same share of those that do.
    with_refill = rollout_seconds * asked / teaching + learning.tree * asked / teaching
    return build_measurement(
        "seconds of an update for each group with spread, refilled",
        (with_refill + sync_seconds) / asked,
        (rollout_seconds + learning.rows + sync_seconds) / teaching,
        f"{_PEER}, without refill",
        least_ratio=_REFILL_RATIO,
        lower_is_better=True,
        unit="s",
        note=(
            f"arithmetic: {teaching} of {asked} groups taught; a refill asks until {asked} do and "
            "takes the time of a group for each, though they overlap"
        ),
    )


# --- rollouts ---------------------------------------------------------------------------


def _compare_rollouts(quick: bool) -> Measurement:
    """Rollouts a second of the pool, against a loop like that of TRL's ``GRPOTrainer``: all
    rollouts generate as one batch, then their tools, which are plain functions, run one after
    another (``_tool_call_loop`` of TRL 1.16)."""
    mode, count = ("one", _QUICK_ROLLOUTS) if quick else ("three", _ROLLOUTS)
    requests = make_requests(count, mode)
    started = not ray.is_initialized()
    if started:
        ray.init("local", num_cpus=4, include_dashboard=False, log_to_driver=False)
    try:
        config = load_config(
            None,
            [
                "rollouts.workers=1",
                "rollouts.max_workers=1",
                f"rollouts.concurrency={count}",
                "agent.max_tool_calls=9",
            ],
            environment={},
        )
        with RolloutPool(config, environment=WaitingEnvironment(_SCRIPTS)) as pool:
            _run_pool(pool, make_requests(2, mode, question=1))  # until the worker is warm
            ours = _run_pool(pool, requests)
    finally:
        if started:
            ray.shutdown()
    peer = asyncio.run(_run_in_lock_step(requests))
    return build_measurement(
        f"rollouts/s with tools of {_TOOL_SECONDS} s",
        count / ours,
        count / peer,
        "a loop in lock-step, as TRL's",
        least_ratio=_ROLLOUT_RATIO,
        unit="rollouts/s",
        note=f"{count} rollouts, {_SCRIPTS[mode].turns} tool calls each; replies take no time",
    )


def _run_pool(pool: RolloutPool, requests: Sequence[RolloutRequest]) -> float:
    """Seconds that the pool took; every rollout must have come to its answer."""
    started = time.perf_counter()
    outcomes = list(pool.run(requests))
    seconds = time.perf_counter() - started
    for outcome in outcomes:
        if outcome.trajectory is None or outcome.trajectory.answer != ANSWER:
            raise RuntimeError(f"rollout {outcome.request.key} came to no answer")
    return seconds


async def _run_in_lock_step(requests: Sequence[RolloutRequest]) -> float:
    """Seconds of the same rollouts, turn by turn, each tool after the other."""
    started = time.perf_counter()
    for _ in range(_SCRIPTS[requests[0].mode].turns):
        for request in requests:
            await asyncio.sleep(_SCRIPTS[request.mode].wait)
    return time.perf_counter() - started
