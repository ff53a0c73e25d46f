"""A fleet of engines on a cluster of four nodes, of which one with an engine is lost. Engines are
allowed on three of them by a label."""

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import ray
from ray.cluster_utils import Cluster

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.disturbing import NODE_HEALTH
from support.fake_engine import FakeEngineFactory, make_weights

from medr_ray.core.config import EngineConfig
from medr_ray.engines.base import Sampling
from medr_ray.rollouts import engine_placement
from medr_ray.rollouts.engine_client import Dialogue
from medr_ray.rollouts.engine_fleet import EngineFleet

_MEMORY = 100_000_000
_WAIT_SECONDS = 120.0
LABELS = {"pool": "engines"}


def main() -> None:
    config = EngineConfig(engines=2, labels=LABELS, start_seconds=_WAIT_SECONDS)
    engine_placement.choose_engine_factory = lambda *_: FakeEngineFactory()
    cluster: Any = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 8,
            "object_store_memory": _MEMORY,
            "_system_config": NODE_HEALTH,
        },
    )
    nodes = [
        cluster.add_node(num_cpus=1, object_store_memory=_MEMORY, labels=LABELS) for _ in range(3)
    ]
    ray.init(address=cluster.address, log_to_driver=False)
    try:
        with engine_placement.reserve_places(config) as places:
            fleet = engine_placement.open_fleet("", config, places=places)
            try:
                asyncio.run(lose_node(cluster, nodes, fleet))
            finally:
                fleet.close()
    finally:
        ray.shutdown()
        cluster.shutdown()


async def lose_node(cluster: Any, nodes: list[Any], fleet: EngineFleet) -> None:
    fleet.publish(3, iter([make_weights(3)]))
    client = fleet.open_client()
    dialogues = [client.open_dialogue(f"d{number}") for number in range(4)]
    print("before:", await _ask(dialogues), "allowed:", _engines_are_on(nodes, fleet), flush=True)
    lost = _locate(fleet)[0]
    [node] = [node for node in nodes if node.node_id == lost]
    cluster.remove_node(node, allow_graceful=False)
    deadline = time.monotonic() + _WAIT_SECONDS
    while not fleet.awaits_weights():
        assert time.monotonic() < deadline
        fleet.check()
        await asyncio.sleep(0.1)
    # Those that were at the lost engine fail at most once, and go on at the other.
    await _ask(dialogues)
    print("meanwhile:", await _ask(dialogues), flush=True)
    fleet.publish(3, iter([make_weights(3)]), only_missing=True)
    left = [other for other in nodes if other is not node]
    statuses = [status.is_admitted for status in fleet.describe_engines() if status]
    print("after:", statuses, "allowed:", _engines_are_on(left, fleet), flush=True)


async def _ask(dialogues: list[Dialogue]) -> list[Any]:
    """The version of each answer, or the name of its failure."""
    calls = [dialogue.generate([1], Sampling(max_tokens=1)) for dialogue in dialogues]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    return [getattr(answer, "version", type(answer).__name__) for answer in answers]


def _locate(fleet: EngineFleet) -> list[str]:
    """The node of each engine."""
    actors = ray.util.state.list_actors(filters=[("class_name", "=", "EngineServer")])
    by_id = {actor.actor_id: actor.node_id for actor in actors}
    return [by_id[engine.actor._actor_id.hex()] for engine in fleet._engines]


def _engines_are_on(nodes: list[Any], fleet: EngineFleet) -> bool:
    return set(_locate(fleet)) <= {node.node_id for node in nodes}


if __name__ == "__main__":
    import ray.util.state

    main()
