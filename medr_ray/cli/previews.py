"""What ``medr STAGE show`` shows of each stage's results: one table or metrics file, and a few of
its columns."""

import json
from dataclasses import dataclass
from typing import Any

import pyarrow.dataset as pads

from medr_ray.core.run import StageDirectory

_MOST_COLUMNS = 8


@dataclass(frozen=True)
class Preview:
    """A Parquet file, a folder of them, or a JSON-lines file, and the columns shown (dots enter
    nested fields)."""

    file: str
    columns: tuple[str, ...]


PREVIEWS = {
    "corpus": Preview("citations", ("pmid", "year", "journal", "title")),
    "entities": Preview(
        "seeds.parquet",
        (
            "frequency.concept_id",
            "frequency.name",
            "frequency.documents",
            "significance.verdict",
            "significance.reason",
        ),
    ),
    "graph": Preview(
        "relations.parquet", ("relation_id", "subject", "predicate", "object", "clinical")
    ),
    "chains": Preview(
        "chains.parquet", ("chain_id", "seed", "length", "upper_bound", "proven_optimal")
    ),
    "questions": Preview(
        "questions.parquet", ("task.task_id", "split", "complexity", "task.text", "task.answer")
    ),
    "trajectories": Preview(
        "trajectories.parquet",
        ("trajectory.trajectory_id", "trajectory.mode", "accepted", "trajectory.answer", "reasons"),
    ),
    "sft": Preview("metrics.jsonl", ()),
    "grpo": Preview("metrics.jsonl", ()),
    "evaluation": Preview("results.parquet", ("item_id", "model", "prediction", "verdict")),
}


def preview_rows(directory: StageDirectory, preview: Preview, count: int) -> list[dict[str, Any]]:
    """The first ``count`` rows of a table, or the last of a metrics file; empty where the file does
    not exist."""
    if not directory.exists(preview.file):
        return []
    if preview.file.endswith(".jsonl"):
        lines = directory.read_bytes(preview.file).decode().splitlines()[-count:]
        return [_flat(json.loads(line)) for line in lines]
    data = pads.dataset(
        f"{directory.path}/{preview.file}", filesystem=directory.fs, format="parquet"
    )
    return [
        {name: _field(row, name) for name in preview.columns}
        for row in data.head(count).to_pylist()
    ]


def _field(row: dict[str, Any], dotted: str) -> Any:
    value: Any = row
    for name in dotted.split("."):
        value = value[name]
    return value


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """A metrics line's scalars, as many as fit a terminal."""
    scalars = [(name, value) for name, value in row.items() if not isinstance(value, (list, dict))]
    return {
        name: round(value, 4) if isinstance(value, float) else value
        for name, value in scalars[:_MOST_COLUMNS]
    }
