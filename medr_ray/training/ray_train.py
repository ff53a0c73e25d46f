"""Runs a training stage's workers on Ray Train, and shows their progress."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from medr_ray.core.artifacts import StageFile
from medr_ray.core.config import GRPOConfig, SFTConfig
from medr_ray.core.errors import DataError, InfrastructureError, MedrError
from medr_ray.core.placement import require_room
from medr_ray.core.progress import Bar
from medr_ray.core.run import StageContext
from medr_ray.training.metric_rows import MetricRow, read_rows
from medr_ray.training.metrics_log import ActorMetricsLog, MetricsLog
from medr_ray.training.requirements import list_needs

# To place the workers, each of a minute (Ray Train's own limit). What others hold may come free in
# half an hour; without a limit Ray Train would try for ever, also where no node has the labels.
_START_ATTEMPTS = 30
_POLL_SECONDS = 1.0  # between two looks at the workers' log


def run_training(
    context: StageContext,
    name: Literal["sft", "grpo"],
    config: SFTConfig | GRPOConfig,
    worker: Callable[[dict[str, Any]], None],
    make_job: Callable[[MetricsLog], Any],
    total: int,
    unit: str,
    metrics: StageFile,
) -> list[MetricRow]:
    """Run Ray Train to its end and return the rows that rank 0 wrote.

    Workers that Ray Train starts again after a failure, and those of the next run after a kill, go
    on from the newest checkpoint in the stage's directory. A failure that would only come again (a
    MedrError other than InfrastructureError) ends the training at once: raises DataError with its
    reason.
    """
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    # The trainer would wait for ever for what does not exist, without a word.
    require_room(list_needs(name, context.config), context.config.ray)
    warmup = config.optimiser.warmup_steps
    if warmup >= total:
        context.console.print(
            f"{name}: optimiser.warmup_steps {warmup} are not fewer than the {total} {unit} of "
            "this training, so the learning rate hardly reaches its peak: set fewer"
        )
    local: Path = context.directory.local
    log = ActorMetricsLog()
    resources: dict[str, float] = {"CPU": config.cpus_per_worker}
    if config.use_gpu:
        resources["GPU"] = config.gpus_per_worker
    settings = {"worker": worker, "log": log, "job": make_job(log)}

    def train() -> None:
        run_until_hopeless(settings)

    trainer = TorchTrainer(
        # Not as ``train_loop_config``, which Ray Train's controller unpickles: it would import all
        # that the job needs before it starts the workers.
        train,
        scaling_config=ScalingConfig(
            num_workers=config.workers,
            use_gpu=config.use_gpu,
            resources_per_worker=resources,
            label_selector=config.labels or None,  # type: ignore[call-arg]  # typed as of v1
        ),
        run_config=RunConfig(
            name="train",
            storage_path=str(local),
            failure_config=FailureConfig(
                max_failures=config.max_failures,
                controller_failure_limit=_START_ATTEMPTS,  # type: ignore[call-arg]  # typed as of v1
            ),
        ),
    )
    with Bar(context.console, name, total, unit) as bar:
        _fit_with_progress(trainer.fit, log, bar)
    reason = log.stop_reason()
    if reason is not None:
        raise DataError(reason)
    from medr_ray.training.checkpoints import remove_checkpoints

    remove_checkpoints(context.directory)
    # What Ray Train keeps of its own.
    shutil.rmtree(local / "train", ignore_errors=True)
    return read_rows(context.directory.read_bytes(metrics.name), metrics.path)


def run_until_hopeless(settings: dict[str, Any]) -> None:
    """``train_loop_per_worker``: runs ``settings["worker"]``.

    Ray Train starts workers again after any failure. Where the failure would only come again, the
    workers that it starts end at once, without loading anything; ``settings["log"]`` has the
    reason. It has any other failure, too.
    """
    log: ActorMetricsLog = settings["log"]
    if log.stop_reason() is not None:
        return
    try:
        settings["worker"](settings)
    except Exception as error:
        if isinstance(error, MedrError) and not isinstance(error, InfrastructureError):
            log.stop(str(error))
        else:
            log.add_failure(f"{type(error).__name__}: {error}")
        raise


def _fit_with_progress(fit: Callable[[], object], log: ActorMetricsLog, bar: Bar) -> None:
    """Run ``fit`` to its end with a progress bar fed from the workers' log, and print what ended
    workers that are started again; raises what ``fit`` raises."""
    failures: list[BaseException] = []

    def run_fit() -> None:
        # A thread's exception would only be printed: it is raised again by the caller.
        try:
            fit()
        except BaseException as error:
            failures.append(error)

    # A thread, because fit blocks. A daemon, so that Ctrl-C ends the process at once.
    thread = threading.Thread(target=run_fit, daemon=True)
    thread.start()
    last = 0  # the number of the row before
    while thread.is_alive():
        thread.join(_POLL_SECONDS)
        for failure in log.take_failures():
            bar.print(f"a worker failed: {failure}")
        for row in log.take_rows():
            # Behind a checkpoint, in the beginning or when the workers were started again.
            bar.resume(row["number"] - 1 - last)
            if row["number"] <= last:
                bar.print(f"started again from the checkpoint at {row['number'] - 1}")
            bar.advance(note=_describe_row(row))
            last = row["number"]
    if failures:
        raise failures[0]


def _describe_row(row: MetricRow) -> str:
    loss = "not finite" if row["loss"] is None else f"{row['loss']:.4f}"
    if "reward_mean" in row:
        return f"reward {row['reward_mean']}, exact match {row['exact_match']}, loss {loss}"
    return f"loss {loss}"
