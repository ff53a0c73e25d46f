"""Which task goes where, and how many workers there should be."""

from support.waiting_environment import make_tasks

from medr_ray.core.config import RolloutsConfig
from medr_ray.rollouts.schedule import Item, Schedule


def schedule(tasks: int, ready: int = 0, **settings: float) -> Schedule:
    """So many tasks waiting and so many workers ready, numbered from 0."""
    made = Schedule(
        RolloutsConfig(
            **({"workers": 0, "max_workers": 4, "concurrency": 2, "retries": 2} | settings)
        )
    )  # type: ignore[arg-type]
    made.add([Item(number, task) for number, task in enumerate(make_tasks(tasks))])
    for worker in range(ready):
        made.started(worker)
        made.ready(worker, 0.0)
    return made


def test_tasks_go_to_ready_workers_with_room_the_least_loaded_first() -> None:
    made = schedule(5, ready=2)
    made.started(2)  # still starting
    assert [(worker, item.number) for worker, item in made.assign()] == [
        (0, 0),
        (1, 1),
        (0, 2),
        (1, 3),
    ]
    assert made.waits()
    made.left(1, 1.0)
    assert [(worker, item.number) for worker, item in made.assign()] == [(1, 4)]


def test_a_failed_task_goes_to_another_worker_and_waits_for_it() -> None:
    made = schedule(4, ready=2)
    placed = {item.number: (worker, item) for worker, item in made.assign()}
    worker, item = placed[0]
    made.left(worker, 1.0)
    assert made.retry(item, worker, died=False)
    assert list(made.assign()) == []  # the other one is full
    made.left(1 - worker, 2.0)
    assert list(made.assign()) == [(1 - worker, item)]


def test_a_failed_task_goes_to_the_same_worker_where_there_is_no_other() -> None:
    made = schedule(1, ready=1)
    [(worker, item)] = made.assign()
    made.left(worker, 1.0)
    made.retry(item, worker, died=False)
    assert list(made.assign()) == [(0, item)]


def test_attempts_end() -> None:
    made = schedule(1, ready=1, retries=1)
    for more in (True, False):
        [(worker, item)] = made.assign()
        made.left(worker, 0.0)
        assert made.retry(item, worker, died=False) is more
    assert (item.attempts, made.waits()) == (2, False)


def test_the_last_attempt_of_what_workers_died_under_is_made_alone() -> None:
    made = schedule(2, ready=1)
    items = [item for _, item in made.assign()]
    for worker in (1, 2):  # two workers die under both
        made.gone(worker - 1)
        assert all(made.retry(item, worker - 1, died=True) for item in items)
        made.started(worker)
        made.ready(worker, 0.0)
        placed = list(made.assign())
    assert len(placed) == 1
    made.add([Item(9, make_tasks(1)[0])])
    assert list(made.assign()) == []  # nobody joins it
    assert made.wanted() == 2  # but another worker may take the other
    made.left(2, 1.0)
    assert len(list(made.assign())) == 1


def test_an_attempt_lost_through_no_fault_of_its_own_is_not_counted() -> None:
    made = schedule(1, ready=1, retries=0)
    for _ in range(3):
        [(_, item)] = made.assign()
        made.left(0, 0.0)
        made.put_back(item)
    assert item.attempts == 0


def test_workers_are_wanted_for_what_waits_and_runs() -> None:
    made = schedule(5, workers=1)
    assert made.missing() == 3
    for worker in range(3):
        made.started(worker)
    assert made.missing() == 0  # they are on their way
    assert schedule(100).wanted() == 4
    assert schedule(0, workers=1).wanted() == 1
    assert schedule(0).wanted() == 0


def test_idle_workers_are_given_back_after_a_while_and_starting_ones_at_once() -> None:
    made = schedule(2, ready=2, workers=1, idle_seconds=10)
    made.started(2)
    assert made.surplus(5.0) == [2]
    made.gone(2)
    list(made.assign())
    made.left(0, 6.0)
    made.left(1, 7.0)
    assert made.surplus(16.9) == [0]  # since 6; one is kept
    assert made.surplus(17.0) == [1]
    made.gone(1)
    assert made.surplus(100.0) == []
