"""The checks in their order: what each measures, its limit of time, and when it is skipped."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

from medr_ray.training.smoke.rows import CheckFigures
from medr_ray.training.smoke.setup import SmokeSetup

# A check in one of its processes: (what it runs on, rank, tokens) -> figures. Those of rank 0
# count.
Measure = Callable[[SmokeSetup, int, int], CheckFigures]


@dataclass(frozen=True)
class SmokeCheck:
    """A check. ``tokens`` on a GPU and ``tiny_tokens`` on a CPU; ``limit`` in seconds, after which
    it has failed. ``is_split``: all workers take part. ``find_obstacle`` says why it is skipped, ""
    where it is not."""

    name: str
    limit: float
    load: Callable[[], Measure]
    tokens: int
    tiny_tokens: int
    is_split: bool = False
    find_obstacle: Callable[[SmokeSetup], str] = lambda setup: ""


def _load_length() -> Measure:
    from medr_ray.training.smoke.training_checks import measure_length

    return measure_length


def _load_fsdp2() -> Measure:
    from medr_ray.training.smoke.training_checks import measure_fsdp2

    return measure_fsdp2


def _load_zero3() -> Measure:
    from medr_ray.training.smoke.training_checks import measure_zero3

    return measure_zero3


def _load_quickstart() -> Measure:
    from medr_ray.training.smoke.training_checks import measure_quickstart_step

    return measure_quickstart_step


def _load_updates() -> Measure:
    from medr_ray.training.smoke.engine_checks import measure_updates

    return measure_updates


def _load_vllm() -> Measure:
    from medr_ray.training.smoke.engine_checks import measure_vllm

    return measure_vllm


def _find_no_vllm(setup: SmokeSetup) -> str:
    from medr_ray.core.config import EngineConfig
    from medr_ray.engines.factory import find_engine_problems

    if not setup.gpus:
        return "on a CPU vLLM takes minutes to start; tests/engines checks it there"
    return "; ".join(find_engine_problems(EngineConfig(backend="vllm")))


def _find_no_deepspeed(setup: SmokeSetup) -> str:
    if importlib.util.find_spec("deepspeed") is None:
        return "deepspeed is not installed: pip install 'medr-ray[deepspeed]'"
    return ""


def _find_no_weights(setup: SmokeSetup) -> str:
    from medr_ray.core.errors import MedrError
    from medr_ray.engines.weights import model_path

    if setup.tiny:
        return ""
    try:
        model_path("embedded:smollm2-135m-instruct")
    except MedrError as error:
        return str(error)
    return ""


# The limits add up to less than ten minutes.
CHECKS = (
    SmokeCheck("forward_backward_8k", 40, _load_length, 8192, 256),
    SmokeCheck("forward_backward_16k", 40, _load_length, 16384, 512),
    SmokeCheck("forward_backward_32k", 60, _load_length, 32768, 1024),
    SmokeCheck("fsdp2", 60, _load_fsdp2, 8192, 256, is_split=True),
    SmokeCheck(
        "zero3", 90, _load_zero3, 8192, 256, is_split=True, find_obstacle=_find_no_deepspeed
    ),
    SmokeCheck("grpo_updates", 90, _load_updates, 64, 16),
    SmokeCheck("vllm", 150, _load_vllm, 64, 16, find_obstacle=_find_no_vllm),
    SmokeCheck("quickstart_step", 60, _load_quickstart, 1280, 1280, find_obstacle=_find_no_weights),
)
