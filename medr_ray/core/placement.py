"""Whether what is asked of a cluster can ever be placed on it.

Ray keeps an actor that fits no node waiting for ever, without a word. Here needs are compared with
the nodes' totals, used or not: what is only in use comes free again.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from medr_ray.core.config import RayConfig
from medr_ray.core.errors import InfrastructureError

# Amounts by Ray's name of the resource, such as CPU and GPU.
Resources = Mapping[str, float]
# Shares such as 0.1 are no exact numbers.
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Need:
    """``count`` processes at the same time, each of ``resources`` on one node. ``settings`` are the
    keys of the configuration that decide it, by resource; ``count_setting`` is the one that sets
    ``count``. ``alternatives`` are settings, with their values, by which it needs none of a
    resource, by resource."""

    what: str
    resources: Resources
    count: int = 1
    settings: Mapping[str, Sequence[str]] = field(default_factory=dict)
    count_setting: str = ""
    alternatives: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.what}: {self.count} x {_format_resources(self.resources)}"


def find_shortage(
    needs: Sequence[Need], nodes: Sequence[Resources], is_private: bool = False
) -> str:
    """Why ``needs`` can never be placed together on ``nodes``, with what is needed, what there is
    and what to do; "" where nothing shows that they cannot. ``is_private``: the node is a private
    instance's."""
    for need in needs:
        short = _find_short_resources(need, nodes)
        if short:
            return _describe_shortage([need], needs, short, nodes, is_private)
    name = _find_short_total(needs, nodes)
    if not name:
        return ""
    takers = [need for need in needs if need.resources.get(name)]
    return _describe_shortage(takers, needs, [name], nodes, is_private)


def _find_short_total(needs: Sequence[Need], nodes: Sequence[Resources]) -> str:
    """The first resource of which all needs together want more than there is; "" for none."""
    for name in _list_resources(needs):
        if _sum_needs(needs, name) > _sum_resource(nodes, name) + _TOLERANCE:
            return name
    return ""


def _has_room(needs: Sequence[Need], nodes: Sequence[Resources]) -> bool:
    """Whether nothing shows that there is no room for all needs."""
    is_placed = not any(_find_short_resources(need, nodes) for need in needs)
    return is_placed and not _find_short_total(needs, nodes)


def _find_short_resources(need: Need, nodes: Sequence[Resources]) -> list[str]:
    """The resources that leave too few places for one need alone."""
    amounts = {name: amount for name, amount in need.resources.items() if amount > 0}
    if sum(_count_places(amounts, need.count, node) for node in nodes) >= need.count:
        return []
    short = []
    for name, amount in amounts.items():
        if sum(_count_places({name: amount}, need.count, node) for node in nodes) < need.count:
            short.append(name)
    # Each may be there, but not on the same nodes.
    return short or list(amounts)


def _count_places(amounts: Resources, count: int, node: Resources) -> int:
    """How many processes of ``amounts`` the empty node holds; ``count`` of those that need
    nothing."""
    places = [int(node.get(name, 0) / amount + _TOLERANCE) for name, amount in amounts.items()]
    return min(places, default=count)


def _list_resources(needs: Sequence[Need]) -> list[str]:
    return sorted({name for need in needs for name in need.resources})


def _sum_resource(nodes: Sequence[Resources], name: str) -> float:
    return sum(node.get(name, 0) for node in nodes)


def _sum_needs(needs: Sequence[Need], name: str) -> float:
    return sum(need.count * need.resources.get(name, 0) for need in needs)


def _list_remedies(
    takers: Sequence[Need],
    needs: Sequence[Need],
    short: Sequence[str],
    nodes: Sequence[Resources],
) -> Iterator[str]:
    """Changes of one setting each with which all of ``needs`` have room: ``lower NAME to VALUE``
    and ``set NAME: VALUE``."""
    for taker in takers:
        others = [need for need in needs if need is not taker]
        if taker.count_setting:
            for count in range(taker.count - 1, 0, -1):
                if _has_room([*others, replace(taker, count=count)], nodes):
                    yield f"lower {taker.count_setting} to {count}"
                    break
        without = {name: size for name, size in taker.resources.items() if name not in short}
        alternatives = [text for name in short for text in taker.alternatives.get(name, ())]
        if alternatives and _has_room([*others, replace(taker, resources=without)], nodes):
            yield from (f"set {text}" for text in alternatives)


def _describe_shortage(
    takers: Sequence[Need],
    needs: Sequence[Need],
    short: Sequence[str],
    nodes: Sequence[Resources],
    is_private: bool,
) -> str:
    """``takers`` are those of ``needs`` that want what is ``short``."""
    names = sorted({"CPU", *_list_resources(takers)})
    totals = _format_resources({name: _sum_resource(nodes, name) for name in names})
    largest = ""
    if len(nodes) > 1:
        maxima = {name: max(node.get(name, 0) for node in nodes) for name in names}
        largest = f" on {len(nodes)} nodes of {_format_resources(maxima)} at most"
    settings = [key for need in takers for name in short for key in need.settings.get(name, ())]
    growth = "add nodes"
    if is_private:
        growth = "name a cluster in ray.address"
        if "CPU" in short:
            growth = f"raise ray.num_cpus, or {growth}"
    changes = list(_list_remedies(takers, needs, short, nodes))
    if not changes and settings:
        changes = [f"change {', '.join(dict.fromkeys(settings))}"]
    remedy = ", or ".join([*changes, growth])
    needed = " and ".join(map(str, takers))
    if len(takers) > 1:
        sums = {name: _sum_needs(takers, name) for name in short}
        needed += f", together {_format_resources(sums)}"
    return f"there is no room for {needed}; there is {totals}{largest}: {remedy}"


def _format_resources(resources: Resources) -> str:
    return " and ".join(f"{amount:g} {name}" for name, amount in resources.items())


# --- the cluster ----------------------------------------------------------------------


def find_cluster_address(config: RayConfig) -> str:
    """The address of the cluster to join, from ``ray.address`` or RAY_ADDRESS; "" where a private
    instance is started."""
    return config.address or os.environ.get("RAY_ADDRESS") or ""


def read_nodes() -> list[dict[str, float]]:
    """The totals of every living node. Ray must be up."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def require_room(needs: Sequence[Need], config: RayConfig) -> None:
    """Return when nothing shows that the cluster has no room for ``needs``.

    Where it has none, they are asked for, which an autoscaler reacts to, for
    ``ray.placement_seconds``. Raises InfrastructureError with what is needed and what there is.
    """
    if not find_shortage(needs, read_nodes()):
        return
    is_private = not find_cluster_address(config)
    # A private instance never grows.
    seconds = 0.0 if is_private else config.placement_seconds
    if seconds > 0 and _wait_for_room(needs, seconds):
        return
    shortage = find_shortage(needs, read_nodes(), is_private)
    if not shortage:
        return
    waited = f" (waited {seconds:g} s, ray.placement_seconds)" if seconds else ""
    raise InfrastructureError(f"{shortage}{waited}")


def _wait_for_room(needs: Sequence[Need], seconds: float) -> bool:
    """Whether there was room for all of them within ``seconds``; nothing stays reserved."""
    from ray.util import placement_group, remove_placement_group

    bundles: list[dict[str, Any]] = []
    for need in needs:
        amounts = {name: amount for name, amount in need.resources.items() if amount > 0}
        # Ray refuses a bundle of nothing.
        bundles += [amounts] * need.count if amounts else []
    group = placement_group(bundles)
    try:
        return bool(group.wait(seconds))
    finally:
        remove_placement_group(group)


def find_local_shortage(needs: Sequence[Need], config: RayConfig) -> str:
    """``find_shortage`` on the private instance that a run without a cluster starts; "" where a
    cluster is joined, whose nodes only the cluster knows."""
    if find_cluster_address(config):
        return ""
    gpus = 0
    # Looking for GPUs imports torch.
    if any(need.resources.get("GPU") for need in needs):
        gpus = _count_gpus()
    return find_shortage(needs, [{"CPU": config.num_cpus, "GPU": gpus}], is_private=True)


def _count_gpus() -> int:
    import torch

    return torch.cuda.device_count()
