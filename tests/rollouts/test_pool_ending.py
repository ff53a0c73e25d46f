"""How a run of the pool ends when its consumer does not follow it: without a process, decided by
scripted workers."""

import gc
import threading
from collections.abc import Iterator

import pytest
from support.scripted_workers import ScriptedWorkers
from support.waiting_environment import WaitingEnvironment, make_requests, trajectory_of

from medr_ray.core.errors import MedrError
from medr_ray.core.settings import load_config
from medr_ray.rollouts import pool as pool_module
from medr_ray.rollouts.outcomes import RolloutOutcome
from medr_ray.rollouts.pool import RolloutPool
from medr_ray.rollouts.worker import EpisodeReport, RolloutRequest


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> ScriptedWorkers:
    scripted = ScriptedWorkers(play_only_plain)
    monkeypatch.setattr(pool_module, "WorkerGroup", lambda *_: scripted)
    return scripted


def play_only_plain(request: RolloutRequest) -> EpisodeReport | None:
    """Plain rollouts are finished at once, others never."""
    return EpisodeReport(trajectory_of(request)) if request.mode == "plain" else None


def open_pool() -> RolloutPool:
    config = load_config(None, ["rollouts.workers=1", "rollouts.max_workers=1"], environment={})
    return RolloutPool(config, environment=WaitingEnvironment({}))


def test_a_consumer_that_raises_ends_the_run_with_the_pool(workers: ScriptedWorkers) -> None:
    suspended: list[Iterator[RolloutOutcome]] = []

    def take_first() -> None:
        with open_pool() as pool:
            outcomes = pool.run([*make_requests(1), *make_requests(3, "hanging")])
            suspended.append(outcomes)
            next(outcomes)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        take_first()
    assert len(workers.cancelled) == 3
    assert 0 not in workers
    threads = set(threading.enumerate())
    # As at the end of the interpreter: collected long after the pool is gone.
    suspended.clear()
    gc.collect()
    assert set(threading.enumerate()) <= threads
    assert workers.started == 1


def test_only_a_whole_run_sets_the_timer_for_idle_workers(workers: ScriptedWorkers) -> None:
    with open_pool() as pool:
        outcomes = pool.run([*make_requests(1), *make_requests(1, "hanging")])
        next(outcomes)
        outcomes.close()
        assert not pool._timer.is_alive()
        assert len(list(pool.run(make_requests(2)))) == 2
        assert pool._timer.is_alive()
    pool._timer.join()


def test_a_closed_pool_starts_nothing_any_more(workers: ScriptedWorkers) -> None:
    pool = open_pool()
    outcomes = pool.run([*make_requests(1), *make_requests(1, "hanging")])
    next(outcomes)
    pool.close()
    with pytest.raises(MedrError, match="closed"):
        next(outcomes)
    with pytest.raises(MedrError, match="closed"):
        next(pool.run(make_requests(1)))
    assert workers.started == 1
