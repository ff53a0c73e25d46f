"""Compares text eight bytes at a time.

``words[i]`` is the uint64 that begins at byte i of the text, little-endian. A function that marks
bytes of a word sets their high bits; the other seven bits of each byte are undefined unless the
function says otherwise, so callers mask with ``HIGH_BITS`` before they test for zero.
"""

from typing import Any

import numpy as np

from medr_ray.core.compiled import Array, inner


def repeat_byte(byte: int) -> np.uint64:
    """A word whose eight bytes are all ``byte``."""
    return np.uint64(byte * 0x0101010101010101)


def view_words(text: Array) -> Array:
    """uint64[N - 7]: the words that begin at each byte of uint8[N], without a copy."""
    # The words overlap, hence the stride of one byte; numpy's own views cannot express that.
    return np.ndarray((len(text) - 7,), np.uint64, text, strides=(1,))  # type: ignore[call-overload,no-any-return]


# Bytes that must follow a text, or be free after it: words are read and written whole, and the
# scan looks a few bytes ahead before it knows that the text ends.
SLACK = 64

LOW_BITS = repeat_byte(0x7F)
HIGH_BITS = repeat_byte(0x80)
LAST_HIGH_BIT = np.uint64(0x80 << 56)
NO_MARKS = np.uint64(0)
BYTE_SHIFT = np.uint64(8)  # bits by which a word moves on one byte

# Added to a byte without its high bit, this carries into the high bit from 0x20 (space) upwards.
_CARRY_FROM_SPACE = repeat_byte(0x80 - 0x20)
_LOWEST_BITS = repeat_byte(0x01)
_ONE = np.uint64(1)
_HIGH_TO_LOWEST_BIT = np.uint64(7)
_TOP_BYTE_SHIFT = np.uint64(56)


@inner()
def mark_equal(word: Any, pattern: Any) -> Any:
    """Mark the bytes that equal the byte of the pattern in the same place."""
    difference = word ^ pattern
    # Adding 0x7F sets the high bit of every byte whose low bits are not all zero.
    return ~(((difference & LOW_BITS) + LOW_BITS) | difference)


@inner()
def mark_control(word: Any) -> Any:
    """Mark the control characters, 0 to 31."""
    return ~(((word & LOW_BITS) + _CARRY_FROM_SPACE) | word)


@inner()
def first_marked(marks: Any) -> Any:
    """Index of the first byte whose high bit is set.

    At least one must be set, and no bit other than high bits.
    """
    lowest = marks >> _HIGH_TO_LOWEST_BIT
    # The subtraction borrows through the bytes before the first mark and leaves a 1 in each of
    # them; the multiplication sums these ones into the top byte.
    bytes_before = ((lowest - _ONE) & ~lowest) & _LOWEST_BITS
    return np.int64((bytes_before * _LOWEST_BITS) >> _TOP_BYTE_SHIFT)


@inner()
def find_byte(words: Array, at: int, stop: int, pattern: Any) -> int:
    """The next place of the pattern's byte; at or beyond ``stop`` where there is none."""
    while at < stop:
        marks = mark_equal(words[at], pattern) & HIGH_BITS
        if marks != NO_MARKS:
            return at + first_marked(marks)
        at += 8
    return at


@inner()
def equal_bytes(words: Array, left: int, right: int, size: int) -> bool:
    """Whether the ``size`` bytes at two places are equal."""
    while size >= 8:
        if words[left] != words[right]:
            return False
        left += 8
        right += 8
        size -= 8
    if size == 0:
        return True
    # Shift out the bytes behind the last one that counts.
    return (words[left] ^ words[right]) << np.uint64(64 - 8 * size) == NO_MARKS
