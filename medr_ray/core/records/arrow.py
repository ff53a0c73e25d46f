"""The Arrow schema of a record class, and records to and from Arrow tables.

An optional field is ``X | None`` and nullable in Arrow, every other field is not.
"""

import dataclasses
import functools
import types
import typing
from collections.abc import Iterable
from typing import Any, TypeVar

import pyarrow as pa

from medr_ray.core.errors import DataError

R = TypeVar("R")

_SCALARS: dict[type, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
}


def _optional(annotation: Any) -> tuple[Any, bool]:
    """(inner type, nullable) of an annotation; only ``X | None`` unions exist in records."""
    if isinstance(annotation, types.UnionType):
        inner = [arg for arg in typing.get_args(annotation) if arg is not type(None)]
        return inner[0], True
    return annotation, False


def _arrow_type(annotation: Any) -> pa.DataType:
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    if typing.get_origin(annotation) is tuple:
        return pa.list_(
            pa.field("item", _arrow_type(typing.get_args(annotation)[0]), nullable=False)
        )
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        return pa.struct(list(arrow_schema(annotation)))
    raise TypeError(f"no Arrow type for {annotation!r}")


@functools.cache
def arrow_schema(record: type) -> pa.Schema:
    """The Arrow schema of a record class, field for field."""
    hints = typing.get_type_hints(record)
    fields = []
    for field in dataclasses.fields(record):
        inner, nullable = _optional(hints[field.name])
        fields.append(pa.field(field.name, _arrow_type(inner), nullable=nullable))
    return pa.schema(fields)


def to_table(record: type[R], rows: Iterable[R]) -> pa.Table:
    """Records as an Arrow table with exactly ``arrow_schema(record)``; empty input gives an empty
    table."""
    schema = arrow_schema(record)  # type: ignore[arg-type]
    return pa.Table.from_pylist([dataclasses.asdict(row) for row in rows], schema=schema)  # type: ignore[call-overload]


def from_table(record: type[R], table: pa.Table) -> list[R]:
    """The records of a table written by ``to_table``."""
    return [from_row(record, row) for row in table.to_pylist()]


def from_row(record: type[R], row: dict[str, Any]) -> R:
    """One record from plain Python values, as found in Arrow rows and JSON objects.

    A field that a row written earlier does not have yet takes its default. Raises DataError where
    it has none.
    """
    hints = _hints(record)  # type: ignore[arg-type]
    missing = [name for name in _required(record) if name not in row]  # type: ignore[arg-type]
    if missing:
        raise DataError(
            f"this {record.__name__} has no {', '.join(missing)}: it was written in an earlier "
            "form; run the stage that writes it again"
        )
    return record(
        **{name: _value(annotation, row[name]) for name, annotation in hints.items() if name in row}
    )


@functools.cache
def _required(record: Any) -> tuple[str, ...]:
    """The fields without a default."""
    fields = dataclasses.fields(record)
    return tuple(
        field.name
        for field in fields
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    )


@functools.cache
def _hints(record: Any) -> dict[str, Any]:
    return typing.get_type_hints(record)


def _value(annotation: Any, value: Any) -> Any:
    inner, _ = _optional(annotation)
    if value is None:
        return None
    if typing.get_origin(inner) is tuple:
        item = typing.get_args(inner)[0]
        return tuple(value) if item in _SCALARS else tuple(_value(item, one) for one in value)
    if dataclasses.is_dataclass(inner) and isinstance(inner, type):
        return from_row(inner, value)
    return value
