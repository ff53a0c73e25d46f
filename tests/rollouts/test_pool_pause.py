"""A pool whose own process was paused: what came meanwhile is queued, and nobody is late who kept
time. Without a process, decided by scripted workers and a clock that jumps."""

import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from support.scripted_workers import ScriptedWorkers
from support.waiting_environment import WaitingEnvironment, make_requests, trajectory_of

from medr_ray.core.settings import load_config
from medr_ray.rollouts import pool as pool_module
from medr_ray.rollouts.pool import RolloutPool
from medr_ray.rollouts.worker import EpisodeReport, Heartbeat, RolloutRequest
from medr_ray.rollouts.worker_group import WorkerEvent

# Seconds: longer than the pool below waits for a heartbeat or for a straggler.
_PAUSE_SECONDS = 60.0


class PausedWorkers(ScriptedWorkers):
    """The pool is paused after it took its events with a heartbeat asked for: the heartbeat and the
    slow rollouts arrive during that pause."""

    def __init__(self) -> None:
        super().__init__(play_only_plain)
        self.passed = 0.0  # seconds, beyond those of the real clock
        self._asked: list[int] = []
        self._slow: dict[int, RolloutRequest] = {}

    def read_clock(self) -> float:
        return time.monotonic() + self.passed

    def start_rollout(
        self, worker: int, rollout: int, request: RolloutRequest
    ) -> Callable[[], None]:
        if request.mode == "slow":
            self._slow[rollout] = request
        return super().start_rollout(worker, rollout, request)

    def request_heartbeat(self, worker: int) -> None:
        self._asked.append(worker)

    def events(self, seconds: float) -> Iterator[WorkerEvent]:
        yield from super().events(seconds)
        self.passed += seconds
        if self._asked:
            self.passed += _PAUSE_SECONDS
            self._add_event("heartbeat", self._asked.pop(), Heartbeat(blocked=False))
            for rollout, request in self._slow.items():
                self._add_event("finished", rollout, EpisodeReport(trajectory_of(request)))
            self._slow.clear()


def play_only_plain(request: RolloutRequest) -> EpisodeReport | None:
    return EpisodeReport(trajectory_of(request)) if request.mode == "plain" else None


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[RolloutPool]:
    paused = PausedWorkers()
    clock = SimpleNamespace(monotonic=paused.read_clock, strftime=time.strftime, gmtime=time.gmtime)
    monkeypatch.setattr(pool_module, "WorkerGroup", lambda *_: paused)
    monkeypatch.setattr(pool_module, "time", clock)
    overrides = [
        "rollouts.workers=1",
        "rollouts.max_workers=1",
        "rollouts.stall_seconds=10",
        "rollouts.straggler_seconds=30",
    ]
    config = load_config(None, overrides, environment={})
    with RolloutPool(config, environment=WaitingEnvironment({})) as pool:
        yield pool


def test_a_pause_of_the_pool_makes_no_worker_silent(pool: RolloutPool) -> None:
    outcomes = list(pool.run(make_requests(1, "slow")))
    assert [outcome.kind for outcome in outcomes] == [""]
    assert (pool.figures()["lost"], pool.figures()["failed_attempts"]) == (0, {})


def test_a_pause_of_the_pool_makes_no_rollout_a_straggler(pool: RolloutPool) -> None:
    groups = [[*make_requests(3), *make_requests(1, "slow")]]
    [group] = pool.run_groups(groups, 0.75)
    assert [outcome.kind for outcome in group.outcomes] == [""] * 4
    assert (pool.figures()["late"], pool.figures()["failed_attempts"]) == (0, {})
