"""The optimiser backends against one another: real processes over gloo, without Ray, whose shares
of the work are as unequal as they can be."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from support.backend_work import compute_gradients, examine, examine_adapter
from support.tiny_model import build_tiny_model
from support.worker_gang import run_gang

from medr_ray.core.config import TrainerConfig

BACKENDS: dict[str, dict[str, Any]] = {
    "torch": {"backend": "torch"},
    "fsdp2": {"backend": "fsdp2"},
    "zero0": {"backend": "deepspeed", "zero_stage": 0},
    "zero1": {"backend": "deepspeed", "zero_stage": 1},
    "zero2": {"backend": "deepspeed", "zero_stage": 2},
    "zero3": {"backend": "deepspeed", "zero_stage": 3},
}
TOLERANCE = 1e-5  # of the largest gradient of a parameter, in float32
LORA = {"lora": {"rank": 1, "alpha": 4, "targets": ("q_proj", "down_proj")}}

pytestmark = pytest.mark.slow
every_backend = pytest.mark.parametrize("backend", list(BACKENDS))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("model"), context=1024)


@cache
def expected(model: Path) -> dict[str, Any]:
    (reference,) = run_gang(1, compute_gradients, model, BACKENDS["torch"])
    return reference


@cache
def examined(model: Path, backend: str) -> list[dict[str, Any]]:
    return run_gang(2, examine, model, BACKENDS[backend])


@cache
def expected_adapter(model: Path) -> dict[str, Any]:
    (reference,) = run_gang(1, examine_adapter, model, BACKENDS["torch"] | LORA)
    return reference


def measure_difference(
    gradients: dict[str, torch.Tensor], reference: dict[str, torch.Tensor]
) -> float:
    """The largest difference of a value, as a share of its parameter's largest value."""
    assert gradients.keys() == reference.keys()
    return max(
        float((gradients[name] - value).abs().max() / value.abs().max())
        for name, value in reference.items()
        if value.abs().max() > 0
    )


def check_gradients(described: str, result: dict[str, Any], reference: dict[str, Any]) -> None:
    difference = measure_difference(result["gradients"], reference["gradients"])
    norm = abs(result["norm"] / reference["norm"] - 1)
    print(f"{described}: gradients differ by {difference:.1e}, norms by {norm:.1e}")
    assert difference < TOLERANCE
    assert norm < TOLERANCE


@every_backend
@pytest.mark.parametrize("workers", [1, 4])
def test_workers_with_unequal_shares_have_the_gradient_of_one_process(
    model: Path, backend: str, workers: int
) -> None:
    result = run_gang(workers, compute_gradients, model, BACKENDS[backend])[0]
    check_gradients(f"{backend} x {workers}", result, expected(model))


@every_backend
def test_two_workers_have_it_after_steps_that_were_skipped(model: Path, backend: str) -> None:
    for result in examined(model, backend):
        check_gradients(f"{backend} x 2", result, expected(model))
        assert result["applied"]


@every_backend
def test_a_loss_or_gradient_that_is_not_finite_changes_nothing(model: Path, backend: str) -> None:
    for result in examined(model, backend):
        for norm, applied, is_untouched in result["skipped"]:
            assert not torch.isfinite(torch.tensor(norm))
            assert not applied
            assert is_untouched


@every_backend
def test_an_evaluation_between_steps_sees_the_weights_of_its_time(
    model: Path, backend: str
) -> None:
    reference = examined(model, "torch")[0]["scores"]
    assert (reference[0] - reference[1]).abs().max() > 1e-3
    for result in examined(model, backend):
        torch.testing.assert_close(result["scores"], reference, rtol=0, atol=1e-4)


@every_backend
def test_a_second_backend_continues_from_the_state(model: Path, backend: str) -> None:
    for result in examined(model, backend):
        assert result["resumed"]
        assert result["state_names"] == examined(model, "torch")[0]["state_names"]


@every_backend
def test_the_first_worker_streams_the_weights_as_they_were_loaded(
    model: Path, backend: str
) -> None:
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    first, second = examined(model, backend)
    assert list(first["streamed"]) == [name for name, _ in loaded.named_parameters()]
    for name, parameter in loaded.named_parameters():
        assert torch.equal(first["streamed"][name], parameter)
    assert not second["streamed"]


@every_backend
def test_recomputed_layers_and_an_optimiser_on_the_host_change_nothing(
    model: Path, backend: str
) -> None:
    offload = backend not in ("torch", "zero0")
    settings = BACKENDS[backend] | {"activation_checkpointing": True, "offload": offload}
    result = run_gang(2, examine, model, settings)[0]
    check_gradients(f"{backend} x 2, recomputed, offload {offload}", result, expected(model))
    assert [skipped[1:] for skipped in result["skipped"]] == [(False, True)] * 2
    assert result["resumed"]


@every_backend
def test_bfloat16_keeps_the_direction_of_the_gradient_and_all_the_rest(
    model: Path, backend: str
) -> None:
    settings = BACKENDS[backend] | {"dtype": "bfloat16", "activation_checkpointing": True}
    result, second = run_gang(2, examine, model, settings)
    reference = expected(model)["gradients"]
    rounded = torch.cat([result["gradients"][name].flatten() for name in reference])
    exact = torch.cat([value.flatten() for value in reference.values()])
    cosine = float(torch.cosine_similarity(rounded, exact, dim=0))
    print(f"{backend} x 2, bfloat16: cosine {cosine:.4f}")
    assert cosine > 0.99
    for worker in (result, second):
        assert [skipped[1:] for skipped in worker["skipped"]] == [(False, True)] * 2
        assert worker["resumed"]


@pytest.mark.parametrize("backend", ["torch", "fsdp2", "zero3"])
def test_an_output_layer_tied_to_the_embedding_is_trained_once(
    backend: str, tmp_path: Path
) -> None:
    model = build_tiny_model(tmp_path / "tied", context=1024, tied=True)
    (reference,) = run_gang(1, compute_gradients, model, BACKENDS["torch"])
    assert "lm_head.weight" not in reference["gradients"]
    result = run_gang(2, compute_gradients, model, BACKENDS[backend])[0]
    check_gradients(f"{backend} x 2, tied", result, reference)


@every_backend
def test_an_adapter_of_rank_one_is_trained_and_merged(model: Path, backend: str) -> None:
    from transformers import AutoModelForCausalLM

    first, second = run_gang(2, examine_adapter, model, BACKENDS[backend] | LORA)
    difference = measure_difference(first["gradients"], expected_adapter(model)["gradients"])
    print(f"{backend} x 2, LoRA: gradients differ by {difference:.1e}")
    assert difference < TOLERANCE
    assert not second["merged"]
    assert not second["adapter"]
    loaded = dict(AutoModelForCausalLM.from_pretrained(model).named_parameters())
    assert list(first["merged"]) == list(loaded)
    changed = {
        name
        for name, weight in first["merged"].items()
        if not torch.equal(weight, loaded[name].float())
    }
    assert changed == {
        name for name in loaded if name.endswith(("q_proj.weight", "down_proj.weight"))
    }
    for name in changed:
        state_name = f"weight/{name.removesuffix('.weight')}"
        lower = first["state"][f"{state_name}.lora_A.default.weight"]
        upper = first["state"][f"{state_name}.lora_B.default.weight"]
        merged = loaded[name] + 4 * (upper @ lower)
        torch.testing.assert_close(first["merged"][name], merged, rtol=1e-6, atol=1e-7)
        peft_name = f"base_model.model.{name.removesuffix('.weight')}.lora_B.weight"
        assert torch.equal(first["adapter"][peft_name], upper)


@pytest.mark.parametrize("backend", ["torch", "zero0"])
def test_offload_is_refused_where_nothing_is_shared(backend: str) -> None:
    with pytest.raises(ValidationError, match="offload"):
        TrainerConfig(**BACKENDS[backend], offload=True)
