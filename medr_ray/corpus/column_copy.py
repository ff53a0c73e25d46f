"""The compiled pass that copies the fields of a scan into columns.

Text is stored as ``inline_markup.copy_text`` gives it. The pass also derives the fields that are
made of others: the printed abstract, the year, the retraction flag.

Guarantees: what is written is valid UTF-8, and no more bytes go to a column than were read. The
scan has made sure that the records are well formed. A citation without PMID or Article, or with
two, or one that lacks what stands elsewhere in it, is marked as not read; its row means nothing.
"""

from typing import Any, NamedTuple

import numpy as np

from medr_ray.core.compiled import Array, entry, inner
from medr_ray.corpus.byte_words import BYTE_SHIFT
from medr_ray.corpus.characters import matches_name
from medr_ray.corpus.citation_fields import CITATION_FIELDS, build_name_table
from medr_ray.corpus.inline_markup import copy_text
from medr_ray.corpus.medline import UNKNOWN_TITLES

# Columns of text: those up to the sections have one value a record, the others one an item. The
# columns of a list stand together.
TEXT_COLUMNS = (
    "pmid",
    "title",
    "abstract",
    "journal",
    "issn",
    "language",
    "doi",
    "pmcid",
    "volume",
    "pages",
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
    "authors.last_name",
    "authors.fore_name",
    "authors.suffix",
    "authors.collective_name",
    "authors.orcid",
    "databank_numbers.name",
    "grants.grant_id",
    "grants.agency",
    "grants.country",
    "authors.affiliations",
    "databank_numbers.numbers",
)
_PER_RECORD = TEXT_COLUMNS.index("sections.text")
_TITLE = TEXT_COLUMNS.index("title")
_ABSTRACT = TEXT_COLUMNS.index("abstract")
_PMCID = TEXT_COLUMNS.index("pmcid")

LIST_COLUMNS = (
    "sections",
    "publication_types",
    "mesh",
    "supplementary",
    "chemicals",
    "keywords",
    "corrections",
    "authors",
    "databank_numbers",
    "grants",
)

# Lists within the items of a list.
NESTED_COLUMNS = ("authors.affiliations", "databank_numbers.numbers")

# How a field is stored. Those before "joined" count once in a record.
ACTIONS = (
    "alone",  # nothing is stored; the element must be there exactly once
    "key",  # the PMID: must be there, its first occurrence counts
    "once",  # the first field with text counts
    "year",  # the first field with a year in it counts
    "joined",  # all values, with commas between
    "section",  # a section of the abstract
    "type",  # a publication type
    "heading",  # a MeSH heading
    "item",  # an item of a list
    "word",  # an item of a list, unless it is empty
    "identifier",  # the first valid DOI, or the first PMC id
    "substitute",  # nothing is stored; the plain reader takes it where the column has no text
    "entry",  # an item of a list that has parts and members
    "part",  # a column of the last entry, unless the entry has text in it
    "orcid",  # the same, for an ORCID
    "member",  # an item of a list within the last entry, unless it is empty
    "advance",  # a member of the first entry, before it
)
(
    _ALONE,
    _KEY,
    _ONCE,
    _YEAR,
    _JOINED,
    _SECTION,
    _TYPE,
    _HEADING,
    _ITEM,
    _WORD,
    _IDENTIFIER,
    _SUBSTITUTE,
    _ENTRY,
    _PART,
    _ORCID,
    _MEMBER,
    _ADVANCE,
) = range(len(ACTIONS))

# Columns of a table of rules.
_R_ACTION, _R_TEXT, _R_FIRST, _R_SECOND, _R_LIST, _R_END, _R_NESTED = range(7)

_SPACE, _COMMA, _COLON, _UNDERSCORE, _ZERO, _NINE, _HYPHEN = b" ,:_09-"
_LOWER_A, _LOWER_Z, _LOWER_X, _UPPER_X = b"azxX"
_ORCID_SIZE = 16  # digits, the last of which may be an X
_ORCID_GROUP = 4  # digits between hyphens

_VALUES, _VALUE_SIZES = build_name_table(["doi", "pmc", "ORCID", "N"])
_UNKNOWN_TITLES, _UNKNOWN_TITLE_SIZES = build_name_table(list(filter(None, UNKNOWN_TITLES)))
_DOI_KIND, _PMC_KIND, _ORCID_KIND, _NO_MARK = range(4)  # rows of _VALUES

_RETRACTED_SIZE = 7  # bytes of "D016441", the MeSH UI of "Retracted Publication"
# The UI in the upper seven bytes of a word, so that the byte behind it can be shifted out.
_RETRACTED = np.uint64(int.from_bytes(b"\0D016441", "little"))


class ColumnBuffers(NamedTuple):
    """The memory that is filled in, for at most I items of a list and R records.

    Column c has the ``stride`` bytes of ``text`` from c * stride. ``ends[c, i + 1]`` is where
    value i ends within its column; ``lists[list, row + 1]`` counts the items up to the end of a
    row, ``nested[list, item + 1]`` those of a nested list up to the end of an entry. Every record
    but a deletion has a row.
    """

    text: Array  # uint8
    words: Array  # uint64: the word that begins at each byte of text
    at: Array  # int64[columns], where the column ends in text
    items: Array  # int64[lists], items so far
    members: Array  # int64[nested lists], items so far
    ends: Array  # int32[columns, I + 1]
    lists: Array  # int32[lists, R + 1]
    nested: Array  # int32[nested lists, I + 1]
    version: Array  # int64[R]
    year: Array  # int64[R], -1 when unknown
    retracted: Array  # uint8[R]
    major: Array  # uint8[I]
    elements: Array  # scratch memory of ``copy_text``
    stride: int


def build_rules() -> Array:
    """int64[fields, 7]: how each field is stored.

    Its action, the columns of its text and of two attributes, its list, the column behind those of
    the list, its nested list; -1 for none.
    """
    table = np.full((len(CITATION_FIELDS), 7), -1)
    for row, field in zip(table, CITATION_FIELDS.values(), strict=True):
        row[_R_ACTION] = ACTIONS.index(field.action)
        columns = [TEXT_COLUMNS.index(column) for column in field.columns]
        row[_R_TEXT : _R_TEXT + len(columns)] = columns
        list_name = field.columns[0].partition(".")[0] if field.columns else ""
        if list_name in LIST_COLUMNS:
            row[_R_LIST] = LIST_COLUMNS.index(list_name)
            own_columns = [
                number
                for number, column in enumerate(TEXT_COLUMNS)
                if column.partition(".")[0] == list_name and column not in NESTED_COLUMNS
            ]
            row[_R_END] = own_columns[-1] + 1
        nested_names = [name for name in NESTED_COLUMNS if name.partition(".")[0] == list_name]
        if nested_names:
            row[_R_NESTED] = NESTED_COLUMNS.index(nested_names[0])
    return table


def count_single_fields(rules: Array) -> int:
    """How many fields count once in a record; they are the first ones of the rules."""
    return int((rules[:, _R_ACTION] < _JOINED).sum())


# --- copying --------------------------------------------------------------------------


@inner()
def _copy_bytes(words: Array, begin: int, end: int, out_words: Array, to: int) -> int:
    """Copy bytes as they are; returns where the copy ends."""
    for at in range(0, end - begin, 8):
        out_words[to + at] = words[begin + at]
    return to + end - begin


@inner(forceinline=True)
def _copy_attribute(words: Array, begin: int, end: int, out: ColumnBuffers, column: int) -> None:
    """Append the value of an attribute to its column; nothing for a column of -1."""
    if column >= 0:
        out.at[column] = _copy_bytes(words, begin, end, out.words, out.at[column])


@inner(forceinline=True)
def _append_section(
    out: ColumnBuffers, label: int, label_end: int, content: int, end: int, is_first: bool
) -> None:
    """Add a section that is not empty to the abstract as PubMed prints it: its label in front."""
    to = out.at[_ABSTRACT]
    if not is_first:
        out.text[to] = _SPACE
        to += 1
    if label_end > label:
        to = _copy_bytes(out.words, label, label_end, out.words, to)
        out.text[to] = _COLON
        out.text[to + 1] = _SPACE
        to += 2
    out.at[_ABSTRACT] = _copy_bytes(out.words, content, end, out.words, to)


@inner()
def _end_item(
    out: ColumnBuffers, kind: int, column: int, first_column: int, second_column: int
) -> None:
    """Close an item of a list where its columns end now."""
    out.items[kind] += 1
    item = out.items[kind]
    out.ends[column, item] = out.at[column] - column * out.stride
    if first_column >= 0:
        out.ends[first_column, item] = out.at[first_column] - first_column * out.stride
    if second_column >= 0:
        out.ends[second_column, item] = out.at[second_column] - second_column * out.stride


@inner()
def _begin_entry(out: ColumnBuffers, kind: int, column: int, end: int, nested: int) -> None:
    """Add an item without text to a list that has columns ``column`` to ``end``."""
    out.items[kind] += 1
    item = out.items[kind]
    while column < end:
        out.ends[column, item] = out.at[column] - column * out.stride
        column += 1
    if nested >= 0:
        out.nested[nested, item] = out.members[nested]


@inner()
def _has_value(text: Array, begin: int, end: int, value: int) -> bool:
    """Whether an attribute has the value of that row of ``_VALUES``."""
    size = _VALUE_SIZES[value]
    return begin >= 0 and end - begin == size and matches_name(text, begin, _VALUES, value, size)


@inner()
def _choose_identifier_column(text: Array, field: Any, doi_column: int) -> int:
    """The column of an identifier of an article by its type; -1 for one that is not read."""
    if _has_value(text, field.second_begin, field.second_end, _NO_MARK):
        return -1
    if _has_value(text, field.first_begin, field.first_end, _DOI_KIND):
        return doi_column
    if _has_value(text, field.first_begin, field.first_end, _PMC_KIND):
        return _PMCID
    return -1


@inner()
def _is_missing(out: ColumnBuffers, column: int, row: int) -> bool:
    """Whether the last record has no text in that column, or a title that says so."""
    begin = out.ends[column, row] + column * out.stride
    size = out.at[column] - begin
    if size == 0 or column != _TITLE:
        return size == 0
    for title in range(len(_UNKNOWN_TITLE_SIZES)):
        has_size = size == _UNKNOWN_TITLE_SIZES[title]
        if has_size and matches_name(out.text, begin, _UNKNOWN_TITLES, title, size):
            return True
    return False


@inner()
def _format_orcid(text: Array, begin: int, end: int) -> int:
    """Bring an ORCID into the form "0000-0001-9940-6913"; returns where it ends.

    That is at ``begin`` where the text has not exactly 16 figures (the last may be an X).
    """
    size = 0
    has_letter = False  # an X before the last place
    for at in range(begin, end):
        byte = text[at]
        is_letter = byte in (_LOWER_X, _UPPER_X)
        if is_letter or _ZERO <= byte <= _NINE:
            has_letter |= is_letter and size < _ORCID_SIZE - 1
            text[begin + size] = _UPPER_X if is_letter else byte
            size += 1
    if size != _ORCID_SIZE or has_letter:
        return begin
    # From the last group on, so that no figure is overwritten before it has moved.
    for group in range(_ORCID_SIZE // _ORCID_GROUP - 1, 0, -1):
        source = begin + _ORCID_GROUP * group
        target = source + group
        for place in range(_ORCID_GROUP - 1, -1, -1):
            text[target + place] = text[source + place]
        text[target - 1] = _HYPHEN
    return begin + _ORCID_SIZE + _ORCID_SIZE // _ORCID_GROUP - 1


# --- numbers --------------------------------------------------------------------------


@inner()
def _parse_year(text: Array, at: int, end: int) -> int:
    """The first year from 1500 to 2099 that is a word of its own; -1 when there is none."""
    value = 0
    digits = 0  # of the word so far; -1 inside a word that is not a year
    while at <= end:
        byte = int(text[at]) if at < end else _SPACE
        is_digit = _ZERO <= byte <= _NINE
        is_letter = _LOWER_A <= byte | 0x20 <= _LOWER_Z or byte == _UNDERSCORE
        if is_digit and 0 <= digits < 5:
            value = value * 10 + byte - _ZERO
            digits += 1
        elif is_letter or is_digit:
            digits = -1
        elif digits == 4 and 1500 <= value < 2100:
            return value
        else:
            value = 0
            digits = 0
        at += 1
    return -1


@inner()
def _parse_number(text: Array, begin: int, end: int) -> int:
    """The number of one to nine digits (it fits 32 bits); -1 for any other text."""
    value = 0 if 0 < end - begin < 10 else -1
    for at in range(begin, end):
        if value < 0 or not _ZERO <= text[at] <= _NINE:
            return -1
        value = value * 10 + text[at] - _ZERO
    return value


# --- rows -----------------------------------------------------------------------------


@inner()
def _locate_single_fields(
    text: Array, fields: Array, begin: int, end: int, rules: Array, places: Array
) -> int:
    """Set ``places`` to the rows of the fields that count once (-1: absent).

    Returns the version of the PMID, or -1 when the record is not for this pass: something is
    missing, occurs twice, stands in another order or is not a number.
    """
    for number in range(len(places)):
        places[number] = -1
    has_entry = False
    waiting = -1  # the list that has a member before its first entry
    for row in range(begin, end):
        number = fields[row].number
        action = rules[number, _R_ACTION]
        is_second = action == _ALONE and places[number] >= 0
        has_no_descriptor = action == _HEADING and fields[row].text_begin < 0
        if is_second or has_no_descriptor or (action == _ADVANCE and has_entry):
            return -1
        if action == _ADVANCE:
            waiting = rules[number, _R_LIST]
        elif action == _ENTRY:
            has_entry = True
            is_valid = not _has_value(
                text, fields[row].first_begin, fields[row].first_end, _NO_MARK
            )
            if is_valid and rules[number, _R_LIST] == waiting:
                waiting = -1
        if action < _JOINED and places[number] < 0:
            places[number] = row
    if waiting >= 0:
        return -1
    version = 1
    for number in range(len(places)):
        row = places[number]
        action = rules[number, _R_ACTION]
        if action <= _KEY and row < 0:
            return -1
        if action == _KEY and fields[row].first_begin >= 0:
            version = _parse_number(text, fields[row].first_begin, fields[row].first_end)
        if action == _KEY and _parse_number(text, fields[row].text_begin, fields[row].text_end) < 0:
            return -1
    return version


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
    out: ColumnBuffers,
) -> bool:
    """Fill in the columns of a record whose fields are rows ``begin`` to ``end``.

    False when the record is not for this pass; what is in its row then means nothing. All fields
    go through one loop, the ones that count once before the lists. The loop has one call that
    copies text, because the compiler would make a copy of that code for every call.
    """
    version = _locate_single_fields(text, fields, begin, end, rules, places)
    if version < 0:
        return False
    year = -1
    abstract = out.at[_ABSTRACT]
    has_language = False
    retracted = False
    is_left_out = False  # the last entry
    for step in range(-len(places), end - begin):
        # Steps below zero are the fields that count once, in the order of the rules.
        i = begin + step if step >= 0 else places[step + len(places)]
        number = fields[i].number if i >= 0 else 0  # 0 is an "alone" field: it is passed over
        action = rules[number, _R_ACTION]
        column = rules[number, _R_TEXT]
        kind = rules[number, _R_LIST]
        is_done = step >= 0 and action < _JOINED
        if action == _ALONE or is_done or (action == _YEAR and year >= 0):
            continue
        if action == _SUBSTITUTE:
            if _is_missing(out, column, row):
                return False
            continue
        if action == _ENTRY:
            is_left_out = _has_value(text, fields[i].first_begin, fields[i].first_end, _NO_MARK)
            if not is_left_out:
                _begin_entry(out, kind, column, rules[number, _R_END], rules[number, _R_NESTED])
            continue
        if action == _IDENTIFIER:
            column = _choose_identifier_column(text, fields[i], column)
            if column < 0:
                continue
        to = out.at[column]
        if action >= _PART:
            is_full = (
                action < _MEMBER
                and to > out.ends[column, out.items[kind] - 1] + column * out.stride
            )
            is_other = action == _ORCID and not _has_value(
                text, fields[i].first_begin, fields[i].first_end, _ORCID_KIND
            )
            if is_left_out or is_full or is_other:
                continue
        is_once = action in (_ONCE, _IDENTIFIER)
        if is_once and to > out.ends[column, row] + column * out.stride:
            continue  # an earlier field had text
        if action == _JOINED:
            # The comma is written always, and kept (by moving on) only behind another language.
            out.text[to] = _COMMA
            to += has_language
            has_language = True
        stop = copy_text(
            text,
            words,
            fields[i].text_begin,
            fields[i].text_end,
            out.text,
            out.words,
            to,
            out.elements,
        )
        if action == _YEAR:
            # The text was written where the abstract will be, and is not kept.
            year = _parse_year(out.text, to, stop)
            continue
        if action == _ORCID:
            stop = _format_orcid(out.text, to, stop)
        if (action == _WORD or action >= _MEMBER) and stop == to:
            continue
        out.at[column] = stop
        if action >= _PART:
            item = out.items[kind]
            if action >= _MEMBER:
                nested = rules[number, _R_NESTED]
                out.members[nested] += 1
                if action == _MEMBER:
                    out.nested[nested, item] = out.members[nested]
                item = out.members[nested]
            out.ends[column, item] = stop - column * out.stride
            continue
        first_column = rules[number, _R_FIRST]
        second_column = rules[number, _R_SECOND]
        label = out.at[first_column] if first_column >= 0 else 0
        _copy_attribute(words, fields[i].first_begin, fields[i].first_end, out, first_column)
        _copy_attribute(words, fields[i].second_begin, fields[i].second_end, out, second_column)
        if action == _SECTION and stop > to:
            is_first = out.at[_ABSTRACT] == abstract
            _append_section(out, label, out.at[first_column], to, stop, is_first)
        elif action == _TYPE and fields[i].first_end - fields[i].first_begin == _RETRACTED_SIZE:
            retracted |= words[fields[i].first_begin] << BYTE_SHIFT == _RETRACTED
        elif action == _HEADING:
            out.major[out.items[kind]] = fields[i].is_major
        if kind >= 0:
            _end_item(out, kind, column, first_column, second_column)
    out.version[row] = version
    out.year[row] = year
    out.retracted[row] = retracted
    return True


@entry
def fill_columns(
    text: Array,
    words: Array,
    records: Array,
    count: int,
    fields: Array,
    rules: Array,
    places: Array,
    out: ColumnBuffers,
) -> int:
    """Fill in the columns of the ``count`` records of a scan (``scan.scan_records``).

    Returns the number of rows. A record without a field that it must have becomes one that is not
    read, with a row that means nothing. ``places`` is scratch memory, int64 of
    ``count_single_fields(rules)``.
    """
    rows = 0
    for record in range(count):
        if records[record].row < 0:
            continue
        if records[record].is_read:
            records[record].is_read = _fill_row(
                text,
                words,
                fields,
                records[record].first_field,
                records[record + 1].first_field,
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
