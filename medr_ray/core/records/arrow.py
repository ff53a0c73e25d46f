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
    return [from_row(record, row) for row in table.to_pylist()]


def from_row(record: type[R], row: dict[str, Any]) -> R:
    """Return one record from plain Python values, as in Arrow rows and JSON objects.

    A field that an older row lacks takes its default. Raises DataError where the field has no
    default, and for a value that its field's ``Literal`` does not have.
    """
    missing = [name for name in _required_fields(record) if name not in row]  # type: ignore[arg-type]
    if missing:
        raise DataError(
            f"this {record.__name__} has no {', '.join(missing)}: it was written in an earlier "
            "form; run the stage that writes it again"
        )
    values = {}
    for name, annotation in _type_hints(record).items():  # type: ignore[arg-type]
        if name in row:
            values[name] = _convert_value(record, name, annotation, row[name])
    return record(**values)


@functools.cache
def _required_fields(record: Any) -> tuple[str, ...]:
    """Return the names of the fields without a default."""
    return tuple(
        field.name
        for field in dataclasses.fields(record)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    )


@functools.cache
def _type_hints(record: Any) -> dict[str, Any]:
    return typing.get_type_hints(record)


def _convert_value(record: type, name: str, annotation: Any, value: Any) -> Any:
    """Return a field's value as the annotated type; ``record`` and ``name`` are for the error."""
    # The common case first: most values of a row are scalars.
    if value is None or annotation in _SCALARS:
        return value
    allowed = literal_values(annotation)
    if allowed:
        if value not in allowed:
            raise DataError(
                f"{record.__name__}.{name} is {value!r}, which is none of {', '.join(allowed)}"
            )
        return value
    inner, _ = _unwrap_optional(annotation)
    if typing.get_origin(inner) is tuple:
        item = typing.get_args(inner)[0]
        if item in _SCALARS:
            return tuple(value)
        return tuple(_convert_value(record, name, item, member) for member in value)
    if dataclasses.is_dataclass(inner) and isinstance(inner, type):
        return from_row(inner, value)
    return value
