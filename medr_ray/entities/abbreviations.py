"""Abbreviations that a text defines itself: with "tardive dyskinesia (TD)" every TD of that text
is a mention of the disease.

Guaranteed: only a long form that is a mention gives its abbreviation a meaning, and the first such
definition counts. A defined abbreviation is a mention wherever it occurs as whole words in the same
case, also with a plural s. Mentions inside it are dropped (TD may be some gene), but a mention that
overlaps it in another way ("TD-like syndrome") stays and the abbreviation is dropped. The resulting
mentions are in order and do not overlap.

Definitions are recognised by the algorithm of Schwartz and Hearst (Pac. Symp. Biocomput. 2003,
451-462). The short form follows the long form in parentheses. Its letters and digits occur in
the long form in the same order, searched from the end, and the first of them begins a word. A short
form has two to ten characters, of which the first is a letter or digit and at least one a capital,
and at most one space.
"""

import numpy as np

from medr_ray.core.compiled import allocating_entry, allocating_inner, inner
from medr_ray.entities.tokens import WORD, Bytes, FoldingTables, Offsets, read_code_point
from medr_ray.entities.trie import Spans, bytes_equal, widen_table

_MAX_PARENTHESIS_BYTES = 60  # a longer parenthesis is a remark, not an abbreviation
_MAX_SHORT_CHARACTERS = 10
_OPEN = ord("(")
_CLOSE = ord(")")
_OPEN_SQUARE = ord("[")
_CLOSE_SQUARE = ord("]")
_COMMA = ord(",")
_SEMICOLON = ord(";")
_LETTER_S = ord("s")


def resolve_abbreviations(
    spans: Spans, tables: FoldingTables, data: Bytes, offsets: Offsets
) -> Spans:
    """``spans`` together with the uses of the abbreviations that the texts define.

    The texts are given by their buffers (see ``tokens.view_text_buffers``). The spans have to be in
    order, and the result is.
    """
    return Spans(*_resolve_texts(data, offsets, tables.classes, *spans))


@inner
def _is_space(byte: int) -> bool:
    return byte == 32 or (9 <= byte <= 13)


@inner
def _is_alphanumeric(byte: int) -> bool:
    """A letter or digit, or part of a character beyond ASCII."""
    return 48 <= byte <= 57 or 65 <= byte <= 90 or 97 <= byte <= 122 or byte >= 0x80


@inner
def _to_lower(byte: int) -> int:
    return byte | 32 if 65 <= byte <= 90 else byte


@inner
def _find_short_form(text: np.ndarray, end: int) -> tuple[int, int]:
    """Bytes [start, stop) of the short form at the beginning of the parenthesis behind ``end``.

    (0, 0) where no parenthesis follows, or where it begins with no short form. A comma or semicolon
    ends the short form: "(TD; see below)".
    """
    at = end
    while at < len(text) and _is_space(text[at]):
        at += 1
    if at == len(text) or (text[at] != _OPEN and text[at] != _OPEN_SQUARE):
        return 0, 0
    close = _CLOSE if text[at] == _OPEN else _CLOSE_SQUARE
    start = at + 1
    stop = 0
    closing = start
    while closing < len(text) and text[closing] != close:
        byte = text[closing]
        if closing - start > _MAX_PARENTHESIS_BYTES or byte in (_OPEN, _OPEN_SQUARE):
            return 0, 0
        if stop == 0 and byte in (_COMMA, _SEMICOLON):
            stop = closing
        closing += 1
    if closing == len(text):
        return 0, 0
    stop = closing if stop == 0 else stop
    while start < stop and _is_space(text[start]):
        start += 1
    while stop > start and _is_space(text[stop - 1]):
        stop -= 1
    characters = 0
    spaces = 0
    capitals = 0
    for i in range(start, stop):
        characters += text[i] & 0xC0 != 0x80  # all bytes but UTF-8's continuation bytes
        spaces += _is_space(text[i])
        capitals += 65 <= text[i] <= 90
    if (
        2 <= characters <= _MAX_SHORT_CHARACTERS
        and capitals
        and spaces <= 1
        and _is_alphanumeric(text[start])
    ):
        return start, stop
    return 0, 0


@inner
def _spells_short_form(text: np.ndarray, start: int, stop: int, begin: int, end: int) -> bool:
    """Whether ``text[begin:end]`` spells the short form ``text[start:stop]``, and is longer."""
    if end - begin <= stop - start:
        return False
    at = end
    for i in range(stop - 1, start - 1, -1):
        if not _is_alphanumeric(text[i]):
            continue
        letter = _to_lower(text[i])
        # Only the first character of the short form has to begin a word of the long form.
        must_begin_word = i == start
        at -= 1
        while at >= begin and (
            _to_lower(text[at]) != letter
            or (must_begin_word and at > begin and _is_alphanumeric(text[at - 1]))
        ):
            at -= 1
        if at < begin:
            return False
    return end - at > stop - start


@inner
def _is_word_at(text: np.ndarray, at: int, classes: np.ndarray) -> bool:
    """Whether a letter or digit begins at byte ``at``."""
    if at < 0 or at >= len(text):
        return False
    point, _ = read_code_point(text, at)
    return point >= len(classes) or classes[point] == WORD


@inner
def _previous_character(text: np.ndarray, at: int) -> int:
    """The byte where the character before byte ``at`` begins."""
    at -= 1
    while at > 0 and text[at] & 0xC0 == 0x80:
        at -= 1
    return at


@inner
def _match_use(text: np.ndarray, start: int, stop: int, at: int, classes: np.ndarray) -> int:
    """The end of the use of the short form ``text[start:stop]`` that begins at ``at``, with its
    plural s; 0 where there is none."""
    size = stop - start
    end = at + size
    if (
        end > len(text)
        or not bytes_equal(text, at, size, text, start, size)
        or _is_word_at(text, _previous_character(text, at), classes)
    ):
        return 0
    if end < len(text) and text[end] == _LETTER_S and not _is_word_at(text, end + 1, classes):
        return end + 1
    return 0 if _is_word_at(text, end, classes) else end


@inner
def _insert_use(uses: np.ndarray, count: int, start: int, end: int, form: int) -> None:
    """Insert a use into ``uses``, which are in order: by start, and of equal starts the longest
    first."""
    at = count
    while at > 0 and (
        uses[0, at - 1] > start or (uses[0, at - 1] == start and uses[1, at - 1] < end)
    ):
        for row in range(3):
            uses[row, at] = uses[row, at - 1]
        at -= 1
    uses[0, at] = start
    uses[1, at] = end
    uses[2, at] = form


@inner
def _is_defined(text: np.ndarray, start: int, stop: int, shorts: np.ndarray, defined: int) -> bool:
    """Whether the short form ``text[start:stop]`` is among the first ``defined`` of ``shorts``."""
    for i in range(defined):
        if bytes_equal(text, shorts[0, i], shorts[1, i] - shorts[0, i], text, start, stop - start):
            return True
    return False


@allocating_inner
def _collect_definitions(
    text: np.ndarray,
    forms: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    first: int,
    last: int,
    shorts: np.ndarray,
) -> tuple[np.ndarray, int]:
    """The short forms that are defined behind mentions ``first`` to ``last``.

    Returns an array with their starts, stops and forms in its rows, and their number. The array is
    ``shorts`` while they fit into it.
    """
    defined = 0
    for i in range(first, last):
        start, stop = _find_short_form(text, ends[i])
        if (
            not stop
            or not _spells_short_form(text, start, stop, starts[i], ends[i])
            or _is_defined(text, start, stop, shorts, defined)
        ):
            continue
        if defined == shorts.shape[1]:
            shorts = widen_table(shorts, 2 * defined)
        shorts[0, defined] = start
        shorts[1, defined] = stop
        shorts[2, defined] = forms[i]
        defined += 1
    return shorts, defined


@allocating_inner
def _collect_uses(
    text: np.ndarray, classes: np.ndarray, shorts: np.ndarray, defined: int, uses: np.ndarray
) -> tuple[np.ndarray, int]:
    """All uses of the first ``defined`` short forms in a text, in order.

    A text defines few short forms, so one pass over the text for each of them is fast enough.

    Returns an array with their starts, ends and forms in its rows, and their number. The array is
    ``uses`` while they fit into it.
    """
    used = 0
    for i in range(defined):
        for at in range(len(text)):
            end = _match_use(text, shorts[0, i], shorts[1, i], at, classes)
            if not end:
                continue
            if used == uses.shape[1]:
                uses = widen_table(uses, 2 * used)
            _insert_use(uses, used, at, end, shorts[2, i])
            used += 1
    return uses, used


@allocating_entry
def _resolve_texts(
    data: np.ndarray,
    offsets: np.ndarray,
    classes: np.ndarray,
    texts: np.ndarray,
    forms: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    # All texts share these buffers, which are enlarged where needed. That saves an allocation per
    # text.
    out = np.empty((4, 2 * len(texts) + 64), np.int64)
    shorts = np.empty((3, 16), np.int64)
    uses = np.empty((3, 64), np.int64)
    size = 0
    first = 0
    while first < len(texts):
        # Mentions first to last are those of one text.
        number = texts[first]
        last = first
        while last < len(texts) and texts[last] == number:
            last += 1
        text = data[offsets[number] : offsets[number + 1]]
        shorts, defined = _collect_definitions(text, forms, starts, ends, first, last, shorts)
        uses, used = _collect_uses(text, classes, shorts, defined, uses)
        room = size + last - first + used
        if room > out.shape[1]:
            out = widen_table(out, 2 * room)
        size = _merge_spans(out, size, number, uses, used, forms, starts, ends, first, last)
        first = last
    # Copies, because views would keep the whole buffer in memory.
    return out[0, :size].copy(), out[1, :size].copy(), out[2, :size].copy(), out[3, :size].copy()


@inner
def _merge_spans(
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
    """Write mentions ``first`` to ``last`` and the uses to ``out``, in order.

    Returns the new size of ``out``.
    """
    at = first
    free = 0  # the end of the last use that was written
    for i in range(used):
        start = uses[0, i]
        end = uses[1, i]
        while at < last and ends[at] <= start:
            size = _write_span(out, size, number, forms[at], starts[at], ends[at])
            at += 1
        # Of overlapping uses the leftmost wins, of those the longest: it comes first.
        stop = at
        is_taken = start >= free
        while stop < last and starts[stop] < end:
            # A mention inside the use gives way; one that crosses its border keeps the use out.
            is_taken &= starts[stop] >= start and ends[stop] <= end
            stop += 1
        if is_taken:
            size = _write_span(out, size, number, uses[2, i], start, end)
            at = stop
            free = end
    for i in range(at, last):
        size = _write_span(out, size, number, forms[i], starts[i], ends[i])
    return size


@inner
def _write_span(out: np.ndarray, size: int, number: int, form: int, start: int, end: int) -> int:
    out[0, size] = number
    out[1, size] = form
    out[2, size] = start
    out[3, size] = end
    return size + 1
