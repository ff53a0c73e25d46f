"""The compiled pass that copies the fields of a scan into columns: text without markup, entities read, white space
collapsed as ``" ".join(text.split())`` does; and works out the fields that are made of others.

What holds: what is written is valid UTF-8, and no more bytes of a column than were read. A scan has made sure that the
records are well formed; a citation without PMID and Article, or with two, is marked and gets a blank row. Everything
compiled here stays in this file, for the compiler's cache knows that *this* file changed, and of no other.
"""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from medr_ray.corpus.grammar import FIELDS

Array = np.ndarray[Any, Any]
_compiled = partial(njit, _nrt=False)  # nothing is allocated, so no references are counted: that cost most of the time

# Columns of text: the first have one value a record, the others one an item of a list.
TEXTS = ("pmid", "title", "abstract", "journal", "issn", "language", "sections.text", "sections.label",
         "sections.category", "publication_types.name", "publication_types.ui", "mesh.name", "mesh.ui",
         "supplementary.name", "supplementary.ui", "chemicals.name", "chemicals.ui", "keywords", "corrections.pmid",
         "corrections.kind")
_PER_RECORD, _ABSTRACT = TEXTS.index("sections.text"), TEXTS.index("abstract")
LISTS = ("sections", "publication_types", "mesh", "supplementary", "chemicals", "keywords", "corrections")

# What becomes of a field: it stands alone; the first counts; it may tell the year; values are joined; an item of a list.
ACTIONS = ("alone", "key", "once", "year", "joined", "section", "type", "heading", "item", "word")
_ALONE, _KEY, _ONCE, _YEAR, _JOINED, _SECTION, _TYPE, _HEADING, _ITEM, _WORD = range(len(ACTIONS))
SLACK = 64  # bytes of room after each column: words are written whole

_ONES, _LOW, _HIGH, _TO_SPACE, _LTS, _AMPS, _SPACES = (
    np.uint64(byte * 0x0101010101010101) for byte in (0x01, 0x7F, 0x80, 0x80 - 0x20, *b"<& "))
_NONE, _ONE, _SEVEN, _EIGHT, _TOP, _LAST = (np.uint64(one) for one in (0, 1, 7, 8, 56, 0x80 << 56))
_LT, _GT, _AMP, _SPACE, _HASH, _COMMA, _COLON, _SEMICOLON, _UNDERSCORE = b"<>& #,:;_"
_ZERO, _NINE, _LOWER_A, _LOWER_G, _LOWER_L, _LOWER_M, _LOWER_Q, _LOWER_X, _LOWER_Z = b"09aglmqxz"
_RETRACTED = np.uint64(int.from_bytes(b"\0D016441", "little"))  # MeSH UI of "Retracted Publication"


class Columns(NamedTuple):
    """What is filled in, for at most I items of a list and R records; column c has ``stride`` bytes from c * stride.

    ``ends[c, i + 1]`` is where value i ends in its column, ``lists[list, row + 1]`` where the items of a row end. Every
    record but a deletion has a row.
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
    """int64[fields, 5]: of each field the action, the columns of its text and its attributes, the list; -1 for none."""
    table = np.full((len(FIELDS), 5), -1)
    for row, field in zip(table, FIELDS.values(), strict=True):
        row[0] = ACTIONS.index(field.action)
        row[1 : 1 + len(field.columns)] = [TEXTS.index(one) for one in field.columns]
        kind = field.columns[0].partition(".")[0]
        row[4] = LISTS.index(kind) if kind in LISTS else -1
    return table


def once(table: Array) -> int:
    """How many fields, the first ones of the rules, count once in a record."""
    return int((table[:, 0] < _JOINED).sum())


@_compiled()
def _equal(word: Any, pattern: Any) -> Any:
    """A high bit for each byte of the word that is the pattern's; other bits are noise."""
    other = word ^ pattern
    return ~(((other & _LOW) + _LOW) | other)


@_compiled()
def _special(word: Any) -> Any:
    """High bits for the bytes that cannot be copied as they are: markup, references, white space other than one space
    before a letter, and whatever is not ASCII."""
    special = ~(((word & _LOW) + _TO_SPACE) | word) | _equal(word, _AMPS) | _equal(word, _LTS) | word
    spaces = _equal(word, _SPACES)
    return (special | (spaces & (((special | spaces) >> _EIGHT) | _LAST))) & _HIGH


@_compiled()
def _first(marks: Any) -> int:
    """Index of the first byte whose high bit is marked; there must be one, and no other bits."""
    lowest = marks >> _SEVEN
    return np.int64(((((lowest - _ONE) & ~lowest) & _ONES) * _ONES) >> _TOP)


@_compiled()
def _decode(text: Array, at: int) -> tuple[int, int]:
    """(code point, bytes) of the character or reference here, which is valid."""
    one, two = np.int64(text[at]), np.int64(text[at + 1])
    if one == _AMP:
        return _resolve(text, at)
    if one < 0x80:
        return one, 1
    point = (one & 0x1F) << 6 | two & 0x3F
    if one < 0xE0:
        return point, 2
    point = (point << 6 | text[at + 2] & 0x3F) & 0xFFFF
    if one < 0xF0:
        return point, 3
    return (point << 6 | text[at + 3] & 0x3F) & 0x1FFFFF, 4


@_compiled()
def _resolve(text: Array, at: int) -> tuple[int, int]:
    """(code point, bytes) of the reference here, which is valid."""
    begin, at = at, at + 1
    if text[at] != _HASH:
        initial = text[at]
        value = 0x22 if initial == _LOWER_Q else 0x3E if initial == _LOWER_G else 0x3C
        if initial == _LOWER_A:
            value = _AMP if text[at + 1] == _LOWER_M else 0x27
        while text[at] != _SEMICOLON:
            at += 1
        return value, at + 1 - begin
    base = 16 if text[at + 1] == _LOWER_X else 10
    at, value = at + 1 + (base == 16), 0
    while text[at] != _SEMICOLON:
        digit = text[at] - _ZERO if text[at] <= _NINE else (text[at] | 0x20) - _LOWER_A + 10
        value, at = value * base + digit, at + 1
    return value, at + 1 - begin


@_compiled()
def _is_space(point: int) -> bool:
    """Whether ``str.split`` splits at that character; XML allows no other of those."""
    if point < 0x80:
        return point == 0x20 or point == 0x0A or point == 0x09 or point == 0x0D
    return (point == 0xA0 or point == 0x85 or 0x2000 <= point <= 0x200A or point == 0x2028 or point == 0x2029
            or point == 0x202F or point == 0x205F or point == 0x3000 or point == 0x1680)


@_compiled()
def _encode(point: int, text: Array, at: int) -> int:
    """Write a character, return where it ends."""
    if point < 0x80:
        text[at] = point
        return at + 1
    if point < 0x800:
        text[at] = 0xC0 | point >> 6
    elif point < 0x10000:
        text[at], text[at + 1] = 0xE0 | point >> 12, 0x80 | point >> 6 & 0x3F
    else:
        text[at], text[at + 1], text[at + 2] = 0xF0 | point >> 18, 0x80 | point >> 12 & 0x3F, 0x80 | point >> 6 & 0x3F
    at += 1 + (point >= 0x800) + (point >= 0x10000)
    text[at] = 0x80 | point & 0x3F
    return at + 1


@_compiled()
def _clean(text: Array, words: Array, at: int, end: int, out: Array, out_words: Array, to: int) -> int:
    """Copy the text of an element without its markup, white space collapsed; returns where the copy ends."""
    begin, gap = to, False
    while at < end:
        marks = _special(words[at])
        run = 8 if marks == _NONE else _first(marks)
        if run == 0 or (text[at] == _SPACE and (gap or to == begin)):
            run = 0
            if text[at] == _LT:
                while text[at] != _GT:
                    at += 1
                at += 1
                continue
            point, size = _decode(text, at)
            at += size
            if _is_space(point):
                gap = to > begin
                continue
        if gap:
            out[to] = _SPACE
            to, gap = to + 1, False
        if run:
            out_words[to] = words[at]
            at, to = at + run, to + run
        else:
            to = _encode(point, out, to)
    return to


@_compiled()
def _copy(words: Array, begin: int, end: int, out_words: Array, to: int) -> int:
    """Copy bytes as they are; returns where the copy ends."""
    for at in range(0, end - begin, 8):
        out_words[to + at] = words[begin + at]
    return to + end - begin


@_compiled()
def _year(text: Array, at: int, end: int) -> int:
    """The year 1500 to 2099 that stands there as a word of its own, -1 when none does."""
    value = digits = 0
    while at <= end:
        byte = np.int64(text[at]) if at < end else _SPACE
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


@_compiled()
def _number(text: Array, begin: int, end: int) -> int:
    """The number that one to nine digits make, -1 when that is not what stands there."""
    value = 0 if 0 < end - begin < 10 else -1
    for at in range(begin, end):
        if value < 0 or not _ZERO <= text[at] <= _NINE:
            return -1
        value = value * 10 + text[at] - _ZERO
    return value


@_compiled()
def _version(text: Array, fields: Array, begin: int, end: int, rules: Array, first: Array) -> int:
    """Find where the fields that count once stand (-1: nowhere); the version of the PMID, -1 when the record is not
    for this pass: something is missing, stands twice, or is no number."""
    for number in range(len(first)):
        first[number] = -1
    for row in range(begin, end):
        number = fields[row].number
        action = rules[number, 0]
        if (action == _ALONE and first[number] >= 0) or (action == _HEADING and fields[row].text < 0):
            return -1
        if action < _JOINED and first[number] < 0:
            first[number] = row
    version = 1
    for number in range(len(first)):
        row, action = first[number], rules[number, 0]
        if action <= _KEY and row < 0:
            return -1
        if action == _KEY and fields[row].first >= 0:
            version = _number(text, fields[row].first, fields[row].first_end)
        if action == _KEY and _number(text, fields[row].text, fields[row].text_end) < 0:
            return -1
    return version


@_compiled(forceinline=True)
def _print_section(out: Columns, label: int, label_end: int, content: int, end: int, is_first: bool) -> None:
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


@_compiled(forceinline=True)
def _fill_row(text: Array, words: Array, fields: Array, begin: int, end: int, rules: Array, first: Array, row: int,
              out: Columns) -> bool:
    """Fill in the columns of a record whose fields are rows ``begin`` to ``end``; False when it is not for this pass."""
    version, year = _version(text, fields, begin, end, rules, first), -1
    if version < 0:
        return False
    abstract, spoken, retracted = out.at[_ABSTRACT], False, False
    for step in range(-len(first), end - begin):
        i = begin + step if step >= 0 else first[step + len(first)]
        if i < 0:
            continue
        number = fields[i].number
        action, column, kind = rules[number, 0], rules[number, 1], rules[number, 4]
        if (step >= 0 and action < _JOINED) or action == _ALONE or (action == _YEAR and year >= 0):
            continue
        begin_text, begin_first = out.at[column], out.at[rules[number, 2]]
        if action == _ONCE and begin_text > out.ends[column, row] + column * out.stride:
            continue
        if action == _JOINED:
            out.text[begin_text] = _COMMA
            begin_text, spoken = begin_text + spoken, True
        if rules[number, 2] >= 0:
            out.at[rules[number, 2]] = _copy(words, fields[i].first, fields[i].first_end, out.words, begin_first)
        if rules[number, 3] >= 0:
            column_ = rules[number, 3]
            out.at[column_] = _copy(words, fields[i].second, fields[i].second_end, out.words, out.at[column_])
        end_text = _clean(text, words, fields[i].text, fields[i].text_end, out.text, out.words, begin_text)
        if action == _YEAR:  # written where the abstract will be
            year = _year(out.text, begin_text, end_text)
            continue
        if action == _WORD and end_text == begin_text:
            continue
        out.at[column] = end_text
        if action == _SECTION and end_text > begin_text:
            _print_section(out, begin_first, out.at[rules[number, 2]], begin_text, end_text, out.at[_ABSTRACT] == abstract)
        elif action == _TYPE and fields[i].first_end - fields[i].first == 7:
            retracted |= words[fields[i].first] << _EIGHT == _RETRACTED
        elif action == _HEADING:
            out.major[out.items[kind]] = fields[i].major
        if kind >= 0:
            out.items[kind] += 1
            for place in range(1, 4):
                column = rules[number, place]
                if column >= 0:
                    out.ends[column, out.items[kind]] = out.at[column] - column * out.stride
    out.version[row], out.year[row], out.retracted[row] = version, year, retracted
    return True


@_compiled(cache=True, nogil=True)
def fill(text: Array, words: Array, records: Array, count: int, fields: Array, rules: Array, first: Array,
         out: Columns) -> int:
    """Fill in the columns of the ``count`` records of a scan (see ``scan.scan``); returns the number of rows.

    A record without a field that it must have becomes one that is not read, with a blank row.
    """
    rows = 0
    for record in range(count):
        if records[record].row < 0:
            continue
        if records[record].read:
            records[record].read = _fill_row(
                text, words, fields, records[record].fields, records[record + 1].fields, rules, first, rows, out)
        rows += 1
        for kind in range(len(out.items)):
            out.lists[kind, rows] = out.items[kind]
        for column in range(_PER_RECORD):
            out.ends[column, rows] = out.at[column] - column * out.stride
    return rows
