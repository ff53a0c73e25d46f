"""When failures in a row mean that the next would fail as well."""

import pytest

from medr_ray.core.errors import InfrastructureError
from medr_ray.core.failure_streak import FailureStreak

REFUSED = "http://127.0.0.1:1/v1 failed 5 times, last with APIConnectionError: Connection error."
LEFT_ALONE = "http://127.0.0.1:1/v1 m only failed lately and is left alone: again in 3.1 s"


def fail(streak: FailureStreak, *reasons: str) -> None:
    for reason in reasons:
        streak.record_failure(reason)
        streak.require_hope()


def test_identical_failures_in_a_row_end_the_work_and_are_named() -> None:
    streak = FailureStreak("rollouts", 3)
    with pytest.raises(InfrastructureError, match=r"3 rollouts in a row .* http://127\.0"):
        fail(streak, LEFT_ALONE, LEFT_ALONE, REFUSED)


def test_figures_do_not_make_another_cause() -> None:
    streak = FailureStreak("rollouts", 3)
    with pytest.raises(InfrastructureError, match="turn 3 took longer"):
        fail(streak, *(f"turn {turn} took longer than 9.5 s" for turn in range(1, 4)))


def test_a_success_or_another_cause_begins_anew() -> None:
    streak = FailureStreak("rollouts", 3)
    fail(streak, REFUSED, REFUSED)
    streak.record_success()
    fail(streak, REFUSED, REFUSED, "a tool is down", REFUSED, "http://other/v1 failed", REFUSED)
