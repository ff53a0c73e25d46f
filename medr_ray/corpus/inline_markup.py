"""The text of an element that has markup inside: raised and lowered figures and fractions keep
their values.

Without their markup ``10<sup>6</sup>`` would be 106 and a half 12, which are other numbers. Where a
raised part would grow together with what stands before it, a ``^`` stands between: ``10^6``,
``m^2``, ``BRAF^V600E``. Charges (``Ca2+``), ordinals (``1st``), isotopes (``99mTc``) and lone signs
(``CD4+``) are written as people type them. A lowered part joins its word (``H2O``, ``log10``), with
a ``_`` between two figures. A fraction is ``1/2``, a root ``√2``, a cube root ``8^(1/3)``; their
compound parts stand in brackets. A power stays one where a space stands before its raised part
(``10 <sup>6</sup>``, ``kg/m <sup>2</sup>``), an isotope's number does not become one (``30
<sup>18</sup>F scans``). Two figures never meet where markup stood between them.

Other markup is left out, references are decoded, and white space is collapsed as
``" ".join(text.split())`` does.
"""

from typing import Any

import numpy as np
from lxml import etree

from medr_ray.core.compiled import Array, entry, inner
from medr_ray.corpus.byte_words import (
    BYTE_SHIFT,
    HIGH_BITS,
    LAST_HIGH_BIT,
    NO_MARKS,
    SLACK,
    first_marked,
    mark_control,
    mark_equal,
    repeat_byte,
    view_words,
)
from medr_ray.corpus.characters import (
    decode_character,
    encode_character,
    is_white_space,
    matches_name,
)
from medr_ray.corpus.citation_fields import NAME_PART, build_name_table, classify_bytes

_MATHML_NAMESPACES = ("", "http://www.w3.org/1998/Math/MathML")
_TAG_NAMES = (
    *("sup", "sub", "msup", "msub", "msubsup", "mfrac", "msqrt", "mroot", "munderover"),
    *("mn", "annotation", "annotation-xml"),
)
_TAGS, _TAG_SIZES = build_name_table(list(_TAG_NAMES))
_PREFIX, _PREFIX_SIZES = build_name_table(["mml:"])

# What an element is to the text before it.
_NO_ROLE, _RAISED, _LOWERED, _NUMERATOR, _DENOMINATOR, _ROOT = range(6)
# The degree of a root, a number of a formula, the same formula in another notation.
_DEGREE, _NUMBER, _OMITTED = range(6, 9)
# Kinds of element: 0 for those without a meaning here, else 1 + the place in _TAG_NAMES.
_OWN_ROLES = np.array(
    [_NO_ROLE, _RAISED, _LOWERED, 0, 0, 0, 0, _ROOT, 0, 0, _NUMBER, _OMITTED, _OMITTED]
)
# Those that are laid out by their children.
_FIRST_LAYOUT_KIND = 3
_LAST_LAYOUT_KIND = 9
# The roles of an element's first, second and later children, by its kind.
_CHILD_ROLES: Array = np.zeros((len(_TAG_NAMES) + 1, 3), np.int64)
_CHILD_ROLES[3] = _NO_ROLE, _RAISED, _NO_ROLE
_CHILD_ROLES[4] = _NO_ROLE, _LOWERED, _NO_ROLE
_CHILD_ROLES[5] = _NO_ROLE, _LOWERED, _RAISED
_CHILD_ROLES[6] = _NUMERATOR, _DENOMINATOR, _NO_ROLE
_CHILD_ROLES[8] = _NO_ROLE, _DEGREE, _NO_ROLE
_CHILD_ROLES[9] = _NO_ROLE, _LOWERED, _RAISED

# Columns of the open elements. "Inside" is 1 within MathML that is laid out by its children, where
# white space between elements means nothing.
_KIND, _CHILDREN, _ROLE, _START, _INSIDE = range(5)
MAX_OPEN_ELEMENTS = 512  # more than an XML parser accepts

_BYTE_CLASS = classify_bytes()
_AMPERSANDS = repeat_byte(ord("&"))
_LESS_SIGNS = repeat_byte(ord("<"))
_SPACES = repeat_byte(ord(" "))
_LESS, _GREATER, _SPACE, _SLASH, _CARET, _UNDERSCORE = b"<> /^_"
_OPEN, _CLOSE, _CLOSE_SQUARE, _PERCENT = b"()]%"
_PLUS, _MINUS, _COMMA, _POINT, _COLON, _SEMICOLON = b"+-,.:;"
_ZERO, _ONE, _TWO, _THREE, _NINE = b"01239"
_LOWER_A, _LOWER_D, _LOWER_H, _LOWER_M, _LOWER_N, _LOWER_R = b"adhmnr"
_LOWER_S, _LOWER_T, _LOWER_X, _LOWER_Z = b"stxz"
_CAPITAL_A, _CAPITAL_Z = b"AZ"
_DEGREE_OPENING: Array = np.frombuffer(b"^(1/", np.uint8)  # the third root is a power of a third


def allocate_elements() -> Array:
    """The memory ``copy_text`` needs besides its result: int64[elements, 5]."""
    return np.zeros((MAX_OPEN_ELEMENTS, 5), np.int64)


# --- bytes of the text so far -----------------------------------------------------------


@inner()
def _is_digit(byte: int) -> bool:
    return _ZERO <= byte <= _NINE


@inner()
def _is_letter(byte: int) -> bool:
    return _LOWER_A <= byte | 0x20 <= _LOWER_Z


@inner()
def _sign_size(out: Array, at: int, end: int) -> int:
    """Bytes of the plus or minus sign at this place (hyphen, U+2212, U+2010 to U+2013), else 0."""
    if at >= end:
        return 0
    if out[at] == _PLUS or out[at] == _MINUS:
        return 1
    if at + 3 > end or out[at] != 0xE2:
        return 0
    is_minus = out[at + 1] == 0x88 and out[at + 2] == 0x92
    is_dash = out[at + 1] == 0x80 and 0x90 <= out[at + 2] <= 0x93
    return 3 if is_minus or is_dash else 0


@inner()
def _joins(out: Array, begin: int, at: int) -> bool:
    """Whether a raised part belongs to what ends before this place: a letter, a figure, a closing
    bracket, a percent sign."""
    before = out[at - 1]
    if before < 0x80:
        is_closing = before in (_CLOSE, _CLOSE_SQUARE, _PERCENT)
        return _is_digit(before) or _is_letter(before) or is_closing
    if at - 3 >= begin and out[at - 3] == 0xE2:
        return False  # dashes, quotes, operators
    is_sign = out[at - 2] == 0xC2 and before != 0xB5  # ± and others of Latin-1, but µ
    is_times = out[at - 2] == 0xC3 and (before == 0x97 or before == 0xB7)
    return not is_sign and not is_times


@inner()
def _is_charge(out: Array, at: int, end: int) -> bool:
    """Whether the part is a figure and then signs only: ``2+``, ``3-``."""
    while at < end and _is_digit(out[at]):
        at += 1
    size = _sign_size(out, at, end)
    while size > 0:
        at += size
        if at == end:
            return True
        size = _sign_size(out, at, end)
    return False


@inner()
def _is_ordinal(out: Array, start: int, end: int) -> bool:
    """Whether the part makes what stands before it an ordinal: ``1st``, ``nth``."""
    if end - start != 2:
        return False
    first = out[start] | 0x20
    second = out[start + 1] | 0x20
    if first == _LOWER_T and second == _LOWER_H:
        return True
    is_ending = (
        (first == _LOWER_S and second == _LOWER_T)
        or (first == _LOWER_N and second == _LOWER_D)
        or (first == _LOWER_R and second == _LOWER_D)
    )
    return is_ending and _is_digit(out[start - 1])


@inner()
def _needs_caret(out: Array, begin: int, start: int, end: int) -> bool:
    """Whether the raised part from ``start`` would be read as one word with what stands before."""
    before = out[start - 1]
    first = out[start]
    is_point = before in (_POINT, _COMMA, _COLON, _SEMICOLON)
    if is_point:
        return _is_digit(first)  # "of 5.<sup>2</sup>" has a reference mark, not a decimal
    if not _joins(out, begin, start):
        return False
    if _is_digit(first):
        return _is_digit(before) or not _is_charge(out, start, end)
    if _is_letter(first):
        return not _is_ordinal(out, start, end)
    size = _sign_size(out, start, end)
    if size > 0:
        following = int(out[start + size]) if start + size < end else _SPACE
        return _is_digit(following) or _is_letter(following) or 0xCE <= following <= 0xCF
    if _is_digit(before) and _holds_digit(out, start, end):
        return first == _OPEN or first == 0xC2  # "10<sup>(-6)</sup>", "10<sup>±1</sup>"
    return 0xCE <= first <= 0xCF  # Greek


@inner()
def _holds_digit(out: Array, start: int, end: int) -> bool:
    at = start
    while at < end and not _is_digit(out[at]):
        at += 1
    return at < end


@inner()
def _is_name_next(text: Array, at: int, is_capital_enough: bool) -> bool:
    """Whether a letter stands behind a tag or, ``is_capital_enough``, a capital behind the white
    space there: a raised figure before it is the number of an isotope."""
    has_gap = False
    while text[at] != _LESS:
        point, size = decode_character(text, at)
        if not is_white_space(point):
            if has_gap:
                return is_capital_enough and _CAPITAL_A <= point <= _CAPITAL_Z
            return point < 0x80 and _is_letter(point)
        has_gap = True
        at += size
    return False


@inner()
def _ends_with_ten(out: Array, begin: int, end: int) -> bool:
    """Whether the text up to here ends with the number 10."""
    if end - 2 < begin or out[end - 2] != _ONE or out[end - 1] != _ZERO:
        return False
    if end - 2 == begin:
        return True
    before = out[end - 3]
    return not (_is_digit(before) or before in (_POINT, _COMMA)) and (
        not _is_letter(before) or before | 0x20 == _LOWER_X
    )


@inner()
def _ends_with_symbol(out: Array, begin: int, end: int) -> bool:
    """Whether the text up to here ends with a word that is squared and cubed: one letter, or a
    metre with a prefix (``cm``, ``µm``)."""
    start = end
    while start > begin and (_is_letter(out[start - 1]) or out[start - 1] >= 0x80):
        start -= 1
    if start == end or (start > begin and _is_digit(out[start - 1])):
        return False
    size = end - start
    is_metre = out[end - 1] == _LOWER_M
    if size == 2:
        return is_metre or 0xCE <= out[start] <= 0xCF  # Greek
    return size == 1 or (size == 3 and is_metre and out[start] >= 0x80)


@inner()
def _is_spaced_power(out: Array, begin: int, start: int, end: int, text: Array, at: int) -> bool:
    """Whether the raised part behind the space at ``start`` is the power of what stands before it.
    ``at`` is where the markup goes on."""
    size = _sign_size(out, start + 1, end)
    place = start + 1 + size
    if place >= end or not _is_digit(out[place]):
        return False
    while place < end:
        sign = _sign_size(out, place, end)
        if not _is_digit(out[place]) and out[place] != _POINT and sign == 0:
            return False
        place += max(sign, 1)
    if _ends_with_ten(out, begin, start):
        is_factor = start - 3 >= begin and (
            out[start - 3] | 0x20 == _LOWER_X or out[start - 3] >= 0x80
        )
        return size > 0 or is_factor or not _is_name_next(text, at, False)
    if size > 0:
        return _is_digit(out[start - 1]) or _is_letter(out[start - 1])
    is_square = end - start == 2 and (out[start + 1] == _TWO or out[start + 1] == _THREE)
    if not is_square or not _ends_with_symbol(out, begin, start):
        return False
    return not _is_name_next(text, at, True)


@inner()
def _is_compound(out: Array, start: int, end: int) -> bool:
    """Whether the part is more than one figure or word, with or without a sign in front."""
    at = start + _sign_size(out, start, end)
    while at < end:
        byte = out[at]
        is_plain = _is_digit(byte) or _is_letter(byte) or byte in (_POINT, _COMMA)
        if not is_plain and (byte < 0x80 or byte == 0xE2):
            return True
        at += 1
    return False


# --- changes to the text so far ---------------------------------------------------------


@inner()
def _insert_byte(out: Array, at: int, end: int, byte: int) -> int:
    """Insert a byte into the text that ends at ``end``; returns the new end."""
    for place in range(end, at, -1):
        out[place] = out[place - 1]
    out[at] = byte
    return end + 1


@inner()
def _bracket_compound(out: Array, start: int, end: int) -> int:
    """Put brackets around a compound part that has none; returns its new end."""
    has_brackets = out[start] == _OPEN and out[end - 1] == _CLOSE
    if not has_brackets and _is_compound(out, start, end):
        end = _insert_byte(out, start, end, _OPEN)
        out[end] = _CLOSE
        end += 1
    return end


@inner()
def _split_mixed_number(out: Array, begin: int, start: int) -> None:
    """Where a lowered figure ends a fraction after a whole number (``2^1/``), the caret becomes a
    space: two and a half is not a power."""
    at = start - 1
    if at - 2 > begin and out[at - 2] == 0xE2 and out[at - 1] == 0x81 and out[at] == 0x84:
        at -= 2  # the fraction slash
    elif at <= begin or out[at] != _SLASH:
        return
    at -= 1
    while at > begin and _is_digit(out[at]):
        at -= 1
    if at > begin and out[at] == _CARET and _is_digit(out[at - 1]):
        out[at] = _SPACE


@inner()
def _finish_part(
    out: Array, begin: int, start: int, end: int, role: int, text: Array, at: int
) -> int:
    """Write the sign of a part that has ended; returns the new end of the text. The markup goes on
    at this place."""
    if role == _OMITTED:
        return start
    if role == _NUMBER:
        return end
    if role == _DEGREE:
        for place in range(4):
            end = _insert_byte(out, start + place, end, _DEGREE_OPENING[place])
        out[end] = _CLOSE
        return end + 1
    if role == _ROOT:
        end = _bracket_compound(out, start, end)
        end = _insert_byte(out, start, end, 0x9A)
        end = _insert_byte(out, start, end, 0x88)
        return _insert_byte(out, start, end, 0xE2)
    if role == _NUMERATOR:
        if start > begin and _is_digit(out[start - 1]):
            end = _insert_byte(out, start, end, _SPACE)
            start += 1
        return _bracket_compound(out, start, end)
    if role == _DENOMINATOR:
        end = _bracket_compound(out, start, end)
        return _insert_byte(out, start, end, _SLASH)
    if start == begin:
        return end
    if out[start] == _SPACE:
        if role == _RAISED and _is_spaced_power(out, begin, start, end, text, at):
            out[start] = _CARET
            end = _bracket_compound(out, start + 1, end)
        return end
    if role == _RAISED and _needs_caret(out, begin, start, end):
        if _is_digit(out[start - 1]) and not _is_charge(out, start, end):
            end = _bracket_compound(out, start, end)
        return _insert_byte(out, start, end, _CARET)
    if role == _LOWERED and _is_digit(out[start]):
        if _is_digit(out[start - 1]):
            return _insert_byte(out, start, end, _UNDERSCORE)
        _split_mixed_number(out, begin, start)
    return end


# --- elements ---------------------------------------------------------------------------


@inner()
def _read_kind(text: Array, name: int) -> int:
    """The kind of the element whose name begins here."""
    if matches_name(text, name, _PREFIX, 0, _PREFIX_SIZES[0]):
        name += _PREFIX_SIZES[0]
    for i in range(len(_TAG_SIZES)):
        size = _TAG_SIZES[i]
        is_whole = not _BYTE_CLASS[text[name + size]] & NAME_PART
        if is_whole and matches_name(text, name, _TAGS, i, size):
            return i + 1
    return 0


@inner()
def _open_element(text: Array, name: int, elements: Array, depth: int, to: int) -> None:
    """Note the element whose name begins here, at its depth, and the place of its text."""
    kind = _read_kind(text, name)
    parent = depth - 1
    child = min(elements[parent, _CHILDREN], 2)
    role = _CHILD_ROLES[elements[parent, _KIND], child]
    elements[parent, _CHILDREN] += 1
    elements[depth, _KIND] = kind
    elements[depth, _CHILDREN] = 0
    elements[depth, _ROLE] = _OWN_ROLES[kind] if role == _NO_ROLE else role
    elements[depth, _START] = to
    elements[depth, _INSIDE] = elements[parent, _INSIDE] | (
        _FIRST_LAYOUT_KIND <= kind <= _LAST_LAYOUT_KIND
    )


@inner()
def _mark_special(word: Any) -> Any:
    """High bits for the bytes that cannot be copied as they are.

    These are markup, references, whatever is not ASCII, and white space other than one space
    before a letter.
    """
    special = mark_control(word) | mark_equal(word, _AMPERSANDS)
    special = special | mark_equal(word, _LESS_SIGNS) | word
    spaces = mark_equal(word, _SPACES)
    # What follows the last byte is not in the word, so a space there counts as special.
    before_special = ((special | spaces) >> BYTE_SHIFT) | LAST_HIGH_BIT
    return (special | (spaces & before_special)) & HIGH_BITS


@inner()
def copy_text(
    text: Array,
    words: Array,
    at: int,
    end: int,
    out: Array,
    out_words: Array,
    to: int,
    elements: Array,
) -> int:
    """Copy the text of an element; returns its end.

    Runs of ordinary bytes are copied a word at a time. A whole word is written even where fewer
    bytes count; the next write covers the rest. Every byte that is written beside those of the text
    takes the place of a byte of a tag.
    """
    begin = to
    has_gap = False  # white space that is written only when more text follows
    has_part_ended = False  # just before
    depth = 0
    elements[0, :] = 0
    while at < end:
        marks = _mark_special(words[at])
        run = 8 if marks == NO_MARKS else first_marked(marks)
        following = text[at]
        is_space = text[at] == _SPACE
        if run == 0 or (is_space and (has_gap or to == begin or out[to - 1] == _SPACE)):
            run = 0
            if text[at] == _LESS:
                name = at + 1
                while text[at] != _GREATER:
                    at += 1
                at += 1
                is_closing = text[name] == _SLASH
                if not is_closing:
                    is_outside = elements[depth, _INSIDE] == 0
                    depth += 1
                    _open_element(text, name, elements, depth, to)
                    role = elements[depth, _ROLE]
                    # A formula begins with a figure of its own.
                    is_formula = role == _NUMBER or elements[depth, _INSIDE] == 1
                    has_part_ended |= is_outside and is_formula
                    # The sign of a part will keep it apart from what stands before.
                    has_part_ended &= role in (_NO_ROLE, _NUMBER)
                    if has_gap and elements[depth, _INSIDE] == 1 and is_outside:
                        out[to] = _SPACE  # the white space before the formula is kept
                        to += 1
                        elements[depth, _START] = to
                # White space between the elements of a formula means nothing.
                has_gap &= elements[depth, _INSIDE] == 0
                if is_closing or text[at - 2] == _SLASH:
                    start = elements[depth, _START]
                    role = elements[depth, _ROLE]
                    if role != _NO_ROLE:
                        if to > start:
                            to = _finish_part(out, begin, start, to, role, text, at)
                        has_part_ended = True
                    has_part_ended |= elements[depth, _INSIDE] == 1
                    depth -= 1
                continue
            point, size = decode_character(text, at)
            at += size
            if is_white_space(point):
                has_gap = to > begin and out[to - 1] != _SPACE
                continue
            following = np.uint8(min(point, 0x7F))
        if not has_gap and has_part_ended and to > begin:
            has_gap = _is_digit(out[to - 1]) and _is_digit(following)
        has_part_ended = False
        if has_gap:
            out[to] = _SPACE
            to += 1
            has_gap = False
        if run:
            out_words[to] = words[at]
            at += run
            to += run
        else:
            to = encode_character(point, out, to)
    return to - (to > begin and out[to - 1] == _SPACE)


# --- elements of the plain reader ---------------------------------------------------------


@entry
def _copy_whole(
    text: Array, words: Array, size: int, out: Array, out_words: Array, elements: Array
) -> int:
    return copy_text(text, words, 0, size, out, out_words, 0, elements)


def read_marked_text(element: etree._Element) -> str:
    """The text of an element with others inside."""
    data = "".join(_list_pieces(element)).encode()
    text = np.zeros(len(data) + SLACK, np.uint8)
    text[: len(data)] = np.frombuffer(data, np.uint8)
    out = np.empty_like(text)
    end = _copy_whole(text, view_words(text), len(data), out, view_words(out), allocate_elements())
    return out[:end].tobytes().decode()


def has_meaning(element: etree._Element) -> bool:
    """Whether some element inside is more than emphasis."""
    return any(_name_tag(child) != "x" for child in element.iterdescendants())


def _name_tag(element: etree._Element) -> str:
    """The local name of an element that has a meaning here, else "x"."""
    if not isinstance(element.tag, str):
        return "x"
    name = etree.QName(element)
    is_known = name.localname in _TAG_NAMES and (name.namespace or "") in _MATHML_NAMESPACES
    return name.localname if is_known else "x"


def _list_pieces(element: etree._Element) -> list[str]:
    """The content of an element as plain markup: known tags without attributes, and text."""
    pieces = [_escape(element.text or "")]
    for child in element:
        if isinstance(child.tag, str):
            name = _name_tag(child)
            pieces.append(f"<{name}>")
            pieces += _list_pieces(child)
            pieces.append(f"</{name}>")
        pieces.append(_escape(child.tail or ""))
    return pieces


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
