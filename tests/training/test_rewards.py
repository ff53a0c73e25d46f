"""A language model's preference as a part of the reward, and what becomes of the reward without
it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from pytest_httpserver import HTTPServer
from support.metered_endpoint import MeteredEndpoint
from support.misbehaving_endpoint import fresh_governor
from support.questions import worded_task

from medr_ray.core.config import GRPOConfig
from medr_ray.core.errors import InfrastructureError, ModelError
from medr_ray.core.failure_streak import MAX_IDENTICAL_FAILURES
from medr_ray.core.records import Message, Trajectory, Usage
from medr_ray.core.run import Directory
from medr_ray.core.settings import load_config
from medr_ray.llm.cache import read_usage
from medr_ray.training.rewards import ModelPreference, compute_rewards
from medr_ray.training.rollout_coordinator import open_expert

TASK = worded_task()


class ScriptedJudge:
    """Replies in turn with a score, or raises the error that stands in its place."""

    def __init__(self, *replies: float | Exception) -> None:
        self._replies = list(replies)
        self.prompts: list[str] = []

    async def complete_json(
        self, messages: Sequence[Mapping[str, Any]], reply_type: type[BaseModel]
    ) -> BaseModel:
        self.prompts.append(messages[-1]["content"])
        reply = self._replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply_type(score=reply, reason="because")


def make_trajectory(number: int = 0) -> Trajectory:
    messages = (
        Message("system", "the rules of the house"),
        Message("user", TASK.text),
        Message("assistant", f"<answer>{TASK.answer}</answer>"),
    )
    return Trajectory(
        f"traj-{number}",
        TASK.task_id,
        "exploration",
        number,
        messages,
        (),
        (),
        (),
        TASK.answer,
        "answered",
        Usage(0, 0, 0),
        None,
    )


def score(judge: ScriptedJudge, count: int) -> list[float | None]:
    trajectories = [make_trajectory(number) for number in range(count)]
    return ModelPreference(judge).score(trajectories, [TASK] * count)


@pytest.mark.parametrize(
    "failure", [InfrastructureError("connection refused"), ModelError("no JSON")]
)
def test_a_preference_that_could_not_be_had_is_null_and_never_zero(failure: Exception) -> None:
    assert score(ScriptedJudge(failure), 1) == [None]
    judge = ScriptedJudge(failure)
    (reward,) = compute_rewards([make_trajectory()], [TASK], GRPOConfig(), ModelPreference(judge))
    assert reward.task == 1.0
    assert reward.expert is None
    assert reward.total is None


def test_a_failure_takes_no_score_from_the_other_rollouts() -> None:
    judge = ScriptedJudge(0.25, InfrastructureError("down"), 0.0)
    assert score(judge, 3) == [0.25, None, 0.0]


def test_a_preference_is_a_part_of_the_total() -> None:
    judge = ScriptedJudge(0.5)
    (reward,) = compute_rewards([make_trajectory()], [TASK], GRPOConfig(), ModelPreference(judge))
    assert reward.expert == 0.5
    assert reward.total == pytest.approx(1.0 + 0.2 * 0.5 - 0.1 * reward.efficiency)


def test_the_judge_sees_the_reference_answer_and_the_dialogue_without_its_instructions() -> None:
    judge = ScriptedJudge(1.0)
    score(judge, 1)
    (prompt,) = judge.prompts
    assert prompt.startswith(f"Reference answer: {TASK.answer}")
    assert TASK.text in prompt
    assert "the rules of the house" not in prompt


def test_a_bug_in_the_judge_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        score(ScriptedJudge(ZeroDivisionError()), 1)
    with pytest.raises(ValidationError):
        score(ScriptedJudge(1.5), 1)  # a score beyond 1, which the client would have refused


def test_a_model_that_stays_unreachable_ends_the_training() -> None:
    gone = InfrastructureError("http://127.0.0.1:1/v1 failed 5 times")
    judge = ScriptedJudge(0.5, *[gone] * (MAX_IDENTICAL_FAILURES - 1), 0.5, *[gone] * 30)
    with pytest.raises(InfrastructureError, match="rollouts that were to be scored in a row"):
        score(judge, 41)


def test_scores_of_a_model_count_in_the_run_and_are_paid_once(
    httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh_governor(monkeypatch)
    endpoint = MeteredEndpoint(httpserver, lambda body: '{"score": 0.75, "reason": "careful"}')
    settings = [f"llm.base_url={endpoint.url}", "llm.model=m", "grpo.expert=llm"]
    config = load_config(None, settings, environment={})
    run = Directory(str(tmp_path))
    for _ in range(2):
        # A stage that was killed and goes on from a checkpoint scores the same rollouts again.
        assert open_expert(config, run).score([make_trajectory()], [TASK]) == [0.75]
    used = read_usage(run)["preference", "m"]
    assert (used.requests, used.cached, len(endpoint.bodies)) == (1, 1, 1)
