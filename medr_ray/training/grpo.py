"""Group-relative policy optimisation: the loop every Ray Train worker runs.

One update: rank 0 has the current policy roll out groups with real tools, scores them and gives
each worker its part; every worker learns from its own; the engines are given the new weights and
from then on answer under the next version. So rollouts are learned from by the weights that sampled
them, or, with ``grpo.max_staleness: 1``, by those of one update later.
"""

import contextlib
import logging
from pathlib import Path
from typing import Any

import ray.train
import torch

from medr_ray.core.run import Directory
from medr_ray.rollouts.engine_placement import TrainerDevice
from medr_ray.training.artifacts import GRPO_METRICS, GRPO_ROLLOUTS
from medr_ray.training.checkpoints import load_checkpoint, save_checkpoint
from medr_ray.training.collectives import get_rank, world_size
from medr_ray.training.export import save_model
from medr_ray.training.grpo_job import GRPOJob
from medr_ray.training.heldout import NOT_MEASURED, HeldoutFigures
from medr_ray.training.learner import Learner
from medr_ray.training.rollout_collection import RolloutCollection, measure_heldout
from medr_ray.training.rollout_coordinator import start_coordinator
from medr_ray.training.shared_devices import find_trainer_devices
from medr_ray.training.step_checks import count_skipped_steps, require_applied_steps
from medr_ray.training.step_metrics import open_step_metrics
from medr_ray.training.throughput import Throughput
from medr_ray.training.update_checks import describe_mismatch, require_progress
from medr_ray.training.update_metrics import TrainerState, UpdateMetrics
from medr_ray.training.weight_sync import WeightPublisher, find_adapter_scaling
from medr_ray.training.workers import load_backend

_LOG = logging.getLogger(__name__)


def grpo_worker(settings: dict[str, Any]) -> None:
    """The loop of one worker; ``settings["job"]`` is a GRPOJob."""
    job: GRPOJob = settings["job"]
    grpo = job.config.grpo
    trust_remote_code = job.config.models.trust_remote_code
    model_dir = Path(job.model_dir)
    directory = Directory(job.directory_uri)
    rank = get_rank()
    torch.manual_seed(job.config.run.seed)

    # Start, or continue behind the latest checkpoint.
    backend = load_backend(model_dir, grpo, grpo.optimiser, grpo.temperature, trust_remote_code)
    state = TrainerState.from_checkpoint(load_checkpoint(backend, directory))
    learner = Learner(backend, grpo, job.pad_id)
    throughput = Throughput(model_dir, world_size(), backend.device)
    trainers: list[TrainerDevice] = []
    if job.config.engine.placement == "colocated":
        trainers = find_trainer_devices()
    with contextlib.ExitStack() as stack:
        step_metrics = stack.enter_context(
            open_step_metrics(
                directory,
                GRPO_METRICS,
                state.history,
                job.log,
                "update",
                job.config.tracking,
                job.config.run.name,
            )
        )
        coordinator = None
        if rank == 0:
            coordinator = start_coordinator(job, state.curriculum, trainers)
            stack.callback(coordinator.close)
        engines = coordinator.engines if coordinator else None
        publisher = WeightPublisher(backend, engines, find_adapter_scaling(job.config))
        if state.update:
            # The engines were started with the SFT model.
            publisher.publish(state.update)
        heldout_before: HeldoutFigures | None = None
        if not state.update and grpo.evaluate_every is not None:
            heldout_before = measure_heldout(publisher, coordinator, 0)

        collection = RolloutCollection(publisher, coordinator, grpo)
        for update in range(state.update, grpo.updates):
            collected = collection.collect(update)
            learning = learner.learn(collected.dealt, update)
            publication = publisher.publish(update + 1)
            heldout = NOT_MEASURED
            if is_due(update + 1, grpo.evaluate_every):
                heldout = measure_heldout(publisher, coordinator, update + 1)
            metrics = UpdateMetrics(
                update + 1,
                collected.figures,
                learning,
                throughput.measure(
                    learning.sequence_tokens, learning.sequences, learning.learn_seconds
                ),
                heldout,
                heldout_before if update == 0 else None,
                sync_seconds=publication.seconds,
                sync_bytes=publication.size,
            )
            row = metrics.to_row()
            row["skipped_steps"] = count_skipped_steps([*step_metrics.rows, row])
            if rank == 0:
                # A part is named by its update, so an update that is repeated after a failure
                # replaces what it wrote before.
                directory.write_part(GRPO_ROLLOUTS, f"update-{update:05d}", collected.rollouts)
                mismatch = describe_mismatch(row, grpo.max_mismatch_kl)
                if mismatch:
                    _LOG.warning("%s", mismatch)
            step_metrics.add_row(row)
            require_applied_steps(step_metrics.rows, "grpo", grpo.updates)
            require_progress(step_metrics.rows, grpo.max_empty_updates)
            is_last = update + 1 == grpo.updates
            if (update + 1) % grpo.checkpoint_every == 0 and not is_last:
                state = TrainerState(update + 1, tuple(step_metrics.rows), collected.curriculum)
                save_checkpoint(backend, directory, state.update, state.to_checkpoint())
                ray.train.report({"update": state.update})

    save_model(backend, model_dir, Path(job.output), trust_remote_code, lora=grpo.lora)


def is_due(update: int, every: int | None) -> bool:
    """Whether something that is done ``every`` so many updates is done after this one, which counts
    from 1; null: never."""
    return every is not None and update % every == 0
