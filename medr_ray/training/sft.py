"""Supervised fine-tuning (paper section 4.1): the loop every Ray Train worker runs. The loss is on
the tokens that are learnt, the assistant's. Where dialogues are held out, the saved weights are
those with the smallest loss on them."""

import contextlib
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
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
from medr_ray.training.collectives import get_rank, sum_over_workers, world_size
from medr_ray.training.dealing import deal_examples
from medr_ray.training.evaluation_loss import EvaluationLoss, sum_weights
from medr_ray.training.export import replace_model, restore_replaced, save_model
from medr_ray.training.gradients import accumulate_gradients
from medr_ray.training.losses import sft_loss
from medr_ray.training.metrics_log import MetricsLog
from medr_ray.training.schedules import scheduled_learning_rate
from medr_ray.training.step_checks import count_skipped_steps, require_applied_steps
from medr_ray.training.step_metrics import open_step_metrics
from medr_ray.training.throughput import Throughput
from medr_ray.training.workers import load_backend

_BEST_FOLDER = "best"  # beside the finished model: the weights with the smallest evaluation loss


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


def read_examples(directory: Directory) -> tuple[list[Example], list[Example]]:
    """(sequences to learn from, held-out ones): the positions where the mask is true carry the
    loss, with the weights of their dialogues where these differ."""
    columns = ["ids", "mask", "weight", "is_evaluation"]
    rows = directory.read_table(SFT_EXAMPLES.name, columns).to_pylist()
    has_weights = any(row["weight"] != 1 for row in rows)
    learnt: list[Example] = []
    held_out: list[Example] = []
    for row in rows:
        # Nothing predicts the first token, so it is not a target whatever the mask says.
        targets = [
            position for position, is_target in enumerate(row["mask"]) if is_target and position > 0
        ]
        weights = (row["weight"],) * len(targets) if has_weights else ()
        side = held_out if row["is_evaluation"] else learnt
        side.append(Example(tuple(row["ids"]), tuple(targets), advantages=weights))
    return learnt, held_out


def sft_worker(settings: dict[str, Any]) -> None:
    """``train_loop_per_worker``; ``settings["job"]`` is an SFTJob."""
    job: SFTJob = settings["job"]
    config = job.config
    model_dir = Path(job.model_dir)
    directory = Directory(job.directory_uri)
    rank = get_rank()
    torch.manual_seed(job.seed)
    examples, held_out = read_examples(directory)
    steps = plan_steps(len(examples), config.batch_size, config.epochs, job.seed, config.max_steps)
    backend = load_backend(
        model_dir, config, config.optimiser, trust_remote_code=job.trust_remote_code
    )
    state = load_checkpoint(backend, directory) or {"step": 0, "history": [], "evaluation": None}
    evaluation = EvaluationLoss(
        held_out,
        config.evaluate_every,
        config.early_stop,
        config.micro_tokens,
        job.pad_id,
        config.tree,
    )
    evaluation.begin(backend, state["evaluation"])
    throughput = Throughput(model_dir, world_size(), backend.device)
    # Kept until the end: the model itself is there when the training is finished.
    best = Path(job.output).with_name(_BEST_FOLDER)
    if rank == 0:
        restore_replaced(best)
    with contextlib.ExitStack() as stack:
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
            own = deal_examples(batch, world_size(), config.tree)[rank]
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
                **asdict(throughput.measure(sequence_tokens, len(batch), seconds)),
            }
            row["skipped_steps"] = count_skipped_steps([*metrics.rows, row])
            is_last = step + 1 == len(steps)
            if evaluation.is_due(step + 1, is_last):
                row["evaluation_loss"] = evaluation.evaluate(backend, step + 1)
                if evaluation.is_best(step + 1):
                    save_model(backend, model_dir, best, job.trust_remote_code, lora=config.lora)
            metrics.add_row(row)
            require_applied_steps(metrics.rows, "sft", len(steps))
            if evaluation.is_over():
                break
            if (step + 1) % config.checkpoint_every == 0 and not is_last:
                state = {
                    "step": step + 1,
                    "history": metrics.rows,
                    "evaluation": evaluation.dump(),
                }
                save_checkpoint(backend, directory, step + 1, state)
                ray.train.report(row)
    if evaluation.has_best():
        if rank == 0:
            _put_in_place(best, Path(job.output))
        return
    save_model(backend, model_dir, Path(job.output), job.trust_remote_code, lora=config.lora)


def _put_in_place(best: Path, output: Path) -> None:
    """Make the best weights the trained model. They are that already where an earlier attempt was
    ended behind this line."""
    if best.is_dir() or not output.is_dir():
        replace_model(best, output)


def _accumulate_batch(
    backend: TrainerBackend, own: Sequence[Example], job: SFTJob
) -> tuple[float, int]:
    """Backpropagate this worker's part of a batch; returns (mean loss, tokens) of all workers."""
    tokens, weights = sum_over_workers(
        sum(len(example.targets) for example in own), sum(map(sum_weights, own))
    )

    def compute_loss(batch: MicroBatch, logprobs: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return sft_loss(logprobs, batch.advantages) / weights

    own_loss = accumulate_gradients(
        backend,
        own,
        job.config.micro_tokens,
        job.pad_id,
        compute_loss,
        job.config.tree,
        job.config.packing,
    )
    (loss,) = sum_over_workers(own_loss)
    return loss, int(tokens)
