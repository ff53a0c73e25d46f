"""Which request goes where, and how many workers there should be."""

from support.waiting_environment import make_requests

from medr_ray.core.config import RolloutsConfig
from medr_ray.rollouts.schedule import Schedule, ScheduledRequest


def make_schedule(requests: int, ready: int = 0, **settings: float) -> Schedule:
    """So many requests waiting and so many workers ready, numbered from 0."""
    schedule = Schedule(
        RolloutsConfig(
            **({"workers": 0, "max_workers": 4, "concurrency": 2, "retries": 2} | settings)
        )
    )  # type: ignore[arg-type]
    schedule.add_requests(
        [
            ScheduledRequest(number, request)
            for number, request in enumerate(make_requests(requests))
        ]
    )
    for worker in range(ready):
        schedule.add_worker(worker)
        schedule.mark_ready(worker, 0.0)
    return schedule


def test_tasks_go_to_ready_workers_with_room_the_least_loaded_first() -> None:
    schedule = make_schedule(5, ready=2)
    schedule.add_worker(2)  # still starting
    assert [(worker, scheduled.number) for worker, scheduled in schedule.assign_requests()] == [
        (0, 0),
        (1, 1),
        (0, 2),
        (1, 3),
    ]
    assert schedule.has_waiting_requests()
    schedule.release_worker(1, 1.0)
    assert [(worker, scheduled.number) for worker, scheduled in schedule.assign_requests()] == [
        (1, 4)
    ]


def test_a_failed_task_goes_to_another_worker_and_waits_for_it() -> None:
    schedule = make_schedule(4, ready=2)
    placed = {
        scheduled.number: (worker, scheduled) for worker, scheduled in schedule.assign_requests()
    }
    worker, scheduled = placed[0]
    schedule.release_worker(worker, 1.0)
    assert schedule.requeue_failed(scheduled, worker, died=False)
    assert list(schedule.assign_requests()) == []  # the other one is full
    schedule.release_worker(1 - worker, 2.0)
    assert list(schedule.assign_requests()) == [(1 - worker, scheduled)]


def test_a_failed_task_goes_to_the_same_worker_where_there_is_no_other() -> None:
    schedule = make_schedule(1, ready=1)
    [(worker, scheduled)] = schedule.assign_requests()
    schedule.release_worker(worker, 1.0)
    schedule.requeue_failed(scheduled, worker, died=False)
    assert list(schedule.assign_requests()) == [(0, scheduled)]


def test_attempts_end() -> None:
    schedule = make_schedule(1, ready=1, retries=1)
    for more in (True, False):
        [(worker, scheduled)] = schedule.assign_requests()
        schedule.release_worker(worker, 0.0)
        assert schedule.requeue_failed(scheduled, worker, died=False) is more
    assert (scheduled.attempts, schedule.has_waiting_requests()) == (2, False)


def test_the_last_attempt_of_what_workers_died_under_is_made_alone() -> None:
    schedule = make_schedule(2, ready=1)
    first = [scheduled for _, scheduled in schedule.assign_requests()]
    for worker in (1, 2):  # two workers die under both
        schedule.remove_worker(worker - 1)
        assert all(schedule.requeue_failed(scheduled, worker - 1, died=True) for scheduled in first)
        schedule.add_worker(worker)
        schedule.mark_ready(worker, 0.0)
        placed = list(schedule.assign_requests())
    assert len(placed) == 1
    schedule.add_requests([ScheduledRequest(9, make_requests(1)[0])])
    assert list(schedule.assign_requests()) == []  # nobody joins it
    assert schedule.wanted_workers() == 2  # but another worker may take the other
    schedule.release_worker(2, 1.0)
    assert len(list(schedule.assign_requests())) == 1


def test_an_attempt_lost_through_no_fault_of_its_own_is_not_counted() -> None:
    schedule = make_schedule(1, ready=1, retries=0)
    for _ in range(3):
        [(_, scheduled)] = schedule.assign_requests()
        schedule.release_worker(0, 0.0)
        schedule.put_back(scheduled)
    assert scheduled.attempts == 0


def test_workers_are_wanted_for_what_waits_and_runs() -> None:
    schedule = make_schedule(5, workers=1)
    assert schedule.missing_workers() == 3
    for worker in range(3):
        schedule.add_worker(worker)
    assert schedule.missing_workers() == 0  # they are on their way
    assert make_schedule(100).wanted_workers() == 4
    assert make_schedule(0, workers=1).wanted_workers() == 1
    assert make_schedule(0).wanted_workers() == 0


def test_idle_workers_are_given_back_after_a_while_and_starting_ones_at_once() -> None:
    schedule = make_schedule(2, ready=2, workers=1, idle_seconds=10)
    schedule.add_worker(2)
    assert schedule.surplus_workers(5.0) == [2]
    schedule.remove_worker(2)
    list(schedule.assign_requests())
    schedule.release_worker(0, 6.0)
    schedule.release_worker(1, 7.0)
    assert schedule.surplus_workers(16.9) == [0]  # since 6; one is kept
    assert schedule.surplus_workers(17.0) == [1]
    schedule.remove_worker(1)
    assert schedule.surplus_workers(100.0) == []
