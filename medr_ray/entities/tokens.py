"""Text as the matcher sees it: a sequence of folded tokens.

What holds: a token is a run of letters and digits, or a single punctuation mark; white space and
hyphens separate, so "Bernard-Soulier" and "Bernard Soulier" are the same tokens. A token is folded
character by character: compatibility decomposed, without accents, case folded, Greek letters by
name; an English plural reads as its singular; a possessive 's is left out. FoldingTables one character
never depends on its neighbours, so a text folds like the sum of its parts.

The rules are in tables, made once from Python's Unicode data and kept beside the compiled lexicon:
whoever loads it folds exactly as whoever built it.
"""

import functools
import unicodedata
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from medr_ray.core.compiled import allocating_entry, inner
from medr_ray.knowledge.name_normalization import fold_character

SPACE, WORD, MARK, IGNORED, APOSTROPHE = range(5)
_CODE_POINTS = (
    0x20000  # the two planes that are in use; a character beyond is a letter that folds to itself
)
_HYPHENS = frozenset("-‐‑‒–—−﹣－")
_APOSTROPHES = frozenset("'’‘ʼ′`")
_GREEK = dict(
    zip(
        "αβγδεζηθικλμνξοπρστυφχψω",
        (
            "alpha",
            "beta",
            "gamma",
            "delta",
            "epsilon",
            "zeta",
            "eta",
            "theta",
            "iota",
            "kappa",
            "lambda",
            "mu",
            "nu",
            "xi",
            "omicron",
            "pi",
            "rho",
            "sigma",
            "tau",
            "upsilon",
            "phi",
            "chi",
            "psi",
            "omega",
        ),
        strict=True,
    )
)

Bytes = np.ndarray
Offsets = np.ndarray


class FoldingTables(NamedTuple):
    """The tables: class of each code point, and its folded UTF-8 as ``data[starts[c]:starts[c +
    1]]``; a folded text is at most ``growth`` times as long."""

    classes: np.ndarray
    starts: np.ndarray
    data: np.ndarray
    growth: int


@functools.cache
def folding_tables() -> FoldingTables:
    """The tables of this Python's Unicode version (about 0.3 s once)."""
    classes = np.zeros(_CODE_POINTS, np.uint8)
    starts = np.zeros(_CODE_POINTS + 1, np.int32)
    folded = bytearray()
    growth = 1.0
    for point in range(_CODE_POINTS):
        character = chr(point)
        classes[point], text = _fold(character)
        folded += text.encode("utf-8")
        starts[point + 1] = len(folded)
        if text:
            growth = max(growth, len(text.encode("utf-8")) / len(character.encode("utf-8")))
    data = np.frombuffer(bytes(folded), np.uint8)
    return FoldingTables(
        read_only(classes), read_only(starts), read_only(data), int(np.ceil(growth))
    )


def read_only(array: np.ndarray) -> np.ndarray:
    """A view that cannot be written, as a memory map cannot: a kernel is compiled once for both."""
    view = array.view()
    view.setflags(write=False)
    return view


def _fold(character: str) -> tuple[int, str]:
    category = unicodedata.category(character)
    if character in _APOSTROPHES:
        return APOSTROPHE, "'"
    if character.isspace() or category[0] == "Z" or character in _HYPHENS:
        return SPACE, ""
    if category in ("Mn", "Me", "Cf", "Cs", "Cc"):
        return IGNORED, ""
    decomposed = "".join(
        one for one in unicodedata.normalize("NFKD", character) if unicodedata.category(one) != "Mn"
    )
    text = "".join(_GREEK.get(one, one) for one in map(fold_character, decomposed) if one.strip())
    if not text:
        return IGNORED, ""
    return (WORD if character.isalnum() or character == "_" else MARK), text


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
    """Tokens of ``data[begin:end]`` (valid UTF-8): their bytes from ``starts`` to ``ends``, and
    folded ``folded[place : place + size]``. Each folded token begins a word of eight bytes and is
    followed by zeros to the end of its last word. Returns how many there are."""
    count, at, write, open_word = 0, begin, 0, False
    while at < end:
        first = data[at]
        if first < 0x80 and classes[first] == WORD:  # nearly all of English text
            if not open_word:
                starts[count], places[count] = at, write
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
        if first == 32:
            if open_word:
                write = _end_word(folded, places, sizes, ends, count, at, write)
                count, open_word = count + 1, False
            at += 1
            continue
        point, size = read_code_point(data, at)
        known = point < len(classes)
        kind = classes[point] if known else WORD
        possessive = (
            kind == APOSTROPHE and open_word and _is_possessive(data, at + size, end, classes)
        )
        if open_word and kind not in (WORD, IGNORED):
            write = _end_word(folded, places, sizes, ends, count, at, write)
            count, open_word = count + 1, False
        if not open_word and not possessive and kind not in (SPACE, IGNORED):
            starts[count], places[count] = at, write
            open_word = True
        if open_word and known:
            for i in range(fold_starts[point], fold_starts[point + 1]):
                folded[write] = fold_data[i]
                write += 1
        elif open_word:
            for i in range(size):
                folded[write] = data[at + i]
                write += 1
        at += size + possessive
        if open_word and kind not in (WORD, IGNORED):
            ends[count], sizes[count] = at, write - places[count]
            count, open_word, write = count + 1, False, _padded(folded, write)
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
    """End word ``count`` before byte ``at``, in the singular; returns where the next token is
    folded to."""
    ends[count] = at
    sizes[count] = _singular(folded, places[count], write) - places[count]
    return _padded(folded, places[count] + sizes[count])


@inner
def _padded(folded: np.ndarray, end: int) -> int:
    """Zeros from ``end`` to the end of its word; returns where the next word begins."""
    stop = (end + 7) & ~7
    for at in range(end, stop):
        folded[at] = 0
    return stop


@inner
def _is_possessive(data: Bytes, at: int, end: int, classes: np.ndarray) -> bool:
    """An s, and then no letter or digit (of ASCII; any other letter is taken for one)."""
    if at >= end or (data[at] != 115 and data[at] != 83):
        return False
    return at + 1 == end or (data[at + 1] < 0x80 and classes[data[at + 1]] != WORD)


@inner
def _singular(folded: np.ndarray, begin: int, end: int) -> int:
    """The end of ``folded[begin:end]`` in the singular (changed in place): -ies to -y, -sses to
    -ss, -oses to -osis, else a last s lost unless it follows s, u or i. Words of five letters or
    fewer stay: a short word less its s is somebody's abbreviation ("aches", AChE)."""
    size = end - begin
    if size < 6 or folded[end - 1] != 115:
        return end
    before = folded[end - 2]
    if before == 101:  # e
        if folded[end - 3] == 105:  # ies
            folded[end - 3] = 121
            return end - 2
        if folded[end - 3] == 115 and folded[end - 4] == 115:  # sses
            return end - 2
        if folded[end - 3] == 115 and folded[end - 4] == 111:  # oses
            folded[end - 2] = 105
            return end
    if before == 115 or before == 117 or before == 105 or before < 97:  # ss, us, is, a digit
        return end
    return end - 1


@allocating_entry
def _keys(
    data: Bytes,
    offsets: Offsets,
    classes: np.ndarray,
    fold_starts: np.ndarray,
    fold_data: np.ndarray,
    growth: int,
    exact: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """The tokens of each text joined by single spaces, as (bytes, offsets); as written where
    ``exact``."""
    count = len(offsets) - 1
    longest = 0
    for i in range(count):
        longest = max(longest, offsets[i + 1] - offsets[i])
    starts, ends = np.empty(longest + 1, np.int32), np.empty(longest + 1, np.int32)
    places, sizes = np.empty(longest + 1, np.int32), np.empty(longest + 1, np.int32)
    folded = np.empty(longest * (growth + 8) + 8, np.uint8)
    out = np.empty((offsets[count] - offsets[0]) * 2 + 64, np.uint8)
    out_offsets = np.zeros(count + 1, np.int64)
    write = 0
    for i in range(count):
        found = tokenise(
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
        total = found
        for token in range(found):
            total += ends[token] - starts[token] if exact else sizes[token]
        if write + total > len(out):
            larger = np.empty(2 * (write + total), np.uint8)
            larger[:write] = out[:write]
            out = larger
        for token in range(found):
            if token:
                out[write] = 32
                write += 1
            begin, stop = (
                (starts[token], ends[token])
                if exact
                else (places[token], places[token] + sizes[token])
            )
            for at in range(begin, stop):
                out[write] = data[at] if exact else folded[at]
                write += 1
        out_offsets[i + 1] = write
    return out[:write], out_offsets


def text_buffers(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """(UTF-8 bytes, int64 offsets) of a string array without nulls; the bytes are not copied."""
    array = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    array = array.cast(pa.large_string())
    _, offsets, data = array.buffers()
    bounds = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    return read_only(np.frombuffer(data or b"", np.uint8)), read_only(bounds)


def match_keys(texts: pa.Array, tables: FoldingTables, exact: bool = False) -> pa.Array:
    """What each text is matched by: its folded tokens (or, ``exact``, its tokens as written) with
    single spaces between; two texts with the same key cannot be told apart."""
    data, offsets = text_buffers(texts)
    joined, bounds = _keys(
        data, offsets, tables.classes, tables.starts, tables.data, tables.growth, exact
    )
    return pa.Array.from_buffers(
        pa.large_string(),
        len(texts),
        [None, pa.py_buffer(bounds), pa.py_buffer(np.ascontiguousarray(joined))],
    )
