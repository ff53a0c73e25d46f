"""The compiled pass that copies the fields of a scan into columns: text without markup, entities
read, white space collapsed as ``" ".join(text.split())`` does; and works out the fields that are
made of others.

What holds: what is written is valid UTF-8, and no more bytes of a column than were read. A scan has
made sure that the records are well formed; a citation without PMID and Article, or with two, is
marked and gets a blank row.
"""

from typing import Any, NamedTuple

import numpy as np

from medr_ray.core.compiled import Array, entry, inner
from medr_ray.corpus.byte_words import EIGHT, HIGH, LAST, NONE, control, equal, first, repeat
from medr_ray.corpus.characters import decode, encode, is_space
from medr_ray.corpus.citation_fields import FIELDS

# Columns of text: the first have one value a record, the others one an item of a list.
TEXTS = (
    "pmid",
    "title",
    "abstract",
    "journal",
    "issn",
    "language",
    "sections.text",
    "sections.label",
    "sections.category",
    "publication_types.name",
    "publication_types.ui",
    "mesh.name",
    "mesh.ui",
    "supplementary.name",
    "supplementary.ui",
    "chemicals.name",
    "chemicals.ui",
    "keywords",
    "corrections.pmid",
    "corrections.kind",
)
_PER_RECORD, _ABSTRACT = TEXTS.index("sections.text"), TEXTS.index("abstract")
LISTS = (
    "sections",
    "publication_types",
    "mesh",
    "supplementary",
    "chemicals",
    "keywords",
    "corrections",
)

# What becomes of a field: it must stand once; the first counts; it may tell the year; values are
# joined; an item.
ACTIONS = ("alone", "key", "once", "year", "joined", "section", "type", "heading", "item", "word")
_ALONE, _KEY, _ONCE, _YEAR, _JOINED, _SECTION, _TYPE, _HEADING, _ITEM, _WORD = range(len(ACTIONS))

_LT, _GT, _SPACE, _COMMA, _COLON, _UNDERSCORE, _ZERO, _NINE, _LOWER_A, _LOWER_Z = b"<> ,:_09az"
_AMPS, _LTS, _SPACES = (repeat(one) for one in b"&< ")
_RETRACTED = np.uint64(int.from_bytes(b"\0D016441", "little"))  # MeSH UI of "Retracted Publication"


class Columns(NamedTuple):
    """What is filled in, for at most I items of a list and R records; column c has ``stride`` bytes
    from c * stride.

    ``ends[c, i + 1]`` is where value i ends in its column, ``lists[list, row + 1]`` where the items
    of a row end. Every record but a deletion has a row.
    """

    text: Array  # uint8
    words: Array  # uint64: the word that begins at each byte of text
    at: Array  # int64[columns], where the column ends in text
    items: Array  # int64[lists]
    ends: Array  # int32[columns, I + 1]
    lists: Array  # int32[lists, R + 1]
    version: Array  # int64[R]
    year: Array  # int64[R], -1 when unknown
    retracted: Array  # uint8[R]
    major: Array  # uint8[I]
    stride: int


def rules() -> Array:
    """int64[fields, 5]: of each field the action, the columns of its text and its attributes, the
    list; -1 for none."""
    table = np.full((len(FIELDS), 5), -1)
    for row, field in zip(table, FIELDS.values(), strict=True):
        row[0] = ACTIONS.index(field.action)
        row[1 : 1 + len(field.columns)] = [TEXTS.index(one) for one in field.columns]
        kind = field.columns[0].partition(".")[0] if field.columns else ""
        row[4] = LISTS.index(kind) if kind in LISTS else -1
    return table


def once(table: Array) -> int:
    """How many fields, the first ones of the rules, count once in a record."""
    return int((table[:, 0] < _JOINED).sum())


@inner()
def _special(word: Any) -> Any:
    """High bits for the bytes that cannot be copied as they are: markup, references, white space
    other than one space before a letter, and whatever is not ASCII."""
    special = control(word) | equal(word, _AMPS) | equal(word, _LTS) | word
    spaces = equal(word, _SPACES)
    return (special | (spaces & (((special | spaces) >> EIGHT) | LAST))) & HIGH


@inner()
def _clean(
    text: Array, words: Array, at: int, end: int, out: Array, out_words: Array, to: int
) -> int:
    """Copy the text of an element without its markup, white space collapsed; returns where the copy
    ends."""
    begin, gap = to, False
    while at < end:
        marks = _special(words[at])
        run = 8 if marks == NONE else first(marks)
        if run == 0 or (text[at] == _SPACE and (gap or to == begin)):
            run = 0
            if text[at] == _LT:
                while text[at] != _GT:
                    at += 1
                at += 1
                continue
            point, size = decode(text, at)
            at += size
            if is_space(point):
                gap = to > begin
                continue
        if gap:
            out[to] = _SPACE
            to, gap = to + 1, False
        if run:
            out_words[to] = words[at]
            at, to = at + run, to + run
        else:
            to = encode(point, out, to)
    return to


@inner()
def _copy(words: Array, begin: int, end: int, out_words: Array, to: int) -> int:
    """Copy bytes as they are; returns where the copy ends."""
    for at in range(0, end - begin, 8):
        out_words[to + at] = words[begin + at]
    return to + end - begin


@inner()
def _year(text: Array, at: int, end: int) -> int:
    """The year 1500 to 2099 that stands there as a word of its own, -1 when none does."""
    value = digits = 0
    while at <= end:
        byte = int(text[at]) if at < end else _SPACE
        letter = _LOWER_A <= byte | 0x20 <= _LOWER_Z or byte == _UNDERSCORE
        if _ZERO <= byte <= _NINE and 0 <= digits < 5:
            value, digits = value * 10 + byte - _ZERO, digits + 1
        elif letter or _ZERO <= byte <= _NINE:
            digits = -1
        elif digits == 4 and 1500 <= value < 2100:
            return value
        else:
            value = digits = 0
        at += 1
    return -1


@inner()
def _number(text: Array, begin: int, end: int) -> int:
    """The number that one to nine digits make, -1 when that is not what stands there."""
    value = 0 if 0 < end - begin < 10 else -1
    for at in range(begin, end):
        if value < 0 or not _ZERO <= text[at] <= _NINE:
            return -1
        value = value * 10 + text[at] - _ZERO
    return value


@inner()
def _version(text: Array, fields: Array, begin: int, end: int, rules: Array, places: Array) -> int:
    """Find the ``places`` of the fields that count once (-1: nowhere); returns the version of the
    PMID, -1 when the record is not for this pass: something is missing, stands twice, or is no
    number."""
    for number in range(len(places)):
        places[number] = -1
    for row in range(begin, end):
        number = fields[row].number
        action = rules[number, 0]
        if (action == _ALONE and places[number] >= 0) or (
            action == _HEADING and fields[row].text < 0
        ):
            return -1
        if action < _JOINED and places[number] < 0:
            places[number] = row
    version = 1
    for number in range(len(places)):
        row, action = places[number], rules[number, 0]
        if action <= _KEY and row < 0:
            return -1
        if action == _KEY and fields[row].first >= 0:
            version = _number(text, fields[row].first, fields[row].first_end)
        if action == _KEY and _number(text, fields[row].text, fields[row].text_end) < 0:
            return -1
    return version


@inner(forceinline=True)
def _print_section(
    out: Columns, label: int, label_end: int, content: int, end: int, is_first: bool
) -> None:
    """Add a section that is not empty to the abstract as PubMed prints it: its label in front."""
    to = out.at[_ABSTRACT]
    if not is_first:
        out.text[to] = _SPACE
        to += 1
    if label_end > label:
        to = _copy(out.words, label, label_end, out.words, to)
        out.text[to], out.text[to + 1] = _COLON, _SPACE
        to += 2
    out.at[_ABSTRACT] = _copy(out.words, content, end, out.words, to)


@inner()
def _end_item(out: Columns, kind: int, column: int, first_column: int, second_column: int) -> None:
    """An item of a list ends where its columns end now."""
    out.items[kind] += 1
    item = out.items[kind]
    out.ends[column, item] = out.at[column] - column * out.stride
    if first_column >= 0:
        out.ends[first_column, item] = out.at[first_column] - first_column * out.stride
    if second_column >= 0:
        out.ends[second_column, item] = out.at[second_column] - second_column * out.stride


@inner(forceinline=True)
def _fill_row(
    text: Array,
    words: Array,
    fields: Array,
    begin: int,
    end: int,
    rules: Array,
    places: Array,
    row: int,
    out: Columns,
) -> bool:
    """Fill in the columns of a record whose fields are rows ``begin`` to ``end``; False when it is
    not for this pass.

    All fields go through one loop, the ones that count once before the lists: text is copied at one
    place, so that the compiler makes one copy of the code.
    """
    version, year = _version(text, fields, begin, end, rules, places), -1
    if version < 0:
        return False
    abstract, spoken, retracted = out.at[_ABSTRACT], False, False
    for step in range(-len(places), end - begin):
        i = begin + step if step >= 0 else places[step + len(places)]
        number = fields[i].number if i >= 0 else 0
        action, column, kind = rules[number, 0], rules[number, 1], rules[number, 4]
        if action == _ALONE or (step >= 0 and action < _JOINED) or (action == _YEAR and year >= 0):
            continue
        to = out.at[column]
        if action == _ONCE and to > out.ends[column, row] + column * out.stride:
            continue  # an earlier field had text
        if action == _JOINED:
            out.text[to] = _COMMA
            to, spoken = to + spoken, True
        stop = _clean(text, words, fields[i].text, fields[i].text_end, out.text, out.words, to)
        if action == _YEAR:  # written where the abstract will be
            year = _year(out.text, to, stop)
            continue
        if action == _WORD and stop == to:
            continue
        out.at[column] = stop
        first_column, second_column = rules[number, 2], rules[number, 3]
        if first_column >= 0:
            label = out.at[first_column]
            out.at[first_column] = _copy(
                words, fields[i].first, fields[i].first_end, out.words, label
            )
        if second_column >= 0:
            out.at[second_column] = _copy(
                words, fields[i].second, fields[i].second_end, out.words, out.at[second_column]
            )
        if action == _SECTION and stop > to:
            _print_section(
                out, label, out.at[first_column], to, stop, out.at[_ABSTRACT] == abstract
            )
        elif action == _TYPE and fields[i].first_end - fields[i].first == 7:
            retracted |= words[fields[i].first] << EIGHT == _RETRACTED
        elif action == _HEADING:
            out.major[out.items[kind]] = fields[i].major
        if kind >= 0:
            _end_item(out, kind, column, first_column, second_column)
    out.version[row], out.year[row], out.retracted[row] = version, year, retracted
    return True


@entry
def fill(
    text: Array,
    words: Array,
    records: Array,
    count: int,
    fields: Array,
    rules: Array,
    places: Array,
    out: Columns,
) -> int:
    """Fill in the columns of the ``count`` records of a scan (see ``scan.scan``); returns the
    number of rows.

    A record without a field that it must have becomes one that is not read, with a blank row.
    ``places`` is int64 of ``once(rules)``.
    """
    rows = 0
    for record in range(count):
        if records[record].row < 0:
            continue
        if records[record].read:
            records[record].read = _fill_row(
                text,
                words,
                fields,
                records[record].fields,
                records[record + 1].fields,
                rules,
                places,
                rows,
                out,
            )
        rows += 1
        for kind in range(len(out.items)):
            out.lists[kind, rows] = out.items[kind]
        for column in range(_PER_RECORD):
            out.ends[column, rows] = out.at[column] - column * out.stride
    return rows
