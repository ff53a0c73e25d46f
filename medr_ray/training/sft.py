"""Supervised fine-tuning (paper section 4.1): the loop every Ray Train worker runs. The loss is on
the assistant's tokens only."""

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray.train
import torch

from medr_ray.core.config import SFTConfig, TrackingConfig
from medr_ray.core.run import Directory
from medr_ray.training.artifacts import SFT_EXAMPLES, SFT_METRICS
from medr_ray.training.backends import TrainerBackend
from medr_ray.training.batches import Example, MicroBatch, plan_steps
from medr_ray.training.checkpoints import load_checkpoint, save_checkpoint
from medr_ray.training.collectives import get_rank_and_world_size, sum_over_workers
from medr_ray.training.dealing import deal_examples
from medr_ray.training.export import save_model
from medr_ray.training.gradients import accumulate_gradients
from medr_ray.training.losses import sft_loss
from medr_ray.training.metrics_log import MetricsLog
from medr_ray.training.schedules import scheduled_learning_rate
from medr_ray.training.step_metrics import open_step_metrics
from medr_ray.training.throughput import measure_peak_memory
from medr_ray.training.workers import load_backend


@dataclass(frozen=True)
class SFTJob:
    """What a worker is given.

    ``directory_uri`` is the stage's directory, ``output`` the folder for the trained model, and
    ``pad_id`` the token that fills up short sequences.
    """

    config: SFTConfig
    seed: int
    model_dir: str
    directory_uri: str
    output: str
    pad_id: int
    log: MetricsLog
    tracking: TrackingConfig
    run_name: str
    trust_remote_code: bool = False


def read_examples(directory: Directory) -> list[Example]:
    """Training sequences: the positions where the mask is true carry the loss."""
    table = directory.read_table(SFT_EXAMPLES.name, columns=["ids", "mask"])
    examples = []
    for row in table.to_pylist():
        # Nothing predicts the first token, so it is not a target whatever the mask says.
        targets = [
            position for position, is_target in enumerate(row["mask"]) if is_target and position > 0
        ]
        examples.append(Example(tuple(row["ids"]), tuple(targets)))
    return examples


def sft_worker(settings: dict[str, Any]) -> None:
    """``train_loop_per_worker``; ``settings["job"]`` is an SFTJob."""
    job: SFTJob = settings["job"]
    config = job.config
    model_dir = Path(job.model_dir)
    directory = Directory(job.directory_uri)
    rank, world_size = get_rank_and_world_size()
    torch.manual_seed(job.seed)
    examples = read_examples(directory)
    steps = plan_steps(
        len(examples), config.batch_size * world_size, config.epochs, job.seed, config.max_steps
    )
    backend = load_backend(
        model_dir, config, config.optimiser, trust_remote_code=job.trust_remote_code
    )
    state = load_checkpoint(backend, directory) or {"step": 0, "history": []}
    with contextlib.ExitStack() as stack:
        metrics = None
        if rank == 0:
            metrics = stack.enter_context(
                open_step_metrics(
                    directory,
                    SFT_METRICS,
                    state["history"],
                    job.log,
                    "step",
                    job.tracking,
                    job.run_name,
                )
            )
        for step in range(state["step"], len(steps)):
            started = time.monotonic()
            batch = [examples[index] for index in steps[step]]
            own = deal_examples(batch, rank, world_size, config.tree)
            loss, tokens = _accumulate_batch(backend, own, job)
            rate = scheduled_learning_rate(config.optimiser, step, len(steps))
            outcome = backend.step(rate)
            seconds = time.monotonic() - started
            sequence_tokens = sum(len(example.ids) for example in batch)
            row = {
                "step": step + 1,
                "loss": round(loss, 5),
                "tokens": tokens,
                "learning_rate": rate,
                "grad_norm": round(outcome.norm, 4) if outcome.applied else None,
                "applied": outcome.applied,
                "seconds": round(seconds, 3),
                "tokens_per_second": round(sequence_tokens / seconds, 1),
                "memory_gb": measure_peak_memory(),
            }
            state = {"step": step + 1, "history": [*state["history"], row]}
            if metrics is not None:
                metrics.add_row(row)
            is_last = step + 1 == len(steps)
            if (step + 1) % config.checkpoint_every == 0 and not is_last:
                save_checkpoint(backend, directory, step + 1, state)
                ray.train.report(row)
    save_model(backend, model_dir, Path(job.output), job.trust_remote_code)


def _accumulate_batch(
    backend: TrainerBackend, own: Sequence[Example], job: SFTJob
) -> tuple[float, int]:
    """Backpropagate this worker's part of a batch; returns (mean loss, tokens) of all workers."""
    (tokens,) = sum_over_workers(sum(len(example.targets) for example in own))

    def compute_loss(batch: MicroBatch, logprobs: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return sft_loss(logprobs) / tokens

    own_loss = accumulate_gradients(
        backend, own, job.config.micro_tokens, job.pad_id, compute_loss, job.config.tree
    )
    (loss,) = sum_over_workers(own_loss)
    return loss, int(tokens)
