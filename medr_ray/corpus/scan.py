"""The compiled pass over PubMed XML that finds the records and, in every citation it is certain of,
the fields.

What holds: a citation counts as read only when an XML parser would take it and every field is
certain. Anything out of the ordinary (a comment, a CDATA section, a prefix other than MathML's, an
unknown entity, a character XML forbids, an entity in a label) leaves it unread, for
``medline.citation_row`` to read or to refuse. No attribute value with ``<`` or ``>`` is let
through, so in a citation that was read a tag runs from ``<`` to the next ``>``.
"""

import numpy as np

from medr_ray.core.compiled import Array, entry, inner
from medr_ray.corpus.byte_words import repeat, same, seek
from medr_ray.corpus.characters import is_sound, spells
from medr_ray.corpus.citation_fields import (
    DEAD,
    NAME_PART,
    NAME_START,
    ROOT,
    WHITE,
    Grammar,
    classes,
    name_table,
)

CITATION, BOOK, DELETION = range(3)  # kinds of record
EVERY = 2**62  # records, when none are to be left out
# Beyond these a record is not certain (the parser has limits too): elements in one another,
# attributes of an element,
# bytes of a name, bytes of a record.
_DEEPEST, _MOST_ATTRIBUTES, _LONGEST_NAME, _LONGEST = 64, 8, 256, 8 * 2**20
_S_NAME, _S_SIZE, _S_STATE, _S_FIELD = range(4)  # of an open element
_A_NAME, _A_SIZE, _A_VALUE, _A_END = range(4)  # of an attribute

_CLASS = classes()
_KINDS, _KIND_SIZES = name_table(["PubmedArticle", "PubmedBookArticle", "DeleteCitation"])
_NAMES, _NAME_SIZES = name_table(
    ["MajorTopicYN", "xmlns", "mml", "http://www.w3.org/1998/Math/MathML"]
)
_MAJOR, _XMLNS, _MML, _MATHML = range(4)
_LT, _GT, _SLASH, _AMP, _EQUALS, _COLON, _QUERY, _SPACE, _QUOTE, _APOSTROPHE = b"<>/&=:? \"'"
_LOWER_X, _LOWER_M, _LOWER_L, _Y = b"xmlY"
_LTS = repeat(_LT)


def scratch() -> tuple[Array, Array]:
    """The memory that a scan needs besides its results: for open elements and for the attributes of
    a tag."""
    return np.empty((_DEEPEST, 4), np.int64), np.empty((_MOST_ATTRIBUTES, 4), np.int64)


# --- tags -----------------------------------------------------------------------------


@inner()
def _end_of(text: Array, at: int, kind: int) -> int:
    """Where characters of that class end."""
    while _CLASS[text[at]] & kind:
        at += 1
    return at


@inner()
def _attributes(text: Array, words: Array, at: int, attributes: Array) -> tuple[int, int, bool]:
    """(where ``>`` or ``/>`` is, attributes found, whether MathML's prefix is declared), place -1
    when uncertain."""
    found, declares = 0, False
    while True:
        name = _end_of(text, at, WHITE)
        if text[name] == _GT or (text[name] == _SLASH and text[name + 1] == _GT):
            return name, found, declares
        if name == at or found == _MOST_ATTRIBUTES or not _CLASS[text[name]] & NAME_START:
            return -1, 0, False
        at = _end_of(text, name, NAME_PART)
        is_xmlns = at - name == 5 and spells(text, name, _NAMES, _XMLNS, 5)
        is_prefix = is_xmlns and text[at] == _COLON and spells(text, at + 1, _NAMES, _MML, 3)
        at += 4 * is_prefix
        size = at - name
        at = _end_of(text, at, WHITE)
        if is_xmlns != is_prefix or text[at] != _EQUALS or size > _LONGEST_NAME:
            return -1, 0, False
        at = _end_of(text, at + 1, WHITE)
        quote = text[at]
        if quote != _QUOTE and quote != _APOSTROPHE:
            return -1, 0, False
        value = at = at + 1
        while text[at] != quote:
            if text[at] == _LT or text[at] == _GT or text[at] == 0:
                return -1, 0, False
            at += 1
        if is_prefix and (
            at - value != _NAME_SIZES[_MATHML]
            or not spells(text, value, _NAMES, _MATHML, at - value)
        ):
            return -1, 0, False
        for i in range(found):
            if attributes[i, _A_SIZE] == size and same(words, attributes[i, _A_NAME], name, size):
                return -1, 0, False
        attributes[found, _A_NAME], attributes[found, _A_SIZE] = name, size
        attributes[found, _A_VALUE], attributes[found, _A_END] = value, at
        declares |= is_prefix
        found, at = found + 1, at + 1


@inner()
def _value(
    text: Array, attributes: Array, found: int, names: Array, wanted: int, size: int
) -> tuple[int, int]:
    """(begin, end) of the value of an attribute, begin -1 when it is absent, -2 when it is not
    plain text."""
    for i in range(found):
        begin, end = attributes[i, _A_VALUE], attributes[i, _A_END]
        if attributes[i, _A_SIZE] == size and spells(
            text, attributes[i, _A_NAME], names, wanted, size
        ):
            for at in range(begin, end):
                if text[at] == _AMP or text[at] < _SPACE:
                    return -2, -2
            return begin, end
    return -1, -1


@inner()
def _child(text: Array, name: int, size: int, state: int, grammar: Grammar) -> int:
    """The state inside a child of that name."""
    for place in range(grammar.edges.shape[1]):
        wanted = grammar.edges[state, place, 0]
        if wanted < 0:
            break
        if grammar.sizes[wanted] == size and spells(text, name, grammar.names, wanted, size):
            return grammar.edges[state, place, 1]
    return DEAD


@inner()
def _instruction_end(text: Array, at: int) -> int:
    """Where the ``>`` of a processing instruction is, -1 when it is not certainly one."""
    name = at + 2
    at = _end_of(text, name, NAME_PART)
    reserved = (
        text[name] | 0x20 == _LOWER_X
        and text[name + 1] | 0x20 == _LOWER_M
        and text[name + 2] | 0x20 == _LOWER_L
    )
    if (
        not _CLASS[text[name]] & NAME_START
        or reserved
        or not (_CLASS[text[at]] & WHITE or text[at] == _QUERY)
    ):
        return -1
    while not (text[at] == _QUERY and text[at + 1] == _GT):
        if (
            text[at] == _LT
            or text[at] == 0
            or (text[at] == _QUERY and not _CLASS[text[at - 1]] & WHITE)
        ):
            return -1
        at += 1
    return at + 1


# --- the walk -------------------------------------------------------------------------


@inner()
def _note(
    text: Array,
    attributes: Array,
    given: int,
    outer: int,
    state: int,
    found: int,
    grammar: Grammar,
    fields: Array,
) -> int:
    """Note down the field that an element is, or belongs to (``outer``), with its attributes: the
    field's row, -1 when there is none, -2 when it is uncertain."""
    number, row = grammar.meaning[state, 0], found
    if number == -1:
        return -1
    if number == -2:
        row = outer
        if fields[row].text >= 0:
            return -1
    else:
        fields[row].number, fields[row].major = number, 0
        fields[row].first = fields[row].first_end = fields[row].second = fields[row].second_end = -1
        fields[row].text = fields[row].text_end = -1
    first, second = grammar.meaning[state, 1], grammar.meaning[state, 2]
    if first >= 0:
        fields[row].first, fields[row].first_end = _value(
            text, attributes, given, grammar.names, first, grammar.sizes[first]
        )
    if second >= 0:
        fields[row].second, fields[row].second_end = _value(
            text, attributes, given, grammar.names, second, grammar.sizes[second]
        )
    return -2 if fields[row].first == -2 or fields[row].second == -2 else row


@inner()
def _open_tag(
    text: Array, words: Array, at: int, attributes: Array
) -> tuple[int, int, int, bool, bool]:
    """(where ``>`` or ``/>`` is, length of the name, attributes found, whether it has MathML's
    prefix, whether it declares it), place -1 when uncertain."""
    name = at + 1
    at = _end_of(text, name, NAME_PART)
    first, prefixed = text[name], False
    if text[at] == _COLON:
        prefixed = at - name == 3 and spells(text, name, _NAMES, _MML, 3)
        first = text[at + 1] if prefixed else np.uint8(0)
        at = _end_of(text, at + 1, NAME_PART)
    size, given, declares = at - name, 0, False
    if not _CLASS[first] & NAME_START or size > _LONGEST_NAME:
        return -1, 0, 0, False, False
    if text[at] != _GT:
        at, given, declares = _attributes(text, words, at, attributes)
    return at, size, given, prefixed, declares


@inner()
def _close_tag(text: Array, words: Array, at: int, name: int, size: int, is_outermost: bool) -> int:
    """Where the ``>`` is of the tag that closes the element of that name, -1 when this is
    another."""
    end = at + 2 + size
    if not same(words, name, at + 2, size):
        return -1
    if not is_outermost:
        end = _end_of(text, end, WHITE)
    return end if text[end] == _GT else -1


@inner(forceinline=True)
def _enter(
    text: Array,
    words: Array,
    at: int,
    depth: int,
    found: int,
    mathml: int,
    open_: Array,
    attributes: Array,
    grammar: Grammar,
    fields: Array,
) -> tuple[int, int, int, bool]:
    """Take in an opening tag below the element at ``depth``: (where ``>`` or ``/>`` is, fields
    found, ``mathml``, whether the text inside is wanted), place -1 when uncertain."""
    close, size, given, prefixed, declares = _open_tag(text, words, at, attributes)
    mathml = depth + 1 if declares and mathml == 0 else mathml
    if close < 0 or (prefixed and mathml == 0) or depth + 1 == _DEEPEST:
        return -1, found, mathml, False
    outside, outer, state, row = open_[depth, _S_STATE], open_[depth, _S_FIELD], DEAD, -1
    if outside != DEAD:
        if grammar.meaning[outside, 3] == 1:
            mark, mark_end = _value(text, attributes, given, _NAMES, _MAJOR, _NAME_SIZES[_MAJOR])
            if mark == -2:
                return -1, found, mathml, False
            fields[outer].major |= mark_end - mark == 1 and text[mark] == _Y
        state = DEAD if prefixed else _child(text, at + 1, size, outside, grammar)
        row = _note(text, attributes, given, outer, state, found, grammar, fields)
        if row == -2:
            return -1, found, mathml, False
        found += row == found
    open_[depth + 1, _S_NAME], open_[depth + 1, _S_SIZE] = at + 1, size
    open_[depth + 1, _S_STATE], open_[depth + 1, _S_FIELD] = state, row
    is_leaf = row >= 0 and grammar.edges[state, 0, 0] < 0
    if is_leaf:
        fields[row].text = fields[row].text_end = close + 1
    return close, found, mathml, is_leaf


@inner()
def _walk(
    text: Array,
    words: Array,
    at: int,
    stop: int,
    open_: Array,
    attributes: Array,
    grammar: Grammar,
    fields: Array,
    found: int,
) -> tuple[int, int]:
    """(end of the citation that begins here, fields found), end -1 when it is not certain or not
    complete.

    ``open_`` holds the elements that are open, the outermost in row 1; ``leaf`` and ``mathml`` are
    the depths of the element whose text is wanted and of the one that declares MathML's prefix, 0
    when there is none.
    """
    depth = leaf = mathml = 0
    open_[0, _S_STATE], open_[0, _S_FIELD] = ROOT, -1
    while at < stop:
        if text[at + 1] == _SLASH:
            name, size = open_[depth, _S_NAME], open_[depth, _S_SIZE]
            close = _close_tag(text, words, at, name, size, depth == 1)
            if close < 0 or depth == 1:
                return (-1 if close < 0 else close + 1), found
            if size == open_[1, _S_SIZE] and same(words, name, open_[1, _S_NAME], size):
                return -1, found  # a citation within a citation
            if depth == leaf:
                fields[open_[depth, _S_FIELD]].text_end = at
                leaf = 0
            mathml = 0 if depth == mathml else mathml
            depth -= 1
        elif text[at + 1] == _QUERY and leaf == 0:
            close = _instruction_end(text, at)
            if close < 0:
                return -1, found
        else:
            close, found, mathml, is_leaf = _enter(
                text, words, at, depth, found, mathml, open_, attributes, grammar, fields
            )
            empty = text[close] == _SLASH
            if close < 0 or (empty and depth == 0):
                return -1, found
            if empty:
                mathml = 0 if depth + 1 == mathml else mathml
                close += 1
            else:
                depth += 1
                leaf = depth if is_leaf else leaf
        at = seek(words, close + 1, stop, _LTS)
    return -1, found


# --- records --------------------------------------------------------------------------


@inner()
def _opening(text: Array, words: Array, at: int, stop: int) -> tuple[int, int]:
    """(where the next record begins, its kind), place -1 when there is none."""
    at = seek(words, at, stop, _LTS)
    while at < stop:
        for kind in range(len(_KIND_SIZES)):
            after = text[at + 1 + _KIND_SIZES[kind]]
            delimited = after in (_GT, _SPACE) or 9 <= after <= 13
            if delimited and spells(text, at + 1, _KINDS, kind, _KIND_SIZES[kind]):
                return at, kind
        at = seek(words, at + 1, stop, _LTS)
    return -1, 0


@inner()
def _closing(text: Array, words: Array, at: int, stop: int, kind: int) -> int:
    """Where a record of that kind ends, -1 when it is not complete."""
    size = _KIND_SIZES[kind]
    at = seek(words, at, stop, _LTS)
    while at < stop:
        if (
            text[at + 1] == _SLASH
            and text[at + 2 + size] == _GT
            and spells(text, at + 2, _KINDS, kind, size)
        ):
            return at + 3 + size
        at = seek(words, at + 1, stop, _LTS)
    return -1


@entry
def scan(
    text: Array,
    words: Array,
    stop: int,
    most: int,
    certain: bool,
    grammar: Grammar,
    open_: Array,
    attributes: Array,
    records: Array,
    fields: Array,
) -> tuple[int, int, int]:
    """Find the records of ``text[:stop]`` and the fields of its citations.

    ``text`` is uint8, ``words.SLACK`` zeros following, and ``words`` the uint64 that begins at each
    of its bytes. At most ``most`` citations and books are taken; only when ``certain`` (of the
    encoding, UTF-8) are citations read. ``records`` and ``fields`` (``grammar.RECORD``,
    ``grammar.FIELD``) are filled in, with one record more for where the fields end. Returns
    (records found, end of the last one, begin of one that is not complete or -1).
    """
    count = taken = at = found = 0
    cut = -1
    while taken < most:
        begin, kind = _opening(text, words, at, stop)
        if begin < 0:
            break
        end, more = -1, found
        if kind == CITATION and certain:
            end, more = _walk(text, words, begin, stop, open_, attributes, grammar, fields, found)
        read = 0 <= end <= begin + _LONGEST and is_sound(text, words, begin, end)
        if end < 0:
            end = _closing(text, words, begin + 1 + _KIND_SIZES[kind], stop, kind)
        if end < 0:
            cut = begin
            break
        records[count].kind, records[count].begin, records[count].end = kind, begin, end
        records[count].fields, records[count].read = found, read
        records[count].row = -1 if kind == DELETION else taken
        taken += kind != DELETION
        count, at, found = count + 1, end, more if read else found
    records[count].fields = found
    return count, at, cut
