"""Where engines are: nodes by label, the GPUs of trainers, and what happens when a node is lost."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from medr_ray.core.config import EngineConfig
from medr_ray.core.errors import InfrastructureError
from medr_ray.core.placement import find_shortage
from medr_ray.rollouts.engine_placement import (
    TrainerDevice,
    choose_shared_gpus,
    describe_engine_need,
    reserve_places,
)

_SUPPORT = Path(__file__).parents[1] / "support"
TRAINERS = [TrainerDevice("a", ("0",)), TrainerDevice("a", ("1",)), TrainerDevice("b", ("3",))]


def test_colocated_engines_take_the_trainers_gpus_of_one_node() -> None:
    assert choose_shared_gpus(0, 2, TRAINERS) == ("a", ("0", "1"))
    assert [choose_shared_gpus(number, 1, TRAINERS) for number in range(3)] == [
        ("a", ("0",)),
        ("a", ("1",)),
        ("b", ("3",)),
    ]
    with pytest.raises(InfrastructureError, match="engine 1 has no 2 GPUs of one node"):
        choose_shared_gpus(1, 2, TRAINERS)


def test_engines_are_counted_together_and_need_no_gpu_of_their_own_where_they_share() -> None:
    split = EngineConfig(engines=2, tensor_parallel=4)
    need = describe_engine_need(split, on_gpus=True)
    assert (need.count, need.resources["GPU"]) == (2, 4)
    assert "the engines: 2 x 1 CPU and 4 GPU" in find_shortage([need], [{"CPU": 64, "GPU": 7}])
    assert not find_shortage([need], [{"CPU": 64, "GPU": 8}])
    shared = EngineConfig(engines=2, tensor_parallel=4, placement="colocated")
    assert "GPU" not in describe_engine_need(shared, on_gpus=True).resources


@pytest.mark.slow
@pytest.mark.usefixtures("ray_local")
def test_places_that_are_taken_are_waited_for_no_longer_than_allowed() -> None:
    config = EngineConfig(engines=2, labels={"pool": "nowhere"}, start_seconds=1)
    with (
        pytest.raises(InfrastructureError, match=r"within 1 s .*nodes with pool=nowhere"),
        reserve_places(config),
    ):
        pass


@pytest.mark.slow
@pytest.mark.processes
def test_an_engine_of_a_lost_node_serves_again_on_another_node_with_its_label(
    tmp_path: Path,
) -> None:
    log = tmp_path / "log.txt"
    with log.open("wb") as printed:
        done = subprocess.run(
            [sys.executable, str(_SUPPORT / "fleet_driver.py")],
            env=os.environ | {"RAY_AUTH_MODE": "disabled"},
            stdout=printed,
            stderr=subprocess.STDOUT,
            timeout=400,
            check=False,
        )
    text = log.read_text()
    assert done.returncode == 0, text[-3000:]
    assert "before: [3, 3, 3, 3] allowed: True" in text
    assert "meanwhile: [3, 3, 3, 3]" in text
    assert "after: [True, True] allowed: True" in text
