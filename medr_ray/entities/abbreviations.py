"""Abbreviations a text defines itself: "tardive dyskinesia (TD)" makes every TD of that text the
disease.

What holds: only a long form that was found as a mention gives its abbreviation a meaning, and the
first such definition counts. A defined abbreviation is a mention wherever it stands as whole words
in the same case, also with a plural s; mentions inside it give way (TD may be some gene), but where
one overlaps it otherwise ("TD-like syndrome") that one stays. The result is in order and does not
overlap.

Definitions are found as Schwartz and Hearst do (Pac. Symp. Biocomput. 2003, 451-462): letters and
digits of the short form in parentheses behind the long form occur in this order in it, searched
from its end, the first of them at the beginning of a word. A short form has two to ten characters,
the first a letter or digit, one a capital, and at most one space.
"""

import numpy as np

from medr_ray.core.compiled import allocating_entry, allocating_inner, inner
from medr_ray.entities.tokens import WORD, Bytes, FoldingTables, Offsets, read_code_point
from medr_ray.entities.trie import Spans, bytes_equal, widen_table

_ASIDE = 60  # bytes of a parenthesis, at most
_SHORT = 10  # characters of a short form, at most
_OPEN, _CLOSE, _OPEN_SQUARE, _CLOSE_SQUARE, _COMMA, _SEMICOLON = (ord(one) for one in "()[],;")


def resolve_abbreviations(
    spans: Spans, tables: FoldingTables, data: Bytes, offsets: Offsets
) -> Spans:
    """``spans``, in order, of the texts (see ``tokens.text_buffers``) with the abbreviations that
    these define."""
    return Spans(*_resolve(data, offsets, tables.classes, *spans))


@inner
def _space(byte: int) -> bool:
    return byte == 32 or (9 <= byte <= 13)


@inner
def _letter(byte: int) -> bool:
    """A letter or digit, or part of a character beyond ASCII."""
    return 48 <= byte <= 57 or 65 <= byte <= 90 or 97 <= byte <= 122 or byte >= 0x80


@inner
def _lower(byte: int) -> int:
    return byte | 32 if 65 <= byte <= 90 else byte


@inner
def _short_form(text: np.ndarray, end: int) -> tuple[int, int]:
    """Bytes [start, stop) of the short form that the parenthesis behind ``end`` begins with, or (0,
    0)."""
    at = end
    while at < len(text) and _space(text[at]):
        at += 1
    if at == len(text) or (text[at] != _OPEN and text[at] != _OPEN_SQUARE):
        return 0, 0
    close = _CLOSE if text[at] == _OPEN else _CLOSE_SQUARE
    start, stop, closing = at + 1, 0, at + 1
    while closing < len(text) and text[closing] != close:
        byte = text[closing]
        if closing - start > _ASIDE or byte in (_OPEN, _OPEN_SQUARE):
            return 0, 0
        if stop == 0 and byte in (_COMMA, _SEMICOLON):
            stop = closing
        closing += 1
    if closing == len(text):
        return 0, 0
    stop = closing if stop == 0 else stop
    while start < stop and _space(text[start]):
        start += 1
    while stop > start and _space(text[stop - 1]):
        stop -= 1
    characters, spaces, capitals = 0, 0, 0
    for i in range(start, stop):
        characters += text[i] & 0xC0 != 0x80
        spaces += _space(text[i])
        capitals += 65 <= text[i] <= 90
    if 2 <= characters <= _SHORT and capitals and spaces <= 1 and _letter(text[start]):
        return start, stop
    return 0, 0


@inner
def _spells(text: np.ndarray, start: int, stop: int, begin: int, end: int) -> bool:
    """Whether ``text[begin:end]`` spells the short form ``text[start:stop]``, and is longer."""
    if end - begin <= stop - start:
        return False
    at = end
    for i in range(stop - 1, start - 1, -1):
        if not _letter(text[i]):
            continue
        wanted, first = _lower(text[i]), i == start
        at -= 1
        while at >= begin and (
            _lower(text[at]) != wanted or (first and at > begin and _letter(text[at - 1]))
        ):
            at -= 1
        if at < begin:
            return False
    return end - at > stop - start


@inner
def _in_word(text: np.ndarray, at: int, classes: np.ndarray) -> bool:
    """Whether a letter or digit begins at byte ``at``."""
    if at < 0 or at >= len(text):
        return False
    point, _ = read_code_point(text, at)
    return point >= len(classes) or classes[point] == WORD


@inner
def _before(text: np.ndarray, at: int) -> int:
    """The byte at which the character before byte ``at`` begins."""
    at -= 1
    while at > 0 and text[at] & 0xC0 == 0x80:
        at -= 1
    return at


@inner
def _use(text: np.ndarray, start: int, stop: int, at: int, classes: np.ndarray) -> int:
    """Where the use of the short form that begins at ``at`` ends, a plural s included; 0 if there
    is none."""
    size = stop - start
    end = at + size
    if (
        end > len(text)
        or not bytes_equal(text, at, size, text, start, size)
        or _in_word(text, _before(text, at), classes)
    ):
        return 0
    if end < len(text) and text[end] == 115 and not _in_word(text, end + 1, classes):
        return end + 1
    return 0 if _in_word(text, end, classes) else end


@inner
def _sorted_in(uses: np.ndarray, count: int, start: int, end: int, form: int) -> None:
    """Insert a use: by its start, the longest first."""
    at = count
    while at > 0 and (
        uses[0, at - 1] > start or (uses[0, at - 1] == start and uses[1, at - 1] < end)
    ):
        for row in range(3):
            uses[row, at] = uses[row, at - 1]
        at -= 1
    uses[0, at], uses[1, at], uses[2, at] = start, end, form


@inner
def _is_defined(text: np.ndarray, start: int, stop: int, shorts: np.ndarray, defined: int) -> bool:
    """Whether the short form ``text[start:stop]`` is among the first ``defined`` of ``shorts``."""
    for i in range(defined):
        if bytes_equal(text, shorts[0, i], shorts[1, i] - shorts[0, i], text, start, stop - start):
            return True
    return False


@allocating_inner
def _definitions(
    text: np.ndarray,
    forms: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    first: int,
    last: int,
    shorts: np.ndarray,
) -> tuple[np.ndarray, int]:
    """(bytes [start, stop) and form of each short form that is defined behind mentions ``first`` to
    ``last``, how many); kept in ``shorts`` while they fit."""
    defined = 0
    for i in range(first, last):
        start, stop = _short_form(text, ends[i])
        if (
            not stop
            or not _spells(text, start, stop, starts[i], ends[i])
            or _is_defined(text, start, stop, shorts, defined)
        ):
            continue
        if defined == shorts.shape[1]:
            shorts = widen_table(shorts, 2 * defined)
        shorts[0, defined], shorts[1, defined], shorts[2, defined] = start, stop, forms[i]
        defined += 1
    return shorts, defined


@allocating_inner
def _uses(
    text: np.ndarray, classes: np.ndarray, shorts: np.ndarray, defined: int, uses: np.ndarray
) -> tuple[np.ndarray, int]:
    """(bytes [start, end) and form of each use of the short forms, in order, how many); kept in
    ``uses`` while they fit."""
    used = 0
    for i in range(defined):
        for at in range(len(text)):
            end = _use(text, shorts[0, i], shorts[1, i], at, classes)
            if not end:
                continue
            if used == uses.shape[1]:
                uses = widen_table(uses, 2 * used)
            _sorted_in(uses, used, at, end, shorts[2, i])
            used += 1
    return uses, used


@allocating_entry
def _resolve(
    data: np.ndarray,
    offsets: np.ndarray,
    classes: np.ndarray,
    texts: np.ndarray,
    forms: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    out = np.empty((4, 2 * len(texts) + 64), np.int64)
    shorts, uses = np.empty((3, 16), np.int64), np.empty((3, 64), np.int64)
    size, first = 0, 0
    while first < len(texts):
        number, last = texts[first], first
        while last < len(texts) and texts[last] == number:
            last += 1
        text = data[offsets[number] : offsets[number + 1]]
        shorts, defined = _definitions(text, forms, starts, ends, first, last, shorts)
        uses, used = _uses(text, classes, shorts, defined, uses)
        room = size + last - first + used
        if room > out.shape[1]:
            out = widen_table(out, 2 * room)
        size = _merge(out, size, number, uses, used, forms, starts, ends, first, last)
        first = last
    return out[0, :size].copy(), out[1, :size].copy(), out[2, :size].copy(), out[3, :size].copy()


@inner
def _merge(
    out: np.ndarray,
    size: int,
    number: int,
    uses: np.ndarray,
    used: int,
    forms: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    first: int,
    last: int,
) -> int:
    """Put mentions ``first`` to ``last`` and the uses in order; returns the new size."""
    at, free = first, 0
    for i in range(used):
        start, end = uses[0, i], uses[1, i]
        while at < last and ends[at] <= start:
            size = _put(out, size, number, forms[at], starts[at], ends[at])
            at += 1
        stop, yields = (
            at,
            start >= free,
        )  # of overlapping uses the leftmost wins, of those the longest
        while stop < last and starts[stop] < end:
            yields &= starts[stop] >= start and ends[stop] <= end
            stop += 1
        if yields:
            size = _put(out, size, number, uses[2, i], start, end)
            at, free = stop, end
    for i in range(at, last):
        size = _put(out, size, number, forms[i], starts[i], ends[i])
    return size


@inner
def _put(out: np.ndarray, size: int, number: int, form: int, start: int, end: int) -> int:
    out[0, size], out[1, size], out[2, size], out[3, size] = number, form, start, end
    return size + 1
