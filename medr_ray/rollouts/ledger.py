"""The ledger of a stage's rollouts: finished ones are kept in parts, each exactly once, so a killed stage goes on.

A part appears whole or not at all; a task is done when its key stands in a part.
"""

from collections.abc import Iterable, Iterator

from medr_ray.core.records import Trajectory
from medr_ray.core.run import Directory
from medr_ray.rollouts.pool import RolloutOutcome
from medr_ray.rollouts.worker import RolloutTask

FOLDER = "parts"


class Ledger:
    """Parts of ``part_size`` trajectories under ``<directory>/parts``, and failures beside them."""

    def __init__(self, directory: Directory, part_size: int) -> None:
        self._directory, self._part_size = directory, part_size
        self._parts = directory.names(FOLDER)

    def done(self) -> list[Trajectory]:
        """Trajectories finished so far, in the order of their ids."""
        found: dict[str, Trajectory] = {}
        for name in self._parts:
            for one in self._directory.read_records(f"{FOLDER}/{name}", Trajectory):
                found[_key(one)] = one
        return sorted(found.values(), key=lambda one: one.trajectory_id)

    def open_tasks(self, tasks: Iterable[RolloutTask]) -> list[RolloutTask]:
        """The tasks without a finished trajectory."""
        finished = {_key(one) for one in self.done()}
        return [task for task in tasks if task.key not in finished]

    def record(self, outcomes: Iterable[RolloutOutcome]) -> Iterator[RolloutOutcome]:
        """Pass outcomes through, keeping their trajectories part by part."""
        batch: list[Trajectory] = []
        for outcome in outcomes:
            if outcome.trajectory is not None:
                batch.append(outcome.trajectory)
            if len(batch) >= self._part_size:
                self._write(batch)
                batch = []
            yield outcome
        if batch:
            self._write(batch)

    def _write(self, batch: list[Trajectory]) -> None:
        name = f"part-{len(self._parts):05d}.parquet"
        self._directory.write_records(f"{FOLDER}/{name}", Trajectory, batch)
        self._parts.append(name)


def _key(trajectory: Trajectory) -> str:
    return f"{trajectory.question_id}/{trajectory.mode}/{trajectory.rollout}"
