"""Matrices are multiplied in bfloat16 only where the hardware can."""

from pathlib import Path

import pytest
import torch
from support.tiny_model import build_tiny_model

from medr_ray.core.config import EngineConfig
from medr_ray.engines.number_format import select_dtype
from medr_ray.engines.transformers import TransformersEngine


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx2": True, "avx512_bf16": False}, torch.float32),
        ({"avx512_f": True, "avx512_vnni": True}, torch.float32),
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
        ({"neon": True}, torch.float32),
        ({"neon": True, "bf16": True}, torch.bfloat16),
    ],
)
def test_a_cpu_computes_in_bfloat16_only_with_instructions_for_it(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], expected: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert select_dtype("cpu") is expected
    assert select_dtype("cuda") is torch.bfloat16


@pytest.mark.slow
def test_the_engine_loads_weights_in_the_format_of_its_configuration(tmp_path: Path) -> None:
    model = build_tiny_model(tmp_path)
    expected = {"auto": select_dtype("cpu"), "bfloat16": torch.bfloat16, "float32": torch.float32}
    for setting, dtype in expected.items():
        engine = TransformersEngine(model, EngineConfig(dtype=setting, device="cpu", threads=1))
        assert engine.model.dtype is dtype
