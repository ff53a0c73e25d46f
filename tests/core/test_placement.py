"""What can never be placed on a cluster is known from its nodes' totals."""

import pytest

from medr_ray.core import placement
from medr_ray.core.config import PipelineConfig, RayConfig
from medr_ray.core.errors import InfrastructureError
from medr_ray.core.placement import Need, find_local_shortage, find_shortage, require_room
from medr_ray.core.run import open_run
from medr_ray.core.settings import load_config
from medr_ray.pipeline import load_stages

TRAINERS = Need("the workers of sft", {"CPU": 1, "GPU": 1}, 2, {"GPU": ["sft.workers"]})
WORKER = Need("a rollout worker", {"CPU": 2.5}, 1, {"CPU": ["rollouts.worker_cpus"]})


@pytest.mark.parametrize(
    ("needs", "nodes"),
    [
        ([TRAINERS], [{"CPU": 4, "GPU": 2}]),
        ([TRAINERS], [{"CPU": 4, "GPU": 1}, {"CPU": 4, "GPU": 1}]),
        ([TRAINERS, WORKER], [{"CPU": 4.5, "GPU": 2}]),
        ([Need("engines", {"GPU": 0.1}, 10)], [{"GPU": 1}]),
        ([Need("a log", {"CPU": 0})], [{}]),
        ([], []),
    ],
)
def test_what_fits_is_no_shortage(needs: list[Need], nodes: list[dict[str, float]]) -> None:
    assert find_shortage(needs, nodes) == ""


@pytest.mark.parametrize(
    ("needs", "nodes", "named"),
    [
        ([TRAINERS], [{"CPU": 4, "GPU": 1}], ["2 x 1 CPU and 1 GPU", "4 CPU and 1 GPU"]),
        ([TRAINERS], [{"CPU": 4}], ["4 CPU and 0 GPU: change sft.workers, or add nodes"]),
        ([WORKER], [{"CPU": 2}, {"CPU": 2}], ["2.5 CPU", "2 nodes of 2 CPU at most"]),
        ([TRAINERS, WORKER], [{"CPU": 4, "GPU": 2}], ["the workers of sft", "a rollout worker"]),
        ([Need("a task", {"CPU": 1})], [], ["there is 0 CPU: add nodes"]),
        ([TRAINERS], [{"CPU": 8}, {"GPU": 8}], ["8 CPU and 8 GPU on 2 nodes"]),
    ],
)
def test_a_shortage_says_what_is_needed_and_what_there_is(
    needs: list[Need], nodes: list[dict[str, float]], named: list[str]
) -> None:
    shortage = find_shortage(needs, nodes)
    assert [text for text in named if text not in shortage] == [], shortage


@pytest.mark.parametrize(
    ("trainers", "engines", "gpus", "named"),
    [
        (8, (1, 1), 8, ["together 9 GPU", "lower grpo.workers to 7", "set engine.placement: colo"]),
        (8, (2, 1), 8, ["together 10 GPU; there is", "8 GPU: lower grpo.workers to 6, or set"]),
        (6, (2, 2), 8, ["lower grpo.workers to 4", "lower engine.engines to 1"]),
        (9, (0, 1), 8, ["lower grpo.workers to 8"]),
    ],
)
def test_a_shortage_says_which_value_makes_room(
    trainers: int, engines: tuple[int, int], gpus: int, named: list[str]
) -> None:
    needs = [
        Need(
            "the workers of grpo",
            {"CPU": 1, "GPU": 1},
            trainers,
            {"GPU": ["grpo.workers"]},
            count_setting="grpo.workers",
        )
    ]
    number, width = engines
    if number:
        needs.append(
            Need(
                "the engines",
                {"CPU": 1, "GPU": width},
                number,
                count_setting="engine.engines",
                alternatives={"GPU": ["engine.placement: colocated"]},
            )
        )
    shortage = find_shortage(needs, [{"CPU": 64, "GPU": gpus}])
    assert [text for text in named if text not in shortage] == [], shortage


def test_a_private_instance_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(placement, "read_nodes", lambda: [{"CPU": 2}])
    with pytest.raises(InfrastructureError, match=r"raise ray\.num_cpus"):
        require_room([WORKER], RayConfig())
    with pytest.raises(InfrastructureError, match=r"change sft\.workers, or name a cluster"):
        require_room([TRAINERS], RayConfig())


def test_a_cluster_gets_its_time_to_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [{"CPU": 1.0}]
    waited: list[float] = []

    def wait(needs: object, seconds: float) -> bool:
        waited.append(seconds)
        return False

    monkeypatch.setattr(placement, "read_nodes", lambda: list(nodes))
    monkeypatch.setattr(placement, "_wait_for_room", wait)
    cluster = RayConfig(address="auto", placement_seconds=7)
    with pytest.raises(InfrastructureError, match=r"waited 7 s, ray\.placement"):
        require_room([WORKER], cluster)
    nodes.append({"CPU": 4.0})
    require_room([WORKER], cluster)
    assert waited == [7]


@pytest.mark.parametrize(
    ("stage", "override", "named"),
    [
        ("sft", "sft.use_gpu=true", "the workers of sft"),
        ("sft", "sft.cpus_per_worker=64", "64 CPU"),
        ("grpo", "grpo.workers=4", "the engine"),
        ("trajectories", "rollouts.worker_cpus=64", "a rollout worker"),
        ("evaluation", "serving.num_gpus=3", "the served model"),
    ],
)
def test_what_this_machine_cannot_hold_is_named_before_anything_starts(
    stage: str, override: str, named: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(placement, "_count_gpus", lambda: 0)
    config: PipelineConfig = load_config(None, [f"run.root={tmp_path}", override], environment={})
    [declared] = [entry for entry in load_stages() if entry.name == stage]
    problems = list(declared.check(config, open_run(config)))
    assert [text for text in problems if "no room for" in text and named in text] != []
    on_cluster = load_config(
        None, [f"run.root={tmp_path}", override, "ray.address=auto"], environment={}
    )
    problems = list(declared.check(on_cluster, open_run(on_cluster)))
    assert [text for text in problems if "no room for" in text] == []


def test_gpus_are_looked_for_only_where_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    def count() -> int:
        raise AssertionError("torch takes seconds to import")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(placement, "_count_gpus", count)
    assert find_local_shortage([WORKER], RayConfig()) == ""


@pytest.mark.slow
def test_ray_is_asked_for_what_there_is_no_room_for(ray_local: None) -> None:
    cluster = RayConfig(address="auto", placement_seconds=1)
    require_room([Need("a task", {"CPU": 1}), Need("a log", {"CPU": 0})], cluster)
    with pytest.raises(InfrastructureError, match="2 x 64 CPU; there is 4 CPU"):
        require_room([Need("giants", {"CPU": 64}, 2), Need("a log", {"CPU": 0})], cluster)
