"""The parts that SFT and GRPO workers share on Ray Train.

They load the model, schedule the learning rate, accumulate gradients, save and load checkpoints and
write the trained model. A checkpoint holds the backend's tensors and the state of the loop (its
step and metric history), so a resumed run continues both.
"""

import json
import math
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ray
import torch
import torch.distributed as dist

from medr_ray.core.config import OptimiserConfig, TrainerConfig
from medr_ray.core.json_text import parse_json
from medr_ray.training.backends import TrainerBackend, deepspeed_settings, make_backend
from medr_ray.training.batches import Example, MicroBatch, collate, group_into_micro_batches
from medr_ray.training.policy import load_policy_module

_STATE_FILE = "state.json"  # the state of the loop, inside a checkpoint

# (batch, log-probabilities, entropies) -> loss; the tensors are those of ``PolicyModule.forward``.
LossFunction = Callable[[MicroBatch, torch.Tensor, torch.Tensor], torch.Tensor]


def load_backend(
    model_dir: Path,
    config: TrainerConfig,
    optimiser_config: OptimiserConfig,
    temperature: float = 1.0,
    trust_remote_code: bool = False,
) -> TrainerBackend:
    """This worker's backend with the model loaded, on the device that Ray Train assigned."""
    # Imported here, because only a training worker needs it.
    from ray.train.torch import get_device

    device = get_device() if config.use_gpu else torch.device("cpu")
    if device.type == "cpu":
        # By default, torch starts a thread for every core of the node in each worker.
        torch.set_num_threads(config.threads)
    deepspeed_config = None
    if config.backend == "deepspeed":
        deepspeed_config = deepspeed_settings(config, optimiser_config)
    module = load_policy_module(model_dir, temperature, trust_remote_code, deepspeed_config)
    return make_backend(module, config, optimiser_config, device)


def get_rank_and_world_size() -> tuple[int, int]:
    """Returns (the rank of this worker, the number of workers)."""
    context = ray.train.get_context()
    return context.get_world_rank(), context.get_world_size()


def scheduled_learning_rate(
    optimiser_config: OptimiserConfig, step: int, total_steps: int
) -> float:
    """The learning rate of a step.

    It rises linearly to the configured rate, then stays constant or falls to zero as a cosine.
    ``step`` counts from 0, so the last step is ``total_steps - 1``.
    """
    # The first step has a rate above zero: a step at zero would learn nothing.
    if step < optimiser_config.warmup_steps:
        return optimiser_config.learning_rate * (step + 1) / optimiser_config.warmup_steps
    if optimiser_config.schedule == "constant":
        return optimiser_config.learning_rate
    progress = (step - optimiser_config.warmup_steps) / max(
        1, total_steps - optimiser_config.warmup_steps
    )
    return optimiser_config.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


def sum_over_workers(*values: float) -> list[float]:
    """Each value summed over all workers."""
    # In float64: float32 is exact only up to 16.7 million, and token counts may be larger.
    totals = torch.tensor(values, dtype=torch.float64)
    if dist.is_initialized() and dist.get_world_size() > 1:
        totals = totals.to(_collective_device())
        dist.all_reduce(totals)
    return totals.tolist()


def _max_over_workers(value: int) -> int:
    """The largest value of all workers."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return value
    maximum = torch.tensor(value, device=_collective_device())
    dist.all_reduce(maximum, op=dist.ReduceOp.MAX)
    return int(maximum)


def _collective_device() -> str:
    """The device on which tensors must be for a collective operation."""
    # NCCL can exchange tensors on GPUs only.
    return "cuda" if dist.get_backend() == "nccl" else "cpu"


def accumulate_gradients(
    backend: TrainerBackend,
    examples: Sequence[Example],
    max_micro_batch_tokens: int,
    pad_id: int,
    compute_loss: LossFunction,
) -> float:
    """Backpropagate the examples of this worker and return the sum of their losses.

    ``compute_loss`` must divide by the token count of all workers. There must be at least one
    example. A worker with fewer micro-batches than others repeats its first one with a loss of
    zero.
    """
    groups = group_into_micro_batches(examples, max_micro_batch_tokens)
    # Workers exchange weights (ZeRO 3) and gradients in forward and backward passes. All workers
    # must run the same number of passes: with fewer passes in one of them, the others would wait
    # forever.
    rounds = _max_over_workers(len(groups))
    total_loss = 0.0
    for index in range(rounds):
        is_filler = index >= len(groups)
        batch = collate(groups[0 if is_filler else index], pad_id, backend.device)
        logprobs, entropies = backend.forward(batch)
        loss = compute_loss(batch, logprobs, entropies)
        if is_filler:
            # Still backpropagated, because the backward pass takes part in the exchange.
            loss = loss * 0.0
        backend.backward(loss, is_last=index == rounds - 1)
        total_loss += float(loss.detach())
    return total_loss


def save_checkpoint(
    backend: TrainerBackend, state: dict[str, Any], metrics: dict[str, Any]
) -> None:
    """Report metrics and a checkpoint to Ray Train. Every worker must call this.

    The ``state`` of rank 0 is written as JSON; that of other workers is not used. Every worker adds
    its own files to the checkpoint, because under ZeRO each has a part of the optimiser state.
    """
    rank, _ = get_rank_and_world_size()
    with tempfile.TemporaryDirectory() as folder:
        backend.save(Path(folder))
        if rank == 0:
            (Path(folder) / _STATE_FILE).write_text(json.dumps(state), encoding="utf-8")
        ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(folder))


def load_checkpoint(backend: TrainerBackend) -> dict[str, Any] | None:
    """Load the tensors of the latest checkpoint and return its state; None at a fresh start."""
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return None
    with checkpoint.as_directory() as folder:
        backend.load(Path(folder))
        state = Path(folder) / _STATE_FILE
        return parse_json(state.read_bytes(), str(state), finite=False)


def save_model(
    backend: TrainerBackend, source: Path, target: Path, trust_remote_code: bool = False
) -> None:
    """Write the trained model to ``target`` in Hugging Face format. Every worker must call this.

    The weights are bf16, and the tokenizer is that of ``source``. ``target`` is complete as soon as
    it exists. Raises RuntimeError when the weights do not fit the model of ``source``.
    """
    # Before ranks other than 0 return: gathering the weights needs every worker (ZeRO 3).
    weights = backend.export_weights()
    if get_rank_and_world_size()[0] != 0:
        return
    # Imported here, because transformers is slow to import.
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    config = AutoConfig.from_pretrained(source, trust_remote_code=trust_remote_code)
    model = AutoModelForCausalLM.from_config(
        config, dtype=torch.bfloat16, trust_remote_code=trust_remote_code
    )
    # Not strict, because a tied weight is exported under one of its names only. ``tie_weights``
    # fills in the other name; any other difference is an error.
    missing, unexpected = model.load_state_dict(weights, strict=False)
    tied = set(getattr(model, "_tied_weights_keys", None) or ())
    untied_missing = set(missing) - tied
    if unexpected or untied_missing:
        raise RuntimeError(
            f"exported weights do not fit {source}: missing {missing}, unexpected {unexpected}"
        )
    model.tie_weights()
    # In the folder of ``target``, so that the rename stays in one file system and is atomic.
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        model.save_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=trust_remote_code)
        tokenizer.save_pretrained(folder)
        Path(folder).chmod(0o755)  # a temporary folder is closed to other users
        os.rename(folder, target)
        Path(folder).mkdir()  # the context manager removes this folder and fails where it is gone
