"""The memory that the compiled passes work in, and the Arrow table made of what they leave there:
each column copied once, no Python object for a row (and none of Arrow's converters, the first use
of which loads all of pandas)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from medr_ray.core.compiled import Array
from medr_ray.core.records import Citation, arrow_schema
from medr_ray.corpus import citation_fields as grammar
from medr_ray.corpus import column_copy as columns
from medr_ray.corpus import scan
from medr_ray.corpus.byte_words import SLACK, words_of

_GRAMMAR, _RULES = grammar.build(), columns.rules()


@dataclass(frozen=True)
class Found:
    """What a scan found: the records (``grammar.RECORD``), their rows, the end of the last record,
    and where one begins that is not complete (-1: none)."""

    records: Array
    rows: int
    end: int
    cut: int


class Workspace:
    """Room to read up to ``size`` bytes of XML at a time; pages that nothing is written to cost no
    memory.

    A list has at most as many items as ``<PMID/>`` fit, a file as many records as
    ``<PubmedArticle></PubmedArticle>``.
    """

    def __init__(self, size: int) -> None:
        items, records = (
            size // len("<PMID/>") + 2,
            size // len("<PubmedArticle></PubmedArticle>") + 2,
        )
        self.size = size
        self.text = np.zeros(size + SLACK, np.uint8)
        self._words = words_of(self.text)
        self._records, self._fields = (
            np.empty(records, grammar.RECORD),
            np.empty(items, grammar.FIELD),
        )
        self._open, self._attributes = scan.scratch()
        self._places = np.empty(columns.once(_RULES), np.int64)
        stride = size + SLACK
        text = np.empty(len(columns.TEXTS) * stride, np.uint8)
        self._out = columns.Columns(
            text=text,
            words=words_of(text),
            stride=stride,
            at=np.empty(len(columns.TEXTS), np.int64),
            items=np.empty(len(columns.LISTS), np.int64),
            ends=np.zeros((len(columns.TEXTS), items), np.int32),
            lists=np.zeros((len(columns.LISTS), records), np.int32),
            version=np.empty(records, np.int64),
            year=np.empty(records, np.int64),
            retracted=np.empty(records, np.uint8),
            major=np.empty(items, np.uint8),
        )

    def read(self, stop: int, most: int, certain: bool) -> Found:
        """Read ``text[:stop]``, which zeros must follow: at most ``most`` citations and books, into
        columns only when the encoding is ``certain`` to be UTF-8."""
        out = self._out
        out.at[:] = np.arange(len(out.at)) * out.stride
        out.items[:] = 0
        count, end, cut = scan.scan(
            self.text,
            self._words,
            stop,
            most,
            certain,
            _GRAMMAR,
            self._open,
            self._attributes,
            self._records,
            self._fields,
        )
        rows = columns.fill(
            self.text, self._words, self._records, count, self._fields, _RULES, self._places, out
        )
        return Found(self._records[:count], rows, end, cut)

    def table(self, rows: int, source_file: str, position: int) -> pa.Table:
        """The rows read last with exactly ``arrow_schema(Citation)``; ``position`` is that of the
        first."""
        schema, out = arrow_schema(Citation), self._out
        made: dict[str, pa.Array] = {
            "version": _numbers(out.version[:rows]),
            "year": _numbers(out.year[:rows]),
            "retracted": _flags(out.retracted[:rows]),
            "source_file": _repeated(source_file, rows),
            "position": _numbers(np.arange(position, position + rows)),
        }
        for kind, name in enumerate(columns.LISTS):
            offsets, type_ = out.lists[kind, : rows + 1], schema.field(name).type
            items = self._items(name, type_.value_type, int(offsets[-1]))
            made[name] = pa.Array.from_buffers(
                type_, rows, [None, _copied(offsets)], children=[items]
            )
        arrays = [
            made[one.name] if one.name in made else self._strings(one.name, rows) for one in schema
        ]
        return pa.Table.from_arrays(arrays, schema=schema)

    def _items(self, name: str, type_: pa.DataType, count: int) -> pa.Array:
        if not pa.types.is_struct(type_):
            return self._strings(name, count)
        children = [
            _flags(self._out.major[:count])
            if pa.types.is_boolean(one.type)
            else self._strings(f"{name}.{one.name}", count)
            for one in type_
        ]
        return pa.Array.from_buffers(type_, count, [None], children=children)

    def _strings(self, name: str, count: int) -> pa.Array:
        column = columns.TEXTS.index(name)
        ends, begin = self._out.ends[column, : count + 1], column * self._out.stride
        return pa.StringArray.from_buffers(
            count, _copied(ends), _copied(self._out.text[begin : begin + int(ends[-1])])
        )


def splice(table: pa.Table, replaced: Sequence[tuple[int, dict[str, Any] | None]]) -> pa.Table:
    """The table with these rows, in ascending order, replaced or (None) left out."""
    if not replaced:
        return table
    fresh = pa.Table.from_pylist(
        [new for _, new in replaced if new is not None], schema=table.schema
    )
    parts, at, used = [], 0, 0
    for row, new in replaced:
        parts += [table.slice(at, row - at), fresh.slice(used, new is not None)]
        at, used = row + 1, used + (new is not None)
    return pa.concat_tables([*parts, table.slice(at)]).combine_chunks()


def _numbers(values: Array) -> pa.Array:
    """int64 values, null where negative."""
    return pa.Array.from_buffers(pa.int64(), len(values), [_bits(values >= 0), _copied(values)])


def _repeated(text: str, count: int) -> pa.Array:
    data = text.encode()
    ends = np.arange(count + 1, dtype=np.int32) * len(data)
    return pa.StringArray.from_buffers(count, _copied(ends), pa.py_buffer(data * count))


def _flags(values: Array) -> pa.Array:
    return pa.Array.from_buffers(pa.bool_(), len(values), [None, _bits(values)])


def _bits(values: Array) -> pa.Buffer:
    return _copied(np.packbits(values, bitorder="little"))


def _copied(values: Array) -> pa.Buffer:
    """A copy, for the memory is used again."""
    return pa.py_buffer(values.tobytes())
