"""Prefix trees under each way of spreading a model: real processes over gloo, without Ray."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from support.tiny_model import build_tiny_model
from support.tree_work import learn_rollouts
from support.worker_gang import run_gang

SETTINGS: dict[str, dict[str, Any]] = {
    "torch": {"backend": "torch"},
    "torch, checkpointed": {"backend": "torch", "activation_checkpointing": True},
    "fsdp2, checkpointed": {"backend": "fsdp2", "activation_checkpointing": True},
    "zero2": {"backend": "deepspeed", "zero_stage": 2},
    "zero3, checkpointed": {
        "backend": "deepspeed",
        "zero_stage": 3,
        "activation_checkpointing": True,
    },
}
TOLERANCE = 1e-5  # of the gradient's norm, in float32

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("model"), context=1024)


@cache
def gradients_of_rows(model: Path) -> dict[str, torch.Tensor]:
    (result,) = run_gang(1, learn_rollouts, model, SETTINGS["torch"], False)
    assert result["trees"] == 0
    return result["gradients"]


@pytest.mark.parametrize("name", list(SETTINGS))
def test_two_workers_with_trees_have_the_gradient_of_one_with_rows(model: Path, name: str) -> None:
    results = run_gang(2, learn_rollouts, model, SETTINGS[name], True)
    expected = gradients_of_rows(model)
    assert all(result["trees"] > 0 for result in results)
    gradients = results[0]["gradients"]
    assert gradients.keys() == expected.keys()
    difference = sum(float((gradients[key] - expected[key]).square().sum()) for key in expected)
    norm = sum(float(value.square().sum()) for value in expected.values())
    print(f"{name}: the gradient differs by {(difference / norm) ** 0.5:.1e}")
    assert (difference / norm) ** 0.5 < TOLERANCE
