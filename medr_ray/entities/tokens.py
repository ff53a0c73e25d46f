"""Text as the matcher sees it: a sequence of folded tokens.

A token is a run of letters and digits, or a single punctuation mark, or one character of a script
without spaces between words, such as Chinese. White space and hyphens separate tokens, so that
"Bernard-Soulier" and "Bernard Soulier" are the same. A token is folded character by character:
compatibility decomposition, no accents, case folding, Greek letters by their names. An English
plural becomes its singular, a possessive 's and an apostrophe after a last s are dropped. Only "ß"
depends on its neighbours: it is "ss" after a small letter and stands for β elsewhere.

``knowledge.name_normalization.fold_name`` is the same for names, and has spellings and figures
besides: of those the lexicon's forms have variants (see ``form_patterns``).

The rules are in tables, which are computed from Python's Unicode data and saved with the compiled
lexicon: a process that loads a lexicon folds exactly like the one that built it.
"""

import functools
import unicodedata
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from medr_ray.core.compiled import allocating_entry, inner
from medr_ray.knowledge.name_normalization import (
    APOSTROPHES,
    GREEK_NAMES,
    HYPHENS,
    fold_character,
    is_unspaced,
)

SPACE, WORD, MARK, IGNORED, APOSTROPHE = range(5)
# Planes 0 and 1 of Unicode. A character beyond them is a rare ideograph, which is a token of its
# own and folds to itself.
_TABLE_SIZE = 0x20000
_LETTER_E = ord("e")
_LETTER_I = ord("i")
_LETTER_O = ord("o")
_LETTER_S = ord("s")
_LETTER_U = ord("u")
_LETTER_Y = ord("y")
_LETTER_A = ord("a")
_SHARP_S = ord("ß")
_BETA = ord("β")

Bytes = np.ndarray
Offsets = np.ndarray


class FoldingTables(NamedTuple):
    """What every code point folds to.

    ``classes[c]`` is the class of code point c (SPACE, WORD, MARK, IGNORED or APOSTROPHE), and
    ``data[starts[c]:starts[c + 1]]`` its folded form in UTF-8. A folded text has at most ``growth``
    times the bytes of the text.
    """

    classes: np.ndarray
    starts: np.ndarray
    data: np.ndarray
    growth: int


@functools.cache
def build_folding_tables() -> FoldingTables:
    """The tables of this Python's Unicode version; computing them takes about 0.3 s."""
    classes = np.zeros(_TABLE_SIZE, np.uint8)
    starts = np.zeros(_TABLE_SIZE + 1, np.int32)
    folded = bytearray()
    growth = 1.0
    for point in range(_TABLE_SIZE):
        character = chr(point)
        classes[point], text = _classify_character(character)
        folded += text.encode("utf-8")
        starts[point + 1] = len(folded)
        if text:
            growth = max(growth, len(text.encode("utf-8")) / len(character.encode("utf-8")))
    data = np.frombuffer(bytes(folded), np.uint8)
    return FoldingTables(
        make_read_only(classes), make_read_only(starts), make_read_only(data), int(np.ceil(growth))
    )


def make_read_only(array: np.ndarray) -> np.ndarray:
    """A read-only view.

    numba compiles a function anew for writable and for read-only arrays. Arrays from a memory map
    are read-only, so all others are made read-only too and the function is compiled once.
    """
    view = array.view()
    view.setflags(write=False)
    return view


def _classify_character(character: str) -> tuple[int, str]:
    """The class of a character and what it folds to."""
    category = unicodedata.category(character)
    if character in APOSTROPHES:
        return APOSTROPHE, "'"
    if character.isspace() or category[0] == "Z" or character in HYPHENS:
        return SPACE, ""
    if category in ("Mn", "Me", "Cf", "Cs", "Cc"):
        return IGNORED, ""
    decomposed = "".join(
        part
        for part in unicodedata.normalize("NFKD", character)
        if unicodedata.category(part) != "Mn"
    )
    folded_parts = map(fold_character, decomposed)
    text = "".join(GREEK_NAMES.get(part, part) for part in folded_parts if part.strip())
    if not text:
        return IGNORED, ""
    is_letter = character.isalnum() or character == "_"
    return (WORD if is_letter and not is_unspaced(character) else MARK), text


@inner
def read_code_point(data: Bytes, at: int) -> tuple[Any, int]:
    """The character whose UTF-8 begins at byte ``at``, and how many bytes it has."""
    first = np.int64(data[at])
    if first < 0x80:
        return first, 1
    if first < 0xE0:
        return ((first & 0x1F) << 6) | (data[at + 1] & 0x3F), 2
    if first < 0xF0:
        return ((first & 0x0F) << 12) | ((data[at + 1] & 0x3F) << 6) | (data[at + 2] & 0x3F), 3
    return (
        ((first & 0x07) << 18)
        | ((data[at + 1] & 0x3F) << 12)
        | ((data[at + 2] & 0x3F) << 6)
        | (data[at + 3] & 0x3F)
    ), 4


@inner
def tokenise(
    data: Bytes,
    begin: int,
    end: int,
    classes: np.ndarray,
    fold_starts: np.ndarray,
    fold_data: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    folded: np.ndarray,
    places: np.ndarray,
    sizes: np.ndarray,
) -> int:
    """Split ``data[begin:end]``, valid UTF-8, into tokens and return their number.

    Token i is ``data[starts[i]:ends[i]]``, and folded it is ``sizes[i]`` bytes of ``folded`` from
    ``places[i]`` on. Each folded token begins at a multiple of eight bytes and is followed by zeros
    up to the next one, so that it can be hashed in words of eight bytes.
    """
    count = 0
    at = begin
    write = 0  # where the next folded byte goes
    open_word = False  # whether token ``count`` has begun
    while at < end:
        first = data[at]
        # A fast path for ASCII letters and digits, which make up nearly all of English text.
        if first < 0x80 and classes[first] == WORD:
            if not open_word:
                starts[count] = at
                places[count] = write
                open_word = True
            while True:
                folded[write] = first | 32 if 65 <= first <= 90 else first
                write += 1
                at += 1
                if at == end:
                    break
                first = data[at]
                if first >= 0x80 or classes[first] != WORD:
                    break
            if at == end:
                break
        # A second fast path for the space.
        if first == 32:
            if open_word:
                write = _end_word(folded, places, sizes, ends, count, at, write)
                count += 1
                open_word = False
            at += 1
            continue
        point, size = read_code_point(data, at)
        in_table = point < len(classes)
        kind = classes[point] if in_table else MARK
        skipped = 0  # bytes of a possessive behind its apostrophe, plus one
        if kind == APOSTROPHE and open_word:
            skipped = _measure_possessive(data, at, at + size, end, classes)
        elif point == _SHARP_S and not (at > begin and _is_small_letter(data[at - 1])):
            point = np.int64(_BETA)
        if open_word and kind not in (WORD, IGNORED):
            write = _end_word(folded, places, sizes, ends, count, at, write)
            count += 1
            open_word = False
        if not open_word and not skipped and kind not in (SPACE, IGNORED):
            starts[count] = at
            places[count] = write
            open_word = True
        if open_word and in_table:
            for i in range(fold_starts[point], fold_starts[point + 1]):
                folded[write] = fold_data[i]
                write += 1
        elif open_word:
            for i in range(size):
                folded[write] = data[at + i]
                write += 1
        at += size
        if skipped:
            at += skipped - 1
        if open_word and kind not in (WORD, IGNORED):
            # A punctuation mark is a token of its own, and has no singular.
            ends[count] = at
            sizes[count] = write - places[count]
            write = _pad_to_word(folded, write)
            count += 1
            open_word = False
    if open_word:
        _end_word(folded, places, sizes, ends, count, end, write)
        count += 1
    return count


@inner
def _end_word(
    folded: np.ndarray,
    places: np.ndarray,
    sizes: np.ndarray,
    ends: np.ndarray,
    count: int,
    at: int,
    write: int,
) -> int:
    """End token ``count`` before byte ``at`` and put it into the singular.

    Returns the place of the next folded token.
    """
    ends[count] = at
    sizes[count] = _find_singular_end(folded, places[count], write) - places[count]
    return _pad_to_word(folded, places[count] + sizes[count])


@inner
def _pad_to_word(folded: np.ndarray, end: int) -> int:
    """Write zeros from ``end`` to the next multiple of eight bytes, and return that."""
    stop = (end + 7) & ~7
    for at in range(end, stop):
        folded[at] = 0
    return stop


@inner
def _measure_possessive(
    data: Bytes, apostrophe: int, at: int, end: int, classes: np.ndarray
) -> int:
    """One more than the bytes of a possessive from ``at`` on, behind its apostrophe; 0 where there
    is none.

    It is an s, or nothing behind a word that ends in s. Neither letter nor digit follows it.
    """
    if at < end and (data[at] == _LETTER_S or data[at] == _LETTER_S - 32):
        return 0 if _is_word_at(data, at + 1, end, classes) else 2
    # ``apostrophe`` is behind a word, so there is a byte before it.
    last = data[apostrophe - 1]
    if last != _LETTER_S and last != _LETTER_S - 32:
        return 0
    return 0 if _is_word_at(data, at, end, classes) else 1


@inner
def _is_word_at(data: Bytes, at: int, end: int, classes: np.ndarray) -> bool:
    """Whether a letter or digit of a script with spaces begins at byte ``at``."""
    if at >= end:
        return False
    point, _ = read_code_point(data, at)
    return point < len(classes) and classes[point] == WORD


@inner
def _is_small_letter(byte: int) -> bool:
    """Whether the byte is a small letter, or part of a character beyond ASCII."""
    return 97 <= byte <= 122 or byte >= 0x80


@inner
def _find_singular_end(folded: np.ndarray, begin: int, end: int) -> int:
    """Put the word ``folded[begin:end]`` into the singular, in place, and return its new end.

    -ies becomes -y, -sses becomes -ss, -oses becomes -osis. Otherwise a last s is dropped, unless
    it follows s, u, i or a digit. Words of five letters or fewer stay as they are: without its s, a
    short word may be an abbreviation ("aches", AChE).
    """
    size = end - begin
    if size < 6 or folded[end - 1] != _LETTER_S:
        return end
    before = folded[end - 2]
    if before == _LETTER_E:
        if folded[end - 3] == _LETTER_I:  # -ies
            folded[end - 3] = _LETTER_Y
            return end - 2
        if folded[end - 3] == _LETTER_S and folded[end - 4] == _LETTER_S:  # -sses
            return end - 2
        if folded[end - 3] == _LETTER_S and folded[end - 4] == _LETTER_O:  # -oses
            folded[end - 2] = _LETTER_I
            return end
    # -ss, -us, -is, or a digit before the s.
    if before in (_LETTER_S, _LETTER_U, _LETTER_I) or before < _LETTER_A:
        return end
    return end - 1


@allocating_entry
def _join_tokens(
    data: Bytes,
    offsets: Offsets,
    classes: np.ndarray,
    fold_starts: np.ndarray,
    fold_data: np.ndarray,
    growth: int,
    exact: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """The tokens of each text, joined by single spaces, as (bytes, offsets).

    They are folded, or as written where ``exact``.
    """
    count = len(offsets) - 1
    longest = 0
    for i in range(count):
        longest = max(longest, offsets[i + 1] - offsets[i])
    starts = np.empty(longest + 1, np.int32)
    ends = np.empty(longest + 1, np.int32)
    places = np.empty(longest + 1, np.int32)
    sizes = np.empty(longest + 1, np.int32)
    folded = np.empty(longest * (growth + 8) + 8, np.uint8)
    out = np.empty((offsets[count] - offsets[0]) * 2 + 64, np.uint8)
    out_offsets = np.zeros(count + 1, np.int64)
    write = 0
    for i in range(count):
        token_count = tokenise(
            data,
            offsets[i],
            offsets[i + 1],
            classes,
            fold_starts,
            fold_data,
            starts,
            ends,
            folded,
            places,
            sizes,
        )
        total = token_count
        for token in range(token_count):
            total += ends[token] - starts[token] if exact else sizes[token]
        # ``total`` counts a space for each token, one more than needed.
        if write + total > len(out):
            larger = np.empty(2 * (write + total), np.uint8)
            larger[:write] = out[:write]
            out = larger
        for token in range(token_count):
            if token:
                out[write] = 32
                write += 1
            begin = starts[token] if exact else places[token]
            stop = ends[token] if exact else places[token] + sizes[token]
            for at in range(begin, stop):
                out[write] = data[at] if exact else folded[at]
                write += 1
        out_offsets[i + 1] = write
    return out[:write], out_offsets


def view_text_buffers(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """(UTF-8 bytes, int64 offsets) of a string array without nulls, as views of its buffers."""
    # One array has one pair of buffers; offsets of 64 bits allow more than 2 GiB of text.
    array = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    array = array.cast(pa.large_string())
    _, offsets, data = array.buffers()
    # A slice shares the buffers of the whole array, so its offsets begin at ``array.offset``.
    bounds = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    return make_read_only(np.frombuffer(data or b"", np.uint8)), make_read_only(bounds)


def build_match_keys(texts: pa.Array, tables: FoldingTables, exact: bool = False) -> pa.Array:
    """The key that each text is matched by: its tokens, joined by single spaces.

    The tokens are folded, or as written where ``exact``. Texts with the same key match the same.
    """
    data, offsets = view_text_buffers(texts)
    joined, bounds = _join_tokens(
        data, offsets, tables.classes, tables.starts, tables.data, tables.growth, exact
    )
    return pa.Array.from_buffers(
        pa.large_string(),
        len(texts),
        [None, pa.py_buffer(bounds), pa.py_buffer(np.ascontiguousarray(joined))],
    )
