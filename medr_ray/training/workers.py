"""What SFT and GRPO workers share on Ray Train: set-up, gradient accumulation, checkpoints and the
trained model.

A checkpoint holds the backend's tensors and the state of the loop (its step and metric history), so
that a resumed run continues both.
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
from medr_ray.training.backends import TrainerBackend, deepspeed_settings, make_backend
from medr_ray.training.batches import Example, MicroBatch, collate, group_into_micro_batches
from medr_ray.training.policy import load_policy_module

_STATE = "state.json"

# (batch, log-probabilities, entropies) -> loss; the tensors are those of ``PolicyModule.forward``.
LossFunction = Callable[[MicroBatch, torch.Tensor, torch.Tensor], torch.Tensor]


def load_backend(
    model_dir: Path,
    config: TrainerConfig,
    optimiser: OptimiserConfig,
    temperature: float = 1.0,
    trust_remote_code: bool = False,
) -> TrainerBackend:
    """This worker's backend with the model loaded, on the device Ray Train gave it."""
    from ray.train.torch import get_device

    device = get_device() if config.use_gpu else torch.device("cpu")
    if device.type == "cpu":
        # Of its own accord torch takes a thread for every core of the node in each worker.
        torch.set_num_threads(config.threads)
    sharded = deepspeed_settings(config, optimiser) if config.backend == "deepspeed" else None
    module = load_policy_module(model_dir, temperature, trust_remote_code, sharded)
    return make_backend(module, config, optimiser, device)


def rank_and_world() -> tuple[int, int]:
    """(this worker's rank, number of workers)."""
    context = ray.train.get_context()
    return context.get_world_rank(), context.get_world_size()


def scheduled_learning_rate(optimiser: OptimiserConfig, step: int, total: int) -> float:
    """Linear warm-up to the peak, then constant or a cosine to zero.

    ``step`` counts from 0, and of ``total`` steps the last is ``total - 1``.
    """
    # The first step has a rate above zero: a step at zero would learn nothing.
    if step < optimiser.warmup_steps:
        return optimiser.learning_rate * (step + 1) / optimiser.warmup_steps
    if optimiser.schedule == "constant":
        return optimiser.learning_rate
    progress = (step - optimiser.warmup_steps) / max(1, total - optimiser.warmup_steps)
    return optimiser.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


def sum_over_workers(*values: float) -> list[float]:
    """Each value summed over all workers."""
    # In float64: float32 is exact only up to 16.7 million, and token counts may be larger.
    totals = torch.tensor(values, dtype=torch.float64)
    if dist.is_initialized() and dist.get_world_size() > 1:
        totals = totals.to(_exchange_device())
        dist.all_reduce(totals)
    return totals.tolist()


def _max_over_workers(value: int) -> int:
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return value
    maximum = torch.tensor(value, device=_exchange_device())
    dist.all_reduce(maximum, op=dist.ReduceOp.MAX)
    return int(maximum)


def _exchange_device() -> str:
    """Where a tensor must be to be exchanged: NCCL knows no CPU tensors."""
    return "cuda" if dist.get_backend() == "nccl" else "cpu"


def accumulate_gradients(
    backend: TrainerBackend,
    examples: Sequence[Example],
    micro_tokens: int,
    pad_id: int,
    compute_loss: LossFunction,
) -> float:
    """Backpropagate the examples of this worker; returns the loss summed over them.

    ``compute_loss`` must already divide by the token count of all workers. Workers with fewer
    micro-batches than others repeat their first at weight zero.
    """
    groups = group_into_micro_batches(examples, micro_tokens)
    # Forward and backward passes exchange weights (ZeRO 3) and gradients: every worker must go
    # through the same number, or the others wait for ever.
    rounds = _max_over_workers(len(groups))
    total = 0.0
    for index in range(rounds):
        is_filler = index >= len(groups)
        batch = collate(groups[0 if is_filler else index], pad_id, backend.device)
        logprobs, entropies = backend.forward(batch)
        loss = compute_loss(batch, logprobs, entropies)
        if is_filler:
            loss = loss * 0.0
        backend.backward(loss, last=index == rounds - 1)
        total += float(loss.detach())
    return total


def save_checkpoint(
    backend: TrainerBackend, state: dict[str, Any], metrics: dict[str, Any]
) -> None:
    """Report metrics with a checkpoint; called by every worker.

    ``state`` is rank 0's and written as JSON. Every worker adds its own files to the checkpoint,
    because under ZeRO each has a part of the optimiser state.
    """
    rank, _ = rank_and_world()
    with tempfile.TemporaryDirectory() as folder:
        backend.save(Path(folder))
        if rank == 0:
            (Path(folder) / _STATE).write_text(json.dumps(state), encoding="utf-8")
        ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(folder))


def load_checkpoint(backend: TrainerBackend) -> dict[str, Any] | None:
    """The state of the latest checkpoint, its weights loaded; None at a fresh start."""
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return None
    with checkpoint.as_directory() as folder:
        backend.load(Path(folder))
        return json.loads((Path(folder) / _STATE).read_text(encoding="utf-8"))


def save_model(
    backend: TrainerBackend, source: Path, target: Path, trust_remote_code: bool = False
) -> None:
    """Write the trained model to ``target`` in Hugging Face format (bf16), with the tokenizer of
    ``source``; called by every worker.

    ``target`` appears whole or not at all. Raises RuntimeError when the weights do not fit the
    model of ``source``.
    """
    weights = backend.export_weights()
    if rank_and_world()[0] != 0:
        return
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    config = AutoConfig.from_pretrained(source, trust_remote_code=trust_remote_code)
    model = AutoModelForCausalLM.from_config(
        config, dtype=torch.bfloat16, trust_remote_code=trust_remote_code
    )
    missing, unexpected = model.load_state_dict(weights, strict=False)
    # Tied weights are parameters once: the second name is filled in by ``tie_weights``.
    tied = set(getattr(model, "_tied_weights_keys", None) or ())
    if unexpected or set(missing) - tied:
        raise RuntimeError(
            f"exported weights do not fit {source}: missing {missing}, unexpected {unexpected}"
        )
    model.tie_weights()
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        model.save_pretrained(folder)
        AutoTokenizer.from_pretrained(source, trust_remote_code=trust_remote_code).save_pretrained(
            folder
        )
        Path(folder).chmod(0o755)  # a temporary folder is closed to other users
        os.rename(folder, target)
        Path(folder).mkdir()  # the context manager expects its folder back
