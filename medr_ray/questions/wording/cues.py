"""Cues: which words of a text speak of which step.

A cue is a row of meanings (``vocabulary``) or of types of what the text names, such as "first
approve" or "arm higher primary_outcome"; they have to follow each other in a sentence. In a cue

- ``a|b`` is either, ``a?`` may be missing; ``!a`` in front must not come before, elsewhere not
  next;
- ``*`` is any number of names, of nouns for what is looked for ("drug", "trial"), of words that
  ask, and of sources;
- ``&`` joins rows that stand in the text in any order.

``Wording.cues`` are evidence for a step: without one of them a text does not speak of it.
``Wording.asides`` may accompany it, and are evidence for nothing.
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# Nouns for what a step finds or is given. They say nothing that the step does not say.
NOUNS = frozenset(
    {"drug", "drugs", "trial", "company", "application", "disease", "gene", "paper", "value"}
)
SOURCES = frozenset(
    {"livertox", "omim", "orphanet", "orange_book", "clinical_trials", "drugs_at_fda", "pubmed"}
)
_SKIPPED = NOUNS | SOURCES | {"which", "how", "how_many", "who", "when", "year", "date"}
END_OF_SENTENCE = "."


@dataclass(frozen=True)
class Token:
    """What a place of a text means: meanings of a word, or the type of what is named there.

    ``is_free`` is a word that may be without meaning, too; ``is_relative`` one that asks elsewhere
    ("the application under which").
    """

    meanings: frozenset[str]
    text: str
    is_named: bool = False
    is_free: bool = False
    is_relative: bool = False

    @property
    def is_skipped(self) -> bool:
        """Whether ``*`` goes past the place."""
        return self.is_named or self.is_free or not self.meanings.isdisjoint(_SKIPPED)


@dataclass(frozen=True)
class _Item:
    meanings: frozenset[str]
    is_optional: bool
    is_forbidden: bool


@functools.cache
def _parse_cue(cue: str) -> tuple[tuple[_Item, ...], ...]:
    rows = []
    for row in cue.split("&"):
        items = []
        for word in row.split():
            meanings = frozenset(word.strip("?!").split("|"))
            items.append(_Item(meanings, word.endswith("?"), word.startswith("!")))
        rows.append(tuple(items))
    return tuple(rows)


def find_cue(cue: str, tokens: Sequence[Token]) -> frozenset[int]:
    """The places of a text that the cue takes, of all its matches; empty where it has none."""
    places: set[int] = set()
    for row in _parse_cue(cue):
        matched: set[int] = set()
        for start in range(len(tokens)):
            matched.update(*_match_row(row, tokens, start, start))
        if not matched:
            return frozenset()
        places |= matched
    return frozenset(places)


def _match_row(
    row: Sequence[_Item], tokens: Sequence[Token], place: int, start: int
) -> Iterator[tuple[int, ...]]:
    """The places of each match of the rest of a row that begins at ``place``."""
    if not row:
        yield ()
        return
    item, *rest = row
    if item.is_forbidden:
        # In front of a row nothing of it has been matched yet.
        beside = place - 1 if place == start else place
        is_there = 0 <= beside < len(tokens)
        if not is_there or tokens[beside].meanings.isdisjoint(item.meanings):
            yield from _match_row(rest, tokens, place, start)
        return
    if item.meanings == {"*"}:
        yield from _match_row(rest, tokens, place, start)
        if place < len(tokens) and tokens[place].is_skipped:
            yield from _match_row(row, tokens, place + 1, start)
        return
    if item.is_optional:
        yield from _match_row(rest, tokens, place, start)
    if place < len(tokens) and not tokens[place].meanings.isdisjoint(item.meanings):
        for places in _match_row(rest, tokens, place + 1, start):
            yield (place, *places)
