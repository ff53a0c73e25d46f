"""Checks of training: forward and backward passes at several lengths, both sharded backends, and a
step of the quickstart's model."""

import math
import os
import time
from pathlib import Path

import torch
import torch.distributed as dist

from medr_ray.core.config import OptimiserConfig, SFTConfig
from medr_ray.training.backends import TrainerBackend, make_backend
from medr_ray.training.batches import Example
from medr_ray.training.gradients import accumulate_gradients
from medr_ray.training.losses import sft_loss
from medr_ray.training.planner.activations import MicroBatchSize
from medr_ray.training.planner.duration import count_flops
from medr_ray.training.planner.hosts import find_local_gpu
from medr_ray.training.planner.shapes import find_shape
from medr_ray.training.planner.trainer_memory import list_trainer_parts
from medr_ray.training.smoke.rows import CheckFigures
from medr_ray.training.smoke.setup import SmokeSetup

# How far a real peak may be from the planned one.
PEAK_TOLERANCE = 0.15
_LEARNING_RATE = 1e-5
_WARM_UP_TOKENS = 64
# The quickstart's step: dialogues, and tokens of each.
_QUICKSTART_DIALOGUES = 4
_QUICKSTART_TOKENS = 320
_QUICKSTART_MODEL = "embedded:smollm2-135m-instruct"
_ZERO_STAGE = 3


def measure_length(setup: SmokeSetup, rank: int, tokens: int) -> CheckFigures:
    """A step of plain torch over one sequence of ``tokens`` tokens, layers computed again."""
    config = SFTConfig(use_gpu=bool(setup.gpus), activation_checkpointing=True, threads=1)
    return _measure_step(setup.model_dir, setup, config, [tokens], rank)


def measure_fsdp2(setup: SmokeSetup, rank: int, tokens: int) -> CheckFigures:
    """A step of all workers under FSDP2, a sequence each."""
    config = _split_config(setup, "fsdp2")
    return _measure_step(setup.model_dir, setup, config, [tokens], rank)


def measure_zero3(setup: SmokeSetup, rank: int, tokens: int) -> CheckFigures:
    """A step of all workers under DeepSpeed ZeRO 3, a sequence each."""
    config = _split_config(setup, "deepspeed")
    return _measure_step(setup.model_dir, setup, config, [tokens], rank)


def measure_quickstart_step(setup: SmokeSetup, rank: int, tokens: int) -> CheckFigures:
    """A step as the quickstart's SFT takes it, of its own model or of the tiny one."""
    from medr_ray.engines.weights import model_path

    model_dir = setup.model_dir if setup.tiny else model_path(_QUICKSTART_MODEL)
    config = SFTConfig(use_gpu=bool(setup.gpus), micro_tokens=tokens, threads=1)
    lengths = [_QUICKSTART_TOKENS] * _QUICKSTART_DIALOGUES
    return _measure_step(model_dir, setup, config, lengths, rank)


def _split_config(setup: SmokeSetup, backend: str) -> SFTConfig:
    return SFTConfig.model_validate(
        {
            "backend": backend,
            "zero_stage": _ZERO_STAGE,
            "workers": setup.world,
            "use_gpu": bool(setup.gpus),
            "activation_checkpointing": True,
            "threads": 1,
        }
    )


def _measure_step(
    model_dir: Path, setup: SmokeSetup, config: SFTConfig, lengths: list[int], rank: int
) -> CheckFigures:
    """The second step of a backend, after one that starts the optimiser."""
    device = torch.device("cuda", rank) if setup.gpus else torch.device("cpu")
    if config.workers > 1:
        _join_group(setup, config.workers, rank, device)
    backend = make_backend(model_dir, config, OptimiserConfig(learning_rate=_LEARNING_RATE), device)
    vocabulary = find_shape(str(model_dir)).vocabulary
    _take_step(backend, config, [_WARM_UP_TOKENS], vocabulary)
    _reset_peak(device)
    started = time.monotonic()
    loss, problem = _take_step(backend, config, lengths, vocabulary)
    seconds = time.monotonic() - started
    peak = float(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else None
    tokens = sum(lengths) * config.workers
    figures = CheckFigures(
        tokens=tokens,
        seconds=seconds,
        peak=peak,
        planned=_plan_bytes(model_dir, config, lengths),
        mfu=_compute_mfu(model_dir, config, tokens, lengths[0], seconds),
        problem=problem or _judge_peak(peak, _plan_bytes(model_dir, config, lengths)),
    )
    if not math.isfinite(loss):
        return CheckFigures(tokens=tokens, seconds=seconds, problem=f"the loss is {loss}")
    return figures


def _join_group(setup: SmokeSetup, world: int, rank: int, device: torch.device) -> None:
    """Set up torch.distributed among the processes of this check, through a file."""
    if device.type == "cuda":
        torch.cuda.set_device(device)
    # DeepSpeed finds its place in these.
    os.environ |= {"LOCAL_RANK": str(rank), "RANK": str(rank), "WORLD_SIZE": str(world)}
    dist.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        init_method=f"file://{setup.folder / 'group'}",
        world_size=world,
        rank=rank,
    )


def _take_step(
    backend: TrainerBackend, config: SFTConfig, lengths: list[int], vocabulary: int
) -> tuple[float, str]:
    """(loss, why the step was not applied) of a step over random sequences; the second half of each
    is learnt."""
    generator = torch.Generator().manual_seed(0)
    examples = []
    for length in lengths:
        ids = torch.randint(vocabulary, (length,), generator=generator).tolist()
        examples.append(Example(tuple(ids), tuple(range(length // 2, length))))
    targets = sum(len(example.targets) for example in examples) * config.workers
    loss = accumulate_gradients(
        backend,
        examples,
        config.micro_tokens,
        0,
        lambda batch, logprobs, entropies: sft_loss(logprobs, batch.advantages) / targets,
    )
    outcome = backend.step(_LEARNING_RATE)
    if backend.device.type == "cuda":
        torch.cuda.synchronize(backend.device)
    problem = "" if outcome.applied else f"the norm of the gradient is {outcome.norm}"
    return loss * config.workers, problem


def _reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def _plan_bytes(model_dir: Path, config: SFTConfig, lengths: list[int]) -> float | None:
    """What is planned for a GPU, without the context of CUDA; null on a CPU, where the peak is not
    measured."""
    if not config.use_gpu:
        return None
    size = MicroBatchSize(len(lengths), lengths[0], sum(lengths) // 2)
    parts = list_trainer_parts(find_shape(str(model_dir)), config, [size], is_float32=False)
    return sum(part.size for part in parts if part.place == "gpu" and part.name != "CUDA context")


def _judge_peak(peak: float | None, planned: float | None) -> str:
    if peak is None or planned is None or abs(peak / planned - 1) <= PEAK_TOLERANCE:
        return ""
    return f"the peak is {peak / planned:.2f} of what is planned"


def _compute_mfu(
    model_dir: Path, config: SFTConfig, tokens: int, length: int, seconds: float
) -> float | None:
    """The share of the GPU's peak speed; null where that is not known. What is computed again is
    not counted."""
    gpu = find_local_gpu() if config.use_gpu else None
    if gpu is None or not gpu.flops:
        return None
    flops = count_flops(find_shape(str(model_dir)), tokens, length, 3.0)
    return flops / (seconds * gpu.flops * config.workers)
