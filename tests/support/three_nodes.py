"""Ingest and counting on a cluster of three nodes, one of which dies: ``three_nodes.py CONFIG
ROOT``."""

import sys
import threading
import time
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.disturbing import NODE_HEALTH

from medr_ray.core.settings import load_config
from medr_ray.pipeline import run_pipeline


def main(config: str, root: str) -> None:
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 2,
            "object_store_memory": 200_000_000,
            "_system_config": NODE_HEALTH,
        },
    )
    nodes = [cluster.add_node(num_cpus=2, object_store_memory=200_000_000) for _ in range(2)]
    ray.init(address=cluster.address, log_to_driver=False)
    marks = Path(root) / "default" / "corpus" / "parts"

    def lose_a_node() -> None:
        while not any(marks.glob("_*.json")):
            time.sleep(0.005)
        cluster.remove_node(nodes[0], allow_graceful=False)
        print("lost a node while reading", flush=True)

    loser = threading.Thread(target=lose_a_node, daemon=True)
    loser.start()
    try:
        run_pipeline(load_config(Path(config), [f"run.root={root}"]), None, "entities")
        loser.join()
        print(sum(node["Alive"] for node in ray.nodes()), "nodes left")
    finally:
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
