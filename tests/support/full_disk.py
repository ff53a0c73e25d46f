"""A stage whose disk is full, in a process of its own: ``full_disk.py ROOT CONSUMER``.

``CONSUMER`` names what the stage is taking results from when it fails. Each of them has work under
way that would take an hour. The process prints when the failure happened, in seconds since the
epoch, and then has to end.
"""

import errno
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import ray

sys.path.insert(0, str(Path(__file__).parents[1]))

from rich.console import Console
from support.waiting_environment import Script, WaitingEnvironment, make_requests

from medr_ray.core.progress import Bar
from medr_ray.core.run import Counts, Directory, Stage, StageContext
from medr_ray.core.settings import load_config
from medr_ray.pipeline import run_pipeline
from medr_ray.rollouts.ledger import Ledger
from medr_ray.rollouts.pool import RolloutPool
from medr_ray.training.metric_rows import MetricRow
from medr_ray.training.metrics_log import ActorMetricsLog
from medr_ray.training.ray_train import _fit_with_progress


def fail(*_: object) -> None:
    print(f"full at {time.time()}", flush=True)
    raise OSError(errno.ENOSPC, "No space left on device", "part")


class FullDirectory(Directory):
    """A directory on a full disk."""

    def write_records(self, name: str, record: type[Any], rows: Iterable[Any]) -> None:
        fail()


class FullLog(ActorMetricsLog):
    """A log whose rows cannot be shown."""

    def take_rows(self) -> list[MetricRow]:
        fail()
        return []


def wait_for_ever() -> None:
    time.sleep(3600)


def take_rollouts(context: StageContext) -> None:
    requests = [*make_requests(2), *make_requests(6, "hanging")]
    environment = WaitingEnvironment({"plain": Script(), "hanging": Script(happens="hang")})
    ledger = Ledger(FullDirectory(context.directory.uri), 2)
    with RolloutPool(context.config, environment=environment) as pool:
        # Nobody closes these two generators: the pool has to.
        for _ in ledger.record(pool.run(requests)):
            pass


def follow_training(context: StageContext) -> None:
    sleeping = ray.remote(num_cpus=0)(wait_for_ever).remote()
    with Bar(context.console, "sft", 10, "steps") as bar:
        _fit_with_progress(lambda: ray.get(sleeping), FullLog(), bar)


CONSUMERS = {"rollouts": take_rollouts, "training": follow_training}


def main(arguments: Sequence[str]) -> None:
    root, name = arguments
    config = load_config(
        None,
        [
            f"run.root={root}",
            "run.name=full",
            "rollouts.workers=1",
            "rollouts.max_workers=1",
            "rollouts.worker_cpus=1",
        ],
        environment={},
    )

    def execute(context: StageContext) -> Counts:
        CONSUMERS[name](context)
        return {}

    # A bar's own thread runs on a terminal only.
    console = Console(force_terminal=True)
    run_pipeline(config, stages=[Stage("corpus", (), ("corpus",), execute)], console=console)


if __name__ == "__main__":
    main(sys.argv[1:])
