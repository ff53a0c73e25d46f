"""Where the engines of a fleet are: on GPUs of their own, or on those of the trainers.

Under ``engine.placement: split`` the engines' places are reserved together before the trainers
start (``reserve_places``). So trainers never hold the GPUs that their own engines wait for, and
engines that start again come back to their place. Under ``colocated`` an engine takes no GPU from
Ray: it is put on the nodes of the trainers and shown their GPUs; whoever owns both has one of them
sleep while the other works.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medr_ray.core.config import EngineConfig
from medr_ray.core.errors import InfrastructureError
from medr_ray.core.placement import Need
from medr_ray.engines.factory import (
    ConfiguredEngineFactory,
    build_runtime_env,
    require_engine,
)
from medr_ray.rollouts.engine_actor import EngineFactory, start_engine_actor
from medr_ray.rollouts.engine_fleet import EngineFleet, start_fleet

_ENGINE_CPUS = 1.0  # the loop that feeds a GPU; on a CPU ``engine.threads`` says more


@dataclass(frozen=True)
class TrainerDevice:
    """The GPUs of one trainer: its node, and the numbers of its GPUs there."""

    node_id: str
    gpus: tuple[str, ...]


def describe_engine_need(config: EngineConfig, on_gpus: bool) -> Need:
    """What the engines need at the same time, for the count before a start. ``on_gpus``: the
    cluster has GPUs."""
    resources = list_engine_resources(config, on_gpus)
    keys = ["engine.engines", "engine.tensor_parallel", "engine.gpu_share", "engine.device"]
    settings = {"CPU": ["engine.engines"], "GPU": keys}
    what = "the engine" if config.engines == 1 else "the engines"
    alternatives = {"GPU": ["engine.placement: colocated"]}
    return Need(what, resources, config.engines, settings, "engine.engines", alternatives)


def list_engine_resources(config: EngineConfig, on_gpus: bool) -> dict[str, float]:
    """The resources that one engine takes from Ray."""
    resources = {"CPU": _ENGINE_CPUS}
    if on_gpus and config.device != "cpu" and config.placement == "split":
        resources["GPU"] = config.gpu_share * config.tensor_parallel
    return resources


@contextlib.contextmanager
def reserve_places(config: EngineConfig) -> Iterator[Any]:
    """A placement group with a bundle for each engine, as long as the block lasts; None where the
    engines are with the trainers.

    Raises InfrastructureError when it is not there within ``engine.start_seconds``.
    """
    from ray.util import placement_group, remove_placement_group

    if config.placement == "colocated":
        yield None
        return
    resources = list_engine_resources(config, _has_gpus())
    labels = [dict(config.labels)] * config.engines if config.labels else None
    group = placement_group(
        [resources] * config.engines, strategy="PACK", bundle_label_selector=labels
    )
    try:
        if not group.wait(config.start_seconds):
            raise InfrastructureError(
                f"no place for {describe_engine_need(config, _has_gpus())} within "
                f"{config.start_seconds:g} s (engine.start_seconds){_describe_labels(config)}; "
                f"{_describe_room()}: lower engine.engines, free resources, or allow more time"
            )
        yield group
    finally:
        remove_placement_group(group)


def open_fleet(
    model_dir: str,
    config: EngineConfig,
    trust_remote_code: bool = False,
    places: Any = None,
    trainers: Sequence[TrainerDevice] = (),
    seed: int = 0,
    adapter_rank: int = 0,
) -> EngineFleet:
    """Start the engines and wait until all serve the model of ``model_dir`` as version 0.

    ``places`` is the group of ``reserve_places``; without it Ray finds a place for each engine.
    ``trainers`` have the GPUs that engines under ``colocated`` share. ``seed`` decides what
    requests without a seed of their own draw. ``adapter_rank``: see ``ConfiguredEngineFactory``.
    Raises ConfigError for an engine that this machine cannot run.
    """
    make_engine = choose_engine_factory(model_dir, config, trust_remote_code, seed, adapter_rank)
    resources = list_engine_resources(config, _has_gpus())

    def start_actor(number: int) -> Any:
        options = _place_engine(number, config, places, trainers)
        # The interpreter of an engine that has an environment of its own.
        environment = {**build_runtime_env(config), **options.pop("runtime_env", {})}
        return start_engine_actor(make_engine, resources, runtime_env=environment, **options)

    needs = str(describe_engine_need(config, _has_gpus())) + _describe_labels(config)
    return start_fleet(start_actor, config.engines, config.start_seconds, needs)


def choose_engine_factory(
    model_dir: str,
    config: EngineConfig,
    trust_remote_code: bool,
    seed: int = 0,
    adapter_rank: int = 0,
) -> EngineFactory:
    """What makes the engine that ``config`` names, inside its actor. Raises ConfigError for one
    that this machine cannot run."""
    require_engine(config, adapter_rank)
    return ConfiguredEngineFactory(model_dir, config, trust_remote_code, seed, adapter_rank)


def _place_engine(
    number: int, config: EngineConfig, places: Any, trainers: Sequence[TrainerDevice]
) -> dict[str, Any]:
    """Where the engine of this number starts, as options of ``start_engine_actor``."""
    from ray.util.scheduling_strategies import (
        NodeAffinitySchedulingStrategy,
        PlacementGroupSchedulingStrategy,
    )

    if places is not None:
        strategy = PlacementGroupSchedulingStrategy(
            places, placement_group_bundle_index=number, placement_group_capture_child_tasks=False
        )
        # The bundle has the labels already.
        return {"scheduling_strategy": strategy}
    if config.placement == "split" or not any(trainer.gpus for trainer in trainers):
        return {"labels": config.labels}
    node_id, gpus = choose_shared_gpus(number, config.tensor_parallel, trainers)
    return {
        "scheduling_strategy": NodeAffinitySchedulingStrategy(node_id, soft=False),
        "runtime_env": {"env_vars": show_gpus(gpus)},
    }


def choose_shared_gpus(
    number: int, width: int, trainers: Sequence[TrainerDevice]
) -> tuple[str, tuple[str, ...]]:
    """(node, GPUs) of the engine of this number: the next ``width`` GPUs of one node.

    Raises InfrastructureError when the trainers' nodes have not so many together.
    """
    by_node: dict[str, list[str]] = {}
    for trainer in trainers:
        by_node.setdefault(trainer.node_id, []).extend(trainer.gpus)
    places: list[tuple[str, tuple[str, ...]]] = []
    for node_id, gpus in by_node.items():
        for start in range(0, len(gpus) - width + 1, width):
            places.append((node_id, tuple(gpus[start : start + width])))
    if number >= len(places):
        counts = ", ".join(str(len(gpus)) for gpus in by_node.values())
        raise InfrastructureError(
            f"engine {number} has no {width} GPUs of one node left: the trainers' nodes have "
            f"{counts}. Lower engine.engines or engine.tensor_parallel, or raise grpo.workers"
        )
    return places[number]


def show_gpus(gpus: Sequence[str]) -> Mapping[str, str]:
    """The environment of a process that takes no GPU from Ray and is to see these."""
    return {
        "CUDA_VISIBLE_DEVICES": ",".join(gpus),
        # Or Ray would hide all GPUs from an actor that asked for none.
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }


def _has_gpus() -> bool:
    import ray

    return ray.cluster_resources().get("GPU", 0) > 0


def _describe_labels(config: EngineConfig) -> str:
    if not config.labels:
        return ""
    labels = ", ".join(f"{name}={value}" for name, value in config.labels.items())
    return f" on nodes with {labels} (engine.labels)"


def _describe_room() -> str:
    import ray

    total = ray.cluster_resources()
    free = ray.available_resources()
    amounts = " and ".join(
        f"{total.get(name, 0):g} {name}, {free.get(name, 0):g} of them free"
        for name in ("CPU", "GPU")
    )
    return f"the cluster has {amounts}"
