"""The lexicon's forms as a hashed trie of tokens, and the scan that finds them in text.

Guaranteed: a match consists of whole tokens. Of overlapping matches the leftmost wins, then the
longest, then one that is written exactly as its form before a case-folded one. Every match is
compared with its form byte by byte, so a hash collision never leads to a wrong match.

From each token of a text the scan continues while the tokens so far may be the beginning of a form.
Two Bloom filters (Bloom, Communications of the ACM 13:422, 1970) tell whether they may be one and
whether a form may end here. The filters fit into the processor's cache, and most tokens need no
more than these. Otherwise the form is looked up in an open-addressing hash table. All of it is in
plain arrays, which are saved as one Arrow file and mapped into memory, so the workers of a node
share one copy. A million forms take some 100 MB.

In the compiled functions all operands of hash arithmetic are ``np.uint64``: numba turns an
operation on a uint64 and a signed integer into one on floats, which loses bits.
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
    make_read_only,
    tokenise,
    view_text_buffers,
)

# The hashes of the empty prefix, one for case-folded forms and one for forms as written. Any two
# different numbers would do.
_FOLDED_ROOT = np.uint64(0x9E3779B97F4A7C15)
_EXACT_ROOT = np.uint64(0xC2B2AE3D27D4EB4F)
# At least. One bit is set per entry, so at most one in eight prefixes that begin no form passes.
_FILTER_BITS_PER_ENTRY = 8
# At least. Open addressing becomes slow when the table is nearly full.
_SLOTS_PER_ENTRY = 1.6


class Trie(NamedTuple):
    """The compiled forms.

    ``hashes`` and ``numbers`` are the table of the forms. ``prefixes`` is the filter of their
    beginnings, ``whole`` that of the forms themselves. Form i is
    ``data[offsets[i]:offsets[i + 1]]`` in UTF-8, its tokens joined by spaces.
    """

    hashes: np.ndarray
    numbers: np.ndarray
    prefixes: np.ndarray
    whole: np.ndarray
    data: np.ndarray
    offsets: np.ndarray


class Spans(NamedTuple):
    """Matches in the order of the texts, an array per column: the number of the text, the number of
    the form, and the match's bytes [start, end) in the text."""

    text: np.ndarray
    form: np.ndarray
    start: np.ndarray
    end: np.ndarray


def build_trie(folded: pa.Array, exact: pa.Array) -> Trie:
    """The trie of two arrays of keys (see ``tokens.build_match_keys``).

    Keys may not be empty. Raises DataError when an array has a key twice.
    """
    array = pa.concat_arrays([folded.cast(pa.large_string()), exact.cast(pa.large_string())])
    data, offsets = view_text_buffers(array)
    # A form of n tokens has n - 1 spaces and n beginnings.
    prefix_count = int(np.count_nonzero(data == 32)) + len(array)
    slots = _next_power_of_two(_SLOTS_PER_ENTRY * len(array))
    hashes = np.zeros(slots, np.uint64)
    numbers = np.full(slots, -1, np.int32)
    prefixes = _allocate_filter(prefix_count)
    whole = _allocate_filter(len(array))
    repeated = _insert_forms(data, offsets, len(folded), hashes, numbers, prefixes, whole)
    if repeated >= 0:
        raise DataError(f"the lexicon holds the key {array[repeated].as_py()!r} twice")
    arrays = (hashes, numbers, prefixes, whole, data.copy(), offsets.copy())
    return Trie(*(make_read_only(array) for array in arrays))


def _allocate_filter(entries: int) -> np.ndarray:
    return np.zeros(_next_power_of_two(_FILTER_BITS_PER_ENTRY * entries) // 8, np.uint8)


def find_spans(trie: Trie, tables: FoldingTables, data: Bytes, offsets: Offsets) -> Spans:
    """Every match in the texts (see ``tokens.view_text_buffers``)."""
    return Spans(
        *_scan_texts(
            data, offsets, tables.classes, tables.starts, tables.data, tables.growth, *trie
        )
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
    """The trie and the tables from the arrays of ``to_columns``."""
    trie = Trie(**{name: columns[f"trie_{name}"] for name in Trie._fields})
    return trie, FoldingTables(
        columns["folding_classes"],
        columns["folding_starts"],
        columns["folding_data"],
        int(columns["folding_growth"][0]),
    )


def _next_power_of_two(minimum: float) -> int:
    """The smallest power of two that is at least ``minimum``, and at least 64. With such sizes a
    bit mask replaces the remainder of a division."""
    return 1 << int(np.ceil(np.log2(max(64, minimum))))


@inner
def _mix_bits(value: np.uint64) -> np.uint64:
    """The finaliser of MurmurHash3 (Appleby, 2011): every input bit affects every output bit."""
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xFF51AFD7ED558CCD)
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xC4CEB9FE1A85EC53)
    return value ^ (value >> np.uint64(33))


@inner
def _hash_words(words: np.ndarray, first: int, size: int) -> np.uint64:
    """The hash of ``size`` bytes from word ``first`` on; zeros have to follow them up to the end of
    their last word."""
    value = np.uint64(size) * np.uint64(0x9E3779B97F4A7C15)
    for at in range(first, first + ((size + 7) >> 3)):
        value = (value ^ words[at]) * np.uint64(0xFF51AFD7ED558CCD)
        value ^= value >> np.uint64(32)
    return _mix_bits(value)


@inner
def _hash_bytes(
    data: np.ndarray, begin: int, end: int, word_bytes: np.ndarray, words: np.ndarray
) -> np.uint64:
    """The same hash of ``data[begin:end]``, which need not be aligned: the bytes are copied to
    ``words`` first. ``word_bytes`` is the same memory as bytes."""
    size = end - begin
    words[(size >> 3)] = 0  # the last word, which the bytes may fill only in part
    for at in range(size):
        word_bytes[at] = data[begin + at]
    for at in range(size, (size + 7) & ~7):
        word_bytes[at] = 0
    return _hash_words(words, 0, size)


@inner
def _extend_prefix(prefix: np.uint64, token: np.uint64) -> np.uint64:
    """The hash of a prefix with one more token; never 0, which marks a free slot."""
    return _mix_bits(prefix * np.uint64(31) + token) | np.uint64(1)


@inner
def _find_slot(hashes: np.ndarray, value: np.uint64) -> np.int64:
    """The slot of a hash, or the free slot where it would be."""
    last = np.uint64(len(hashes) - 1)
    # The lowest bit of every hash is 1 (``_extend_prefix``), so it is shifted out.
    at = (value >> np.uint64(1)) & last
    while hashes[at] != 0 and hashes[at] != value:
        at = (at + np.uint64(1)) & last
    return np.int64(at)


@inner
def _add_to_filter(bits: np.ndarray, value: np.uint64) -> None:
    """Add a value to a filter."""
    bit = (value >> np.uint64(3)) & np.uint64(8 * len(bits) - 1)
    bits[bit >> np.uint64(3)] |= np.uint8(1 << (bit & np.uint64(7)))


@inner
def _may_contain(bits: np.ndarray, value: np.uint64) -> bool:
    """Whether a value may have been added to a filter. False means that it was not."""
    bit = (value >> np.uint64(3)) & np.uint64(8 * len(bits) - 1)
    return (bits[bit >> np.uint64(3)] >> (bit & np.uint64(7))) & 1 != 0


@allocating_entry
def _insert_forms(
    data: np.ndarray,
    offsets: np.ndarray,
    folded: int,
    hashes: np.ndarray,
    numbers: np.ndarray,
    prefixes: np.ndarray,
    whole: np.ndarray,
) -> int:
    """Fill the table and the filters. Returns the first form that was there already, or -1."""
    words = np.empty(_longest_text_length(offsets) // 8 + 2, np.uint64)
    word_bytes = words.view(np.uint8)
    for form in range(len(offsets) - 1):
        prefix = _FOLDED_ROOT if form < folded else _EXACT_ROOT
        begin = offsets[form]
        for at in range(offsets[form], offsets[form + 1] + 1):
            # A token ends at a space or at the end of the form.
            if at == offsets[form + 1] or data[at] == 32:
                prefix = _extend_prefix(prefix, _hash_bytes(data, begin, at, word_bytes, words))
                _add_to_filter(prefixes, prefix)
                begin = at + 1
        _add_to_filter(whole, prefix)
        slot = _find_slot(hashes, prefix)
        if hashes[slot] != 0:
            return form
        hashes[slot] = prefix
        numbers[slot] = form
    return -1


@inner
def _longest_text_length(offsets: np.ndarray) -> int:
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
    """Whether ``count`` tokens from ``token`` on are the form, byte by byte.

    Token i is ``sizes[i]`` bytes of ``data`` from ``places[i]`` on.
    """
    at = form_offsets[form]
    stop = form_offsets[form + 1]
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
def _find_longest_form(
    prefix: np.uint64,
    token: int,
    token_count: int,
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
    """(number of tokens, form) of the longest form that starts at ``token``; (0, -1) if none does.

    ``prefix`` is the hash of the first token alone. The other arguments are as for ``_is_form``.
    """
    best_count = 0
    best_form = -1
    at = token
    while _may_contain(prefixes, prefix):
        count = at - token + 1
        if _may_contain(whole, prefix):
            # Longer matches replace shorter ones, since the walk goes from short to long.
            number = numbers[_find_slot(hashes, prefix)]
            if number >= 0 and _is_form(
                number, token, count, data, places, sizes, form_data, form_offsets
            ):
                best_count = count
                best_form = number
        at += 1
        if at == token_count:
            break
        prefix = _extend_prefix(prefix, token_hashes[at])
    return best_count, best_form


@inner
def bytes_equal(
    data: np.ndarray, begin: int, size: int, other: np.ndarray, other_begin: int, other_size: int
) -> bool:
    """Whether ``size`` bytes of ``data`` from ``begin`` on equal ``other_size`` bytes of ``other``
    from ``other_begin`` on."""
    if size != other_size:
        return False
    same = 0
    while same < size and data[begin + same] == other[other_begin + same]:
        same += 1
    return same == size


@allocating_inner
def widen_table(table: np.ndarray, columns: int) -> np.ndarray:
    """A copy of an int64 table with ``columns`` columns; the new ones are not set."""
    wider = np.empty((len(table), columns), np.int64)
    wider[:, : table.shape[1]] = table
    return wider


@allocating_entry
def _scan_texts(
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
    longest = _longest_text_length(offsets)
    # One set of buffers for all texts, as large as the longest needs.
    starts = np.empty(longest, np.int32)
    stops = np.empty(longest, np.int32)
    places = np.empty(longest, np.int32)
    sizes = np.empty(longest, np.int32)
    lengths = np.empty(longest, np.int32)
    folded_words = np.empty(longest * (growth + 8) // 8 + 2, np.uint64)
    folded = folded_words.view(np.uint8)
    words = np.empty(longest // 8 + 2, np.uint64)
    word_bytes = words.view(np.uint8)
    folded_hashes = np.empty(longest, np.uint64)
    exact_hashes = np.empty(longest, np.uint64)
    size = 0
    capacity = 1024
    out = np.empty((4, capacity), np.int64)
    for number in range(len(offsets) - 1):
        text = data[offsets[number] : offsets[number + 1]]
        token_count = tokenise(
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
        for i in range(token_count):
            lengths[i] = stops[i] - starts[i]
            folded_hashes[i] = _hash_words(folded_words, places[i] >> 3, sizes[i])
            # Most tokens are in small letters and fold to themselves: their hash is used twice.
            same = bytes_equal(text, starts[i], lengths[i], folded, places[i], sizes[i])
            exact_hashes[i] = (
                folded_hashes[i]
                if same
                else _hash_bytes(text, starts[i], stops[i], word_bytes, words)
            )
        token = 0
        while token < token_count:
            count, form = _find_longest_form(
                _extend_prefix(_FOLDED_ROOT, folded_hashes[token]),
                token,
                token_count,
                folded_hashes,
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
            exact_count, exact_form = _find_longest_form(
                _extend_prefix(_EXACT_ROOT, exact_hashes[token]),
                token,
                token_count,
                exact_hashes,
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
            # Of equally long matches the one as written wins.
            if exact_count and exact_count >= count:
                count = exact_count
                form = exact_form
            if not count:
                token += 1
                continue
            if size == capacity:
                capacity *= 2
                out = widen_table(out, capacity)
            out[0, size] = number
            out[1, size] = form
            out[2, size] = starts[token]
            out[3, size] = stops[token + count - 1]
            size += 1
            token += count  # matches do not overlap
    # Copies, because views would keep the whole table in memory.
    return out[0, :size].copy(), out[1, :size].copy(), out[2, :size].copy(), out[3, :size].copy()
