"""GRPO under kill -9 of its trainers, an engine and its driver: every planned rollout is trained
exactly once, with the weights that sampled it.

``KILL_SEED`` repeats the kills of a seed.
"""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.grpo_driver import list_questions, open_context
from support.noting_trainer import Phase, hash_example, write_phase

from medr_ray.training.artifacts import GRPO_METRICS, GRPO_ROLLOUTS, ScoredRollout
from medr_ray.training.experience import make_examples
from medr_ray.training.rollout_coordinator import pass_rate_by_question, start_curriculum

pytestmark = [pytest.mark.slow, pytest.mark.processes]

DRIVER = Path(__file__).parents[1] / "support" / "grpo_driver.py"
TARGETS = ["trainer-0", "trainer-1", "engine", "driver"]
UPDATES = 12
SOAK_KILLS = 10
SOAK_UPDATES = 30  # more than the kills can leave room for
# Rather more than an update takes, so that every part of one may be hit.
LONGEST_DELAY_SECONDS = 2.0
# Of the kills of the campaign, those that do not wait until the run goes on after the one before,
# and how far they reach into its start.
EARLY_SHARE = 0.3
LONGEST_EARLY_SECONDS = 10.0
WAIT_SECONDS = 900.0  # for the run to go on, on a busy machine


@dataclass(frozen=True)
class Kill:
    """A kill of ``target``, ``delay`` seconds after it is up and, unless ``is_early``, after the
    run has gone on."""

    target: str
    is_early: bool
    delay: float

    def __str__(self) -> str:
        moment = "it is up" if self.is_early else "the run went on"
        return f"{self.target} {self.delay:.2f} s after {moment}"


def draw_kills(seed: int, count: int, early_share: float) -> list[Kill]:
    """The kills of a seed, in their order: each target as often as the others, as far as ``count``
    allows."""
    rng = random.Random(seed)
    rounds = count // len(TARGETS)
    targets = TARGETS * rounds + rng.sample(TARGETS, count - rounds * len(TARGETS))
    rng.shuffle(targets)
    kills: list[Kill] = []
    for target in targets:
        # The first waits, so that there is a run to disturb.
        is_early = bool(kills) and rng.random() < early_share
        longest = LONGEST_EARLY_SECONDS if is_early else LONGEST_DELAY_SECONDS
        kills.append(Kill(target, is_early, rng.uniform(0, longest)))
    return kills


class DisturbedRun:
    """A run in a process of its own that is started again when it was killed."""

    def __init__(self, root: Path, settings: Sequence[str]) -> None:
        self.root = root
        self.log = root / "log.txt"
        self._settings = settings
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as printed:
            return subprocess.Popen(
                [sys.executable, str(DRIVER), str(self.root), *self._settings],
                env=os.environ | {"RAY_AUTH_MODE": "disabled"},
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self, kill: Kill) -> Phase:
        """Kill -9 of a process; the driver is started again. Returns what the run was at."""
        process = self._await_process(kill.target)
        time.sleep(kill.delay)
        phase = self._read_phase()
        while not kill_process(process):  # it has come to another end meanwhile
            process = self._await_process(kill.target)
            phase = self._read_phase()
        if kill.target != "engine":
            write_phase(self.root, Phase(phase.update, "starting"))
        if kill.target == "driver":
            self._process.wait()
            self._process = self._start()
        return phase

    def read_learnt(self) -> list[dict[str, Any]]:
        """A note for each update that rank 0 began to learn, over all attempts."""
        return read_lines(self.root / "learnt-0.jsonl")

    def await_update(self, notes: Sequence[dict[str, Any]], is_anew: bool) -> int:
        """Return the next update that is begun to be learnt after those of ``notes``; ``is_anew``:
        by trainers that were started since."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            learnt = self.read_learnt()
            if len(learnt) > len(notes):
                last = learnt[-1]
                if not (is_anew and notes and last["process"] == notes[-1]["process"]):
                    return int(last["update"])
            self._require_going_on(deadline)
            time.sleep(0.02)

    def _read_phase(self) -> Phase:
        return Phase(**json.loads((self.root / "phase.json").read_text()))

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


def kill_process(process: psutil.Process) -> bool:
    """Kill -9; false where the process had ended before."""
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return False
    return True


def disturb(root: Path, kills: Sequence[Kill], updates: int) -> None:
    """Run to the end under these kills. Prints what each met, and how the run went on."""
    run = DisturbedRun(root, [f"grpo.updates={updates}"])
    try:
        run.await_update([], is_anew=False)
        for number, kill in enumerate(kills, 1):
            phase = run.kill(kill)
            killed = time.monotonic()
            learnt = run.read_learnt()
            print(f"kill {number}: {kill}, in update {phase.update}, {phase.name}", flush=True)
            following = kills[number] if number < len(kills) else None
            if following is not None and following.is_early:
                continue
            # Trainers that begin anew may repeat an update: what counts is that the run goes on.
            update = run.await_update(learnt, is_anew=kill.target != "engine")
            seconds = time.monotonic() - killed
            print(f"  went on with update {update} after {seconds:.1f} s", flush=True)
        run.finish()
    finally:
        run.end()


def read_notes(root: Path, rank: int) -> dict[int, Any]:
    """What the optimiser was given last, by update."""
    return {note["update"]: note for note in read_lines(root / f"learnt-{rank}.jsonl")}


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a file that may be written to."""
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def require_planned_rollouts(root: Path, updates: int) -> None:
    context = open_context(root, [f"grpo.updates={updates}"])
    rollouts = context.directory.read(GRPO_ROLLOUTS)
    by_update: dict[int, list[ScoredRollout]] = {}
    for row in rollouts:
        by_update.setdefault(row.update, []).append(row)
    plan: Counter[tuple[int, str, int]] = Counter()
    config = context.config
    curriculum = start_curriculum(config, list_questions(), None)
    size = config.grpo.group_size
    for update in range(updates):
        for question in curriculum.select_questions(config.grpo.questions_per_update, update):
            for number in range(update * size, (update + 1) * size):
                plan[(update, question, number)] += 1
        curriculum.record_pass_rates(pass_rate_by_question(by_update.get(update, [])))
    assert Counter((row.update, row.group, row.trajectory.rollout) for row in rollouts) == plan
    for row in rollouts:
        assert {turn.policy_version for turn in row.trajectory.turns} == {row.update}
    # What the optimiser was given: each rollout on one of the two workers, in each update once, on
    # weights that had as many steps behind them as there were updates before.
    learnt: Counter[tuple[int, str]] = Counter()
    for rank in (0, 1):
        notes = read_notes(root, rank)
        assert {update: note["steps"] for update, note in notes.items()} == {
            update: update for update in range(updates)
        }
        for update, note in notes.items():
            learnt.update((update, digest) for digest in note["taught"])
    assert all(row.advantage is not None for row in rollouts)
    assert learnt == Counter(
        (row.update, hash_example(example)) for row in rollouts for example in make_examples(row)
    )
    lines = context.directory.read_bytes(GRPO_METRICS.name).splitlines()
    assert [json.loads(line)["update"] for line in lines] == list(range(1, updates + 1))
    assert (context.directory.local / "model" / "model.safetensors").is_file()


def choose_seed() -> int:
    seed = int(os.environ.get("KILL_SEED") or random.SystemRandom().randrange(10**6))
    print(f"KILL_SEED={seed}")
    return seed


@pytest.mark.timeout(1500)
def test_kills_of_trainers_engine_and_driver_lose_and_double_no_rollout(tmp_path: Path) -> None:
    disturb(tmp_path, draw_kills(choose_seed(), len(TARGETS), early_share=0.0), UPDATES)
    require_planned_rollouts(tmp_path, UPDATES)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_ten_kills_in_one_run_lose_and_double_no_rollout(tmp_path: Path) -> None:
    kills = draw_kills(choose_seed(), SOAK_KILLS, EARLY_SHARE)
    print(*kills, sep="\n", flush=True)
    disturb(tmp_path, kills, SOAK_UPDATES)
    require_planned_rollouts(tmp_path, SOAK_UPDATES)
