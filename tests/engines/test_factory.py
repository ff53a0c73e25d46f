"""Which engine is started where, and what is said of an environment that cannot run it."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

import pytest

from medr_ray.core.config import EngineConfig
from medr_ray.engines.factory import (
    PYTHON_VARIABLE,
    build_runtime_env,
    find_engine_problems,
    find_vllm_python,
)


def make_interpreter(path: Path, answer: str) -> EngineConfig:
    """A program in the place of a Python, which says this of its versions."""
    path.write_text(f"#!/bin/sh\necho '{answer}'\n")
    path.chmod(0o755)
    return EngineConfig(backend="vllm", python=str(path))


def test_the_engine_of_this_process_needs_no_environment() -> None:
    assert build_runtime_env(EngineConfig()) == {}
    assert find_engine_problems(EngineConfig()) == []


def test_several_devices_need_vllm() -> None:
    (problem,) = find_engine_problems(EngineConfig(tensor_parallel=2))
    assert "engine.tensor_parallel: 2 needs engine.backend: vllm" in problem


def test_an_environment_that_is_not_there_is_named_with_the_lines_that_make_it(
    tmp_path: Path,
) -> None:
    config = EngineConfig(backend="vllm", python=str(tmp_path / "bin" / "python"))
    (problem,) = find_engine_problems(config)
    assert str(tmp_path / "bin" / "python") in problem
    assert "pip install -c constraints-vllm.txt" in problem


def test_an_environment_with_the_same_versions_is_right(tmp_path: Path) -> None:
    answer = f"{platform.python_version()} {version('ray')} 0.32.0"
    config = make_interpreter(tmp_path / "python", answer)
    assert find_engine_problems(config) == []
    assert build_runtime_env(config) == {"py_executable": str(tmp_path / "python")}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (f"3.10.2 {version('ray')} 0.32.0", "has Python 3.10.2"),
        (f"{platform.python_version()} 2.9.0 0.32.0", "has ray 2.9.0"),
        (f"{platform.python_version()} {version('ray')} -", "has no vllm"),
        ("no versions", "does not run"),
    ],
)
def test_an_environment_of_other_versions_is_named(tmp_path: Path, answer: str, words: str) -> None:
    (problem,) = find_engine_problems(make_interpreter(tmp_path / "python", answer))
    assert words in problem


def test_the_interpreter_is_that_of_the_configuration_then_of_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PYTHON_VARIABLE, str(tmp_path / "variable"))
    named = EngineConfig(backend="vllm", python=str(tmp_path / "setting"))
    assert find_vllm_python(named) == tmp_path / "setting"
    assert find_vllm_python(EngineConfig(backend="vllm")) == tmp_path / "variable"
    monkeypatch.delenv(PYTHON_VARIABLE)
    assert find_vllm_python(EngineConfig(backend="vllm")).parts[-3:] == (
        ".venv-vllm",
        "bin",
        "python",
    )


def test_a_rank_that_vllm_has_no_room_for_is_a_problem_before_the_start(tmp_path: Path) -> None:
    config = make_interpreter(
        tmp_path / "python", f"{platform.python_version()} {version('ray')} 0.32.0"
    )
    assert find_engine_problems(config, adapter_rank=512) == []
    [problem] = find_engine_problems(config, adapter_rank=513)
    assert problem.startswith("grpo.lora.rank: 513 is more")
    assert find_engine_problems(EngineConfig(), adapter_rank=513) == []


def test_vllm_on_a_cpu_has_the_configured_threads_whatever_ray_sets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from medr_ray.engines import vllm

    for name in vllm._ENVIRONMENT:
        monkeypatch.setenv(name, "set by the user")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv(vllm.ENGINE_PROCESS_VARIABLE, "")  # taken back behind the test
    vllm._prepare_environment(EngineConfig(device="cpu", threads=3))
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert all(os.environ[name] == "set by the user" for name in vllm._ENVIRONMENT)
