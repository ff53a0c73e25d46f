"""Supervised fine-tuning: the loop every Ray Train worker runs. Loss on the assistant's tokens
only."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from medr_ray.core.config import SFTConfig
from medr_ray.core.run import Directory
from medr_ray.training.artifacts import SFT_EXAMPLES, SFT_METRICS
from medr_ray.training.batches import Example, MicroBatch, plan_steps
from medr_ray.training.losses import sft_loss
from medr_ray.training.workers import (
    accumulate_gradients,
    load_backend,
    load_checkpoint,
    rank_and_world,
    save_checkpoint,
    save_model,
    scheduled_learning_rate,
    sum_over_workers,
)


@dataclass(frozen=True)
class SFTJob:
    """What a worker is given. ``directory_uri``: the stage's directory; ``log``: the TrainingLog
    actor."""

    config: SFTConfig
    seed: int
    model_dir: str
    directory_uri: str
    output: str
    pad_id: int
    log: Any
    trust_remote_code: bool = False


def read_examples(directory: Directory) -> list[Example]:
    """Training sequences: the positions where the mask is true carry the loss."""
    table = directory.read_table(SFT_EXAMPLES.name, columns=["ids", "mask"])
    return [
        Example(tuple(row["ids"]), tuple(i for i, on in enumerate(row["mask"]) if on and i > 0))
        for row in table.to_pylist()
    ]


def sft_worker(settings: dict[str, Any]) -> None:
    """``train_loop_per_worker``; ``settings["job"]`` is an SFTJob."""
    job: SFTJob = settings["job"]
    config = job.config
    rank, world = rank_and_world()
    torch.manual_seed(job.seed)
    directory = Directory(job.directory_uri)
    examples = read_examples(directory)
    steps = plan_steps(
        len(examples), config.batch_size * world, config.epochs, job.seed, config.max_steps
    )
    backend = load_backend(
        Path(job.model_dir), config, config.optimiser, trust_remote_code=job.trust_remote_code
    )
    state = load_checkpoint(backend) or {"step": 0, "history": []}
    for step in range(state["step"], len(steps)):
        started = time.monotonic()
        own = [examples[i] for i in steps[step][rank::world]]
        (tokens,) = sum_over_workers(sum(len(example.targets) for example in own))

        def loss_of(
            batch: MicroBatch, logprobs: torch.Tensor, _: torch.Tensor, tokens: float = tokens
        ) -> torch.Tensor:
            return sft_loss(logprobs) / tokens

        share = accumulate_gradients(backend, own, config.micro_tokens, job.pad_id, loss_of)
        (loss,) = sum_over_workers(share)
        rate = scheduled_learning_rate(config.optimiser, step, len(steps))
        norm = backend.step(rate)
        row = {
            "step": step + 1,
            "loss": round(loss, 5),
            "tokens": int(tokens),
            "learning_rate": rate,
            "grad_norm": round(norm, 4),
            "seconds": round(time.monotonic() - started, 3),
        }
        state = {"step": step + 1, "history": [*state["history"], row]}
        if rank == 0:
            job.log.append.remote({**row, "number": step + 1})
        if (step + 1) % config.checkpoint_every == 0 and step + 1 < len(steps):
            save_checkpoint(backend, state, row)
    save_model(backend, Path(job.model_dir), Path(job.output), job.trust_remote_code)
    if rank == 0:
        directory.write_jsonl(SFT_METRICS.name, state["history"])
