"""Every rollout stands in the ledger once, whoever wrote it and however often; what failed is
known."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from support.waiting_environment import make_requests, trajectory_of

from medr_ray.core.run import Directory
from medr_ray.rollouts.failure_kinds import MODEL, TOOL, RolloutFailure
from medr_ray.rollouts.ledger import Ledger
from medr_ray.rollouts.outcomes import RolloutOutcome
from medr_ray.rollouts.worker import RolloutRequest

REQUESTS = make_requests(7)


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(str(tmp_path))


def finished_outcomes(requests: Sequence[RolloutRequest], mark: str = "") -> list[RolloutOutcome]:
    return [RolloutOutcome(request, trajectory_of(request, mark)) for request in requests]


def failed_outcome(request: RolloutRequest, kind: str = TOOL) -> RolloutOutcome:
    return RolloutOutcome(request, None, "down", 1.0, kind, attempts=3)


def finished_numbers(ledger: Ledger) -> list[int]:
    return sorted(trajectory.rollout for trajectory in ledger.done())


def test_what_was_recorded_is_done_in_the_order_of_ids(directory: Directory) -> None:
    assert list(Ledger(directory, 3).record(finished_outcomes(REQUESTS[:5]))) == finished_outcomes(
        REQUESTS[:5]
    )
    ledger = Ledger(directory, 3)
    ids = [trajectory.trajectory_id for trajectory in ledger.done()]
    assert (len(ids), ids) == (5, sorted(ids))
    assert ledger.open_requests(REQUESTS) == REQUESTS[5:]
    assert len(directory.list_files("parts")) == 2


def test_a_consumer_that_stops_or_a_pool_that_fails_loses_nothing(directory: Directory) -> None:
    def yield_then_fail() -> Iterator[RolloutOutcome]:
        yield from finished_outcomes(REQUESTS[2:4])
        raise RuntimeError("bug")

    stopping = Ledger(directory, 10).record(finished_outcomes(REQUESTS))
    assert [next(stopping), next(stopping)] == finished_outcomes(REQUESTS[:2])
    stopping.close()  # type: ignore[attr-defined]
    with pytest.raises(RuntimeError, match="bug"):
        list(Ledger(directory, 10).record(yield_then_fail()))
    assert finished_numbers(Ledger(directory, 10)) == [0, 1, 2, 3]


def test_a_duplicate_is_dropped_and_counted(directory: Directory) -> None:
    ledger = Ledger(directory, 2)
    outcomes = [*finished_outcomes(REQUESTS[:2]), *finished_outcomes(REQUESTS[1:4], "late")]
    assert [outcome.request.rollout for outcome in ledger.record(outcomes)] == [0, 1, 2, 3]
    assert ledger.duplicates == 1
    assert {
        trajectory.trajectory_id for trajectory in ledger.done() if trajectory.rollout == 1
    } == {trajectory_of(REQUESTS[1]).trajectory_id}


def test_two_drivers_write_every_rollout_once(directory: Directory) -> None:
    first_ledger, second_ledger = Ledger(directory, 2), Ledger(directory, 2)
    first, second = (
        first_ledger.record(finished_outcomes(REQUESTS[:4])),
        second_ledger.record(finished_outcomes(REQUESTS, "other")),
    )
    for stream in (
        first,
        second,
        first,
        second,
        second,
        first,
        first,
        second,
        second,
        second,
        second,
    ):
        next(stream)
    assert list(first) == list(second) == []
    assert finished_numbers(Ledger(directory, 2)) == list(range(7))
    assert first_ledger.duplicates + second_ledger.duplicates == 4
    assert first_ledger.done() == second_ledger.done()


def test_two_drivers_that_wrote_at_the_same_time_agree_on_what_counts(directory: Directory) -> None:
    first_ledger, second_ledger = Ledger(directory, 9), Ledger(directory, 9)
    for mark, ledger in (("a", first_ledger), ("b", second_ledger)):
        directory.write_records(
            f"parts/part-00000-{ledger._writer}.parquet",
            type(trajectory_of(REQUESTS[0])),
            [trajectory_of(request, mark) for request in REQUESTS],
        )
    assert finished_numbers(first_ledger) == list(range(7))
    assert first_ledger.done() == second_ledger.done()


def test_failures_are_kept_until_the_rollout_is_made(directory: Directory) -> None:
    list(
        Ledger(directory, 2).record(
            [
                *finished_outcomes(REQUESTS[:2]),
                failed_outcome(REQUESTS[2]),
                failed_outcome(REQUESTS[3]),
                failed_outcome(REQUESTS[4]),
            ]
        )
    )
    again = Ledger(directory, 2)
    assert again.open_requests(REQUESTS) == REQUESTS[2:]
    list(again.record([*finished_outcomes(REQUESTS[2:4]), failed_outcome(REQUESTS[4], MODEL)]))
    question = REQUESTS[0].task.task_id
    assert Ledger(directory, 2).failures() == [
        RolloutFailure(question, "plain", 4, MODEL, "down", 6)
    ]


def test_failures_may_be_kept_as_they_are(directory: Directory) -> None:
    list(
        Ledger(directory, 9).record([*finished_outcomes(REQUESTS[:2]), failed_outcome(REQUESTS[2])])
    )
    assert Ledger(directory, 9, retry_failed=False).open_requests(REQUESTS) == REQUESTS[3:]


def test_a_task_given_twice_is_open_once(directory: Directory) -> None:
    assert Ledger(directory, 9).open_requests([*REQUESTS, *REQUESTS]) == REQUESTS
