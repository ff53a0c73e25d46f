"""How a run of the pool ends when its consumer does not follow it: without a process, decided by
scripted workers."""

import gc
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.scripted_workers import ScriptedWorkers
from support.waiting_environment import WaitingEnvironment, make_requests, trajectory_of

from medr_ray.core.errors import InfrastructureError, MedrError
from medr_ray.core.failure_streak import MAX_IDENTICAL_FAILURES
from medr_ray.core.run import Directory
from medr_ray.core.settings import load_config
from medr_ray.rollouts import pool as pool_module
from medr_ray.rollouts.failure_kinds import MODEL
from medr_ray.rollouts.ledger import Ledger
from medr_ray.rollouts.outcomes import RolloutOutcome
from medr_ray.rollouts.pool import RolloutPool
from medr_ray.rollouts.worker import EpisodeReport, RolloutRequest


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> ScriptedWorkers:
    scripted = ScriptedWorkers(play_only_plain)
    monkeypatch.setattr(pool_module, "WorkerGroup", lambda *_: scripted)
    return scripted


def play_only_plain(request: RolloutRequest) -> EpisodeReport | None:
    """Plain rollouts are finished at once, those that fail find nobody, others never end."""
    if request.mode == "failing":
        return EpisodeReport(None, MODEL, "http://127.0.0.1:1/v1 failed 5 times")
    return EpisodeReport(trajectory_of(request)) if request.mode == "plain" else None


def open_pool() -> RolloutPool:
    overrides = ["rollouts.workers=1", "rollouts.max_workers=1", "ray.placement_seconds=0"]
    config = load_config(None, overrides, environment={})
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


def test_an_endpoint_that_is_gone_ends_the_run_and_what_came_before_is_kept(
    workers: ScriptedWorkers, tmp_path: Path
) -> None:
    ledger = Ledger(Directory(str(tmp_path)), 4)
    requests = [*make_requests(2), *make_requests(40, "failing"), *make_requests(9, "hanging")]
    with (
        open_pool() as pool,
        pytest.raises(InfrastructureError, match=r"rollouts in a row .*127\.0\.0\.1:1.*model"),
    ):
        list(ledger.record(pool.run(requests)))
    assert {trajectory.rollout for trajectory in ledger.done()} == {0, 1}
    assert len(ledger.failures()) >= MAX_IDENTICAL_FAILURES
    assert {failure.attempts for failure in ledger.failures()} == {3}


def test_bad_rows_among_good_ones_end_nothing(workers: ScriptedWorkers) -> None:
    bad = MAX_IDENTICAL_FAILURES - 1
    requests = [*make_requests(bad, "failing"), *make_requests(3)]
    with open_pool() as pool:
        outcomes = list(pool.run(requests))
    assert sum(outcome.trajectory is None for outcome in outcomes) == bad


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


def test_a_worker_that_no_node_can_hold_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    unstaffed = ScriptedWorkers(play_only_plain, is_staffed=False)
    monkeypatch.setattr(pool_module, "WorkerGroup", lambda *_: unstaffed)
    monkeypatch.setattr(pool_module, "read_nodes", lambda: [{"CPU": 0.25}])
    with (
        open_pool() as pool,
        pytest.raises(InfrastructureError, match=r"0\.5 CPU; there is 0\.25 CPU"),
    ):
        list(pool.run(make_requests(1)))
