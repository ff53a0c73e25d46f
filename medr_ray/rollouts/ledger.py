"""The ledger of a stage's rollouts: what is finished is kept in parts, each rollout once, so a
killed stage goes on.

What holds: a part appears whole or not at all; a task is done when its key stands in a part, and a
key counts once, from the first part that has it, however many drivers wrote; a duplicate that comes
to record is dropped and counted. What was given up stands beside, with its kind, reason and
attempts.
"""

import uuid
from collections.abc import Iterable, Iterator
from typing import TypeVar

from medr_ray.core.records import Trajectory
from medr_ray.core.run import Directory
from medr_ray.rollouts.failure_kinds import RolloutFailure
from medr_ray.rollouts.outcomes import RolloutOutcome
from medr_ray.rollouts.worker import RolloutTask, task_key

FOLDER, FAILURES = "parts", "failures"
_KEY = ["question_id", "mode", "rollout"]
R = TypeVar("R", Trajectory, RolloutFailure)


class Ledger:
    """Parts of ``part_size`` trajectories under ``<directory>/parts``, failures under
    ``<directory>/failures``.

    ``retry_failed``: what an earlier driver gave up is open again. ``duplicates``: rollouts that
    were dropped here."""

    def __init__(self, directory: Directory, part_size: int, retry_failed: bool = True) -> None:
        self._directory, self._part_size, self._retry_failed = directory, part_size, retry_failed
        self._writer = uuid.uuid4().hex[:8]  # two drivers never write the same file
        self._read: set[str] = set()
        self._kept: set[str] = set()
        self.duplicates = 0

    def done(self) -> list[Trajectory]:
        """Trajectories finished so far, in the order of their ids."""
        found: dict[str, Trajectory] = {}
        for one in self._records(FOLDER, Trajectory):
            found.setdefault(_key(one), one)
        return sorted(found.values(), key=lambda one: one.trajectory_id)

    def failures(self) -> list[RolloutFailure]:
        """What was given up and not made later, by key, as it failed last; ``attempts`` of all
        drivers together."""
        self._look()
        found: dict[str, RolloutFailure] = {}
        for one in self._records(FAILURES, RolloutFailure):
            before = found.get(_key(one))
            attempts = one.attempts + (before.attempts if before else 0)
            found[_key(one)] = RolloutFailure(
                one.question_id, one.mode, one.rollout, one.kind, one.reason, attempts
            )
        return [one for key, one in sorted(found.items()) if key not in self._kept]

    def open_tasks(self, tasks: Iterable[RolloutTask]) -> list[RolloutTask]:
        """The tasks without a finished trajectory, each once."""
        self._look()
        closed = (
            set(self._kept)
            if self._retry_failed
            else self._kept | {_key(one) for one in self.failures()}
        )
        return list({task.key: task for task in tasks if task.key not in closed}.values())

    def record(self, outcomes: Iterable[RolloutOutcome]) -> Iterator[RolloutOutcome]:
        """Pass outcomes through, keeping them part by part; what has come already is dropped.
        However the stage ends, short of a kill, what came before is kept."""
        self._look()
        taken, made, failed = set(self._kept), [], []
        try:
            for outcome in outcomes:
                if outcome.task.key in taken:
                    self.duplicates += 1
                    continue
                if outcome.trajectory is None:
                    failed.append(_failure(outcome))
                else:
                    taken.add(outcome.task.key)
                    made.append(outcome.trajectory)
                if len(made) + len(failed) >= self._part_size:
                    self._write(made, failed)
                    made, failed = [], []
                yield outcome
        finally:
            self._write(made, failed)

    def _write(self, made: list[Trajectory], failed: list[RolloutFailure]) -> None:
        self._look()  # another driver may have been quicker
        new = [one for one in made if _key(one) not in self._kept]
        self.duplicates += len(made) - len(new)
        if new:
            name = self._next_name(FOLDER)
            self._directory.write_records(f"{FOLDER}/{name}", Trajectory, new)
            self._read.add(name)
            self._kept |= {_key(one) for one in new}
        if failed:
            self._directory.write_records(
                f"{FAILURES}/{self._next_name(FAILURES)}", RolloutFailure, failed
            )

    def _look(self) -> None:
        """Learn the keys of parts that were written since."""
        for name in self._directory.list_files(FOLDER):
            if name not in self._read:
                rows = self._directory.read_table(f"{FOLDER}/{name}", columns=_KEY).to_pylist()
                self._kept |= {
                    task_key(row["question_id"], row["mode"], row["rollout"]) for row in rows
                }
                self._read.add(name)

    def _next_name(self, folder: str) -> str:
        """Behind all that are there: the first part that has a key is the one that counts."""
        numbers = [
            int(name.split("-")[1].removesuffix(".parquet"))
            for name in self._directory.list_files(folder)
        ]
        return f"part-{max(numbers, default=-1) + 1:05d}-{self._writer}.parquet"

    def _records(self, folder: str, record: type[R]) -> Iterator[R]:
        for name in self._directory.list_files(folder):
            yield from self._directory.read_records(f"{folder}/{name}", record)


def _key(one: Trajectory | RolloutFailure) -> str:
    return task_key(one.question_id, one.mode, one.rollout)


def _failure(outcome: RolloutOutcome) -> RolloutFailure:
    task = outcome.task
    return RolloutFailure(
        task.task.task_id,
        task.mode,
        task.rollout,
        outcome.kind,
        outcome.failure,
        outcome.attempts,
    )
