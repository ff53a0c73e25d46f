"""Characters and references of XML 1.0: which are allowed, and which characters they mean.

The first half validates text that may be anything. The second half decodes text that has been
validated, and checks nothing again.
"""

from medr_ray.core.compiled import Array, inner
from medr_ray.corpus.byte_words import (
    BYTE_SHIFT,
    HIGH_BITS,
    LAST_HIGH_BIT,
    NO_MARKS,
    find_byte,
    first_marked,
    mark_control,
    mark_equal,
    repeat_byte,
)
from medr_ray.corpus.citation_fields import WHITE_SPACE, build_name_table, classify_bytes

_ENTITIES, _ENTITY_SIZES = build_name_table(["amp;", "lt;", "gt;", "quot;", "apos;"])
_BYTE_CLASS = classify_bytes()
_NEWLINES = repeat_byte(ord("\n"))
_AMPERSANDS = repeat_byte(ord("&"))
_BRACKETS = repeat_byte(ord("]"))
_AMPERSAND, _GREATER, _BRACKET, _SPACE, _HASH, _SEMICOLON = b"&>] #;"
_ZERO, _NINE, _LOWER_X = b"09x"
_LOWER_A, _LOWER_F, _LOWER_G, _LOWER_M, _LOWER_Q = b"afgmq"

# Digits that a reference may have. The largest code point, 1114111, has seven.
_MAX_DIGITS = 8


# --- validation -----------------------------------------------------------------------


@inner()
def matches_name(text: Array, at: int, table: Array, row: int, size: int) -> bool:
    """Whether the text at this place begins with the first ``size`` bytes of a row of a name
    table."""
    i = 0
    while i < size:
        if text[at + i] != table[row, i]:
            return False
        i += 1
    return True


@inner()
def _character_size(text: Array, at: int) -> int:
    """Bytes of the UTF-8 character at this place; 0 if there is none or XML forbids it.

    Control characters count as allowed here; ``has_valid_characters`` checks them.
    """
    # The bytes behind may belong to the next character or to the zeros after the text.
    lead = text[at]
    second = text[at + 1]
    third = text[at + 2]
    if lead < 0x80:
        return 1
    # 0x80 to 0xBF are continuation bytes; 0xC0 and 0xC1 would only begin overlong forms of ASCII.
    if lead < 0xC2 or second >> 6 != 2:
        return 0
    if lead < 0xE0:
        return 2
    if third >> 6 != 2:
        return 0
    if lead < 0xF0:
        is_overlong = lead == 0xE0 and second < 0xA0
        is_surrogate = lead == 0xED and second >= 0xA0
        is_noncharacter = lead == 0xEF and second == 0xBF and third >= 0xBE  # U+FFFE and U+FFFF
        return 0 if is_overlong or is_surrogate or is_noncharacter else 3
    is_overlong = lead == 0xF0 and second < 0x90
    is_beyond_unicode = lead > 0xF4 or (lead == 0xF4 and second >= 0x90)
    if is_overlong or is_beyond_unicode or text[at + 3] >> 6 != 2:
        return 0
    return 4


@inner()
def _is_allowed(point: int) -> bool:
    """Whether XML 1.0 allows the character (production 2, Char)."""
    return (
        point == 0x09
        or point == 0x0A
        or point == 0x0D
        or 0x20 <= point < 0xD800
        or 0xE000 <= point < 0xFFFE
        or 0x10000 <= point < 0x110000
    )


@inner()
def _is_reference(text: Array, at: int) -> bool:
    """Whether the ``&`` at this place begins a valid reference.

    Valid are the five predefined entities and the numbers of characters that XML allows.
    """
    if text[at + 1] != _HASH:
        for i in range(len(_ENTITY_SIZES)):
            if matches_name(text, at + 1, _ENTITIES, i, _ENTITY_SIZES[i]):
                return True
        return False
    base = 16 if text[at + 2] == _LOWER_X else 10
    begin = at + 2 + (base == 16)
    at = begin
    value = 0
    while at < begin + _MAX_DIGITS:
        byte = text[at] | 0x20 if text[at] > _NINE else text[at]  # letters in lower case
        if _ZERO <= byte <= _NINE:
            value = value * base + byte - _ZERO
        elif base == 16 and _LOWER_A <= byte <= _LOWER_F:
            value = value * base + byte - _LOWER_A + 10
        else:
            break
        at += 1
    return _is_allowed(value) and at > begin and text[at] == _SEMICOLON


@inner()
def _has_forbidden_ascii(text: Array, begin: int, end: int) -> bool:
    """Whether the text contains a control character or ``]]>``."""
    for at in range(begin, end):
        if text[at] < _SPACE and not _BYTE_CLASS[text[at]] & WHITE_SPACE:
            return True
        if text[at] == _BRACKET and text[at + 1] == _BRACKET and text[at + 2] == _GREATER:
            return True
    return False


@inner()
def has_valid_characters(text: Array, words: Array, begin: int, end: int) -> bool:
    """Whether XML allows all characters and references of a record. Tags are not checked.

    One fast loop over words only finds out which of the slow checks are needed at all.
    """
    control = NO_MARKS
    ampersands = NO_MARKS
    not_ascii = NO_MARKS
    bracket_pairs = NO_MARKS
    # The last word may reach beyond the end. A mark there costs a slow check, no more.
    for at in range(begin, end, 8):
        word = words[at]
        control |= mark_control(word) & ~mark_equal(word, _NEWLINES)
        ampersands |= mark_equal(word, _AMPERSANDS)
        not_ascii |= word
        brackets = mark_equal(word, _BRACKETS) & HIGH_BITS
        # A bracket in the last byte counts as a pair: the next word may begin with the other.
        bracket_pairs |= brackets & ((brackets >> BYTE_SHIFT) | LAST_HIGH_BIT)
    suspects = (control & HIGH_BITS) | bracket_pairs
    if suspects != NO_MARKS and _has_forbidden_ascii(text, begin, end):
        return False
    at = begin
    while not_ascii & HIGH_BITS != NO_MARKS and at < end:
        marks = words[at] & HIGH_BITS
        step = 8 if marks == NO_MARKS else first_marked(marks)
        if step == 0:
            step = _character_size(text, at)
        if step == 0:
            return False
        at += step
    at = find_byte(words, begin, end, _AMPERSANDS) if ampersands & HIGH_BITS != NO_MARKS else end
    while at < end:
        if not _is_reference(text, at):
            return False
        at = find_byte(words, at + 1, end, _AMPERSANDS)
    return True


# --- decoding -------------------------------------------------------------------------


@inner()
def decode_character(text: Array, at: int) -> tuple[int, int]:
    """(code point, size in bytes) of the valid character or reference at this place."""
    lead = int(text[at])
    second = int(text[at + 1])
    if lead == _AMPERSAND:
        return _decode_reference(text, at)
    if lead < 0x80:
        return lead, 1
    point = (lead & 0x1F) << 6 | second & 0x3F
    if lead < 0xE0:
        return point, 2
    # The masks drop what the lead byte of a longer character had beside its payload.
    point = (point << 6 | text[at + 2] & 0x3F) & 0xFFFF
    if lead < 0xF0:
        return point, 3
    return (point << 6 | text[at + 3] & 0x3F) & 0x1FFFFF, 4


@inner()
def _decode_reference(text: Array, at: int) -> tuple[int, int]:
    """(code point, size in bytes) of the valid reference at this place."""
    begin = at
    at += 1
    if text[at] != _HASH:
        value = _decode_entity(text, at)
        while text[at] != _SEMICOLON:
            at += 1
        return value, at + 1 - begin
    base = 16 if text[at + 1] == _LOWER_X else 10
    at += 1 + (base == 16)
    value = 0
    while text[at] != _SEMICOLON:
        digit = text[at] - _ZERO if text[at] <= _NINE else (text[at] | 0x20) - _LOWER_A + 10
        value = value * base + digit
        at += 1
    return value, at + 1 - begin


@inner()
def _decode_entity(text: Array, at: int) -> int:
    """Code point of the predefined entity whose name begins here. The first letter distinguishes
    all but amp and apos."""
    initial = text[at]
    if initial == _LOWER_Q:
        return 0x22  # quot
    if initial == _LOWER_G:
        return 0x3E  # gt
    if initial == _LOWER_A:
        return 0x26 if text[at + 1] == _LOWER_M else 0x27  # amp, apos
    return 0x3C  # lt


@inner()
def is_white_space(point: int) -> bool:
    """Whether ``str.split`` splits at the character, of those that XML allows."""
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
def encode_character(point: int, text: Array, at: int) -> int:
    """Write a character as UTF-8; returns where it ends."""
    if point < 0x80:
        text[at] = point
        return at + 1
    if point < 0x800:
        text[at] = 0xC0 | point >> 6
    elif point < 0x10000:
        text[at] = 0xE0 | point >> 12
        text[at + 1] = 0x80 | point >> 6 & 0x3F
    else:
        text[at] = 0xF0 | point >> 18
        text[at + 1] = 0x80 | point >> 12 & 0x3F
        text[at + 2] = 0x80 | point >> 6 & 0x3F
    at += 1 + (point >= 0x800) + (point >= 0x10000)
    text[at] = 0x80 | point & 0x3F
    return at + 1
