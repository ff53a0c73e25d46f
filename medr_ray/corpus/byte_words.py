"""Looking at text eight bytes at a time: ``words[i]`` is the uint64 that begins at byte i, its
lowest byte the first.

A byte of a word is marked by its high bit; what the other bits are does not matter unless it is
said.
"""

from typing import Any

import numpy as np

from medr_ray.core.compiled import Array, inner


def repeat(byte: int) -> np.uint64:
    """A word of eight such bytes."""
    return np.uint64(byte * 0x0101010101010101)


def words_of(text: Array) -> Array:
    """uint64[N - 7], the words that begin at each byte of uint8[N]."""
    return np.ndarray((len(text) - 7,), np.uint64, text, strides=(1,))  # type: ignore[call-overload,no-any-return]


SLACK = 64  # bytes that must follow a text, or be free after it: words are read and written whole
LOW, HIGH, LAST = repeat(0x7F), repeat(0x80), np.uint64(0x80 << 56)
NONE, EIGHT = np.uint64(0), np.uint64(8)
_ONES, _TO_SPACE = repeat(0x01), repeat(0x80 - 0x20)
_ONE, _SEVEN, _TOP = (np.uint64(one) for one in (1, 7, 56))


@inner()
def equal(word: Any, pattern: Any) -> Any:
    """Marks the bytes that are the pattern's."""
    other = word ^ pattern
    return ~(((other & LOW) + LOW) | other)


@inner()
def control(word: Any) -> Any:
    """Marks the control characters, 0 to 31."""
    return ~(((word & LOW) + _TO_SPACE) | word)


@inner()
def first(marks: Any) -> Any:
    """Index of the first byte whose high bit is marked; there must be one, and no other bits."""
    lowest = marks >> _SEVEN
    return np.int64(((((lowest - _ONE) & ~lowest) & _ONES) * _ONES) >> _TOP)


@inner()
def seek(words: Array, at: int, stop: int, pattern: Any) -> int:
    """Where the pattern's byte is next, at or beyond ``stop`` when nowhere."""
    while at < stop:
        marks = equal(words[at], pattern) & HIGH
        if marks != NONE:
            return at + first(marks)
        at += 8
    return at


@inner()
def same(words: Array, one: int, other: int, size: int) -> bool:
    """Whether ``size`` bytes at two places are the same."""
    while size >= 8:
        if words[one] != words[other]:
            return False
        one, other, size = one + 8, other + 8, size - 8
    return size == 0 or (words[one] ^ words[other]) << np.uint64(64 - 8 * size) == NONE
