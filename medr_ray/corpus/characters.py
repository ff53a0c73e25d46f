"""The characters and references of XML 1.0: which are allowed, and what they are.

The first half judges text that may be anything; the second reads text that has been judged.
"""

from medr_ray.core.compiled import Array, inner
from medr_ray.corpus.byte_words import EIGHT, HIGH, LAST, NONE, control, equal, first, repeat, seek
from medr_ray.corpus.citation_fields import WHITE, classes, name_table

_KNOWN, _KNOWN_SIZES = name_table(["amp;", "lt;", "gt;", "quot;", "apos;"])
_CLASS = classes()
_NEWLINES, _AMPS, _BRACKETS = (repeat(one) for one in b"\n&]")
_AMP, _GT, _BRACKET, _SPACE, _HASH, _SEMICOLON, _ZERO, _NINE, _LOWER_X = b"&>] #;09x"
_LOWER_A, _LOWER_F, _LOWER_G, _LOWER_M, _LOWER_Q = b"afgmq"


@inner()
def spells(text: Array, at: int, table: Array, row: int, size: int) -> bool:
    """Whether the text spells that name here."""
    for i in range(size):  # noqa: SIM110, compiled code has no generators
        if text[at + i] != table[row, i]:
            return False
    return True


@inner()
def _character(text: Array, at: int) -> int:
    """Bytes of the UTF-8 character here, 0 when it is none or XML forbids it (control characters
    aside)."""
    one, two, three = text[at], text[at + 1], text[at + 2]
    if one < 0x80:
        return 1
    if one < 0xC2 or two >> 6 != 2:
        return 0
    if one < 0xE0:
        return 2
    if three >> 6 != 2:
        return 0
    if one < 0xF0:
        overlong, surrogate = one == 0xE0 and two < 0xA0, one == 0xED and two >= 0xA0
        return 0 if overlong or surrogate or (one == 0xEF and two == 0xBF and three >= 0xBE) else 3
    beyond = one > 0xF4 or (one == 0xF4 and two >= 0x90) or (one == 0xF0 and two < 0x90)
    return 0 if beyond or text[at + 3] >> 6 != 2 else 4


@inner()
def _is_reference(text: Array, at: int) -> bool:
    """Whether a predefined entity, or the number of a character that XML allows, follows the
    ``&``."""
    if text[at + 1] != _HASH:
        for i in range(len(_KNOWN_SIZES)):
            if spells(text, at + 1, _KNOWN, i, _KNOWN_SIZES[i]):
                return True
        return False
    base = 16 if text[at + 2] == _LOWER_X else 10
    begin = at = at + 2 + (base == 16)
    value = 0
    while at < begin + 8:
        byte = text[at] | 0x20 if text[at] > _NINE else text[at]
        if _ZERO <= byte <= _NINE:
            value = value * base + byte - _ZERO
        elif base == 16 and _LOWER_A <= byte <= _LOWER_F:
            value = value * base + byte - _LOWER_A + 10
        else:
            break
        at += 1
    allowed = (
        value == 9
        or value == 10
        or value == 13
        or 0x20 <= value < 0xD800
        or 0xE000 <= value < 0xFFFE
        or 0x10000 <= value < 0x110000
    )
    return allowed and at > begin and text[at] == _SEMICOLON


@inner()
def is_sound(text: Array, words: Array, begin: int, end: int) -> bool:
    """Whether XML takes the characters and references of a record; tags are the walk's concern."""
    odd = amp = high = pair = NONE
    for at in range(
        begin, end, 8
    ):  # the last word may reach beyond the end: a mark only makes the loops below look
        word = words[at]
        odd |= control(word) & ~equal(word, _NEWLINES)
        amp |= equal(word, _AMPS)
        high |= word
        brackets = equal(word, _BRACKETS) & HIGH
        pair |= brackets & ((brackets >> EIGHT) | LAST)
    if (odd & HIGH) | pair != NONE:
        for at in range(begin, end):
            if text[at] < _SPACE and not _CLASS[text[at]] & WHITE:
                return False
            if text[at] == _BRACKET and text[at + 1] == _BRACKET and text[at + 2] == _GT:
                return False
    at = begin
    while high & HIGH != NONE and at < end:
        marks = words[at] & HIGH
        step = 8 if marks == NONE else first(marks)
        step = _character(text, at) if step == 0 else step
        if step == 0:
            return False
        at += step
    at = seek(words, begin, end, _AMPS) if amp & HIGH != NONE else end
    while at < end:
        if not _is_reference(text, at):
            return False
        at = seek(words, at + 1, end, _AMPS)
    return True


@inner()
def decode(text: Array, at: int) -> tuple[int, int]:
    """(code point, bytes) of the character or reference here, which is valid."""
    one, two = int(text[at]), int(text[at + 1])
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


@inner()
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


@inner()
def is_space(point: int) -> bool:
    """Whether ``str.split`` splits at that character; XML allows no other of those."""
    if point < 0x80:
        return point == 0x20 or point == 0x0A or point == 0x09 or point == 0x0D
    return (
        point == 0xA0
        or point == 0x85
        or 0x2000 <= point <= 0x200A
        or point == 0x2028
        or point == 0x2029
        or point == 0x202F
        or point == 0x205F
        or point == 0x3000
        or point == 0x1680
    )


@inner()
def encode(point: int, text: Array, at: int) -> int:
    """Write a character, return where it ends."""
    if point < 0x80:
        text[at] = point
        return at + 1
    if point < 0x800:
        text[at] = 0xC0 | point >> 6
    elif point < 0x10000:
        text[at], text[at + 1] = 0xE0 | point >> 12, 0x80 | point >> 6 & 0x3F
    else:
        text[at], text[at + 1], text[at + 2] = (
            0xF0 | point >> 18,
            0x80 | point >> 12 & 0x3F,
            0x80 | point >> 6 & 0x3F,
        )
    at += 1 + (point >= 0x800) + (point >= 0x10000)
    text[at] = 0x80 | point & 0x3F
    return at + 1
