"""Rollouts on a cluster that has no node for them yet: ``rollout_demand.py ADDRESS``. Prints how
many nodes there were at most, and goes on until all are gone again."""

import sys
import threading
from pathlib import Path

import ray

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.waiting_environment import Script, WaitingEnvironment, make_requests

from medr_ray.core.settings import load_config
from medr_ray.rollouts.pool import RolloutPool

NODES = 3


def nodes() -> int:
    """Nodes with CPUs; the head has none."""
    return sum(node["Alive"] and node["Resources"].get("CPU", 0) > 0 for node in ray.nodes())


def main(address: str) -> None:
    ray.init(address=address, log_to_driver=False)
    settings = load_config(
        None,
        [
            "rollouts.workers=0",
            f"rollouts.max_workers={NODES}",
            "rollouts.concurrency=2",
            "rollouts.worker_cpus=1",
            "rollouts.idle_seconds=1",
            "agent.max_tool_calls=100",
            "ray.placement_seconds=600",
        ],
        environment={},
    )
    grown = threading.Event()
    most = 0

    def watch() -> None:
        nonlocal most
        while most < NODES:
            grown.wait(0.2)
            most = max(most, nodes())
        grown.set()

    print(f"{nodes()} nodes at first", flush=True)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    environment = WaitingEnvironment({"plain": Script(turns=4, wait=0.5)})
    with RolloutPool(settings, environment=environment) as pool:
        arrived = finished = 0
        while not grown.is_set():  # demand lasts until all nodes are there
            outcomes = list(pool.run(make_requests(2 * NODES)))
            arrived, finished = (
                arrived + len(outcomes),
                finished + sum(outcome.trajectory is not None for outcome in outcomes),
            )
        watcher.join()
        # At most: the first of them may be idle and gone by now.
        print(
            f"{most} nodes under demand; {arrived} rollouts arrived, {finished} trajectories",
            flush=True,
        )
        pause = threading.Event()
        while nodes():  # the pool is open still, but has nothing to do
            pause.wait(0.5)
        print(f"{nodes()} nodes when idle; {pool.figures()}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
