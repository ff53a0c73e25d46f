"""The metrics of a training run while it goes on: a row for every step, on disk at once, in the
files that TensorBoard reads, and at a tracking server.

Guaranteed: a row is on disk before the next step begins, as JSON (what is no finite number is
null). A resumed run goes on behind its checkpoint, and rows of steps that are made again replace
those of the first time. A tracking server that cannot be reached loses rows and never the training;
they are counted in the last row, ``tracking_failures``. Every worker has the rows; rank 0 alone
writes them.
"""

import json
import logging
import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from medr_ray.core.artifacts import StageFile
from medr_ray.core.config import TrackingConfig
from medr_ray.core.run import Directory
from medr_ray.training.collectives import get_rank
from medr_ray.training.metric_rows import MetricRow, replace_infinite
from medr_ray.training.metrics_log import MetricsLog

_LOG = logging.getLogger(__name__)
_TENSORBOARD_FOLDER = "tensorboard"
_TENSORBOARD_SECONDS = 5  # until its writer's thread has a row on disk
_TRACKED_RUN_FILE = "tracked_run.json"  # the tracking server's name of this run
# On object storage a file cannot be appended to, so it is written anew; not at every quick step.
_REWRITE_SECONDS = 20.0


class RowSink(Protocol):
    """A place that rows go to."""

    def add_row(self, step: int, row: MetricRow) -> None:
        """Take the row of a step; steps count from 1."""
        ...

    def close(self) -> None: ...


class StepMetrics:
    """Where a training loop reports its steps, and the only place that has them: ``rows`` are
    those so far, of earlier attempts too. Checks read them, checkpoints and files are written of
    them."""

    def __init__(self, rows: Sequence[MetricRow], step_name: str) -> None:
        self.rows = list(rows)
        self._step_name = step_name
        self._sinks: list[RowSink] = []
        self._trackers: list[RowSink] = []
        self._tracking_failures = 0

    def add_sink(self, sink: RowSink) -> None:
        """A place that must take every row: what it raises ends the training."""
        self._sinks.append(sink)

    def add_tracker(self, tracker: RowSink) -> None:
        """A place that may fail: training goes on without it, and the failures are counted."""
        self._trackers.append(tracker)

    def add_row(self, row: MetricRow) -> None:
        """Report a finished step; its number, from 1, is under the name of the steps. What is no
        finite number becomes null here."""
        step = int(row[self._step_name])
        finite = replace_infinite(row)
        for tracker in self._trackers:
            try:
                tracker.add_row(step, finite)
            except Exception as error:
                # Whatever a client library raises: a night of training is worth more.
                self._tracking_failures += 1
                _LOG.warning("metrics of step %d were not tracked: %s", step, error)
        if self._tracking_failures:
            finite["tracking_failures"] = self._tracking_failures
        self.rows.append(finite)
        for sink in self._sinks:
            sink.add_row(step, finite)


class ProgressRows:
    """The driver's progress bar."""

    def __init__(self, log: MetricsLog) -> None:
        self._log = log

    def add_row(self, step: int, row: MetricRow) -> None:
        """Send the row with the number of its step."""
        self._log.add_row({**row, "number": step})

    def close(self) -> None: ...


class MetricsFile:
    """``metrics.jsonl``: one line a step. ``rows`` are those of the ``StepMetrics`` that reports
    here, which has a row before its sinks are given it."""

    def __init__(self, directory: Directory, name: str, rows: Sequence[MetricRow]) -> None:
        self._directory = directory
        self._name = name
        self._rows = rows
        self._is_local = directory.free_space() is not None
        # Atomic: what is there now is whole until the rows up to the checkpoint have replaced it.
        self.close()

    def add_row(self, step: int, row: MetricRow) -> None:
        """Write a line, on a local disk at its end."""
        if self._is_local:
            with (self._directory.local / self._name).open("a", encoding="utf-8") as file:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                file.flush()
                os.fsync(file.fileno())
        elif time.monotonic() - self._written >= _REWRITE_SECONDS:
            self.close()

    def close(self) -> None:
        """Write the file anew with all rows."""
        self._directory.write_jsonl(self._name, self._rows)
        self._written = time.monotonic()


class TensorBoardFiles:
    """Scalars for TensorBoard (``tensorboard --logdir``), in the stage's local folder."""

    def __init__(self, folder: Path, first_step: int) -> None:
        from tensorboardX import SummaryWriter

        # TensorBoard drops what it has from ``purge_step`` on: steps that are made again.
        self._writer = SummaryWriter(
            str(folder), purge_step=first_step, flush_secs=_TENSORBOARD_SECONDS
        )

    def add_row(self, step: int, row: MetricRow) -> None:
        """Write the numbers of a row."""
        for field, value in flatten_numbers(row).items():
            self._writer.add_scalar(field, value, global_step=step)

    def close(self) -> None:
        self._writer.close()


class MlflowRun:
    """A run at an MLflow tracking server; ``uri`` as MLFLOW_TRACKING_URI, its token from
    MLFLOW_TRACKING_TOKEN."""

    def __init__(self, config: TrackingConfig, name: str, directory: Directory) -> None:
        from mlflow.tracking import MlflowClient

        self._client = MlflowClient(tracking_uri=config.uri or None)
        experiment = self._client.get_experiment_by_name(config.project)
        if experiment is None:
            experiment_id = self._client.create_experiment(config.project)
        else:
            experiment_id = experiment.experiment_id
        run_id = read_tracked_run(directory)
        if run_id is None:
            run_id = self._client.create_run(experiment_id, run_name=name).info.run_id
            write_tracked_run(directory, run_id)
        self._run_id: str = run_id

    def add_row(self, step: int, row: MetricRow) -> None:
        """Log the numbers of a row."""
        for field, value in flatten_numbers(row).items():
            self._client.log_metric(self._run_id, field, value, step=step)

    def close(self) -> None:
        self._client.set_terminated(self._run_id)


class WandbRun:
    """A run at Weights & Biases; its key comes from WANDB_API_KEY, WANDB_MODE=offline writes files
    only."""

    def __init__(
        self, config: TrackingConfig, name: str, directory: Directory, folder: Path
    ) -> None:
        import wandb

        run_id = read_tracked_run(directory) or uuid.uuid4().hex
        write_tracked_run(directory, run_id)
        self._run: Any = wandb.init(
            project=config.project,
            name=name,
            id=run_id,
            resume="allow",
            dir=str(folder),
            # Nothing but the rows leaves this machine.
            settings=wandb.Settings(console="off", disable_git=True, save_code=False),
        )

    def add_row(self, step: int, row: MetricRow) -> None:
        """Log the numbers of a row."""
        self._run.log(flatten_numbers(row), step=step)

    def close(self) -> None:
        self._run.finish()


def read_tracked_run(directory: Directory) -> str | None:
    """What the tracking server calls this run, from an earlier attempt."""
    if not directory.exists(_TRACKED_RUN_FILE):
        return None
    return str(directory.read_json(_TRACKED_RUN_FILE)["id"])


def write_tracked_run(directory: Directory, run_id: str) -> None:
    """Keep the tracking server's name of this run, so that a resumed run goes on under it."""
    directory.write_json(_TRACKED_RUN_FILE, {"id": run_id})


def flatten_numbers(row: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The numbers of a row; those of an inner mapping under ``outer/inner``."""
    numbers: dict[str, float] = {}
    for field, value in row.items():
        if isinstance(value, Mapping):
            numbers |= flatten_numbers(value, f"{prefix}{field}/")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            numbers[f"{prefix}{field}"] = float(value)
    return numbers


@contextmanager
def open_step_metrics(
    directory: Directory,
    file: StageFile,
    history: Sequence[MetricRow],
    progress: MetricsLog,
    step_name: str,
    tracking: TrackingConfig,
    run_name: str,
) -> Iterator[StepMetrics]:
    """The metrics of a stage, behind the ``history`` of its checkpoint. Every worker opens them;
    those of rank 0 are written.

    A tracking server that does not answer now ends the training before its first step; later it is
    only counted. ``step_name`` is the field of a row that has its number.
    """
    metrics = StepMetrics(history, step_name)
    if get_rank() != 0:
        yield metrics
        return
    with ExitStack() as stack:
        lines = MetricsFile(directory, file.name, metrics.rows)
        stack.callback(lines.close)
        metrics.add_sink(lines)
        folder = directory.local
        board = TensorBoardFiles(folder / _TENSORBOARD_FOLDER, len(history) + 1)
        stack.callback(board.close)
        metrics.add_sink(board)
        tracker = _open_tracker(tracking, f"{run_name}-{file.stage}", directory, folder)
        if tracker is not None:
            stack.callback(tracker.close)
            metrics.add_tracker(tracker)
        metrics.add_sink(ProgressRows(progress))
        yield metrics


def _open_tracker(
    tracking: TrackingConfig, name: str, directory: Directory, folder: Path
) -> RowSink | None:
    if tracking.service == "mlflow":
        return MlflowRun(tracking, name, directory)
    if tracking.service == "wandb":
        return WandbRun(tracking, name, directory, folder)
    return None
