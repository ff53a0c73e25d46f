"""What is planned for a forward and backward pass is what autograd keeps, counted on fake tensors
of real shapes."""

from typing import Any

import pytest
import torch
from support.fake_training import (
    build_fake_batch,
    count_saved_bytes,
    find_peak_bytes,
    make_fake_policy,
)

from medr_ray.core.json_text import parse_json
from medr_ray.training.planner.activations import (
    Compute,
    MaskKind,
    MicroBatchSize,
    count_activations,
    count_weight_copies,
)
from medr_ray.training.planner.shapes import ModelShape, read_shape

# The heads are grouped, and no two sizes are equal, so that one taken for another shows.
_SIZES = {
    "hidden_size": 96,
    "num_hidden_layers": 5,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "intermediate_size": 224,
    "vocab_size": 1500,
    "max_position_embeddings": 4096,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {"model_type": "llama", "tie_word_embeddings": True, **_SIZES},
    "mistral": {"model_type": "mistral", "head_dim": 24, "sliding_window": None, **_SIZES},
    "qwen2": {"model_type": "qwen2", **_SIZES},
    "qwen3": {"model_type": "qwen3", "head_dim": 32, **_SIZES},
    "biased": {"model_type": "llama", "attention_bias": True, "mlp_bias": True, **_SIZES},
}
CHUNK = 256


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def make_size(tokens: int, mask: MaskKind) -> MicroBatchSize:
    rows = 2 if mask == "rows" else 1
    if mask == "branches":
        return MicroBatchSize(1, tokens, tokens // 4, mask, trunk=tokens // 4, branches=3)
    return MicroBatchSize(rows, tokens // rows, tokens // 4, mask)


def check_saved(
    config: dict[str, Any], size: MicroBatchSize, compute: Compute, has_checkpoints: bool
) -> None:
    """Raises where the plan differs from autograd's count by more than 10 %."""
    shape = read_shape(config, "a test")
    with make_fake_policy(config, compute, has_checkpoints, size) as module:
        saved = count_saved_bytes(module, build_fake_batch(size))
    planned = count_activations(shape, size, compute, has_checkpoints, CHUNK)
    assert planned.kept == pytest.approx(saved, rel=0.1)


def plan_peak(
    shape: ModelShape, size: MicroBatchSize, compute: Compute, has_checkpoints: bool
) -> float:
    """Weights and gradients of a model that is whole in one process, and the pass at its peak."""
    number = 2 if compute == "bfloat16" else 4
    planned = count_activations(shape, size, compute, has_checkpoints, CHUNK)
    copies = count_weight_copies(shape, compute) // (shape.layers if has_checkpoints else 1)
    head = 6 * shape.vocabulary_parameters
    working = max(planned.working, planned.logits + head)
    return 2 * number * shape.parameters + copies + planned.kept + working


@pytest.mark.parametrize("family", FAMILIES)
def test_every_parameter_is_counted(family: str) -> None:
    shape = read_shape(FAMILIES[family], "a test")
    with make_fake_policy(FAMILIES[family], "float32", False) as module:
        assert shape.parameters == sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("has_checkpoints", [False, True])
@pytest.mark.parametrize("compute", ["float32", "bfloat16", "autocast"])
@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_the_plan_is_what_autograd_saves(
    family: str, compute: Compute, has_checkpoints: bool
) -> None:
    check_saved(FAMILIES[family], make_size(1022, "none"), compute, has_checkpoints)


@pytest.mark.parametrize("mask", ["rows", "tree", "branches"])
@pytest.mark.parametrize("compute", ["float32", "bfloat16"])
def test_masks_are_counted(mask: MaskKind, compute: Compute) -> None:
    check_saved(FAMILIES["qwen3"], make_size(1024, mask), compute, has_checkpoints=False)


@pytest.mark.parametrize("branches", [2, 6, 30])
def test_branches_that_share_much_are_counted(branches: int) -> None:
    size = MicroBatchSize(1, 1800, 450, "branches", trunk=600, branches=branches)
    check_saved(FAMILIES["llama"], size, "autocast", has_checkpoints=False)


@pytest.mark.parametrize("has_checkpoints", [False, True])
def test_the_peak_is_planned(has_checkpoints: bool) -> None:
    # Proportions of a real model: an MLP of more than four times the width.
    config = {**FAMILIES["qwen2"], "vocab_size": 400, "intermediate_size": 512}
    size = make_size(2044, "none")
    with make_fake_policy(config, "bfloat16", has_checkpoints) as module:
        peak = find_peak_bytes(module, build_fake_batch(size))["Total"]
    planned = plan_peak(read_shape(config, "a test"), size, "bfloat16", has_checkpoints)
    assert planned == pytest.approx(peak, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("has_checkpoints", [False, True])
@pytest.mark.parametrize(
    "name", ["Qwen2.5-32B-Instruct", "Qwen3-8B", "Qwen3-4B", "Qwen3-0.6B", "smollm2-135m-instruct"]
)
def test_real_shapes_are_planned(name: str, has_checkpoints: bool) -> None:
    """Eight layers of each: every further layer is counted as the others are."""
    config = dict(read_public_configs()[name], num_hidden_layers=8)
    size = make_size(8192, "none")
    check_saved(config, size, "bfloat16", has_checkpoints)
    with make_fake_policy(config, "bfloat16", has_checkpoints) as module:
        peak = find_peak_bytes(module, build_fake_batch(size))["Total"]
    planned = plan_peak(read_shape(config, name), size, "bfloat16", has_checkpoints)
    assert planned == pytest.approx(peak, rel=0.1)


def read_public_configs() -> dict[str, dict[str, Any]]:
    from importlib import resources

    text = resources.files("medr_ray.training.planner").joinpath("public_shapes.json").read_bytes()
    return {name: entry["config"] for name, entry in parse_json(text, "shapes").items()}
