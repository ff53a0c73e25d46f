"""The lexicon's forms as a hashed trie of tokens, and the scan that finds them in text.

What holds: a match is whole tokens; of overlapping matches the leftmost wins, of those the longest,
and of equals the one written exactly as the form over the folded one. Every match is compared byte
by byte with its form, so a hash collision can never make one up.

How: a text is scanned by walking from each token as long as its tokens may be the beginning of a
form. Bloom filters (Communications of the ACM 13:422, 1970), small enough for the processor's
cache, say whether they may be one, and whether a form may end here; only then is the form looked up
in an open-addressing table. The arrays are plain, so they are saved as one Arrow file and
memory-mapped: workers of a node share one copy. A million forms take some 100 MB.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from medr_ray.core.compiled import allocating_entry, allocating_inner, inner
from medr_ray.core.errors import DataError
from medr_ray.entities.tokens import (
    Bytes,
    FoldingTables,
    Offsets,
    read_only,
    text_buffers,
    tokenise,
)

_FOLDED, _EXACT = (
    np.uint64(0x9E3779B97F4A7C15),
    np.uint64(0xC2B2AE3D27D4EB4F),
)  # where the two kinds of walk start
_FILTER_LOAD = 8  # bits for each entry of a filter, at least: one in eight is passed on in vain
_LOAD = 1.6  # slots for each entry, at least


class Trie(NamedTuple):
    """``hashes`` and ``numbers`` are the table of the forms; ``prefixes`` and ``whole`` the filters
    of their beginnings and of the forms themselves; form i is ``data[offsets[i]:offsets[i + 1]]``,
    its tokens joined by spaces."""

    hashes: np.ndarray
    numbers: np.ndarray
    prefixes: np.ndarray
    whole: np.ndarray
    data: np.ndarray
    offsets: np.ndarray


class Spans(NamedTuple):
    """Matches in text order: the text's number, the form's, and the bytes [start, end) of the
    text."""

    text: np.ndarray
    form: np.ndarray
    start: np.ndarray
    end: np.ndarray


def build_trie(folded: pa.Array, exact: pa.Array) -> Trie:
    """The trie of two arrays of keys (see ``tokens.match_keys``), each without repetitions or empty
    keys."""
    array = pa.concat_arrays([folded.cast(pa.large_string()), exact.cast(pa.large_string())])
    data, offsets = text_buffers(array)
    tokens = int(np.count_nonzero(data == 32)) + len(
        array
    )  # there are no more prefixes than tokens
    hashes, numbers = (
        np.zeros(_power(_LOAD * len(array)), np.uint64),
        np.full(_power(_LOAD * len(array)), -1, np.int32),
    )
    prefixes, whole = (
        np.zeros(_power(_FILTER_LOAD * one) // 8, np.uint8) for one in (tokens, len(array))
    )
    clash = _insert(data, offsets, len(folded), hashes, numbers, prefixes, whole)
    if clash >= 0:
        raise DataError(f"the lexicon holds the key {array[clash].as_py()!r} twice")
    arrays = (hashes, numbers, prefixes, whole, data.copy(), offsets.copy())
    return Trie(*(read_only(one) for one in arrays))


def find_spans(trie: Trie, tables: FoldingTables, data: Bytes, offsets: Offsets) -> Spans:
    """Every match in the texts (see ``tokens.text_buffers``)."""
    return Spans(
        *_scan(data, offsets, tables.classes, tables.starts, tables.data, tables.growth, *trie)
    )


def to_columns(trie: Trie, tables: FoldingTables) -> dict[str, np.ndarray]:
    """All arrays by name; ``from_columns`` reads them back, also from a memory map."""
    return {
        **{f"trie_{name}": array for name, array in trie._asdict().items()},
        "folding_classes": tables.classes,
        "folding_starts": tables.starts,
        "folding_data": tables.data,
        "folding_growth": np.array([tables.growth], np.int64),
    }


def from_columns(columns: dict[str, np.ndarray]) -> tuple[Trie, FoldingTables]:
    """What ``to_columns`` took apart; the arrays are read-only."""
    trie = Trie(**{name: columns[f"trie_{name}"] for name in Trie._fields})
    return trie, FoldingTables(
        columns["folding_classes"],
        columns["folding_starts"],
        columns["folding_data"],
        int(columns["folding_growth"][0]),
    )


def _power(least: float) -> int:
    """The next power of two."""
    return 1 << int(np.ceil(np.log2(max(64, least))))


@inner
def _mix(value: np.uint64) -> np.uint64:
    """The finaliser of MurmurHash3 (Appleby, 2011): every input bit moves every output bit."""
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xFF51AFD7ED558CCD)
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xC4CEB9FE1A85EC53)
    return value ^ (value >> np.uint64(33))


@inner
def _hash(words: np.ndarray, first: int, size: int) -> np.uint64:
    """Of ``size`` bytes that begin at word ``first`` and are followed by zeros to the end of their
    last word."""
    value = np.uint64(size) * np.uint64(0x9E3779B97F4A7C15)
    for at in range(first, first + ((size + 7) >> 3)):
        value = (value ^ words[at]) * np.uint64(0xFF51AFD7ED558CCD)
        value ^= value >> np.uint64(32)
    return _mix(value)


@inner
def _hash_bytes(
    data: np.ndarray, begin: int, end: int, room: np.ndarray, words: np.ndarray
) -> np.uint64:
    """The same of ``data[begin:end]``, through ``room``, which is ``words`` as bytes."""
    size = end - begin
    words[(size >> 3)] = 0
    for at in range(size):
        room[at] = data[begin + at]
    for at in range(size, (size + 7) & ~7):
        room[at] = 0
    return _hash(words, 0, size)


@inner
def _step(prefix: np.uint64, token: np.uint64) -> np.uint64:
    """The hash of a prefix and one more token; never 0, which marks a free slot."""
    return _mix(prefix * np.uint64(31) + token) | np.uint64(1)


@inner
def _slot(hashes: np.ndarray, wanted: np.uint64) -> np.int64:
    """Where a hash is, or the free slot where it would be."""
    last = np.uint64(len(hashes) - 1)
    at = (wanted >> np.uint64(1)) & last
    while hashes[at] != 0 and hashes[at] != wanted:
        at = (at + np.uint64(1)) & last
    return np.int64(at)


@inner
def _mark(bits: np.ndarray, value: np.uint64) -> None:
    """Add to a filter."""
    bit = (value >> np.uint64(3)) & np.uint64(8 * len(bits) - 1)
    bits[bit >> np.uint64(3)] |= np.uint8(1 << (bit & np.uint64(7)))


@inner
def _may_hold(bits: np.ndarray, value: np.uint64) -> bool:
    """Whether a value may have been added to a filter."""
    bit = (value >> np.uint64(3)) & np.uint64(8 * len(bits) - 1)
    return (bits[bit >> np.uint64(3)] >> (bit & np.uint64(7))) & 1 != 0


@allocating_entry
def _insert(
    data: np.ndarray,
    offsets: np.ndarray,
    folded: int,
    hashes: np.ndarray,
    numbers: np.ndarray,
    prefixes: np.ndarray,
    whole: np.ndarray,
) -> int:
    """Fill the table and the filters; returns the first form that was there already, or -1."""
    words = np.empty(_longest_text(offsets) // 8 + 2, np.uint64)
    room = words.view(np.uint8)
    for form in range(len(offsets) - 1):
        prefix = _FOLDED if form < folded else _EXACT
        begin = offsets[form]
        for at in range(offsets[form], offsets[form + 1] + 1):
            if at == offsets[form + 1] or data[at] == 32:
                prefix = _step(prefix, _hash_bytes(data, begin, at, room, words))
                _mark(prefixes, prefix)
                begin = at + 1
        _mark(whole, prefix)
        slot = _slot(hashes, prefix)
        if hashes[slot] != 0:
            return form
        hashes[slot], numbers[slot] = prefix, form
    return -1


@inner
def _longest_text(offsets: np.ndarray) -> int:
    longest = 1
    for i in range(len(offsets) - 1):
        longest = max(longest, offsets[i + 1] - offsets[i])
    return longest


@inner
def _is_form(
    form: int,
    token: int,
    count: int,
    data: np.ndarray,
    places: np.ndarray,
    sizes: np.ndarray,
    form_data: np.ndarray,
    form_offsets: np.ndarray,
) -> bool:
    """Whether ``count`` tokens from ``token`` on, ``sizes`` bytes of ``data`` from ``places`` on
    each, are the form byte by byte."""
    at, stop = form_offsets[form], form_offsets[form + 1]
    for i in range(token, token + count):
        if i > token:
            if at >= stop or form_data[at] != 32:
                return False
            at += 1
        for j in range(places[i], places[i] + sizes[i]):
            if at >= stop or form_data[at] != data[j]:
                return False
            at += 1
    return at == stop


@inner
def _longest(
    prefix: np.uint64,
    token: int,
    found: int,
    token_hashes: np.ndarray,
    data: np.ndarray,
    places: np.ndarray,
    sizes: np.ndarray,
    hashes: np.ndarray,
    numbers: np.ndarray,
    prefixes: np.ndarray,
    whole: np.ndarray,
    form_data: np.ndarray,
    form_offsets: np.ndarray,
) -> tuple[int, int]:
    """(tokens, form) of the longest form that starts at ``token``; ``prefix`` is its first step.
    (0, -1) if none."""
    best, form, at = 0, -1, token
    while _may_hold(prefixes, prefix):
        count = at - token + 1
        if _may_hold(whole, prefix):
            number = numbers[_slot(hashes, prefix)]
            if number >= 0 and _is_form(
                number, token, count, data, places, sizes, form_data, form_offsets
            ):
                best, form = count, number
        at += 1
        if at == found:
            break
        prefix = _step(prefix, token_hashes[at])
    return best, form


@inner
def bytes_equal(
    one: np.ndarray, begin: int, size: int, other: np.ndarray, place: int, other_size: int
) -> bool:
    """Whether ``size`` bytes of ``one`` from ``begin`` on are those of ``other`` from ``place``
    on."""
    if size != other_size:
        return False
    same = 0
    while same < size and one[begin + same] == other[place + same]:
        same += 1
    return same == size


@allocating_inner
def widen_table(table: np.ndarray, columns: int) -> np.ndarray:
    """A copy of int64[rows, N] with room for ``columns``, the new ones not yet set."""
    wider = np.empty((len(table), columns), np.int64)
    wider[:, : table.shape[1]] = table
    return wider


@allocating_entry
def _scan(
    data: np.ndarray,
    offsets: np.ndarray,
    classes: np.ndarray,
    fold_starts: np.ndarray,
    fold_data: np.ndarray,
    growth: int,
    hashes: np.ndarray,
    numbers: np.ndarray,
    prefixes: np.ndarray,
    whole: np.ndarray,
    form_data: np.ndarray,
    form_offsets: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    longest = _longest_text(offsets)
    starts, stops = np.empty(longest, np.int32), np.empty(longest, np.int32)
    places, sizes, lengths = (
        np.empty(longest, np.int32),
        np.empty(longest, np.int32),
        np.empty(longest, np.int32),
    )
    folded_words = np.empty(longest * (growth + 8) // 8 + 2, np.uint64)
    folded = folded_words.view(np.uint8)
    words = np.empty(longest // 8 + 2, np.uint64)
    room = words.view(np.uint8)
    as_folded, as_written = np.empty(longest, np.uint64), np.empty(longest, np.uint64)
    size, capacity = 0, 1024
    out = np.empty((4, capacity), np.int64)
    for number in range(len(offsets) - 1):
        text = data[offsets[number] : offsets[number + 1]]
        found = tokenise(
            text,
            0,
            len(text),
            classes,
            fold_starts,
            fold_data,
            starts,
            stops,
            folded,
            places,
            sizes,
        )
        for i in range(found):
            lengths[i] = stops[i] - starts[i]
            as_folded[i] = _hash(folded_words, places[i] >> 3, sizes[i])
            same = bytes_equal(text, starts[i], lengths[i], folded, places[i], sizes[i])
            as_written[i] = (
                as_folded[i] if same else _hash_bytes(text, starts[i], stops[i], room, words)
            )
        token = 0
        while token < found:
            count, form = _longest(
                _step(_FOLDED, as_folded[token]),
                token,
                found,
                as_folded,
                folded,
                places,
                sizes,
                hashes,
                numbers,
                prefixes,
                whole,
                form_data,
                form_offsets,
            )
            exact_count, exact_form = _longest(
                _step(_EXACT, as_written[token]),
                token,
                found,
                as_written,
                text,
                starts,
                lengths,
                hashes,
                numbers,
                prefixes,
                whole,
                form_data,
                form_offsets,
            )
            if exact_count and exact_count >= count:
                count, form = exact_count, exact_form
            if not count:
                token += 1
                continue
            if size == capacity:
                capacity *= 2
                out = widen_table(out, capacity)
            out[0, size], out[1, size] = number, form
            out[2, size], out[3, size] = starts[token], stops[token + count - 1]
            size += 1
            token += count
    return out[0, :size].copy(), out[1, :size].copy(), out[2, :size].copy(), out[3, :size].copy()
