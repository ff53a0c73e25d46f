"""Exported rows as files: JSON lines, or Parquet with the same columns in every export.

Messages with native calls are JSON in Parquet (Arrow's type ``arrow.json``), because the arguments
of calls have other keys in every row. ``datasets`` from 4.7 on gives them back as objects.
"""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medr_ray.trajectories.export import ExportFormat

if TYPE_CHECKING:
    import pyarrow as pa

PARQUET_ENDING = ".parquet"
_DIALOGUE_TEXTS = ("trajectory_id", "question_id", "mode", "answer", "language", "paradigm")
_PAIR_TEXTS = (
    "question_id",
    "chosen_id",
    "rejected_id",
    "chosen_mode",
    "rejected_mode",
    "chosen_verdict",
    "rejected_verdict",
    "language",
    "paradigm",
)
_NATIVE_MESSAGES = ("tool_calls", "messages")  # the format and its column


def render_lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Each row as a JSON object in a line."""
    for row in rows:
        yield json.dumps(row, ensure_ascii=False)


def write_rows(rows: Sequence[Mapping[str, Any]], format_name: ExportFormat, path: Path) -> None:
    """Write the rows to a file: Parquet where its name ends so, else JSON lines."""
    if path.suffix == PARQUET_ENDING:
        import pyarrow.parquet as pq

        pq.write_table(build_table(rows, format_name), path, compression="zstd")
        return
    path.write_text("".join(f"{line}\n" for line in render_lines(rows)), encoding="utf-8")


def build_table(rows: Sequence[Mapping[str, Any]], format_name: ExportFormat) -> "pa.Table":
    """The rows as an Arrow table, with the columns and types of the format."""
    import pyarrow as pa

    columns = {}
    for name, column_type in _list_columns(format_name).items():
        values = [row[name] for row in rows]
        if (format_name, name) == _NATIVE_MESSAGES:
            columns[name] = _build_json_lists(values)
        else:
            columns[name] = pa.array(values, column_type)
    return pa.table(columns)


def _list_columns(format_name: ExportFormat) -> "dict[str, pa.DataType]":
    """The columns of a format in order. The type of native messages is not used."""
    import pyarrow as pa

    messages = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    texts = _PAIR_TEXTS if format_name == "pairs" else _DIALOGUE_TEXTS
    columns = dict.fromkeys(texts, pa.string())
    columns |= {"hops": pa.int64(), "specialty": pa.string()}
    if format_name != "pairs":
        columns["reply_labels"] = pa.list_(pa.list_(pa.string()))
    if format_name == "chat":
        columns |= {"messages": messages, "loss_spans": pa.list_(pa.list_(pa.int64()))}
    elif format_name == "sharegpt":
        turns = pa.list_(pa.struct([("from", pa.string()), ("value", pa.string())]))
        columns |= {"system": pa.string(), "conversations": turns}
    elif format_name == "tool_calls":
        columns |= {"messages": messages, "tools": pa.string()}
    else:
        columns |= {"chosen_calls": pa.int64(), "rejected_calls": pa.int64()}
        columns |= {"margin": pa.float64(), "prompt": messages}
        columns |= {"chosen": messages, "rejected": messages}
    return columns


def _build_json_lists(values: Sequence[Sequence[Any]]) -> "pa.Array":
    """Lists of values, each value as JSON."""
    import pyarrow as pa

    texts = [json.dumps(value, ensure_ascii=False) for row in values for value in row]
    flat = pa.ExtensionArray.from_storage(pa.json_(), pa.array(texts, pa.string()))
    ends = itertools.accumulate(map(len, values))
    return pa.ListArray.from_arrays(pa.array([0, *ends], pa.int32()), flat)
