"""A stage of rollouts in a separate process that a test can disturb: ``rollout_driver.py DIRECTORY
[nodes]``.

With ``nodes`` it runs on a cluster of a head and two nodes, of which one is killed when the first
part is written and there is a worker at rollouts on each node.
"""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ray
from ray.cluster_utils import Cluster

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.disturbing import NODE_HEALTH
from support.waiting_environment import Script, WaitingEnvironment, make_requests

from medr_ray.core.config import PipelineConfig
from medr_ray.core.run import Directory
from medr_ray.core.settings import load_config
from medr_ray.rollouts.ledger import Ledger
from medr_ray.rollouts.pool import RolloutPool

REQUESTS = make_requests(96)
_MEMORY = 100_000_000


def config(*more: str) -> PipelineConfig:
    return load_config(
        None,
        [
            "rollouts.workers=2",
            "rollouts.max_workers=2",
            "rollouts.concurrency=8",
            "rollouts.worker_cpus=1",
            "rollouts.part_size=8",
            "agent.max_tool_calls=8",
            *more,
        ],
        environment={},
    )


def main(directory: str, nodes: bool) -> None:
    ledger, settings = Ledger(Directory(directory), 8), config()
    waiting = ledger.open_requests(REQUESTS)
    environment = WaitingEnvironment({"plain": Script(turns=2, think=0.1, wait=0.2, spread=1.0)})
    with (
        _cluster() if nodes else _alone() as kill_node,
        RolloutPool(settings, environment=environment) as pool,
        _lose_node(pool, Path(directory), kill_node),
    ):
        came = sum(1 for _ in ledger.record(pool.run(waiting)))
        print(f"{len(waiting)} open, {came} came, {pool.figures()}", flush=True)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    with ray.init("local", num_cpus=4, include_dashboard=False, log_to_driver=False):
        yield


@contextlib.contextmanager
def _cluster() -> Iterator[Callable[[], None]]:
    """A worker fits on each node and none on the head, where the driver is. Gives a function that
    kills a node."""
    cluster: Any = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0,
            "object_store_memory": _MEMORY,
            "_system_config": NODE_HEALTH,
        },
    )
    nodes = [cluster.add_node(num_cpus=1, object_store_memory=_MEMORY) for _ in range(2)]
    ray.init(address=cluster.address, log_to_driver=False)
    try:
        yield lambda: cluster.remove_node(nodes[0], allow_graceful=False)
    finally:
        ray.shutdown()
        cluster.shutdown()


@contextlib.contextmanager
def _lose_node(
    pool: RolloutPool, directory: Path, kill_node: Callable[[], None] | None
) -> Iterator[None]:
    """Kill a node in the midst of the work, where there are nodes."""
    if kill_node is None:
        yield
        return
    is_over = threading.Event()

    def kill_in_time() -> None:
        # Both workers at work: one that is killed while it starts takes no rollout with it.
        while len(_busy_workers(pool)) < 2 or not any((directory / "parts").glob("part-*.parquet")):
            if is_over.wait(0.01):
                return
        kill_node()
        print("lost a node", flush=True)

    loser = threading.Thread(target=kill_in_time, daemon=True)
    loser.start()
    yield
    is_over.set()
    loser.join()


def _busy_workers(pool: RolloutPool) -> set[int]:
    # A copy: the pool's thread adds and removes rollouts.
    return {rollout.worker for rollout in list(pool._in_flight.values())}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:] == ["nodes"])
