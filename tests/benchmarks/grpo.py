"""Reinforcement learning: the learning part of an update with prefix trees against padded rows,
what this makes of a whole update, and rollouts against a loop in lock-step.

The rollouts learned from are those of a finished run, ``runs/quickstart`` of the checkout or the
folder that MEDR_BENCH_RUN names; the embedded policy learns. Both sides take the same rollouts in
turn, and their losses and gradient norms are compared before the times. ``quick`` learns from one
question's rollouts, and takes the time of the others by their tokens.
"""

import asyncio
import json
import math
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
from medr_ray.training.dealing import deal_rollouts
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
class _Recorded:
    """The updates of a run: the groups of each, and the rows of metrics."""

    updates: list[list[list[ScoredRollout]]]
    metrics: list[dict[str, Any]]

    @property
    def groups(self) -> list[list[ScoredRollout]]:
        return [group for update in self.updates for group in update]

    @property
    def teaching(self) -> list[list[ScoredRollout]]:
        """The groups whose rewards differ."""
        return [group for group in self.groups if any(make_examples(each) for each in group)]

    def add_up(self, figure: str) -> float:
        return math.fsum(row[figure] for row in self.metrics)


@dataclass(frozen=True)
class _Step:
    """One learning step: what it came to, and the processor's seconds, which other work on the
    machine disturbs less than the wall's."""

    figures: LearningFigures
    processor_seconds: float


@dataclass(frozen=True)
class _Learning:
    """Seconds of learning from all rollouts of the run, with trees and as rows."""

    tree: float
    rows: float


def measure(quick: bool) -> Iterator[Measurement]:
    directory = RunDirectory(os.environ.get("MEDR_BENCH_RUN") or str(_RUN))
    if directory.exists(GRPO_METRICS.path):
        recorded = _read_updates(directory)
        batches = [
            [rollout for group in update for rollout in group] for update in recorded.updates
        ]
        if quick:
            batches = recorded.teaching[:1]
        steps = _learn_both_ways(batches)
        yield _compare_learning(batches, steps)
        learning = _extend_to_run(recorded, batches, steps)
        yield _compare_updates(recorded, learning)
        yield _compare_refill(recorded, learning)
    else:
        yield skip_measurement("seconds of learning", _PEER, "make demo, or MEDR_BENCH_RUN")
    yield _compare_rollouts(quick)


# --- learning ---------------------------------------------------------------------------


def _read_updates(directory: RunDirectory) -> _Recorded:
    lines = directory.read_bytes(GRPO_METRICS.path).splitlines()
    groups: list[dict[str, list[ScoredRollout]]] = [{} for _ in lines]
    for rollout in directory.read(GRPO_ROLLOUTS):
        groups[rollout.update].setdefault(rollout.group, []).append(rollout)
    updates = [list(of_update.values()) for of_update in groups]
    return _Recorded(updates, [json.loads(line) for line in lines])


def _learn_both_ways(batches: Sequence[Sequence[ScoredRollout]]) -> dict[bool, list[_Step]]:
    """A learning step from each batch of rollouts, by whether with trees."""
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
    learners = {tree: Learner(backend, config, 0) for tree, config in configs.items()}
    # The first passes of a process fetch memory for all later ones.
    learners[True].learn(deal_rollouts(batches[0][:1], 1, True)[0], 0)
    steps: dict[bool, list[_Step]] = {True: [], False: []}
    for batch in batches:
        for tree, learner in learners.items():
            started = time.process_time()
            figures = learner.learn(deal_rollouts(batch, 1, tree)[0], 0)
            steps[tree].append(_Step(figures, time.process_time() - started))
    return steps


def _compare_learning(
    batches: Sequence[Sequence[ScoredRollout]], steps: dict[bool, list[_Step]]
) -> Measurement:
    for tree, rows in zip(steps[True], steps[False], strict=True):
        for name in ("loss", "grad_norm", "entropy"):
            mine, other = getattr(tree.figures, name), getattr(rows.figures, name)
            if abs(mine - other) > _TOLERANCE * abs(other):
                raise RuntimeError(f"{name} {mine} with trees, {other} as rows")
    processor = [
        math.fsum(step.processor_seconds for step in steps[tree]) for tree in (True, False)
    ]
    norms = [steps[tree][0].figures.grad_norm for tree in (True, False)]
    return build_measurement(
        "seconds of learning from recorded rollouts",
        _add_seconds(steps[True]),
        _add_seconds(steps[False]),
        _PEER,
        least_ratio=1 / _LEARNING_SHARE,
        lower_is_better=True,
        unit="s",
        note=(
            f"{_count_tokens(batches, True)} tokens computed instead of "
            f"{_count_tokens(batches, False)}; first gradient norm {norms[0]} and {norms[1]}; "
            f"processor seconds {processor[0]:.1f} and {processor[1]:.1f}"
        ),
    )


def _add_seconds(steps: Sequence[_Step]) -> float:
    return math.fsum(step.figures.learn_seconds for step in steps)


def _count_tokens(batches: Sequence[Sequence[ScoredRollout]], tree: bool) -> int:
    """The tokens that the model computes when it learns from the batches, one after another."""
    count = 0
    for batch in batches:
        examples = [example for rollout in batch for example in make_examples(rollout)]
        count += sum(plan.tokens for plan in plan_micro_batches(examples, _MICRO_TOKENS, tree))
    return count


def _extend_to_run(
    recorded: _Recorded,
    batches: Sequence[Sequence[ScoredRollout]],
    steps: dict[bool, list[_Step]],
) -> _Learning:
    """Seconds for all updates of the run, by the tokens that are computed for them."""
    everything = [[rollout for group in update for rollout in group] for update in recorded.updates]
    seconds = []
    for tree in (True, False):
        share = _count_tokens(everything, tree) / _count_tokens(batches, tree)
        seconds.append(_add_seconds(steps[tree]) * share)
    return _Learning(*seconds)


def _compare_updates(recorded: _Recorded, learning: _Learning) -> Measurement:
    count = len(recorded.updates)
    rest = (recorded.add_up("rollout_seconds") + recorded.add_up("sync_seconds")) / count
    return build_measurement(
        "seconds of a whole update",
        rest + learning.tree / count,
        rest + learning.rows / count,
        _PEER,
        least_ratio=_UPDATE_RATIO,
        lower_is_better=True,
        unit="s",
        note=f"{rest:.1f} s of them, for rollouts and weights, are as the run recorded them",
    )


def _compare_refill(recorded: _Recorded, learning: _Learning) -> Measurement:
    """Seconds of an update for each group that teaches: with trees and a refill, by arithmetic,
    against rows without one."""
    teaching, asked = len(recorded.teaching), len(recorded.groups)
    rollout_seconds = recorded.add_up("rollout_seconds")
    sync_seconds = recorded.add_up("sync_seconds")
    # As many more questions as it takes until as many groups teach as were asked for, when the
    # share of those that do stays the same.
    refilled = (rollout_seconds + learning.tree) * asked / teaching
    return build_measurement(
        "seconds of an update for each group with spread, refilled",
        (refilled + sync_seconds) / asked,
        (rollout_seconds + learning.rows + sync_seconds) / teaching,
        f"{_PEER}, without refill",
        least_ratio=_REFILL_RATIO,
        lower_is_better=True,
        unit="s",
        note=(
            f"arithmetic: {teaching} of {asked} groups taught; a refill asks until {asked} do, and "
            "each group more is given the time of a group, though they overlap"
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
