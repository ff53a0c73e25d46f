"""What ``medr STAGE show`` shows of each stage's results: one table or metrics file, and a few of
its columns."""

from dataclasses import dataclass
from typing import Any

from medr_ray.core.artifacts import StageFile
from medr_ray.core.json_text import parse_json
from medr_ray.core.run import StageDirectory
from medr_ray.corpus.artifacts import CITATIONS
from medr_ray.entities.artifacts import SEEDS
from medr_ray.evaluation.artifacts import EVALUATION_RESULTS
from medr_ray.graph.artifacts import CHAINS, RELATIONS
from medr_ray.graph.facts.artifacts import FACTS
from medr_ray.questions.artifacts import QUESTIONS
from medr_ray.training.artifacts import GRPO_METRICS, SFT_METRICS
from medr_ray.trajectories.artifacts import TRAJECTORIES

# Columns of a metrics file that fit a terminal.
_MAX_METRIC_COLUMNS = 8


@dataclass(frozen=True)
class Preview:
    """A table or a JSON-lines file, and the columns of a table to show (dots enter nested
    fields)."""

    file: StageFile
    columns: tuple[str, ...] = ()


_PREVIEWS = (
    Preview(CITATIONS, ("pmid", "year", "journal", "title")),
    Preview(
        SEEDS,
        (
            "frequency.concept_id",
            "frequency.name",
            "frequency.documents",
            "significance.verdict",
            "significance.reason",
        ),
    ),
    Preview(
        FACTS, ("subject", "predicate", "object", "evidence.record_id", "evidence.value", "as_of")
    ),
    Preview(RELATIONS, ("relation_id", "subject", "predicate", "object", "clinical")),
    Preview(CHAINS, ("chain_id", "seed", "length", "upper_bound", "proven_optimal")),
    Preview(QUESTIONS, ("task.task_id", "split", "complexity", "task.text", "task.answer")),
    Preview(
        TRAJECTORIES,
        ("trajectory.trajectory_id", "trajectory.mode", "accepted", "trajectory.answer", "reasons"),
    ),
    Preview(SFT_METRICS),
    Preview(GRPO_METRICS),
    Preview(EVALUATION_RESULTS, ("task_id", "model", "prediction", "verdict")),
)
PREVIEWS = {preview.file.stage: preview for preview in _PREVIEWS}


def read_preview(directory: StageDirectory, preview: Preview, count: int) -> list[dict[str, Any]]:
    """The first ``count`` rows of a table, or the last of a metrics file; empty when the file does
    not exist."""
    if not directory.has(preview.file):
        return []
    if preview.file.name.endswith(".jsonl"):
        lines = directory.read_bytes(preview.file.name).decode().splitlines()
        # The last lines: of a training run they say how far it got.
        return [
            _select_scalars(parse_json(line, preview.file.path, finite=False))
            for line in lines[-count:]
        ]
    rows = directory.query_table(preview.file.name, limit=count).to_pylist()
    return [_select_columns(row, preview.columns) for row in rows]


def _select_columns(row: dict[str, Any], columns: tuple[str, ...]) -> dict[str, Any]:
    return {column: _read_field(row, column) for column in columns}


def _read_field(row: dict[str, Any], dotted_name: str) -> Any:
    value: Any = row
    for name in dotted_name.split("."):
        value = value[name]
    return value


def _select_scalars(row: dict[str, Any]) -> dict[str, Any]:
    """The first scalars of a metrics line, as many as fit a terminal."""
    scalars = [(name, value) for name, value in row.items() if not isinstance(value, (list, dict))]
    return {name: _round_float(value) for name, value in scalars[:_MAX_METRIC_COLUMNS]}


def _round_float(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value
