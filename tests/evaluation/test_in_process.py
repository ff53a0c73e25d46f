"""Many attempts in one process: each comes back once, and what ends them."""

import asyncio

import pytest
from support.questions import make_question
from support.waiting_environment import trajectory_of

from medr_ray.core.errors import ConfigError, InfrastructureError
from medr_ray.core.failure_streak import MAX_IDENTICAL_FAILURES
from medr_ray.core.records import Trajectory
from medr_ray.evaluation.runs.in_process import run_in_process
from medr_ray.evaluation.runs.plain_question import build_prompt, read_plain_answer
from medr_ray.rollouts.worker import RolloutRequest

REQUESTS = [RolloutRequest(make_question(number).task, "m") for number in range(30)]


class Asked:
    """Answers, after failing ``failures`` times for each question; ``most`` were asked at once."""

    def __init__(self, failures: int = 0, reason: str = "no reply within 4 s") -> None:
        self.tries: dict[str, int] = {}
        self.most = 0
        self._failures = failures
        self._reason = reason
        self._running = 0

    async def __call__(self, request: RolloutRequest) -> Trajectory:
        self._running += 1
        self.most = max(self.most, self._running)
        try:
            await asyncio.sleep(0.001)
            tries = self.tries.get(request.key, 0) + 1
            self.tries[request.key] = tries
            if tries <= self._failures:
                raise InfrastructureError(self._reason)
            return trajectory_of(request)
        finally:
            self._running -= 1


def test_every_request_comes_back_once_with_no_more_at_once_than_are_allowed() -> None:
    ask = Asked()
    outcomes = list(run_in_process(ask, REQUESTS, 4, 0))
    assert sorted(outcome.request.key for outcome in outcomes) == sorted(
        request.key for request in REQUESTS
    )
    assert all(outcome.trajectory for outcome in outcomes)
    assert ask.most == 4


def test_what_fails_is_tried_afresh_and_then_given_up_with_its_reason() -> None:
    (outcome,) = run_in_process(Asked(failures=2), REQUESTS[:1], 4, 2)
    assert (outcome.trajectory is not None, outcome.attempts) == (True, 3)
    (outcome,) = run_in_process(Asked(failures=3), REQUESTS[:1], 4, 2)
    assert (outcome.trajectory, outcome.failure) == (None, "no reply within 4 s")


def test_failures_of_one_cause_end_the_work() -> None:
    ask = Asked(failures=99, reason="http://there/v1 is gone")
    outcomes = []
    with pytest.raises(InfrastructureError, match="questions in a row failed for the same reason"):
        outcomes.extend(run_in_process(ask, REQUESTS, 1, 0))
    assert len(ask.tries) <= MAX_IDENTICAL_FAILURES + 1


def test_what_is_no_failure_of_infrastructure_is_raised_as_it_is() -> None:
    async def refuse(request: RolloutRequest) -> Trajectory:
        await asyncio.sleep(0)
        raise ConfigError("the key was refused")

    with pytest.raises(ConfigError, match="the key was refused"):
        list(run_in_process(refuse, REQUESTS, 4, 0))


def test_a_consumer_that_stops_cancels_the_rest() -> None:
    ask = Asked()
    outcomes = run_in_process(ask, REQUESTS, 2, 0)
    next(outcomes)
    outcomes.close()
    assert len(ask.tries) < len(REQUESTS)


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("Answer: Paris", "Paris"),
        ("<think>Answer: Rome</think>It is clear.\n**Answer:** Paris", "Paris"),
        ("Answer: Rome?\nNo.\nFinal answer: Paris", "Paris"),
        ("Answer: a\nb\n\nBecause of c.", "a\nb"),
        ("首先考虑。\n答案：巴黎", "巴黎"),
        ("Paris", "Paris"),
        ("Answer:", None),
        ("<think>Answer: Rome</think>", None),
        ("", None),
    ],
)
def test_a_plain_reply_is_read_for_its_answer(reply: str, answer: str | None) -> None:
    assert read_plain_answer(reply) == answer


def test_the_prompt_of_a_plain_question_has_the_whole_question() -> None:
    task = REQUESTS[0].task
    assert task.text in build_prompt(task)
