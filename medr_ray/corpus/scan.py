"""The compiled pass over PubMed XML that finds the records and the fields of its citations.

Guarantees: a citation counts as read only when an XML parser would accept it and every field is
certain. Anything unusual (a comment, a CDATA section, a prefix other than MathML's, an unknown
entity, a character that XML forbids, an entity in a label) leaves it unread, and
``medline.build_citation_row`` reads or rejects it. Attribute values with ``<`` or ``>`` are not
accepted, so in a citation that was read every tag runs from ``<`` to the next ``>``.

Throughout, a place of -1 means that the record is not certain, and the caller leaves it unread. The
text is followed by zeros, which end every loop, so no loop over tags needs to know where the text
ends.
"""

import numpy as np

from medr_ray.core.compiled import Array, entry, inner
from medr_ray.corpus.byte_words import equal_bytes, find_byte, repeat_byte
from medr_ray.corpus.characters import has_valid_characters, matches_name
from medr_ray.corpus.citation_fields import (
    INNER_FIELD,
    NAME_PART,
    NAME_START,
    NO_FIELD,
    STATE_IGNORED,
    STATE_ROOT,
    WHITE_SPACE,
    Grammar,
    build_name_table,
    classify_bytes,
)

CITATION, BOOK, DELETION = range(3)  # kinds of record
OPEN_SECTION = -1  # instead of a kind: a comment or CDATA section that is not complete
NO_LIMIT = 2**62  # of records, more than there can be

# Beyond these a record is left to the plain reader; the XML parser has limits of its own.
_MAX_OPEN_ELEMENTS = 64  # nested in each other
_MAX_ATTRIBUTES = 8  # of one element
_MAX_NAME_BYTES = 256
_MAX_RECORD_BYTES = 8 * 2**20

_O_NAME, _O_SIZE, _O_STATE, _O_FIELD = range(4)  # columns of the open elements
_A_NAME, _A_SIZE, _A_VALUE, _A_END = range(4)  # columns of the attributes of a tag
_ABSENT = -1  # begin of an attribute's value that is not there
_NOT_PLAIN = -2  # begin of an attribute's value with references or control characters
_UNCERTAIN = -2  # row of a field that is not certain

_BYTE_CLASS = classify_bytes()
_KINDS, _KIND_SIZES = build_name_table(["PubmedArticle", "PubmedBookArticle", "DeleteCitation"])
_NAMES, _NAME_SIZES = build_name_table(
    ["MajorTopicYN", "xmlns", "mml", "http://www.w3.org/1998/Math/MathML"]
)
_MAJOR, _XMLNS, _MML, _MATHML = range(4)  # rows of _NAMES
_LESS, _GREATER, _SLASH, _AMPERSAND, _EQUALS, _COLON, _QUERY, _SPACE = b"<>/&=:? "
_EXCLAMATION, _HYPHEN, _BRACKET = b"!-]"
_SECTIONS, _SECTION_SIZES = build_name_table(["<!--", "<![CDATA["])
_COMMENT, _CDATA = range(2)  # rows of _SECTIONS
_QUOTE, _APOSTROPHE = b"\"'"
_LOWER_X, _LOWER_M, _LOWER_L, _UPPER_Y = b"xmlY"
_LESS_SIGNS = repeat_byte(_LESS)
_GREATER_SIGNS = repeat_byte(_GREATER)


def allocate_scratch() -> tuple[Array, Array]:
    """The memory a scan needs besides its results: open elements, and the attributes of a tag."""
    return np.empty((_MAX_OPEN_ELEMENTS, 4), np.int64), np.empty((_MAX_ATTRIBUTES, 4), np.int64)


# --- tags -----------------------------------------------------------------------------


@inner()
def _skip_class(text: Array, at: int, byte_class: int) -> int:
    """Where characters of that class end."""
    while _BYTE_CLASS[text[at]] & byte_class:
        at += 1
    return at


@inner()
def _find_value_end(text: Array, at: int) -> int:
    """Where the closing quote is of the value that begins behind the quote at ``at``; else -1."""
    quote = text[at]
    if quote != _QUOTE and quote != _APOSTROPHE:
        return -1
    at += 1
    while text[at] != quote:
        if text[at] == _LESS or text[at] == _GREATER or text[at] == 0:
            return -1
        at += 1
    return at


@inner()
def _has_attribute(
    text: Array, words: Array, attributes: Array, count: int, name: int, size: int
) -> bool:
    """Whether an attribute of that name was parsed before."""
    for i in range(count):
        has_size = attributes[i, _A_SIZE] == size
        if has_size and equal_bytes(words, attributes[i, _A_NAME], name, size):
            return True
    return False


@inner()
def _parse_attributes(
    text: Array, words: Array, at: int, attributes: Array
) -> tuple[int, int, bool]:
    """(place of ``>`` or ``/>``, number of attributes, whether MathML's prefix is declared)."""
    count = 0
    declares = False
    while True:
        name = _skip_class(text, at, WHITE_SPACE)
        if text[name] == _GREATER or (text[name] == _SLASH and text[name + 1] == _GREATER):
            return name, count, declares
        is_full = count == _MAX_ATTRIBUTES
        if name == at or is_full or not _BYTE_CLASS[text[name]] & NAME_START:
            return -1, 0, False
        at = _skip_class(text, name, NAME_PART)
        is_xmlns = at - name == 5 and matches_name(text, name, _NAMES, _XMLNS, 5)
        is_prefix = is_xmlns and text[at] == _COLON and matches_name(text, at + 1, _NAMES, _MML, 3)
        at += 4 * is_prefix  # over ":mml"
        size = at - name
        at = _skip_class(text, at, WHITE_SPACE)
        if is_xmlns != is_prefix or text[at] != _EQUALS or size > _MAX_NAME_BYTES:
            return -1, 0, False
        value = _skip_class(text, at + 1, WHITE_SPACE) + 1  # behind the opening quote
        end = _find_value_end(text, value - 1)
        if end < 0 or _has_attribute(text, words, attributes, count, name, size):
            return -1, 0, False
        is_mathml = end - value == _NAME_SIZES[_MATHML] and matches_name(
            text, value, _NAMES, _MATHML, end - value
        )
        if is_prefix and not is_mathml:
            return -1, 0, False
        attributes[count, _A_NAME] = name
        attributes[count, _A_SIZE] = size
        attributes[count, _A_VALUE] = value
        attributes[count, _A_END] = end
        declares |= is_prefix
        count += 1
        at = end + 1


@inner()
def _find_value(
    text: Array, attributes: Array, count: int, names: Array, name: int, size: int
) -> tuple[int, int]:
    """(begin, end) of the value of an attribute; begin may be ``_ABSENT`` or ``_NOT_PLAIN``."""
    for i in range(count):
        begin = attributes[i, _A_VALUE]
        end = attributes[i, _A_END]
        has_size = attributes[i, _A_SIZE] == size
        if has_size and matches_name(text, attributes[i, _A_NAME], names, name, size):
            for at in range(begin, end):
                if text[at] == _AMPERSAND or text[at] < _SPACE:
                    return _NOT_PLAIN, _NOT_PLAIN
            return begin, end
    return _ABSENT, _ABSENT


@inner()
def _enter_child(text: Array, name: int, size: int, state: int, grammar: Grammar) -> int:
    """The state inside a child of that name."""
    for place in range(grammar.edges.shape[1]):
        child = grammar.edges[state, place, 0]
        if child < 0:
            break
        if grammar.sizes[child] == size and matches_name(text, name, grammar.names, child, size):
            return grammar.edges[state, place, 1]
    return STATE_IGNORED


@inner()
def _parse_instruction(text: Array, at: int) -> int:
    """Place of the ``>`` of a processing instruction."""
    name = at + 2
    at = _skip_class(text, name, NAME_PART)
    is_reserved = (
        text[name] | 0x20 == _LOWER_X
        and text[name + 1] | 0x20 == _LOWER_M
        and text[name + 2] | 0x20 == _LOWER_L
    )
    is_delimited = _BYTE_CLASS[text[at]] & WHITE_SPACE or text[at] == _QUERY
    if not _BYTE_CLASS[text[name]] & NAME_START or is_reserved or not is_delimited:
        return -1
    while not (text[at] == _QUERY and text[at + 1] == _GREATER):
        # XML allows a question mark within a word too; such records go to the plain reader.
        is_odd_query = text[at] == _QUERY and not _BYTE_CLASS[text[at - 1]] & WHITE_SPACE
        if text[at] == _LESS or text[at] == 0 or is_odd_query:
            return -1
        at += 1
    return at + 1


@inner()
def _parse_open_tag(
    text: Array, words: Array, at: int, attributes: Array
) -> tuple[int, int, int, bool, bool]:
    """(place of ``>`` or ``/>``, length of the name, number of attributes, whether the name has
    MathML's prefix, whether the tag declares it)."""
    name = at + 1
    at = _skip_class(text, name, NAME_PART)
    initial = text[name]
    is_prefixed = False
    if text[at] == _COLON:
        is_prefixed = at - name == 3 and matches_name(text, name, _NAMES, _MML, 3)
        initial = text[at + 1] if is_prefixed else np.uint8(0)
        at = _skip_class(text, at + 1, NAME_PART)
    size = at - name
    count = 0
    declares = False
    if not _BYTE_CLASS[initial] & NAME_START or size > _MAX_NAME_BYTES:
        return -1, 0, 0, False, False
    if text[at] != _GREATER:
        at, count, declares = _parse_attributes(text, words, at, attributes)
    return at, size, count, is_prefixed, declares


@inner()
def _parse_close_tag(
    text: Array, words: Array, at: int, name: int, size: int, is_outermost: bool
) -> int:
    """Place of the ``>`` of the tag that closes the element of that name."""
    end = at + 2 + size
    if not equal_bytes(words, name, at + 2, size):
        return -1
    # The end of a record has no white space in it: the plain reader finds it by its exact bytes.
    if not is_outermost:
        end = _skip_class(text, end, WHITE_SPACE)
    return end if text[end] == _GREATER else -1


# --- the walk through a citation ------------------------------------------------------


@inner()
def _begin_field(
    text: Array,
    attributes: Array,
    attribute_count: int,
    parent_row: int,
    state: int,
    field_count: int,
    grammar: Grammar,
    fields: Array,
) -> int:
    """Record the field that an element is, or belongs to (``parent_row``), with its attributes.

    Returns the field's row, -1 when there is none, ``_UNCERTAIN`` when it is not certain.
    """
    number = grammar.meaning[state, 0]
    row = field_count
    if number == NO_FIELD:
        return -1
    if number == INNER_FIELD:
        row = parent_row
        if fields[row].text_begin >= 0:
            return -1  # only the first inner child counts
    else:
        fields[row].number = number
        fields[row].is_major = 0
        fields[row].first_begin = fields[row].first_end = _ABSENT
        fields[row].second_begin = fields[row].second_end = _ABSENT
        fields[row].text_begin = fields[row].text_end = _ABSENT
    first = grammar.meaning[state, 1]
    second = grammar.meaning[state, 2]
    if first >= 0:
        fields[row].first_begin, fields[row].first_end = _find_value(
            text, attributes, attribute_count, grammar.names, first, grammar.sizes[first]
        )
    if second >= 0:
        fields[row].second_begin, fields[row].second_end = _find_value(
            text, attributes, attribute_count, grammar.names, second, grammar.sizes[second]
        )
    if fields[row].first_begin == _NOT_PLAIN or fields[row].second_begin == _NOT_PLAIN:
        return _UNCERTAIN
    return row


@inner(forceinline=True)
def _enter_element(
    text: Array,
    words: Array,
    at: int,
    depth: int,
    field_count: int,
    mathml: int,
    open_elements: Array,
    attributes: Array,
    grammar: Grammar,
    fields: Array,
) -> tuple[int, int, int, bool]:
    """Process an opening tag below the element at ``depth``.

    Returns (place of ``>`` or ``/>``, number of fields, ``mathml``, whether the text inside is
    read); see ``_scan_citation`` for ``mathml``.
    """
    close, size, attribute_count, is_prefixed, declares = _parse_open_tag(
        text, words, at, attributes
    )
    if declares and mathml == 0:
        mathml = depth + 1
    if close < 0 or (is_prefixed and mathml == 0) or depth + 1 == _MAX_OPEN_ELEMENTS:
        return -1, field_count, mathml, False
    parent_state = open_elements[depth, _O_STATE]
    parent_row = open_elements[depth, _O_FIELD]
    state = STATE_IGNORED
    row = -1
    if parent_state != STATE_IGNORED:
        if grammar.meaning[parent_state, 3] == 1:
            mark, mark_end = _find_value(
                text, attributes, attribute_count, _NAMES, _MAJOR, _NAME_SIZES[_MAJOR]
            )
            if mark == _NOT_PLAIN:
                return -1, field_count, mathml, False
            fields[parent_row].is_major |= mark_end - mark == 1 and text[mark] == _UPPER_Y
        if not is_prefixed:
            state = _enter_child(text, at + 1, size, parent_state, grammar)
        row = _begin_field(
            text, attributes, attribute_count, parent_row, state, field_count, grammar, fields
        )
        if row == _UNCERTAIN:
            return -1, field_count, mathml, False
        field_count += row == field_count
    open_elements[depth + 1, _O_NAME] = at + 1
    open_elements[depth + 1, _O_SIZE] = size
    open_elements[depth + 1, _O_STATE] = state
    open_elements[depth + 1, _O_FIELD] = row
    # An element of the table that has children in the table has no text of its own.
    is_leaf = row >= 0 and grammar.edges[state, 0, 0] < 0
    if is_leaf:
        fields[row].text_begin = fields[row].text_end = close + 1
    return close, field_count, mathml, is_leaf


@inner()
def _scan_citation(
    text: Array,
    words: Array,
    at: int,
    stop: int,
    open_elements: Array,
    attributes: Array,
    grammar: Grammar,
    fields: Array,
    field_count: int,
) -> tuple[int, int]:
    """(end of the citation that begins here, number of fields); end -1 when the citation is not
    certain or not complete.

    ``open_elements`` has the elements that are open, the outermost in row 1. ``leaf`` is the
    depth of the element whose text is read, ``mathml`` that of the one that declares MathML's
    prefix; 0 when there is none.
    """
    depth = 0
    leaf = 0
    mathml = 0
    open_elements[0, _O_STATE] = STATE_ROOT
    open_elements[0, _O_FIELD] = -1
    while at < stop:
        if text[at + 1] == _SLASH:
            name = open_elements[depth, _O_NAME]
            size = open_elements[depth, _O_SIZE]
            close = _parse_close_tag(text, words, at, name, size, depth == 1)
            if close < 0:
                return -1, field_count
            if depth == 1:
                return close + 1, field_count
            has_root_size = size == open_elements[1, _O_SIZE]
            if has_root_size and equal_bytes(words, name, open_elements[1, _O_NAME], size):
                return -1, field_count  # a citation within a citation
            if depth == leaf:
                fields[open_elements[depth, _O_FIELD]].text_end = at
                leaf = 0
            if depth == mathml:
                mathml = 0
            depth -= 1
        elif text[at + 1] == _QUERY and leaf == 0:
            close = _parse_instruction(text, at)
            if close < 0:
                return -1, field_count
        else:
            close, field_count, mathml, is_leaf = _enter_element(
                text,
                words,
                at,
                depth,
                field_count,
                mathml,
                open_elements,
                attributes,
                grammar,
                fields,
            )
            is_empty = text[close] == _SLASH
            if close < 0 or (is_empty and depth == 0):
                return -1, field_count
            if is_empty:
                if depth + 1 == mathml:
                    mathml = 0
                close += 1
            else:
                depth += 1
                if is_leaf:
                    leaf = depth
        at = find_byte(words, close + 1, stop, _LESS_SIGNS)
    return -1, field_count


# --- records --------------------------------------------------------------------------


@inner()
def _skip_section(text: Array, words: Array, at: int, stop: int) -> int:
    """Where a comment or CDATA section that begins here ends; ``at`` when none begins here, -1 when
    it does not end before ``stop``."""
    name = _COMMENT
    terminator = _HYPHEN
    if matches_name(text, at, _SECTIONS, _CDATA, _SECTION_SIZES[_CDATA]):
        name = _CDATA
        terminator = _BRACKET
    elif not matches_name(text, at, _SECTIONS, _COMMENT, _SECTION_SIZES[_COMMENT]):
        return at
    # The first two bytes of the end may not be those of the beginning.
    end = at + _SECTION_SIZES[name] + 2
    end = find_byte(words, end, stop, _GREATER_SIGNS)
    while end < stop:
        if text[end - 1] == terminator and text[end - 2] == terminator:
            return end + 1
        end = find_byte(words, end + 1, stop, _GREATER_SIGNS)
    return -1


@inner()
def _find_record(text: Array, words: Array, at: int, stop: int) -> tuple[int, int, int]:
    """(where the next record begins, its kind, where the search can go on).

    The place is -1 when there is none, the kind ``OPEN_SECTION`` where a comment is not complete.
    """
    resume = at
    at = find_byte(words, at, stop, _LESS_SIGNS)
    while at < stop:
        if text[at + 1] == _EXCLAMATION:
            end = _skip_section(text, words, at, stop)
            if end < 0:
                return at, OPEN_SECTION, resume
            if end > at:
                resume = end
                at = find_byte(words, end, stop, _LESS_SIGNS)
                continue
        for kind in range(len(_KIND_SIZES)):
            following = text[at + 1 + _KIND_SIZES[kind]]
            # The white space of the plain reader's pattern, bytes 9 to 13 and the space.
            is_delimited = following in (_GREATER, _SPACE) or 9 <= following <= 13
            if is_delimited and matches_name(text, at + 1, _KINDS, kind, _KIND_SIZES[kind]):
                return at, kind, resume
        at = find_byte(words, at + 1, stop, _LESS_SIGNS)
    return -1, 0, resume


@inner()
def _find_record_end(text: Array, words: Array, at: int, stop: int, kind: int) -> int:
    """Where a record of that kind ends; -1 when it is not complete."""
    size = _KIND_SIZES[kind]
    at = find_byte(words, at, stop, _LESS_SIGNS)
    while at < stop:
        if text[at + 1] == _EXCLAMATION:
            end = _skip_section(text, words, at, stop)
            if end < 0:
                return -1
            if end > at:
                at = find_byte(words, end, stop, _LESS_SIGNS)
                continue
        is_closed = text[at + 1] == _SLASH and text[at + 2 + size] == _GREATER
        if is_closed and matches_name(text, at + 2, _KINDS, kind, size):
            return at + 3 + size
        at = find_byte(words, at + 1, stop, _LESS_SIGNS)
    return -1


@entry
def scan_records(
    text: Array,
    words: Array,
    stop: int,
    limit: int,
    is_utf8: bool,
    grammar: Grammar,
    open_elements: Array,
    attributes: Array,
    records: Array,
    fields: Array,
) -> tuple[int, int, int]:
    """Find the records of ``text[:stop]`` and the fields of its citations.

    ``text`` is uint8, followed by ``byte_words.SLACK`` zeros; ``words`` are the uint64 that begin
    at each of its bytes. At most ``limit`` citations and books are taken. Citations are read only
    when the encoding ``is_utf8``. ``records`` and ``fields`` (``citation_fields.RECORD``,
    ``citation_fields.FIELD``) are filled in, with one record more for where the fields end.
    Returns (number of records, end of the last one or of a comment behind it, begin of one that is
    not complete or -1).
    """
    count = 0
    rows = 0
    at = 0
    field_count = 0
    cut = -1
    while rows < limit:
        begin, kind, at = _find_record(text, words, at, stop)
        if begin < 0:
            break
        if kind == OPEN_SECTION:
            cut = begin
            break
        end = -1
        next_field = field_count
        if kind == CITATION and is_utf8:
            end, next_field = _scan_citation(
                text, words, begin, stop, open_elements, attributes, grammar, fields, field_count
            )
        is_short = 0 <= end <= begin + _MAX_RECORD_BYTES
        is_read = is_short and has_valid_characters(text, words, begin, end)
        if end < 0:
            end = _find_record_end(text, words, begin + 1 + _KIND_SIZES[kind], stop, kind)
        if end < 0:
            cut = begin
            break
        records[count].kind = kind
        records[count].row = -1 if kind == DELETION else rows
        records[count].begin = begin
        records[count].end = end
        records[count].first_field = field_count
        records[count].is_read = is_read
        rows += kind != DELETION
        count += 1
        at = end
        if is_read:  # else the fields of the walk are overwritten by the next record's
            field_count = next_field
    records[count].first_field = field_count
    return count, at, cut
