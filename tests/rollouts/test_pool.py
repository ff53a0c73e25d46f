"""The pool with real worker processes: one is killed, one task keeps failing; nothing is lost or made twice."""

import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from support.questions import worded_question
from support.small_index import KRABBE, build_index

from medr_ray.agent.policies import Policy, PolicyTurn
from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import InfrastructureError
from medr_ray.core.records import Message
from medr_ray.core.run import Directory
from medr_ray.core.settings import load_config
from medr_ray.rollouts.ledger import Ledger
from medr_ray.rollouts.pool import RolloutPool
from medr_ray.rollouts.worker import PolicyFactory, RolloutTask
from medr_ray.trajectories.teacher import RulesTeacherFactory

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_local")]


def sabotage(marker: str) -> PolicyFactory:
    """The rules teacher, but rollout 2 kills its worker the first time and rollout 5 never reaches its model."""
    teacher = RulesTeacherFactory(("search", "medical_search"))

    class Unreachable:
        async def respond(self, messages: Sequence[Message]) -> PolicyTurn | None:
            raise InfrastructureError("endpoint down")

    def make(task: RolloutTask) -> Policy:
        if task.rollout == 2 and not os.path.exists(marker):
            Path(marker).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return Unreachable() if task.rollout == 5 else teacher(task)

    return make


def config(*overrides: str) -> PipelineConfig:
    return load_config(None, ["retrieval.mode=text", "rollouts.workers=1", "rollouts.max_workers=2",
                              "rollouts.concurrency=3", *overrides], environment={})


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Directory:
    return build_index(tmp_path_factory.mktemp("index"), [KRABBE])


def tasks() -> list[RolloutTask]:
    return [RolloutTask(worded_question(), "guided", rollout) for rollout in range(8)]


def test_a_killed_worker_costs_nothing_and_a_lost_cause_is_named(index: Directory, tmp_path: Path) -> None:
    factory = sabotage(str(tmp_path / "killed"))  # made here, so that it travels whole: workers cannot import a test
    with RolloutPool(config(), index.uri, lambda: factory) as pool:
        outcomes = {one.task.rollout: one for one in pool.run(tasks())}
    assert sorted(outcomes) == list(range(8))
    assert [one.failure for one in outcomes.values() if one.trajectory is None and one.task.rollout != 5] == []
    assert (tmp_path / "killed").exists()
    assert {n for n, one in outcomes.items() if one.trajectory is None} == {5}
    assert "endpoint down" in outcomes[5].failure
    answers = {one.trajectory.answer for one in outcomes.values() if one.trajectory}
    assert answers == {"Autosomal recessive inheritance"}


def test_the_ledger_goes_on_where_it_stopped(index: Directory, tmp_path: Path) -> None:
    ledger = Ledger(Directory(str(tmp_path)), part_size=2)
    factory = RulesTeacherFactory(("search",))
    with RolloutPool(config(), index.uri, lambda: factory) as pool:
        for done, _ in enumerate(ledger.record(pool.run(tasks()[:5])), 1):
            if done == 4:
                break
        again = Ledger(Directory(str(tmp_path)), part_size=2)
        waiting = again.open_tasks(tasks())
        assert 4 <= len(waiting) <= 6
        list(again.record(pool.run(waiting)))
    final = Ledger(Directory(str(tmp_path)), part_size=2)
    assert sorted(one.rollout for one in final.done()) == list(range(8))
    assert final.open_tasks(tasks()) == []


def test_a_bug_of_ours_is_raised_not_retried(index: Directory) -> None:
    class Broken:
        def __call__(self, task: RolloutTask) -> Policy:
            raise ZeroDivisionError("bug")

    with RolloutPool(config(), index.uri, Broken) as pool, pytest.raises(Exception, match="bug"):
        list(pool.run([replace(tasks()[0])]))
