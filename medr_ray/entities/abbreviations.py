"""Abbreviations that a text defines itself.

After "tardive dyskinesia (TD)" every TD of that text is a mention of the disease.

Guaranteed:

- An abbreviation gets a meaning only from a long form that is itself a mention. Where a text
  defines an abbreviation twice, the first definition counts.
- A defined abbreviation is a mention wherever the text has it as a whole word in the same case,
  also before its definition and with a plural s.
- An abbreviation replaces the mentions that lie inside it (TD may also be some gene). A mention
  that lies partly outside it ("TD-like syndrome") is kept, and that use of the abbreviation is
  dropped.
- The resulting mentions are in order and do not overlap.

The algorithm of Schwartz and Hearst (Pac. Symp. Biocomput. 2003, 451-462) recognises the
definitions. The short form follows the long form in brackets of any kind. Its letters and digits
occur in the long form in the same order, searched from the end, and the first of them begins a
word. A short form has two to ten characters and at most one space. Its first character is a letter
or digit, and it has at least one capital.

Beyond that algorithm, people write

- a plural, "(GISTs)", which defines the singular,
- quotes, other parts and small words beside the short form: "('TD')", "(TD; see below)",
  "(hereafter TD)", "(TD for short)",
- the charge of an ion, "(Ca2+)", which the long form does not spell,
- the short form first, "TD (tardive dyskinesia)" or "TD: tardive dyskinesia", where it has two
  capitals, or behind a comma, "(tardive dyskinesia, TD)".
"""

import numpy as np

from medr_ray.core.compiled import allocating_entry, allocating_inner, inner
from medr_ray.entities.tokens import WORD, Bytes, FoldingTables, Offsets, read_code_point
from medr_ray.entities.trie import Spans, bytes_equal, widen_table

_MAX_BRACKET_BYTES = 60  # a longer text in brackets is a remark, not an abbreviation
_MAX_SHORT_CHARACTERS = 10
_OPENING_BRACKETS = np.array([ord(bracket) for bracket in "([{（［｛【〔"], np.int64)
_CLOSING_BRACKETS = np.array([ord(bracket) for bracket in ")]}）］｝】〕"], np.int64)
_SEPARATORS = np.array([ord(separator) for separator in ",;，；、"], np.int64)
_QUOTES = np.array([ord(quote) for quote in "\"'`‘’“”„«»「」"], np.int64)
_COLON = ord(":")
_EQUALS = ord("=")
_PLUS = ord("+")
_MINUS = ord("-")
_LETTER_S = ord("s")


def resolve_abbreviations(
    spans: Spans, tables: FoldingTables, data: Bytes, offsets: Offsets
) -> Spans:
    """Add the uses of the abbreviations that the texts define to ``spans``.

    ``data`` and ``offsets`` are the texts' buffers (see ``tokens.view_text_buffers``). The given
    spans must be in order; the returned spans are in order.
    """
    return Spans(*_resolve_texts(data, offsets, tables.classes, *spans))


# Texts are UTF-8. The functions compare bytes and not characters, because that is fast in compiled
# code and the characters that matter here are ASCII.
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
def _find_character(points: np.ndarray, point: int) -> int:
    """The position of a character among ``points``, -1 where it is none of them."""
    for i in range(len(points)):
        if points[i] == point:
            return i
    return -1


@inner
def _skip_spaces(text: np.ndarray, at: int) -> int:
    while at < len(text) and _is_space(text[at]):
        at += 1
    return at


@inner
def _find_bracket(text: np.ndarray, long_start: int, long_end: int) -> tuple[int, int]:
    """Bytes [start, end) of the text in the bracket after a long form; (0, 0) where there is none.

    A comma opens a bracket too, where the long form itself begins one.
    """
    opening = _skip_spaces(text, long_end)
    if opening == len(text):
        return 0, 0
    point, size = read_code_point(text, opening)
    kind = _find_character(_OPENING_BRACKETS, point)
    if kind < 0:
        before = _find_opening_before(text, long_start)
        if before < 0 or _find_character(_SEPARATORS, point) < 0:
            return 0, 0
        point, _ = read_code_point(text, before)
        kind = _find_character(_OPENING_BRACKETS, point)
        if kind < 0:
            return 0, 0
    start = opening + size
    at = start
    while at < len(text) and at - start <= _MAX_BRACKET_BYTES:
        point, size = read_code_point(text, at)
        if point == _CLOSING_BRACKETS[kind]:
            return start, at
        if _find_character(_OPENING_BRACKETS, point) >= 0:
            return 0, 0
        at += size
    return 0, 0


@inner
def _find_opening_before(text: np.ndarray, long_start: int) -> int:
    """The byte where the last character that is no space begins before a long form, or -1."""
    at = _previous_character(text, long_start)
    while at >= 0 and _is_space(text[at]):
        at = _previous_character(text, at)
    return at


@inner
def _find_short_form(text: np.ndarray, long_start: int, long_end: int) -> tuple[int, int]:
    """Bytes [start, end) of the short form that a text gives for its long form; (0, 0) where it
    gives none."""
    bracket_start, bracket_end = _find_bracket(text, long_start, long_end)
    start = bracket_start
    while start < bracket_end:
        end = start
        size = 1
        while end < bracket_end:
            point, size = read_code_point(text, end)
            if _find_character(_SEPARATORS, point) >= 0:
                break
            end += size
        short_start, short_end = _find_short_in_part(text, start, end, long_start, long_end)
        if short_end:
            return short_start, short_end
        start = end + size
    return _find_short_before(text, long_start, long_end)


@inner
def _find_short_in_part(
    text: np.ndarray, start: int, end: int, long_start: int, long_end: int
) -> tuple[int, int]:
    """The short form in a part of a bracket: the whole part, or its last or first word where all
    others are in small letters."""
    short_start, short_end = _accept_short(text, start, end, 1, long_start, long_end)
    if short_end:
        return short_start, short_end
    while start < end and _is_space(text[start]):
        start += 1
    while end > start and _is_space(text[end - 1]):
        end -= 1
    last_word = end
    while last_word > start and not _is_space(text[last_word - 1]):
        last_word -= 1
    first_end = start
    while first_end < end and not _is_space(text[first_end]):
        first_end += 1
    if first_end == end:
        return 0, 0  # a single word, which was refused above
    if not _has_capital(text, start, last_word):
        return _accept_short(text, last_word, end, 1, long_start, long_end)
    if not _has_capital(text, first_end, end):
        return _accept_short(text, start, first_end, 1, long_start, long_end)
    return 0, 0


@inner
def _find_short_before(text: np.ndarray, long_start: int, long_end: int) -> tuple[int, int]:
    """The short form in front of a long form in brackets, or behind a colon or an equals sign."""
    opening = _find_opening_before(text, long_start)
    if opening <= 0:
        return 0, 0
    point, _ = read_code_point(text, opening)
    kind = _find_character(_OPENING_BRACKETS, point)
    if kind >= 0:
        closing = _skip_spaces(text, long_end)
        if closing == len(text):
            return 0, 0
        point, _ = read_code_point(text, closing)
        if point != _CLOSING_BRACKETS[kind]:
            return 0, 0
    elif point not in (_COLON, _EQUALS):
        return 0, 0
    end = opening
    while end > 0 and _is_space(text[end - 1]):
        end -= 1
    start = end
    while start > 0 and end - start <= _MAX_BRACKET_BYTES and not _is_space(text[start - 1]):
        previous = _previous_character(text, start)
        point, _ = read_code_point(text, previous)
        if _find_character(_OPENING_BRACKETS, point) >= 0:
            break
        if _find_character(_SEPARATORS, point) >= 0:
            break
        start = previous
    return _accept_short(text, start, end, 2, long_start, long_end)


@inner
def _accept_short(
    text: np.ndarray, start: int, end: int, capitals: int, long_start: int, long_end: int
) -> tuple[int, int]:
    """``text[start:end]`` without spaces, quotes and a plural s around it, where that is a short
    form with so many capitals which the long form spells; else (0, 0)."""
    while start < end:
        point, size = read_code_point(text, start)
        if not _is_space(text[start]) and _find_character(_QUOTES, point) < 0:
            break
        start += size
    while end > start:
        last = _previous_character(text, end)
        point, _ = read_code_point(text, last)
        if not _is_space(text[last]) and _find_character(_QUOTES, point) < 0:
            break
        end = last
    # The s of a plural follows a capital or a digit, "GISTs".
    if end - start > 2 and text[end - 1] == _LETTER_S and text[end - 2] <= 90:
        end -= 1
    character_count = 0
    space_count = 0
    capital_count = 0
    for i in range(start, end):
        character_count += text[i] & 0xC0 != 0x80  # all bytes but UTF-8's continuation bytes
        space_count += _is_space(text[i])
        capital_count += 65 <= text[i] <= 90
    if (
        2 <= character_count <= _MAX_SHORT_CHARACTERS
        and capital_count >= capitals
        and space_count <= 1
        and _is_alphanumeric(text[start])
        and _spells_short_form(text, start, end, long_start, long_end)
    ):
        return start, end
    return 0, 0


@inner
def _has_capital(text: np.ndarray, start: int, end: int) -> bool:
    capital_count = 0
    for i in range(start, end):
        capital_count += 65 <= text[i] <= 90
    return capital_count > 0


@inner
def _spells_short_form(
    text: np.ndarray, short_start: int, short_end: int, long_start: int, long_end: int
) -> bool:
    """Whether the long form ``text[long_start:long_end]`` spells the short form and is longer.

    The charge at the end of a short form need not be spelled.
    """
    if long_end - long_start <= short_end - short_start:
        return False
    if text[short_end - 1] in (_PLUS, _MINUS):
        short_end -= 1
        while short_end - short_start > 2 and 48 <= text[short_end - 1] <= 57:
            short_end -= 1
    at = long_end
    for i in range(short_end - 1, short_start - 1, -1):
        if not _is_alphanumeric(text[i]):
            continue
        letter = _to_lower(text[i])
        # Only the first character of the short form has to begin a word of the long form.
        must_begin_word = i == short_start
        at -= 1
        while at >= long_start and (
            _to_lower(text[at]) != letter
            or (must_begin_word and at > long_start and _is_alphanumeric(text[at - 1]))
        ):
            at -= 1
        if at < long_start:
            return False
    # The short form may abbreviate only the end of the long form, from byte ``at`` on.
    return long_end - at > short_end - short_start


@inner
def _is_word_at(text: np.ndarray, at: int, character_classes: np.ndarray) -> bool:
    """Whether a letter or digit of a script with spaces begins at byte ``at``."""
    if at < 0 or at >= len(text):
        return False
    point, _ = read_code_point(text, at)
    return point < len(character_classes) and character_classes[point] == WORD


@inner
def _previous_character(text: np.ndarray, at: int) -> int:
    """The byte where the character before byte ``at`` begins; -1 where none does."""
    at -= 1
    while at > 0 and text[at] & 0xC0 == 0x80:
        at -= 1
    return at


@inner
def _match_use(
    text: np.ndarray, short_start: int, short_end: int, at: int, character_classes: np.ndarray
) -> int:
    """The end of the use of a short form that begins at ``at``, with its plural s if it has one.

    The short form is ``text[short_start:short_end]``. Returns 0 where no use begins.
    """
    length = short_end - short_start
    end = at + length
    if (
        end > len(text)
        or not bytes_equal(text, at, length, text, short_start, length)
        or _is_word_at(text, _previous_character(text, at), character_classes)
    ):
        return 0
    if (
        end < len(text)
        and text[end] == _LETTER_S
        and not _is_word_at(text, end + 1, character_classes)
    ):
        return end + 1
    return 0 if _is_word_at(text, end, character_classes) else end


@inner
def _insert_use(uses: np.ndarray, use_count: int, start: int, end: int, form_number: int) -> None:
    """Insert a use into the first ``use_count`` columns of ``uses`` and keep their order.

    They are ordered by start; of equal starts the longest comes first.
    """
    at = use_count
    while at > 0 and (
        uses[0, at - 1] > start or (uses[0, at - 1] == start and uses[1, at - 1] < end)
    ):
        for row in range(3):
            uses[row, at] = uses[row, at - 1]
        at -= 1
    uses[0, at] = start
    uses[1, at] = end
    uses[2, at] = form_number


@inner
def _is_defined(
    text: np.ndarray,
    short_start: int,
    short_end: int,
    definitions: np.ndarray,
    definition_count: int,
) -> bool:
    """Whether ``text[short_start:short_end]`` is one of the first ``definition_count`` short forms
    of ``definitions``."""
    # A text defines few short forms, so comparing with each of them is fast enough.
    for i in range(definition_count):
        if bytes_equal(
            text,
            definitions[0, i],
            definitions[1, i] - definitions[0, i],
            text,
            short_start,
            short_end - short_start,
        ):
            return True
    return False


@allocating_inner
def _collect_definitions(
    text: np.ndarray,
    form_numbers: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    first_mention: int,
    end_mention: int,
    definitions: np.ndarray,
) -> tuple[np.ndarray, int]:
    """Collect the short forms that follow the mentions [first_mention, end_mention).

    Returns (definitions, their number). Each column is a definition; the rows are the start and end
    of the short form and the number of the form that it stands for. The given array is filled. If
    it is too small, a wider copy is returned.
    """
    definition_count = 0
    for i in range(first_mention, end_mention):
        short_start, short_end = _find_short_form(text, starts[i], ends[i])
        if not short_end or _is_defined(
            text, short_start, short_end, definitions, definition_count
        ):
            continue
        if definition_count == definitions.shape[1]:
            definitions = widen_table(definitions, 2 * definition_count)
        definitions[0, definition_count] = short_start
        definitions[1, definition_count] = short_end
        definitions[2, definition_count] = form_numbers[i]
        definition_count += 1
    return definitions, definition_count


@allocating_inner
def _collect_uses(
    text: np.ndarray,
    character_classes: np.ndarray,
    definitions: np.ndarray,
    definition_count: int,
    uses: np.ndarray,
) -> tuple[np.ndarray, int]:
    """Collect all uses of the first ``definition_count`` short forms in a text, in order.

    Returns (uses, their number). Each column is a use; the rows are its start, its end and the
    number of the form that it stands for. The given array is filled. If it is too small, a wider
    copy is returned.
    """
    # A text defines few short forms, so one pass over the text for each of them is fast enough.
    use_count = 0
    for i in range(definition_count):
        for at in range(len(text)):
            end = _match_use(text, definitions[0, i], definitions[1, i], at, character_classes)
            if not end:
                continue
            if use_count == uses.shape[1]:
                uses = widen_table(uses, 2 * use_count)
            _insert_use(uses, use_count, at, end, definitions[2, i])
            use_count += 1
    return uses, use_count


@allocating_entry
def _resolve_texts(
    data: np.ndarray,
    offsets: np.ndarray,
    character_classes: np.ndarray,
    text_numbers: np.ndarray,
    form_numbers: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    # All texts share these buffers, which saves an allocation for each text. A buffer that is too
    # small is replaced by a wider copy.
    out = np.empty((4, 2 * len(text_numbers) + 64), np.int64)
    definitions = np.empty((3, 16), np.int64)
    uses = np.empty((3, 64), np.int64)
    span_count = 0
    first_mention = 0
    while first_mention < len(text_numbers):
        # The mentions [first_mention, end_mention) are those of one text.
        text_number = text_numbers[first_mention]
        end_mention = first_mention
        while end_mention < len(text_numbers) and text_numbers[end_mention] == text_number:
            end_mention += 1
        text = data[offsets[text_number] : offsets[text_number + 1]]
        definitions, definition_count = _collect_definitions(
            text, form_numbers, starts, ends, first_mention, end_mention, definitions
        )
        uses, use_count = _collect_uses(
            text, character_classes, definitions, definition_count, uses
        )
        needed_columns = span_count + end_mention - first_mention + use_count
        if needed_columns > out.shape[1]:
            out = widen_table(out, 2 * needed_columns)
        span_count = _merge_spans(
            out,
            span_count,
            text_number,
            uses,
            use_count,
            form_numbers,
            starts,
            ends,
            first_mention,
            end_mention,
        )
        first_mention = end_mention
    # Copies, because views would keep the whole buffer in memory.
    return (
        out[0, :span_count].copy(),
        out[1, :span_count].copy(),
        out[2, :span_count].copy(),
        out[3, :span_count].copy(),
    )


@inner
def _merge_spans(
    out: np.ndarray,
    span_count: int,
    text_number: int,
    uses: np.ndarray,
    use_count: int,
    form_numbers: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    first_mention: int,
    end_mention: int,
) -> int:
    """Write mentions [first_mention, end_mention) and the uses of one text to ``out``, in order.

    Returns the new number of spans in ``out``.
    """
    next_mention = first_mention
    last_use_end = 0  # of the uses that were written
    for i in range(use_count):
        start = uses[0, i]
        end = uses[1, i]
        while next_mention < end_mention and ends[next_mention] <= start:
            span_count = _write_span(
                out,
                span_count,
                text_number,
                form_numbers[next_mention],
                starts[next_mention],
                ends[next_mention],
            )
            next_mention += 1
        # Of overlapping uses the leftmost is written, and of several with one start the longest.
        # ``uses`` are in this order, so a use is refused if it begins before the last one ends.
        behind_use = next_mention
        is_accepted = start >= last_use_end
        while behind_use < end_mention and starts[behind_use] < end:
            # The use replaces a mention that lies inside it, but not one that crosses its border.
            is_accepted &= starts[behind_use] >= start and ends[behind_use] <= end
            behind_use += 1
        if is_accepted:
            span_count = _write_span(out, span_count, text_number, uses[2, i], start, end)
            next_mention = behind_use
            last_use_end = end
    for i in range(next_mention, end_mention):
        span_count = _write_span(out, span_count, text_number, form_numbers[i], starts[i], ends[i])
    return span_count


@inner
def _write_span(
    out: np.ndarray, span_count: int, text_number: int, form_number: int, start: int, end: int
) -> int:
    out[0, span_count] = text_number
    out[1, span_count] = form_number
    out[2, span_count] = start
    out[3, span_count] = end
    return span_count + 1
