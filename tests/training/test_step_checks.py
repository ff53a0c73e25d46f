"""Skipped steps: counted, and too many in a row end the run for good."""

import io
import json
import re
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from medr_ray.core import progress
from medr_ray.core.errors import DataError, InfrastructureError
from medr_ray.core.progress import Bar
from medr_ray.training.metric_rows import MetricRow, replace_infinite
from medr_ray.training.ray_train import _fit_with_progress, run_until_hopeless
from medr_ray.training.step_checks import count_skipped_steps, require_applied_steps


def make_history(*applied: bool | None) -> list[MetricRow]:
    return [{"applied": value} for value in applied]


def test_skipped_steps_are_counted_and_steps_that_nothing_was_due_in_are_not() -> None:
    assert count_skipped_steps(make_history(True, False, None, False)) == 2


@pytest.mark.parametrize(
    "applied",
    [(False, False), (False, False, True), (False, False, True, False, False), (True,) * 5],
)
def test_two_in_a_row_or_three_apart_are_endured(applied: tuple[bool, ...]) -> None:
    require_applied_steps(make_history(*applied), "sft", total=10)


def test_three_in_a_row_end_the_run_and_name_what_to_change() -> None:
    with pytest.raises(
        DataError, match=r"grpo\.optimiser\.learning_rate or .*clip_norm"
    ) as failure:
        require_applied_steps(make_history(True, False, False, False), "grpo", total=10)
    assert "3 steps in a row (the last is number 4)" in str(failure.value)


def test_a_training_of_two_steps_does_not_end_well_without_any() -> None:
    with pytest.raises(DataError, match="2 steps in a row"):
        require_applied_steps(make_history(False, False), "sft", total=2)


@given(st.recursive(st.floats() | st.integers() | st.none(), lambda inner: st.dictionaries(
    st.text(max_size=3), inner, max_size=3), max_leaves=8))  # fmt: skip
def test_a_row_is_json_whatever_its_numbers_are(value: Any) -> None:
    json.dumps(replace_infinite({"value": value}), allow_nan=False)


class RecordingLog:
    def __init__(self) -> None:
        self.reason: str | None = None
        self.failures: list[str] = []

    def add_failure(self, failure: str) -> None:
        self.failures.append(failure)

    def stop(self, reason: str) -> None:
        self.reason = reason

    def stop_reason(self) -> str | None:
        return self.reason


def test_workers_that_are_started_again_after_a_hopeless_failure_end_at_once() -> None:
    attempts: list[int] = []

    def diverge(_: dict[str, Any]) -> None:
        attempts.append(1)
        raise DataError("it has diverged")

    log = RecordingLog()
    with pytest.raises(DataError):
        run_until_hopeless({"worker": diverge, "log": log})
    run_until_hopeless({"worker": diverge, "log": log})
    assert len(attempts) == 1
    assert log.reason == "it has diverged"


@pytest.mark.parametrize("error", [InfrastructureError("the disk is full"), RuntimeError("killed")])
def test_workers_that_failed_for_another_reason_are_started_again(error: Exception) -> None:
    def fail(_: dict[str, Any]) -> None:
        raise error

    log = RecordingLog()
    with pytest.raises(type(error)):
        run_until_hopeless({"worker": fail, "log": log})
    assert log.reason is None
    assert log.failures == [f"{type(error).__name__}: {error}"]


class RestartedLog:
    """The log of workers that failed behind their third step and went on from the first."""

    def __init__(self) -> None:
        self.is_read = threading.Event()

    def take_failures(self) -> list[str]:
        return [] if self.is_read.is_set() else ["ValueError: [too] few values"]

    def take_rows(self) -> list[dict[str, Any]]:
        numbers = () if self.is_read.is_set() else (1, 2, 3, 2, 3, 4)
        self.is_read.set()
        return [{"number": number, "loss": 0.5} for number in numbers]


def test_a_failure_is_printed_and_steps_that_are_done_again_are_counted_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "_LINE_SECONDS", 0.0)
    log = RestartedLog()
    console = Console(file=io.StringIO(), width=100)
    with Bar(console, "sft", 4, "steps") as bar:
        _fit_with_progress(log.is_read.wait, log, bar)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "sft: a worker failed: ValueError: [too] few values" in printed
    assert "sft: started again from the checkpoint at 1" in printed
    assert re.findall(r"sft: (\d)/4", printed) == ["1", "2", "3", "2", "3", "4"]
