"""The composite reward of a rollout (paper section 4.2).

r = w_task task + w_expert expert - w_efficiency efficiency

``task`` is exact match, 0 or 1. ``expert`` is a preference score in [0, 1], by a rubric over
evidence, verification steps and format (``rules``) or by a model (``llm``). ``efficiency`` in
[0, 1] grows with superfluous calls. A component that could not be scored is null, and then the
total is null: a judge that is down never moves the gradient.
"""

import asyncio
from collections.abc import Sequence
from string import Template
from typing import Protocol

from pydantic import BaseModel, Field

from medr_ray.agent.protocol import parse_reply
from medr_ray.core.config import GRPOConfig
from medr_ray.core.errors import DataError, InfrastructureError, ModelError
from medr_ray.core.failure_streak import FailureStreak
from medr_ray.core.prompts import build_fence, read_prompt
from medr_ray.core.records import Reward, Task, Trajectory
from medr_ray.llm.roles import JsonClient
from medr_ray.questions.answer_matching import answers_match
from medr_ray.trajectories.filtering import count_repeated_calls, is_supported


class ExpertPreference(Protocol):
    """Scores how well a question was worked out, beside being right."""

    def score(
        self, trajectories: Sequence[Trajectory], tasks: Sequence[Task]
    ) -> list[float | None]:
        """One score in [0, 1] per trajectory, null where it could not be scored."""
        ...


class RulesPreference:
    """A rubric of four checks with equal parts of the score.

    The answer stands in a tool response; something was looked up for every hop; every reply has a
    thought and is well-formed; an answer was given.
    """

    def score(
        self, trajectories: Sequence[Trajectory], tasks: Sequence[Task]
    ) -> list[float | None]:
        return [
            _score_by_rubric(trajectory, task)
            for trajectory, task in zip(trajectories, tasks, strict=True)
        ]


def _score_by_rubric(trajectory: Trajectory, task: Task) -> float:
    replies = [
        parse_reply(message.content)
        for message in trajectory.messages
        if message.role == "assistant"
    ]
    looked_up = sum(event.status == "ok" for event in trajectory.tool_events)
    checks = (
        is_supported(trajectory, task),
        looked_up >= _require_hops(task),
        all(reply.thought and not reply.problems for reply in replies),
        trajectory.answer is not None,
    )
    return sum(checks) / len(checks)


class PreferenceReply(BaseModel):
    """What the model is to reply."""

    score: float = Field(ge=0, le=1)
    reason: str


class ModelPreference:
    """A language model's preference. Unreachable or unreadable: null.

    A model that stays unreachable is an InfrastructureError: without its scores nothing is learned.
    """

    def __init__(self, client: JsonClient) -> None:
        self._client = client
        self._streak = FailureStreak("rollouts that were to be scored")

    def score(
        self, trajectories: Sequence[Trajectory], tasks: Sequence[Task]
    ) -> list[float | None]:
        return asyncio.run(self._score_all(trajectories, tasks))

    async def _score_all(
        self, trajectories: Sequence[Trajectory], tasks: Sequence[Task]
    ) -> list[float | None]:
        # All at once: the client itself keeps to the endpoint's limits.
        scores = map(self._score_trajectory, trajectories, tasks)
        return list(await asyncio.gather(*scores))

    async def _score_trajectory(self, trajectory: Trajectory, task: Task) -> float | None:
        # Without the system message, which is the same for every rollout.
        dialogue_messages = trajectory.messages[1:]
        dialogue = "\n\n".join(
            f"[{message.role}]\n{message.content}" for message in dialogue_messages
        )
        fence = build_fence(dialogue)
        template = Template(read_prompt("medr_ray.training", "preference", task.language))
        fenced = f"{fence}\n{dialogue}\n{fence}"
        messages = [
            {"role": "system", "content": template.substitute(fence=fence)},
            {"role": "user", "content": f"Reference answer: {task.answer}\n\n{fenced}"},
        ]
        try:
            reply = await self._client.complete_json(messages, PreferenceReply)
        except ModelError:
            return None
        except InfrastructureError as error:
            self._streak.record_failure(str(error))
            self._streak.require_hope()
            # Not 0: the rollout would be punished for an endpoint that is down.
            return None
        self._streak.record_success()
        return float(reply.score)


def compute_rewards(
    trajectories: Sequence[Trajectory],
    tasks: Sequence[Task],
    config: GRPOConfig,
    expert: ExpertPreference,
) -> list[Reward]:
    """The composite reward of each trajectory, which is of the task at the same place.

    Raises DataError for a task that does not say its number of hops.
    """
    scores = expert.score(trajectories, tasks)
    return [
        _compute_reward(trajectory, task, score, config)
        for trajectory, task, score in zip(trajectories, tasks, scores, strict=True)
    ]


def _compute_reward(
    trajectory: Trajectory, task: Task, expert: float | None, config: GRPOConfig
) -> Reward:
    is_correct = trajectory.answer is not None and answers_match(
        trajectory.answer, task.answer, task.aliases
    )
    exact_match = float(is_correct)
    inefficiency = measure_inefficiency(trajectory, task)
    if expert is None:
        return Reward(exact_match, None, inefficiency, None)
    total = (
        config.task_weight * exact_match
        + config.expert_weight * expert
        - config.efficiency_weight * inefficiency
    )
    return Reward(exact_match, expert, inefficiency, total)


def measure_inefficiency(trajectory: Trajectory, task: Task) -> float:
    """Superfluous calls per hop, at most 1.

    Superfluous are repeated and malformed calls, and those beyond one per hop that did not make up
    for a failed call.
    """
    events = trajectory.tool_events
    failed = sum(event.status == "error" for event in events)
    invalid = sum(event.status == "invalid" for event in events)
    hops = _require_hops(task)
    excess = max(0, len(events) - invalid - failed - hops)
    # The larger of both, not their sum: a repeated call is usually beyond the hops as well.
    superfluous = invalid + max(excess, count_repeated_calls(trajectory))
    return min(1.0, superfluous / hops)


def _require_hops(task: Task) -> int:
    if task.hops is None:
        raise DataError(f"task {task.task_id} does not say its number of hops: rewards need it")
    return task.hops
