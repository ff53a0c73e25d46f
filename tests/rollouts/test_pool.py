"""The pool with real worker processes: they die, stand still, come and go; nothing is lost or made
twice."""

from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.questions import worded_task
from support.small_index import KRABBE, build_index
from support.waiting_environment import (
    ANSWER,
    LookingUp,
    Script,
    WaitingEnvironment,
    make_requests,
    trajectory_of,
)

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import MedrError
from medr_ray.core.run import Directory
from medr_ray.core.settings import load_config
from medr_ray.rollouts.failure_kinds import DEADLINE, MODEL, STALLED, STRAGGLER, WORKER_DIED
from medr_ray.rollouts.outcomes import GroupOutcome, RolloutOutcome
from medr_ray.rollouts.pool import RolloutPool, _InFlightRollout
from medr_ray.rollouts.schedule import ScheduledRequest
from medr_ray.rollouts.worker import EpisodeReport, RolloutRequest
from medr_ray.rollouts.worker_group import WorkerEvent

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_local")]


def config(*overrides: str) -> PipelineConfig:
    return load_config(
        None,
        [
            "retrieval.mode=text",
            "rollouts.workers=1",
            "rollouts.max_workers=2",
            "rollouts.concurrency=4",
            *overrides,
        ],
        environment={},
    )


def waiting_pool(
    settings: PipelineConfig, reports: Directory | None = None, **scripts: Script
) -> RolloutPool:
    return RolloutPool(settings, environment=WaitingEnvironment(scripts), reports=reports)


def by_key(outcomes: list[RolloutOutcome]) -> dict[str, RolloutOutcome]:
    """Outcomes by mode and rollout, of which none may be there twice."""
    keyed = {f"{outcome.request.mode}/{outcome.request.rollout}": outcome for outcome in outcomes}
    assert len(keyed) == len(outcomes)
    return keyed


def test_the_configured_tools_over_an_index_are_the_environment(tmp_path: Path) -> None:
    index = build_index(tmp_path / "index", [KRABBE])
    requests = [RolloutRequest(worded_task(), "guided", rollout) for rollout in range(3)]
    with RolloutPool(config(), index.uri, lambda rarity: LookingUp) as pool:
        outcomes = by_key(list(pool.run(requests)))
    assert [outcome.kind for outcome in outcomes.values()] == [""] * 3
    answers = {
        str(outcome.trajectory.answer) for outcome in outcomes.values() if outcome.trajectory
    }
    assert [answer for answer in answers if "Autosomal recessive" not in answer] == []


def test_a_killed_worker_costs_nothing_and_a_lost_cause_is_named(tmp_path: Path) -> None:
    plain = Script(think=0.2, wait=0.1)
    with waiting_pool(
        config(),
        plain=plain,
        once=Script(happens="die", marks=str(tmp_path)),
        lost=Script(happens="unreachable"),
    ) as pool:
        outcomes = by_key(
            list(
                pool.run([*make_requests(6), *make_requests(1, "once"), *make_requests(1, "lost")])
            )
        )
        assert pool.figures()["lost"] == 1
    lost = outcomes.pop("lost/0")
    assert (lost.trajectory, lost.failure, lost.kind, lost.attempts) == (
        None,
        "endpoint down",
        MODEL,
        3,
    )
    assert len(outcomes) == 7
    assert {
        outcome.trajectory.answer if outcome.trajectory else None for outcome in outcomes.values()
    } == {ANSWER}
    assert outcomes["once/0"].attempts == 2


def test_one_that_brings_every_worker_down_takes_no_other_with_it() -> None:
    with waiting_pool(
        config("rollouts.max_workers=1"), plain=Script(think=0.3), deadly=Script(happens="die")
    ) as pool:
        outcomes = by_key(list(pool.run([*make_requests(1, "deadly"), *make_requests(3)])))
        assert pool.figures()["lost"] == 3
    deadly = outcomes.pop("deadly/0")
    assert (deadly.trajectory, deadly.kind, deadly.attempts) == (None, WORKER_DIED, 3)
    assert [outcome.kind for outcome in outcomes.values()] == [""] * 3


def test_deadlines_hold(tmp_path: Path) -> None:
    # Far apart: a busy machine that holds a process up for a second or two is no stall.
    settings = config("agent.seconds=8", "rollouts.retries=0", "rollouts.stall_seconds=4")
    with waiting_pool(
        settings, Directory(str(tmp_path)), hanging=Script(happens="hang"), plain=Script()
    ) as pool:
        outcomes = by_key(list(pool.run([*make_requests(1, "hanging"), *make_requests(2)])))
        assert pool.figures()["lost"] == 0  # it waits, it is not blocked
    assert (outcomes["hanging/0"].trajectory, outcomes["hanging/0"].kind) == (None, DEADLINE)
    assert {outcome.kind for key, outcome in outcomes.items() if key != "hanging/0"} == {""}
    account = next((tmp_path / "stalls").glob("*-worker-*.txt")).read_text()
    assert "at: model, turn 1" in account
    assert "in _hang" in account


@pytest.mark.parametrize(
    ("happens", "account"),
    [
        ("block", ["its event loop is blocked", "standing/0: ", "time.sleep(3600)"]),
        ("freeze", ["gave no sign of life"]),
    ],
)
def test_a_worker_that_stands_still_is_reported_and_replaced(
    happens: str, account: list[str], tmp_path: Path
) -> None:
    standing = Script(happens=happens, marks=str(tmp_path / "marks"))
    (tmp_path / "marks").mkdir()
    with waiting_pool(
        config("rollouts.stall_seconds=2"),
        Directory(str(tmp_path)),
        standing=standing,
        plain=Script(think=0.1),
    ) as pool:
        outcomes = by_key(list(pool.run([*make_requests(3), *make_requests(1, "standing")])))
        figures = pool.figures()
    for frozen in psutil.Process().children(recursive=True):
        # Those that the pool has just ended are still going.
        with suppress(psutil.NoSuchProcess):
            if frozen.status() == psutil.STATUS_STOPPED:
                frozen.kill()
    assert {
        outcome.trajectory.answer if outcome.trajectory else None for outcome in outcomes.values()
    } == {ANSWER}
    assert figures["lost"] == 1
    assert figures["failed_attempts"][STALLED] >= 1
    [report] = (tmp_path / "stalls").glob("*-worker-*.txt")
    assert [line for line in account if line not in report.read_text()] == []


def test_stragglers_are_cut_from_their_groups_and_are_no_answers(tmp_path: Path) -> None:
    groups = [
        [*make_requests(3, question=1), *make_requests(1, "hanging", question=1)],
        make_requests(4, question=2),
    ]
    settings = config("rollouts.straggler_seconds=3")
    with waiting_pool(settings, plain=Script(think=0.05), hanging=Script(happens="hang")) as pool:
        by_task = {
            group.outcomes[0].request.task.task_id: group for group in pool.run_groups(groups, 0.75)
        }
        assert pool.figures()["failed_attempts"] == {STRAGGLER: 1}
    cut, whole = by_task[groups[0][0].task.task_id], by_task[groups[1][0].task.task_id]
    assert [outcome.kind for outcome in cut.outcomes] == ["", "", "", STRAGGLER]
    assert [outcome.request for outcome in cut.outcomes] == groups[0]
    assert (cut.viable, len(cut.trajectories), len(whole.trajectories)) == (True, 3, 4)


def test_a_group_that_is_added_runs_while_others_still_do() -> None:
    with waiting_pool(
        config("rollouts.max_workers=1"), slow=Script(think=4.0), quick=Script(), later=Script()
    ) as pool:
        ended: list[str] = []

        def add_one(group: GroupOutcome) -> list[list[RolloutRequest]]:
            ended.append(group.outcomes[0].request.mode)
            return [make_requests(2, "later")] if ended == ["quick"] else []

        groups = [make_requests(1, "slow"), make_requests(2, "quick")]
        finished = list(pool.run_groups(groups, 0.5, add_one))
    assert ended == ["quick", "later", "slow"]
    assert [len(group.trajectories) for group in finished] == [2, 2, 1]


def test_the_pool_grows_with_its_tasks_and_gives_workers_back() -> None:
    with waiting_pool(
        config("rollouts.workers=0", "rollouts.idle_seconds=0", "rollouts.concurrency=1"),
        plain=Script(think=0.2),
    ) as pool:
        assert pool.figures()["started"] == 0
        assert len(by_key(list(pool.run(make_requests(12))))) == 12
        pool._timer.join()
        assert (pool.figures()["started"], pool.figures()["returned"]) == (2, 2)
        assert len(by_key(list(pool.run(make_requests(1))))) == 1


def test_workers_that_cannot_be_placed_are_not_waited_for() -> None:
    with waiting_pool(
        config("rollouts.workers=2", "rollouts.worker_cpus=2.5"), plain=Script()
    ) as pool:
        assert len(by_key(list(pool.run(make_requests(12))))) == 12  # the cluster has four CPUs


def test_a_run_that_nobody_follows_to_its_end_leaves_the_pool_usable() -> None:
    with waiting_pool(config(), plain=Script(), hanging=Script(happens="hang")) as pool:
        for _ in range(3):  # eight rollouts fit in all
            stream = pool.run([*make_requests(1), *make_requests(6, "hanging")])
            next(stream)
            with pytest.raises(MedrError, match="already running requests"):
                next(pool.run(make_requests(1)))
            stream.close()  # type: ignore[attr-defined]
        assert len(by_key(list(pool.run(make_requests(5))))) == 5


def test_a_bug_of_ours_is_raised_not_retried() -> None:
    with (
        waiting_pool(config(), plain=Script(happens="bug")) as pool,
        pytest.raises(ZeroDivisionError, match="bug"),
    ):
        list(pool.run(make_requests(1)))


def test_an_environment_that_cannot_be_made_is_an_error() -> None:
    def broken() -> Any:
        raise ValueError("no such index")

    with (
        RolloutPool(config(), environment=broken) as pool,
        pytest.raises(Exception, match="no such index"),
    ):
        list(pool.run(make_requests(1)))


def test_an_answer_that_comes_after_its_task_was_given_up_is_dropped_and_counted() -> None:
    with waiting_pool(config("rollouts.workers=0")) as pool:
        [request] = make_requests(1)
        answer: Future[EpisodeReport] = Future()
        pool._in_flight[0] = _InFlightRollout(
            ScheduledRequest(0, request), 7, lambda: None, 0.0, settled=True
        )
        answer.set_result(EpisodeReport(trajectory_of(request)))
        pool._handle_event(WorkerEvent("finished", 0, answer))
        assert pool.figures()["late"] == 1
        assert pool._finished == []
