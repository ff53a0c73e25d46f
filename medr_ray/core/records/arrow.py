"""The Arrow schema of a record class, and records to and from Arrow tables.

An optional field is ``X | None`` and nullable in Arrow, every other field is not. A ``Literal`` of
strings is a string in Arrow; a row with a value outside of it is refused when it is read.
"""

import dataclasses
import functools
import operator
import types
import typing
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from medr_ray.core.errors import DataError

if TYPE_CHECKING:
    # Pyarrow takes half a second to import. The configuration needs only the ``Literal`` types of
    # the records, so pyarrow is loaded when the first schema is made.
    import pyarrow as pa

R = TypeVar("R")
_SCALARS = (str, int, float, bool)


@functools.cache
def _scalar_types() -> "dict[type, pa.DataType]":
    import pyarrow as pa

    return {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


def _unwrap_optional(annotation: Any) -> tuple[Any, bool]:
    """Return (inner type, nullable) of an annotation.

    A union is either one of ``Literal`` types or one with None.
    """
    # ``X | None`` and ``Optional[X]`` are of different classes before Python 3.14.
    if not isinstance(annotation, types.UnionType) and (
        typing.get_origin(annotation) is not typing.Union
    ):
        return annotation, False
    inner = [argument for argument in typing.get_args(annotation) if argument is not type(None)]
    nullable = len(inner) < len(typing.get_args(annotation))
    # Every member of a union of ``Literal`` types is a string in Arrow: the first stands for all.
    return inner[0], nullable


@functools.cache
def literal_values(annotation: Any) -> tuple[str, ...]:
    """Return the values of a ``Literal`` of strings or of a union of them, else an empty tuple."""
    if typing.get_origin(annotation) is Literal:
        return typing.get_args(annotation)
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return tuple(
            value for member in typing.get_args(annotation) for value in literal_values(member)
        )
    return ()


def _arrow_type(annotation: Any) -> "pa.DataType":
    import pyarrow as pa

    if annotation in _SCALARS:
        return _scalar_types()[annotation]
    if literal_values(annotation):
        return pa.string()
    if typing.get_origin(annotation) is tuple:
        # Every tuple of a record is ``tuple[X, ...]``: a list of any length.
        item = _arrow_type(typing.get_args(annotation)[0])
        return pa.list_(pa.field("item", item, nullable=False))
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        return pa.struct(list(arrow_schema(annotation)))
    raise TypeError(f"no Arrow type for {annotation!r}")


@functools.cache
def arrow_schema(record: type) -> "pa.Schema":
    """Return the Arrow schema of a record class, field for field.

    Raises TypeError for a field type without an Arrow type.
    """
    import pyarrow as pa

    # A class may name its field types as text, which ``dataclasses.fields`` would return as it is.
    hints = typing.get_type_hints(record)
    fields = []
    for field in dataclasses.fields(record):
        inner, nullable = _unwrap_optional(hints[field.name])
        fields.append(pa.field(field.name, _arrow_type(inner), nullable=nullable))
    return pa.schema(fields)


def to_table(record: type[R], rows: Iterable[R]) -> "pa.Table":
    """Return records as an Arrow table with exactly ``arrow_schema(record)``.

    Empty input gives an empty table.
    """
    import pyarrow as pa

    rows = list(rows)
    # The types are given: pyarrow would infer them from the values, and an empty list or column has
    # none to infer from.
    schema = arrow_schema(record)  # type: ignore[arg-type]
    columns = []
    for name, build_value in _column_builders(record):  # type: ignore[arg-type]
        values = [getattr(row, name) for row in rows]
        if build_value is not None:
            values = [value if value is None else build_value(value) for value in values]
        columns.append(pa.array(values, schema.field(name).type))
    return pa.Table.from_arrays(columns, schema=schema)


@functools.cache
def _column_builders(record: type) -> tuple[tuple[str, Callable[[Any], Any] | None], ...]:
    """(Name, function that gives a value of the field as pyarrow takes it, None for what it takes
    as it is) of the fields of a record."""
    hints = typing.get_type_hints(record)
    return tuple(
        (field.name, _value_builder(hints[field.name])) for field in dataclasses.fields(record)
    )


@functools.cache
def _struct_builder(record: type) -> Callable[[Any], tuple[Any, ...]]:
    """The function that gives a nested record as the tuple of its values, which pyarrow takes for a
    struct."""
    columns = _column_builders(record)
    if all(build_value is None for _, build_value in columns):
        names = [name for name, _ in columns]
        if len(names) > 1:
            return operator.attrgetter(*names)

    def build_struct(value: Any) -> tuple[Any, ...]:
        members = []
        for name, build_value in columns:
            member = getattr(value, name)
            members.append(member if member is None or not build_value else build_value(member))
        return tuple(members)

    return build_struct


def _value_builder(annotation: Any) -> Callable[[Any], Any] | None:
    """The function that gives a value of that type as pyarrow takes it; None for what it takes as
    it is."""
    inner, _ = _unwrap_optional(annotation)
    if dataclasses.is_dataclass(inner) and isinstance(inner, type):
        return _struct_builder(inner)
    if typing.get_origin(inner) is not tuple:
        return None
    build_item = _value_builder(typing.get_args(inner)[0])
    if build_item is None:
        return None
    return lambda values: [build_item(value) for value in values]


def from_table(record: type[R], table: "pa.Table") -> list[R]:
    """Return the records of a table written by ``to_table``.

    Raises DataError as ``from_row`` does.
    """
    return list(map(_row_reader(record), table.to_pylist()))  # type: ignore[arg-type]


def from_row(record: type[R], row: dict[str, Any]) -> R:
    """Return one record from plain Python values, as in Arrow rows and JSON objects.

    A field that an older row lacks takes its default. Raises DataError where the field has no
    default, and for a value that its field's ``Literal`` does not have.
    """
    return _row_reader(record)(row)  # type: ignore[arg-type, no-any-return]


@functools.cache
def _row_reader(record: Any) -> Callable[[dict[str, Any]], Any]:
    """Return the function that makes a record of plain values, with the types of its fields looked
    at once for all rows."""
    hints = typing.get_type_hints(record)
    fields = [(name, _value_reader(record, name, hints[name])) for name in hints]
    required = [
        field.name
        for field in dataclasses.fields(record)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    required_names = frozenset(required)

    def read_row(row: dict[str, Any]) -> Any:
        if not required_names <= row.keys():
            missing = [name for name in required if name not in row]
            raise DataError(
                f"this {record.__name__} has no {', '.join(missing)}: it was written in an earlier "
                "form; run the stage that writes it again"
            )
        values = {}
        for name, read_value in fields:
            if name in row:
                value = row[name]
                if read_value is not None and value is not None:
                    value = read_value(value)
                values[name] = value
        return record(**values)

    return read_row


def _value_reader(record: type, name: str, annotation: Any) -> Callable[[Any], Any] | None:
    """Return the function that gives a plain value as the annotated type; None where it is one as
    it is. ``record`` and ``name`` are for the error."""
    if annotation in _SCALARS:
        return None
    allowed = literal_values(annotation)
    if allowed:
        return functools.partial(_check_literal, record, name, allowed)
    inner, _ = _unwrap_optional(annotation)
    if typing.get_origin(inner) is tuple:
        read_item = _value_reader(record, name, typing.get_args(inner)[0])
        return tuple if read_item is None else functools.partial(_read_tuple, read_item)
    if dataclasses.is_dataclass(inner) and isinstance(inner, type):
        return _row_reader(inner)
    return None


def _check_literal(record: type, name: str, allowed: tuple[str, ...], value: str) -> str:
    if value not in allowed:
        raise DataError(
            f"{record.__name__}.{name} is {value!r}, which is none of {', '.join(allowed)}"
        )
    return value


def _read_tuple(read_item: Callable[[Any], Any], values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(None if value is None else read_item(value) for value in values)
