"""GRPO under kill -9 of its trainers, an engine and its driver: every planned rollout is trained
exactly once, with the weights that sampled it."""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.grpo_driver import UPDATES, list_questions, open_context

from medr_ray.training.artifacts import GRPO_METRICS, GRPO_ROLLOUTS, ScoredRollout
from medr_ray.training.rollout_coordinator import pass_rate_by_question, start_curriculum

pytestmark = [pytest.mark.slow, pytest.mark.processes, pytest.mark.timeout(1500)]

DRIVER = Path(__file__).parents[1] / "support" / "grpo_driver.py"
TARGETS = ["trainer-0", "trainer-1", "engine", "driver"]
# Rather more than an update takes, so that every part of one may be hit.
LONGEST_DELAY_SECONDS = 2.0
WAIT_SECONDS = 600.0  # for the run to go on, on a busy machine


class DisturbedRun:
    """A run in a process of its own that is started again when it was killed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log = root / "log.txt"
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as printed:
            return subprocess.Popen(
                [sys.executable, str(DRIVER), str(self.root)],
                env=os.environ | {"RAY_AUTH_MODE": "disabled"},
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self, target: str) -> None:
        """Kill -9 of a process; the driver is started again."""
        process = self._await_process(target)
        process.kill()
        if target == "driver":
            self._process.wait()
            self._process = self._start()

    def await_updates(self, count: int) -> None:
        """Return when so many updates were begun to be learnt, over all attempts."""
        deadline = time.monotonic() + WAIT_SECONDS
        while self.count_updates() < count:
            self._require_going_on(deadline)
            time.sleep(0.02)

    def count_updates(self) -> int:
        notes = self.root / "learnt-0.jsonl"
        return len(notes.read_text().splitlines()) if notes.exists() else 0

    def finish(self) -> None:
        self._process.wait(timeout=WAIT_SECONDS)
        assert self._process.returncode == 0, self.read_log()

    def end(self) -> None:
        """Kill what is left."""
        self._process.kill()
        self._process.wait()

    def read_log(self) -> str:
        return self.log.read_text()[-4000:]

    def _await_process(self, target: str) -> psutil.Process:
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            self._require_going_on(deadline)
            process = self._find_process(target)
            if process is not None:
                return process
            time.sleep(0.05)

    def _find_process(self, target: str) -> psutil.Process | None:
        driver = psutil.Process(self._process.pid)
        if target == "driver":
            return driver
        noted = self.root / "processes" / target
        for process in driver.children(recursive=True):
            try:
                title = " ".join(process.cmdline())
            except psutil.Error:
                continue  # it ended meanwhile
            is_engine = target == "engine" and title.startswith("ray::EngineServer")
            if is_engine or (noted.exists() and int(noted.read_text()) == process.pid):
                return process
        return None

    def _require_going_on(self, deadline: float) -> None:
        assert self._process.poll() is None, self.read_log()
        assert time.monotonic() < deadline, self.read_log()


def disturb(root: Path, targets: list[str], seed: int) -> None:
    """Run to the end, killing each of ``targets`` once, at points that ``seed`` decides."""
    rng = random.Random(seed)
    rng.shuffle(targets)
    run = DisturbedRun(root)
    try:
        # One that begins anew may repeat an update: what counts is that the run goes on.
        run.await_updates(1)
        for target in targets:
            delay = rng.uniform(0, LONGEST_DELAY_SECONDS)
            time.sleep(delay)
            done = run.count_updates()
            run.kill(target)
            print(f"seed {seed}: killed {target} {delay:.2f} s after it went on, {done} updates in")
            run.await_updates(done + 1)
        run.finish()
    finally:
        run.end()


def read_notes(root: Path, rank: int) -> dict[int, Any]:
    """What the optimiser was given last, by update."""
    lines = (root / f"learnt-{rank}.jsonl").read_text().splitlines()
    return {note["update"]: note for note in map(json.loads, lines)}


def require_planned_rollouts(root: Path) -> None:
    context = open_context(root)
    rollouts = context.directory.read(GRPO_ROLLOUTS)
    by_update: dict[int, list[ScoredRollout]] = {}
    for row in rollouts:
        by_update.setdefault(row.update, []).append(row)
    plan: Counter[tuple[int, str, int]] = Counter()
    config = context.config
    curriculum = start_curriculum(config, list_questions(), None)
    size = config.grpo.group_size
    for update in range(UPDATES):
        for question in curriculum.select_questions(config.grpo.questions_per_update, update):
            for number in range(update * size, (update + 1) * size):
                plan[(update, question, number)] += 1
        curriculum.record_pass_rates(pass_rate_by_question(by_update.get(update, [])))
    assert Counter((row.update, row.group, row.trajectory.rollout) for row in rollouts) == plan
    for row in rollouts:
        assert {turn.policy_version for turn in row.trajectory.turns} == {row.update}
    # What the optimiser was given: in each update once, on weights that had as many steps behind
    # them as there were updates before.
    for rank in (0, 1):
        notes = read_notes(root, rank)
        assert {update: note["steps"] for update, note in notes.items()} == {
            update: update for update in range(UPDATES)
        }
        taught = Counter(
            (update, question, number)
            for update, note in notes.items()
            for question, number in note["taught"]
        )
        assert taught == plan
    lines = context.directory.read_bytes(GRPO_METRICS.name).splitlines()
    assert [json.loads(line)["update"] for line in lines] == list(range(1, UPDATES + 1))
    assert (context.directory.local / "model" / "model.safetensors").is_file()


def test_kills_of_trainers_engine_and_driver_lose_and_double_no_rollout(tmp_path: Path) -> None:
    seed = int(os.environ.get("KILL_SEED") or random.SystemRandom().randrange(10**6))
    print(f"KILL_SEED={seed}")
    disturb(tmp_path, list(TARGETS), seed)
    require_planned_rollouts(tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
def test_ten_points(seed: int, tmp_path: Path) -> None:
    disturb(tmp_path, list(TARGETS), seed)
    require_planned_rollouts(tmp_path)
