"""Runs a function in several processes that are one torch.distributed group over gloo, without Ray.

The processes are forked from one that has the slow imports done, so a gang starts in a fraction of
a second.
"""

import io
import multiprocessing
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any

# Workers that wait for each other in vain would wait for ever. On a busy machine a gang that needs
# two seconds of the processor took longer than two minutes.
_TIMEOUT_SECONDS = 600
_CONTEXT = multiprocessing.get_context("forkserver")


def run_gang(world_size: int, function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """``function(*arguments)`` on each worker; the results by rank.

    Raises AssertionError with the worker's traceback where one fails, and where one has not ended
    in time.
    """
    # Read by the process that is forked from, when it starts: DeepSpeed chooses its accelerator
    # while it is imported, and threads do not survive a fork.
    os.environ.update(DS_ACCELERATOR="cpu", OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # it is given no path otherwise
    _CONTEXT.set_forkserver_preload(["support.worker_gang_imports"])
    with tempfile.TemporaryDirectory() as folder:
        receivers: dict[Connection, int] = {}
        processes = []
        for rank in range(world_size):
            receiver, sender = _CONTEXT.Pipe(duplex=False)
            process = _CONTEXT.Process(
                target=_work,
                args=(sender, f"{folder}/store", rank, world_size, function, arguments),
                daemon=True,
            )
            process.start()
            sender.close()
            processes.append(process)
            receivers[receiver] = rank
        try:
            return _collect(receivers, world_size)
        finally:
            for process in processes:
                process.kill()
                process.join()


def _collect(receivers: dict[Connection, int], world_size: int) -> list[Any]:
    results: dict[int, Any] = {}
    while receivers:
        ready = wait(list(receivers), timeout=_TIMEOUT_SECONDS)
        assert ready, f"workers {sorted(receivers.values())} hang"
        for receiver in ready:
            assert isinstance(receiver, Connection)
            rank = receivers.pop(receiver)
            try:
                succeeded, result = _unpack(receiver.recv_bytes())
            except EOFError:
                succeeded, result = False, "it ended without a word"
            assert succeeded, f"worker {rank}: {result}"
            results[rank] = result
    return [results[rank] for rank in range(world_size)]


def _work(
    sender: Connection,
    store: str,
    rank: int,
    world_size: int,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> None:
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    environment = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world_size}
    os.environ.update({name: str(value) for name, value in environment.items()})
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="1")  # read, and not used
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world_size)
    try:
        reply = (True, function(*arguments))
    except BaseException:
        reply = (False, traceback.format_exc())
    sender.send_bytes(_pack(reply))
    time.sleep(_TIMEOUT_SECONDS)  # until it is killed: the others may still need its connection


def _pack(reply: tuple[bool, Any]) -> bytes:
    """The connection's own pickler would send tensors as shared memory, which ends with the
    process."""
    import torch

    buffer = io.BytesIO()
    torch.save(reply, buffer)
    return buffer.getvalue()


def _unpack(reply: bytes) -> tuple[bool, Any]:
    import torch

    succeeded, result = torch.load(io.BytesIO(reply), weights_only=True)
    return succeeded, result
