"""What a training run leaves to see while it goes on: a line a step, TensorBoard's files, a
tracking server's run."""

import json
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.tiny_model import build_tiny_model

from medr_ray.core.artifacts import StageFile
from medr_ray.core.config import TrackingConfig
from medr_ray.core.run import Directory
from medr_ray.training import step_metrics
from medr_ray.training.metric_rows import MetricRow
from medr_ray.training.step_metrics import StepMetrics, flatten_numbers, open_step_metrics

METRICS = StageFile("sft", "metrics.jsonl")


class Progress:
    """Keeps what the driver would be shown."""

    def __init__(self) -> None:
        self.rows: list[MetricRow] = []

    def add_row(self, row: MetricRow) -> None:
        self.rows.append(row)


def open_metrics(
    folder: Path,
    history: list[MetricRow] | None = None,
    tracking: TrackingConfig | None = None,
    progress: Progress | None = None,
) -> Any:
    return open_step_metrics(
        Directory(str(folder)),
        METRICS,
        history or [],
        progress or Progress(),
        "step",
        tracking or TrackingConfig(),
        "night",
    )


def read_lines(folder: Path) -> list[MetricRow]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    text = (folder / METRICS.name).read_text(encoding="utf-8")
    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def read_scalars(folder: Path) -> dict[tuple[str, int], float]:
    """(field, step) -> value, as TensorBoard's own files have them, later files last."""
    scalars = {}
    for file in sorted((folder / "tensorboard").iterdir(), key=lambda file: file.stat().st_mtime):
        for event in read_events(file.read_bytes()):
            for value in event.summary.value:
                scalars[(value.tag, event.step)] = value.simple_value
    return scalars


def read_events(data: bytes) -> Iterator[Any]:
    """The events of a file: each has its length and a checksum before it, and a checksum behind."""
    from tensorboardX.proto.event_pb2 import Event

    start = 0
    while start < len(data):
        (length,) = struct.unpack_from("<Q", data, start)
        yield Event.FromString(data[start + 12 : start + 12 + length])
        start += 12 + length + 4


def test_a_row_is_on_disk_before_the_next_step(tmp_path: Path) -> None:
    with open_metrics(tmp_path) as metrics:
        for step in (1, 2, 3):
            metrics.add_row({"step": step, "loss": 1.0 / step})
            assert [row["step"] for row in read_lines(tmp_path)] == list(range(1, step + 1))
    assert {step for field, step in read_scalars(tmp_path) if field == "loss"} == {1, 2, 3}


def test_a_resumed_run_replaces_the_rows_behind_its_checkpoint(tmp_path: Path) -> None:
    with open_metrics(tmp_path) as metrics:
        for step in range(1, 6):
            metrics.add_row({"step": step, "loss": 10.0 + step})
    checkpoint = read_lines(tmp_path)[:3]
    with open_metrics(tmp_path, checkpoint) as metrics:
        assert [row["step"] for row in read_lines(tmp_path)] == [1, 2, 3]
        metrics.add_row({"step": 4, "loss": 20.0})
    assert [row["loss"] for row in read_lines(tmp_path)] == [11.0, 12.0, 13.0, 20.0]
    assert read_scalars(tmp_path)[("loss", 4)] == 20.0


def test_what_is_no_finite_number_is_null_and_no_point_of_a_curve(tmp_path: Path) -> None:
    row = {"step": 1, "loss": math.nan, "grad_norm": math.inf, "excluded_by": {"tool": 2}}
    progress = Progress()
    with open_metrics(tmp_path, progress=progress) as metrics:
        metrics.add_row(row)
    assert (
        metrics.rows
        == read_lines(tmp_path)
        == [{"step": 1, "loss": None, "grad_norm": None, "excluded_by": {"tool": 2}}]
    )
    assert set(read_scalars(tmp_path)) == {("step", 1), ("excluded_by/tool", 1)}
    assert progress.rows == [{**metrics.rows[0], "number": 1}]


def test_a_worker_that_is_not_the_first_has_the_rows_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_metrics, "get_rank", lambda: 1)
    with open_metrics(tmp_path, [{"step": 1, "loss": 2.0}]) as metrics:
        metrics.add_row({"step": 2, "loss": math.nan})
    assert metrics.rows == [{"step": 1, "loss": 2.0}, {"step": 2, "loss": None}]
    assert list(tmp_path.iterdir()) == []


def test_where_files_cannot_grow_the_file_has_all_rows_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Directory, "free_space", lambda self: None)  # as on object storage
    with open_metrics(tmp_path, [{"step": 1, "loss": 2.0}]) as metrics:
        metrics.add_row({"step": 2, "loss": 1.0})
        metrics.add_row({"step": 3, "loss": 0.5})
    assert [row["step"] for row in read_lines(tmp_path)] == [1, 2, 3]


def test_a_tracker_that_fails_is_counted_and_stops_nothing() -> None:
    class Unreachable:
        def add_row(self, step: int, row: MetricRow) -> None:
            raise ConnectionError("no route to host")

        def close(self) -> None: ...

    metrics = StepMetrics([], "step")
    metrics.add_tracker(Unreachable())
    metrics.add_row({"step": 1, "loss": 2.0})
    metrics.add_row({"step": 2, "loss": 1.0})
    assert [row["tracking_failures"] for row in metrics.rows] == [1, 2]
    assert [row["loss"] for row in metrics.rows] == [2.0, 1.0]


def test_flags_and_texts_are_no_points() -> None:
    row = {"step": 1, "applied": True, "note": "x", "parts": {"task": 0.5, "none": None}}
    assert flatten_numbers(row) == {"step": 1.0, "parts/task": 0.5}


@pytest.mark.slow
def test_mlflow_has_the_rows_of_a_run_that_was_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow", reason="pip install 'medr-ray[tracking]'")
    # A folder needs no database package; MLflow wants to be asked for it.
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    from mlflow.tracking import MlflowClient

    tracking = TrackingConfig(service="mlflow", uri=str(tmp_path / "mlruns"), project="trial")
    stage = tmp_path / "sft"
    stage.mkdir()
    with open_metrics(stage, tracking=tracking) as metrics:
        metrics.add_row({"step": 1, "loss": 2.0})
    with open_metrics(stage, read_lines(stage), tracking) as metrics:
        metrics.add_row({"step": 2, "loss": 1.0})
    client = MlflowClient(tracking_uri=tracking.uri)
    experiment = client.get_experiment_by_name("trial")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == "night-sft"
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(1, 2.0), (2, 1.0)]


@pytest.mark.slow
def test_wandb_writes_a_run_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb", reason="pip install 'medr-ray[tracking]'")
    monkeypatch.setenv("WANDB_MODE", "offline")
    with open_metrics(tmp_path, tracking=TrackingConfig(service="wandb")) as metrics:
        metrics.add_row({"step": 1, "loss": 2.0})
        assert "tracking_failures" not in metrics.rows[0]
    (run,) = (tmp_path / "wandb").glob("offline-run-*")
    assert run.name.endswith(json.loads((tmp_path / "tracked_run.json").read_text())["id"])


def test_throughput_is_the_model_s_work_over_the_gpu_s_peak(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from medr_ray.training import throughput
    from medr_ray.training.planner.gpus import GPUS

    model = build_tiny_model(tmp_path / "model")
    on_cpu = throughput.Throughput(model, 1, torch.device("cpu")).measure(1200, 4, 2.0)
    assert on_cpu.tokens_per_second == 600.0
    assert on_cpu.mfu is None
    assert 0.05 < on_cpu.memory_gb < 64

    monkeypatch.setattr(throughput, "find_local_gpu", lambda: GPUS["l4"])
    measured = throughput.Throughput(model, 2, torch.device("cuda")).measure(10**12, 10**9, 2.0)
    parameters = 2 * (4 * 32 * 32 + 3 * 32 * 64)  # of both layers' matrices, which do most of it
    share = 6 * parameters * 10**12 / 2.0 / (2 * GPUS["l4"].flops)
    assert measured.mfu is not None
    assert share < measured.mfu < 8 * share
    nothing = throughput.Throughput(model, 1, torch.device("cpu")).measure(0, 0, 0.0)
    assert nothing.tokens_per_second is None
