"""The lexicon's forms as a hashed trie of tokens, and the scan that finds them in text.

What holds: a match is whole tokens; of overlapping matches the leftmost wins, of those the longest, and of equals the
one written exactly as the form over the folded one. Every match is compared byte by byte with its form, so a hash
collision can never make one up.

How: every prefix of a form's tokens is a slot of an open-addressing table, (hash, number of the form that ends there
or -1). A text is scanned by walking from each token as long as the prefix is known. A bit map of the first tokens,
small enough for the cache, answers most of the walks before the table is touched. The arrays are plain, so they are
saved as one Arrow file and memory-mapped: workers of a node share one copy. A million forms of three tokens take about
100 MB for the table and 60 MB for the forms.
"""

from typing import NamedTuple

import numba
import numpy as np
import pyarrow as pa

from medr_ray.core.errors import DataError
from medr_ray.entities.tokens import Folding, text_buffers, tokenise

_FOLDED, _EXACT = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)  # where the two kinds of walk start
_FILTER_BITS = 23  # one MiB: 8 million first tokens at most, cached while scanning
_LOAD = 1.6  # slots for each entry, at least


class Trie(NamedTuple):
    """``hashes`` and ``ends`` are the table, ``first`` the bit map; form i is ``data[offsets[i]:offsets[i + 1]]``, its
    tokens joined by spaces."""

    hashes: np.ndarray
    ends: np.ndarray
    first: np.ndarray
    data: np.ndarray
    offsets: np.ndarray


class Spans(NamedTuple):
    """Matches in text order: the text's number, the form's, and the bytes [start, end) of the text."""

    text: np.ndarray
    form: np.ndarray
    start: np.ndarray
    end: np.ndarray


def build(folded: pa.Array, exact: pa.Array) -> Trie:
    """The trie of two arrays of keys (see ``tokens.keys``), each without repetitions or empty keys."""
    array = pa.concat_arrays([folded.cast(pa.large_string()), exact.cast(pa.large_string())])
    data, offsets = text_buffers(array)
    bound = int(np.count_nonzero(data == 32)) + len(array)  # as many prefixes as tokens
    hashes, ends, entries, clash = _insert(data, offsets, len(folded), _capacity(bound))
    if clash >= 0:
        raise DataError(f"the lexicon holds the key {array[clash].as_py()!r} twice")
    hashes, ends = _rehash(hashes, ends, _capacity(entries))
    trie = Trie(hashes, ends, _first_tokens(data, offsets, len(folded)), data.copy(), offsets.copy())
    for one in trie:
        one.setflags(write=False)
    return trie


def find(trie: Trie, tables: Folding, texts: pa.Array) -> Spans:
    """Every match in the texts (strings, none null)."""
    data, offsets = text_buffers(texts)
    return Spans(*_scan(
        data, offsets, tables.classes, tables.starts, tables.data, tables.growth, trie.hashes, trie.ends, trie.first,
        trie.data, trie.offsets))


def to_columns(trie: Trie, tables: Folding) -> dict[str, np.ndarray]:
    """All arrays by name; ``from_columns`` reads them back, also from a memory map."""
    return {
        **{f"trie_{name}": array for name, array in trie._asdict().items()},
        "folding_classes": tables.classes, "folding_starts": tables.starts, "folding_data": tables.data,
        "folding_growth": np.array([tables.growth], np.int64),
    }


def from_columns(columns: dict[str, np.ndarray]) -> tuple[Trie, Folding]:
    """What ``to_columns`` took apart; the arrays are read-only."""
    trie = Trie(**{name: columns[f"trie_{name}"] for name in Trie._fields})
    return trie, Folding(columns["folding_classes"], columns["folding_starts"], columns["folding_data"],
                         int(columns["folding_growth"][0]))


def _capacity(entries: int) -> int:
    return 1 << int(np.ceil(np.log2(max(16, _LOAD * entries))))


@numba.njit(nogil=True, cache=True, inline="always")
def _mix(value: np.uint64) -> np.uint64:
    """The finaliser of MurmurHash3 (Appleby, 2011): every input bit moves every output bit."""
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xFF51AFD7ED558CCD)
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xC4CEB9FE1A85EC53)
    return value ^ (value >> np.uint64(33))


@numba.njit(nogil=True, cache=True)
def _hash(data: np.ndarray, begin: int, end: int) -> np.uint64:
    """FNV-1a (Fowler, Noll, Vo) of some bytes, finished by ``_mix``."""
    value = np.uint64(0xCBF29CE484222325)
    for at in range(begin, end):
        value = (value ^ np.uint64(data[at])) * np.uint64(0x100000001B3)
    return _mix(value)


@numba.njit(nogil=True, cache=True, inline="always")
def _step(prefix: np.uint64, token: np.uint64) -> np.uint64:
    """The hash of a prefix and one more token; never 0, which marks a free slot."""
    return _mix(prefix * np.uint64(31) + token) | np.uint64(1)


@numba.njit(nogil=True, cache=True)
def _slot(hashes: np.ndarray, wanted: np.uint64) -> np.int64:
    """Where a hash is, or the free slot where it would be."""
    last = np.uint64(len(hashes) - 1)
    at = (wanted >> np.uint64(1)) & last
    while hashes[at] != 0 and hashes[at] != wanted:
        at = (at + np.uint64(1)) & last
    return np.int64(at)


@numba.njit(nogil=True, cache=True)
def _insert(
    data: np.ndarray, offsets: np.ndarray, folded: int, capacity: int
) -> tuple[np.ndarray, np.ndarray, int, int]:
    """(hashes, ends, entries, the first form whose end was taken or -1)."""
    hashes = np.zeros(capacity, np.uint64)
    ends = np.full(capacity, -1, np.int32)
    entries = 0
    for form in range(len(offsets) - 1):
        prefix = _FOLDED if form < folded else _EXACT
        begin = offsets[form]
        slot = np.int64(0)
        for at in range(offsets[form], offsets[form + 1] + 1):
            if at == offsets[form + 1] or data[at] == 32:
                prefix = _step(prefix, _hash(data, begin, at))
                slot = _slot(hashes, prefix)
                entries += hashes[slot] == 0
                hashes[slot] = prefix
                begin = at + 1
        if ends[slot] >= 0:
            return hashes, ends, entries, form
        ends[slot] = form
    return hashes, ends, entries, -1


@numba.njit(nogil=True, cache=True)
def _rehash(hashes: np.ndarray, ends: np.ndarray, capacity: int) -> tuple[np.ndarray, np.ndarray]:
    new_hashes = np.zeros(capacity, np.uint64)
    new_ends = np.full(capacity, -1, np.int32)
    for at in range(len(hashes)):
        if hashes[at] != 0:
            slot = _slot(new_hashes, hashes[at])
            new_hashes[slot], new_ends[slot] = hashes[at], ends[at]
    return new_hashes, new_ends


@numba.njit(nogil=True, cache=True)
def _first_tokens(data: np.ndarray, offsets: np.ndarray, folded: int) -> np.ndarray:
    """The bit map of the prefixes of one token."""
    first = np.zeros(1 << (_FILTER_BITS - 3), np.uint8)
    for form in range(len(offsets) - 1):
        end = offsets[form]
        while end < offsets[form + 1] and data[end] != 32:
            end += 1
        bit = _step(_FOLDED if form < folded else _EXACT, _hash(data, offsets[form], end)) >> np.uint64(
            64 - _FILTER_BITS)
        first[bit >> np.uint64(3)] |= np.uint8(1 << (bit & np.uint64(7)))
    return first


@numba.njit(nogil=True, cache=True)
def _is_form(
    form: int, token: int, count: int, data: np.ndarray, begins: np.ndarray, ends: np.ndarray,
    form_data: np.ndarray, form_offsets: np.ndarray,
) -> bool:
    """Whether ``count`` tokens from ``token`` on, ``data[begins:ends]`` each, are the form byte by byte."""
    at, stop = form_offsets[form], form_offsets[form + 1]
    for i in range(token, token + count):
        if i > token:
            if at >= stop or form_data[at] != 32:
                return False
            at += 1
        for j in range(begins[i], ends[i]):
            if at >= stop or form_data[at] != data[j]:
                return False
            at += 1
    return at == stop


@numba.njit(nogil=True, cache=True)
def _longest(
    prefix: np.uint64, token: int, found: int, token_hashes: np.ndarray, data: np.ndarray, begins: np.ndarray,
    token_ends: np.ndarray, hashes: np.ndarray, ends: np.ndarray, form_data: np.ndarray, form_offsets: np.ndarray,
) -> tuple[int, int]:
    """(tokens, form) of the longest form that starts at ``token``; ``prefix`` is its first step. (0, -1) if none."""
    best, form, at = 0, -1, token
    while True:
        slot = _slot(hashes, prefix)
        if hashes[slot] == 0:
            return best, form
        count = at - token + 1
        if ends[slot] >= 0 and _is_form(ends[slot], token, count, data, begins, token_ends, form_data, form_offsets):
            best, form = count, ends[slot]
        at += 1
        if at == found:
            return best, form
        prefix = _step(prefix, token_hashes[at])


@numba.njit(nogil=True, cache=True)
def _is_same(one: np.ndarray, begin: int, end: int, other: np.ndarray, other_begin: int, other_end: int) -> bool:
    """Whether ``one[begin:end]`` and ``other[other_begin:other_end]`` are the same bytes."""
    if end - begin != other_end - other_begin:
        return False
    for i in range(end - begin):  # noqa: SIM110 - a compiled loop
        if one[begin + i] != other[other_begin + i]:
            return False
    return True


@numba.njit(nogil=True, cache=True, inline="always")
def _may_start(first: np.ndarray, prefix: np.uint64) -> bool:
    bit = prefix >> np.uint64(64 - _FILTER_BITS)
    return (first[bit >> np.uint64(3)] >> (bit & np.uint64(7))) & 1 != 0


@numba.njit(nogil=True, cache=True)
def _scan(
    data: np.ndarray, offsets: np.ndarray, classes: np.ndarray, fold_starts: np.ndarray, fold_data: np.ndarray,
    growth: int, hashes: np.ndarray, ends: np.ndarray, first: np.ndarray, form_data: np.ndarray,
    form_offsets: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    longest = 1
    for i in range(len(offsets) - 1):
        longest = max(longest, offsets[i + 1] - offsets[i])
    starts, stops = np.empty(longest, np.int32), np.empty(longest, np.int32)
    folded, folded_ends = np.empty(longest * growth, np.uint8), np.empty(longest, np.int32)
    folded_starts = np.empty(longest, np.int32)
    as_folded, as_written = np.empty(longest, np.uint64), np.empty(longest, np.uint64)
    size, room = 0, 1024
    out = np.empty((4, room), np.int64)
    for number in range(len(offsets) - 1):
        base = offsets[number]
        text = data[base:offsets[number + 1]]
        found = tokenise(text, 0, len(text), classes, fold_starts, fold_data, starts, stops, folded, folded_ends)
        for i in range(found):
            folded_starts[i] = folded_ends[i - 1] if i else 0
            as_folded[i] = _hash(folded, folded_starts[i], folded_ends[i])
            same = _is_same(text, starts[i], stops[i], folded, folded_starts[i], folded_ends[i])
            as_written[i] = as_folded[i] if same else _hash(text, starts[i], stops[i])
        token = 0
        while token < found:
            count, form = 0, -1
            prefix = _step(_FOLDED, as_folded[token])
            if _may_start(first, prefix):
                count, form = _longest(prefix, token, found, as_folded, folded, folded_starts, folded_ends, hashes,
                                       ends, form_data, form_offsets)
            prefix = _step(_EXACT, as_written[token])
            if _may_start(first, prefix):
                exact_count, exact_form = _longest(prefix, token, found, as_written, text, starts, stops, hashes, ends,
                                                   form_data, form_offsets)
                if exact_count and exact_count >= count:
                    count, form = exact_count, exact_form
            if not count:
                token += 1
                continue
            if size == room:
                larger = np.empty((4, 2 * room), np.int64)
                larger[:, :room] = out
                out, room = larger, 2 * room
            out[0, size], out[1, size] = number, form
            out[2, size], out[3, size] = starts[token], stops[token + count - 1]
            size += 1
            token += count
    return out[0, :size].copy(), out[1, :size].copy(), out[2, :size].copy(), out[3, :size].copy()
