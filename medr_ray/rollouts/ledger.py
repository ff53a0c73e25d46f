"""The ledger of a stage's rollouts. Finished ones are stored in parts, each rollout once, so that a
stage that was killed continues where it stopped.

A part appears whole or not at all. A request is done when its key is in a part, and a key counts
once, from the first part that has it, however many drivers wrote. A duplicate that is recorded
again is dropped and counted. Requests that were given up are stored separately, with the kind, the
reason and the number of attempts.
"""

import uuid
from collections.abc import Generator, Iterable, Iterator
from typing import TypeVar

from medr_ray.core.records import Trajectory
from medr_ray.core.run import Directory
from medr_ray.rollouts.failure_kinds import RolloutFailure
from medr_ray.rollouts.outcomes import RolloutOutcome
from medr_ray.rollouts.worker import RolloutRequest, rollout_key

TRAJECTORIES_FOLDER = "parts"
FAILURES_FOLDER = "failures"
_KEY_COLUMNS = ["question_id", "mode", "rollout"]
R = TypeVar("R", Trajectory, RolloutFailure)


class Ledger:
    """Parts of ``part_size`` trajectories under ``<directory>/parts``, failures under
    ``<directory>/failures``.

    With ``retry_failed`` a request that an earlier driver gave up is open again. ``duplicates``
    counts the rollouts that were dropped here.
    """

    def __init__(self, directory: Directory, part_size: int, retry_failed: bool = True) -> None:
        self._directory = directory
        self._part_size = part_size
        self._retry_failed = retry_failed
        self._writer = uuid.uuid4().hex[:8]  # so that two drivers never write the same file
        self._parts_read: set[str] = set()
        self._kept: set[str] = set()
        self.duplicates = 0

    def done(self) -> list[Trajectory]:
        """The trajectories finished so far, in the order of their ids."""
        by_key: dict[str, Trajectory] = {}
        for trajectory in self._read_parts(TRAJECTORIES_FOLDER, Trajectory):
            # Parts are read in the order of their names, so the first one with the key counts.
            by_key.setdefault(_record_key(trajectory), trajectory)
        return sorted(by_key.values(), key=lambda trajectory: trajectory.trajectory_id)

    def failures(self) -> list[RolloutFailure]:
        """What was given up and not finished later, by key, with the last failure's kind and
        reason; ``attempts`` are those of all drivers together."""
        self._read_new_keys()
        by_key: dict[str, RolloutFailure] = {}
        for failure in self._read_parts(FAILURES_FOLDER, RolloutFailure):
            key = _record_key(failure)
            earlier = by_key.get(key)
            attempts = failure.attempts + (earlier.attempts if earlier else 0)
            by_key[key] = RolloutFailure(
                failure.question_id,
                failure.mode,
                failure.rollout,
                failure.kind,
                failure.reason,
                attempts,
            )
        return [failure for key, failure in sorted(by_key.items()) if key not in self._kept]

    def open_requests(self, requests: Iterable[RolloutRequest]) -> list[RolloutRequest]:
        """The requests without a finished trajectory, each once."""
        self._read_new_keys()
        closed = set(self._kept)
        if not self._retry_failed:
            closed |= {_record_key(failure) for failure in self.failures()}
        return list(
            {request.key: request for request in requests if request.key not in closed}.values()
        )

    def record(self, outcomes: Iterable[RolloutOutcome]) -> Generator[RolloutOutcome, None, None]:
        """Pass outcomes through and keep them part by part; duplicates are dropped.

        However the stage ends, short of a kill, the outcomes that came before are kept. The caller
        closes the generator, which writes the last part.
        """
        self._read_new_keys()
        recorded = set(self._kept)
        trajectories: list[Trajectory] = []
        failures: list[RolloutFailure] = []
        try:
            for outcome in outcomes:
                if outcome.request.key in recorded:
                    self.duplicates += 1
                    continue
                if outcome.trajectory is None:
                    failures.append(_failure_record(outcome))
                else:
                    # Only for a trajectory: a failure leaves its request open.
                    recorded.add(outcome.request.key)
                    trajectories.append(outcome.trajectory)
                if len(trajectories) + len(failures) >= self._part_size:
                    self._write_part(trajectories, failures)
                    trajectories = []
                    failures = []
                yield outcome
        finally:
            # Also when the consumer stops early, because closing a generator runs its ``finally``.
            self._write_part(trajectories, failures)

    def _write_part(self, trajectories: list[Trajectory], failures: list[RolloutFailure]) -> None:
        self._read_new_keys()  # another driver may have finished some of them meanwhile
        new = [
            trajectory for trajectory in trajectories if _record_key(trajectory) not in self._kept
        ]
        self.duplicates += len(trajectories) - len(new)
        if new:
            name = self._next_part_name(TRAJECTORIES_FOLDER)
            self._directory.write_records(f"{TRAJECTORIES_FOLDER}/{name}", Trajectory, new)
            self._parts_read.add(name)
            self._kept |= {_record_key(trajectory) for trajectory in new}
        if failures:
            name = self._next_part_name(FAILURES_FOLDER)
            self._directory.write_records(f"{FAILURES_FOLDER}/{name}", RolloutFailure, failures)

    def _read_new_keys(self) -> None:
        """Learn the keys of the parts that were written since."""
        for name in self._directory.list_files(TRAJECTORIES_FOLDER):
            if name in self._parts_read:
                continue
            table = self._directory.read_table(
                f"{TRAJECTORIES_FOLDER}/{name}", columns=_KEY_COLUMNS
            )
            for row in table.to_pylist():
                self._kept.add(rollout_key(row["question_id"], row["mode"], row["rollout"]))
            # Parts are never changed, so each is read once.
            self._parts_read.add(name)

    def _next_part_name(self, folder: str) -> str:
        """A name behind all that exist, because the first part that has a key is the one that
        counts."""
        numbers = [
            int(name.split("-")[1].removesuffix(".parquet"))
            for name in self._directory.list_files(folder)
        ]
        return f"part-{max(numbers, default=-1) + 1:05d}-{self._writer}.parquet"

    def _read_parts(self, folder: str, record: type[R]) -> Iterator[R]:
        for name in self._directory.list_files(folder):
            yield from self._directory.read_records(f"{folder}/{name}", record)


def _record_key(row: Trajectory | RolloutFailure) -> str:
    return rollout_key(row.question_id, row.mode, row.rollout)


def _failure_record(outcome: RolloutOutcome) -> RolloutFailure:
    request = outcome.request
    if not outcome.kind:
        raise ValueError(f"{request.key} has neither a trajectory nor a kind of failure")
    return RolloutFailure(
        request.task.task_id,
        request.mode,
        request.rollout,
        outcome.kind,
        outcome.failure,
        outcome.attempts,
    )
