"""Runs each check in processes of its own, so that one that hangs, dies or fills a GPU ends
alone."""

import importlib
import importlib.util
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from medr_ray.training.smoke.checks import CHECKS, SmokeCheck
from medr_ray.training.smoke.rows import CheckFigures, CheckRow, make_empty_row, make_row
from medr_ray.training.smoke.setup import SmokeSetup, build_model

_BUILD_SECONDS = 60.0  # for the model with random weights
_POLL_SECONDS = 0.05
_END_SECONDS = 5.0  # for a process whose end of the pipe is closed
_LIBRARIES = (
    "accelerate",
    "torch.distributed.fsdp",
    "transformers.models.qwen3.modeling_qwen3",
    "transformers.tokenization_utils_tokenizers",
    "medr_ray.training.backends.fsdp2",
    "medr_ray.training.smoke.engine_checks",
    "medr_ray.training.smoke.training_checks",
)


def run_checks(tiny: bool, names: Sequence[str] = ()) -> Iterator[CheckRow]:
    """A row for each check, as it ends; ``names`` picks some. Without a GPU models are tiny.

    The caller must not have used CUDA: processes are forked, so that libraries are imported once.
    """
    gpus = 0 if tiny else _count_gpus()
    _import_libraries(with_deepspeed=not gpus)
    with tempfile.TemporaryDirectory() as folder:
        setup = SmokeSetup(Path(folder), gpus, tiny=not gpus)
        problem = _build_in_process(setup)
        for check in CHECKS:
            if not names or check.name in names:
                yield _run_check(check, setup, problem)


def _count_gpus() -> int:
    """From the driver's list: CUDA, once started, would not work in forked processes."""
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    import torch

    return torch.cuda.device_count()


def _import_libraries(with_deepspeed: bool) -> None:
    """What checks use, so that each has it when it begins. DeepSpeed starts CUDA where there is a
    GPU."""
    for name in _LIBRARIES:
        importlib.import_module(name)
    if with_deepspeed and importlib.util.find_spec("deepspeed") is not None:
        # It chooses its accelerator while it is imported.
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
        importlib.import_module("deepspeed")


def _run_check(check: SmokeCheck, setup: SmokeSetup, problem: str) -> CheckRow:
    world = setup.world if check.is_split else 1
    device = setup.device
    if problem:
        return make_empty_row(check.name, device, world, setup.shape_name, False, problem)
    obstacle = check.find_obstacle(setup)
    if obstacle:
        return make_empty_row(check.name, device, world, setup.shape_name, None, obstacle)
    (setup.folder / "group").unlink(missing_ok=True)
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    processes = [
        context.Process(target=_run_rank, args=(check, setup, rank, sender))
        for rank in range(world)
    ]
    for process in processes:
        process.start()
    sender.close()
    answer = _await_answer(receiver, processes, check.limit)
    if isinstance(answer, CheckFigures):
        return make_row(check.name, answer.device or device, world, setup.shape_name, answer)
    return make_empty_row(check.name, device, world, setup.shape_name, False, answer)


def _run_rank(check: SmokeCheck, setup: SmokeSetup, rank: int, sender: Connection) -> None:
    """A process of a check: sends the figures of rank 0, or what went wrong in any."""
    _quieten()
    try:
        if not setup.gpus:
            import torch

            torch.set_num_threads(1)
        tokens = check.tiny_tokens if setup.tiny else check.tokens
        figures = check.load()(setup, rank, tokens)
    # Whatever went wrong is the answer of this check.
    except Exception as error:
        sender.send(f"{type(error).__name__}: {error}")
        return
    if rank == 0:
        sender.send(replace(figures, device=_name_device(setup)))


def _name_device(setup: SmokeSetup) -> str:
    """Called in a process of a check only: it starts CUDA."""
    import torch

    return torch.cuda.get_device_name(0) if setup.gpus else "cpu"


def _quieten() -> None:
    """Standard output is for rows: what libraries print goes to standard error."""
    os.dup2(2, 1)


def _await_answer(
    receiver: Connection, processes: Sequence[Any], limit: float
) -> CheckFigures | str:
    """The first answer within ``limit`` seconds, or why there is none. No process is left."""
    deadline = time.monotonic() + limit
    answer: CheckFigures | str = f"no answer within its limit of {limit:g} s"
    try:
        while time.monotonic() < deadline:
            if receiver.poll(_POLL_SECONDS):
                # At its end, too, which raises EOFError.
                answer = receiver.recv()
                break
    except EOFError:
        for process in processes:
            process.join(_END_SECONDS)
        codes = ", ".join(str(process.exitcode) for process in processes)
        answer = f"it ended without an answer, with exit status {codes}"
    finally:
        for process in processes:
            process.kill()
            process.join()
        receiver.close()
    return answer


def _build_in_process(setup: SmokeSetup) -> str:
    """Write the model; returns what went wrong."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def build() -> None:
        _quieten()
        try:
            build_model(setup)
        except Exception as error:
            sender.send(f"{type(error).__name__}: {error}")
            return
        sender.send(CheckFigures())

    process = context.Process(target=build)
    process.start()
    sender.close()
    answer = _await_answer(receiver, [process], _BUILD_SECONDS)
    return answer if isinstance(answer, str) else ""
