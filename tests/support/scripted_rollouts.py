"""Rollouts without workers: a pool whose trajectories are decided by the request and by the weights
that the engine was last given."""

import hashlib
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch

from medr_ray.core.records import Message, ToolEvent, Trajectory, Turn, Usage
from medr_ray.rollouts.engine_fleet import Publication
from medr_ray.rollouts.failure_kinds import TOOL
from medr_ray.rollouts.outcomes import GroupOutcome, RolloutOutcome
from medr_ray.rollouts.pool import AddGroups
from medr_ray.rollouts.worker import RolloutRequest

_TOKENS = range(2, 250)  # ids that the tiny model knows


class RecordingEngine:
    """Keeps the weights it is given. ``fingerprint`` stands for those it serves."""

    def __init__(self) -> None:
        self.fingerprint = "the model it was started with"
        self.weights: Mapping[str, torch.Tensor] = {}
        self.versions: list[int] = []
        self.adapter_scaling: float | None = None
        self.is_closed = False

    def publish(
        self,
        version: int,
        buckets: Iterable[dict[str, torch.Tensor]],
        only_missing: bool = False,
        adapter_scaling: float | None = None,
    ) -> Publication:
        weights: dict[str, torch.Tensor] = {}
        for bucket in buckets:
            weights |= bucket
        digest = hashlib.sha256()
        for name in sorted(weights):
            digest.update(weights[name].view(torch.int16).numpy().tobytes())
        self.fingerprint = digest.hexdigest()
        self.weights = weights
        self.versions.append(version)
        self.adapter_scaling = adapter_scaling
        size = sum(tensor.nbytes for tensor in weights.values())
        return Publication(version, 1, size, 0.1)

    def check(self) -> None:
        """It never dies."""

    def awaits_weights(self) -> bool:
        return False

    def sleep(self) -> None:
        """It has no device."""

    def wake(self) -> None:
        """It has no device."""

    def close(self) -> None:
        self.is_closed = True


class ScriptedPool:
    """Rollouts with an even number answer rightly; those with a number in ``failing`` find a tool
    down, and those with a number in ``cut`` run out of seconds. All rollouts of the questions in
    ``easy`` answer rightly. Groups finish in the order that ``order`` draws, or the last first.
    ``requests`` are those that ran. A run is of the weights that the engine serves when it
    begins."""

    def __init__(
        self,
        engine: RecordingEngine,
        failing: Sequence[int] = (),
        cut: Sequence[int] = (),
        easy: Sequence[str] = (),
        order: random.Random | None = None,
    ) -> None:
        self._engine = engine
        self._failing = failing
        self._cut = cut
        self._easy = easy
        self._order = order
        self.requests: list[RolloutRequest] = []
        self._updates_run: list[int] = []
        self.is_closed = False

    def run_groups(
        self,
        groups: Sequence[Sequence[RolloutRequest]],
        share: float,
        add_groups: AddGroups | None = None,
    ) -> Iterator[GroupOutcome]:
        waiting = list(groups)
        self._version = self._engine.versions[-1] if self._engine.versions else 0
        self._fingerprint = self._engine.fingerprint
        while waiting:
            # The last to begin may be the first to finish.
            place = self._order.randrange(len(waiting)) if self._order else -1
            group = waiting.pop(place)
            outcome = GroupOutcome(tuple(self._run(request) for request in group), 2)
            if add_groups is not None:
                waiting += add_groups(outcome)
            yield outcome
        self._updates_run.append(groups[0][0].rollout // len(groups[0]))

    def has_run(self, update: int) -> bool:
        """Whether the rollouts of an update have been made, by their numbers."""
        return update in self._updates_run

    def close(self) -> None:
        self.is_closed = True

    def _run(self, request: RolloutRequest) -> RolloutOutcome:
        self.requests.append(request)
        if request.rollout in self._failing:
            return RolloutOutcome(request, None, "down", 1.0, TOOL)
        return RolloutOutcome(request, self._make_trajectory(request))

    def _make_trajectory(self, request: RolloutRequest) -> Trajectory:
        rng = random.Random(f"{self._fingerprint}/{request.key}")
        prompt = tuple(rng.choices(_TOKENS, k=12))
        output = tuple(rng.choices(_TOKENS, k=rng.randint(4, 16)))
        logprobs = tuple(rng.uniform(-6.5, -5.5) for _ in output)
        is_cut = request.rollout in self._cut
        is_right = request.rollout % 2 == 0 or request.task.task_id in self._easy
        answer = request.task.answer if is_right else "something else"
        return Trajectory(
            trajectory_id=f"traj-{rng.getrandbits(64):016x}",
            question_id=request.task.task_id,
            mode=request.mode,
            rollout=request.rollout,
            messages=(
                Message("system", "S"),
                Message("user", request.task.text),
                Message("assistant", f"<think>I look.</think>\n<answer>{answer}</answer>"),
            ),
            turns=(Turn(prompt, output, logprobs, self._version),),
            tool_events=(ToolEvent("search", '{"query": "a"}', "ok", 0.1, False),),
            documents=(),
            answer=None if is_cut else answer,
            stop_reason="max_seconds" if is_cut else "answered",
            usage=Usage(len(prompt), len(output), 1),
            cost=None,
        )
