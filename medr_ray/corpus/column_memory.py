"""The memory that the compiled passes work in, and the Arrow table made from it.

Each column is copied once, and no row becomes a Python object. Arrow's own converters are avoided:
the first use of one loads all of pandas.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from medr_ray.core.compiled import Array
from medr_ray.core.records import Citation, arrow_schema
from medr_ray.corpus import citation_fields, column_copy, inline_markup, scan
from medr_ray.corpus.byte_words import SLACK, view_words

_GRAMMAR = citation_fields.build_grammar()
_RULES = column_copy.build_rules()

# The shortest elements there can be. They bound the items of a list and the records of a file.
_SHORTEST_ITEM = len("<PMID/>")
_SHORTEST_RECORD = len("<PubmedArticle></PubmedArticle>")


@dataclass(frozen=True)
class ScanResult:
    """The result of a scan.

    ``records`` has the dtype ``citation_fields.RECORD``; ``rows`` counts the citations and books
    among them; ``end`` is where the last record ends; ``cut`` is where a record begins that is not
    complete (-1: none).
    """

    records: Array
    rows: int
    end: int
    cut: int


class Workspace:
    """Memory to read up to ``size`` bytes of XML at a time.

    It is allocated for the worst case. Pages that are never written to take no memory.
    """

    def __init__(self, size: int) -> None:
        items = size // _SHORTEST_ITEM + 2
        records = size // _SHORTEST_RECORD + 2
        self.size = size
        self.text = np.zeros(size + SLACK, np.uint8)
        self._words = view_words(self.text)
        self._records = np.empty(records, citation_fields.RECORD)
        self._fields = np.empty(items, citation_fields.FIELD)
        self._open_elements, self._attributes = scan.allocate_scratch()
        self._places = np.empty(column_copy.count_single_fields(_RULES), np.int64)
        self._columns = _allocate_columns(size + SLACK, items, records)

    def read(self, stop: int, limit: int, is_utf8: bool) -> ScanResult:
        """Read ``text[:stop]``, which zeros must follow: at most ``limit`` citations and books.

        Citations go into the columns only when ``is_utf8``; else all are left to the plain reader.
        """
        columns = self._columns
        # Each column is filled from its own place in the common memory.
        columns.at[:] = np.arange(len(columns.at)) * columns.stride
        columns.items[:] = 0
        columns.members[:] = 0
        count, end, cut = scan.scan_records(
            self.text,
            self._words,
            stop,
            limit,
            is_utf8,
            _GRAMMAR,
            self._open_elements,
            self._attributes,
            self._records,
            self._fields,
        )
        rows = column_copy.fill_columns(
            self.text,
            self._words,
            self._records,
            count,
            self._fields,
            _RULES,
            self._places,
            columns,
        )
        return ScanResult(self._records[:count], rows, end, cut)

    def build_table(self, rows: int, source_file: str, position: int) -> pa.Table:
        """The rows read last, with exactly ``arrow_schema(Citation)``.

        ``position`` is that of the first row.
        """
        schema = arrow_schema(Citation)
        columns = self._columns
        arrays: dict[str, pa.Array] = {
            "version": _build_numbers(columns.version[:rows]),
            "year": _build_numbers(columns.year[:rows]),
            "retracted": _build_flags(columns.retracted[:rows]),
            "source_file": _repeat_string(source_file, rows),
            "position": _build_numbers(np.arange(position, position + rows)),
        }
        for kind, name in enumerate(column_copy.LIST_COLUMNS):
            offsets = columns.lists[kind, : rows + 1]
            list_type = schema.field(name).type
            items = self._build_items(name, list_type.value_type, int(offsets[-1]))
            buffers = [None, _copy_buffer(offsets)]
            arrays[name] = pa.Array.from_buffers(list_type, rows, buffers, children=[items])
        for name in schema.names:
            if name not in arrays:
                arrays[name] = self._build_strings(name, rows)
        return pa.Table.from_arrays([arrays[name] for name in schema.names], schema=schema)

    def _build_items(self, name: str, item_type: pa.DataType, count: int) -> pa.Array:
        """The items of a list: strings, or structs of strings, lists of them and one flag."""
        if not pa.types.is_struct(item_type):
            return self._build_strings(name, count)
        children = []
        for field in item_type:
            column = f"{name}.{field.name}"
            if pa.types.is_boolean(field.type):
                children.append(_build_flags(self._columns.major[:count]))
            elif pa.types.is_list(field.type):
                children.append(self._build_nested_list(column, field.type, count))
            else:
                children.append(self._build_strings(column, count))
        return pa.Array.from_buffers(item_type, count, [None], children=children)

    def _build_nested_list(self, name: str, list_type: pa.DataType, count: int) -> pa.Array:
        offsets = self._columns.nested[column_copy.NESTED_COLUMNS.index(name), : count + 1]
        members = self._build_strings(name, int(offsets[-1]))
        buffers = [None, _copy_buffer(offsets)]
        return pa.Array.from_buffers(list_type, count, buffers, children=[members])

    def _build_strings(self, name: str, count: int) -> pa.Array:
        column = column_copy.TEXT_COLUMNS.index(name)
        begin = column * self._columns.stride
        ends = self._columns.ends[column, : count + 1]
        text = self._columns.text[begin : begin + int(ends[-1])]
        return pa.StringArray.from_buffers(count, _copy_buffer(ends), _copy_buffer(text))


def _allocate_columns(stride: int, items: int, records: int) -> column_copy.ColumnBuffers:
    """Columns of ``stride`` bytes each, for so many items of a list and so many records."""
    text_columns = len(column_copy.TEXT_COLUMNS)
    list_columns = len(column_copy.LIST_COLUMNS)
    nested_columns = len(column_copy.NESTED_COLUMNS)
    text = np.empty(text_columns * stride, np.uint8)
    return column_copy.ColumnBuffers(
        text=text,
        words=view_words(text),
        stride=stride,
        at=np.empty(text_columns, np.int64),
        items=np.empty(list_columns, np.int64),
        members=np.empty(nested_columns, np.int64),
        # Zeros, because the first offset of each column is read and never written.
        ends=np.zeros((text_columns, items), np.int32),
        lists=np.zeros((list_columns, records), np.int32),
        nested=np.zeros((nested_columns, items), np.int32),
        version=np.empty(records, np.int64),
        year=np.empty(records, np.int64),
        retracted=np.empty(records, np.uint8),
        major=np.empty(items, np.uint8),
        elements=inline_markup.allocate_elements(),
    )


def replace_rows(
    table: pa.Table, replacements: Sequence[tuple[int, dict[str, Any] | None]]
) -> pa.Table:
    """The table with these rows, in ascending order, replaced or (None) left out."""
    if not replacements:
        return table
    new_rows = [row for _, row in replacements if row is not None]
    new_table = pa.Table.from_pylist(new_rows, schema=table.schema)
    pieces = []
    begin = 0  # of the old rows that are not copied yet
    used = 0  # new rows so far
    for position, row in replacements:
        pieces.append(table.slice(begin, position - begin))
        begin = position + 1
        if row is not None:
            pieces.append(new_table.slice(used, 1))
            used += 1
    return pa.concat_tables([*pieces, table.slice(begin)]).combine_chunks()


def _build_numbers(values: Array) -> pa.Array:
    """int64 values, null where negative."""
    buffers = [_pack_bits(values >= 0), _copy_buffer(values)]
    return pa.Array.from_buffers(pa.int64(), len(values), buffers)


def _repeat_string(text: str, count: int) -> pa.Array:
    data = text.encode()
    ends = np.arange(count + 1, dtype=np.int32) * len(data)
    return pa.StringArray.from_buffers(count, _copy_buffer(ends), pa.py_buffer(data * count))


def _build_flags(values: Array) -> pa.Array:
    return pa.Array.from_buffers(pa.bool_(), len(values), [None, _pack_bits(values)])


def _pack_bits(values: Array) -> pa.Buffer:
    return _copy_buffer(np.packbits(values, bitorder="little"))


def _copy_buffer(values: Array) -> pa.Buffer:
    """A copy, because the workspace is used again for the next piece."""
    return pa.py_buffer(values.tobytes())
