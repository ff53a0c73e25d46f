"""Finding the lexicon's forms in text.

What holds: a mention starts and ends at a word boundary; of overlapping mentions the leftmost wins, of those the
longest, and of equals the one written exactly as the form (a gene symbol) over the case-folded one. Offsets are
characters of the text as given.

How: text and forms are cut into the same tokens (words and single punctuation marks) and joined with two spaces, each
form with one more at either end. So the automaton can only ever match whole tokens, and a longer form that breaks off
inside a word never hides a shorter one that does not.
"""

import itertools
import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from ahocorasick_rs import AhoCorasick, Implementation, MatchKind

from medr_ray.core.run import Directory
from medr_ray.entities.patterns import LEXICON, Patterns, choose_patterns
from medr_ray.knowledge.lexicon import Concept, normalise

_TOKEN = re.compile(r"\w+|[^\w\s]")


class Mention(NamedTuple):
    """Characters [start, end) of a text name ``concept_id``, by ``form`` (as the lexicon writes it)."""

    start: int
    end: int
    concept_id: str
    form: str


class _Automaton:
    """Leftmost-longest matching of token sequences; reports token spans."""

    def __init__(self, forms: Sequence[str]) -> None:
        padded = [_pad(_TOKEN.findall(form)) for form in forms]
        self._machine = AhoCorasick(
            padded, matchkind=MatchKind.LeftmostLongest, store_patterns=False,
            implementation=Implementation.ContiguousNFA)  # its DFA is slower at this size, and ten times larger

    def find(self, words: list[str]) -> list[tuple[int, int, int]]:
        """(first token, token after the last, form number) of each match."""
        matches = self._machine.find_matches_as_indexes(_pad(words))
        if not matches:
            return []
        starts = list(itertools.accumulate((len(word) + 2 for word in words), initial=0))
        return [(bisect_right(starts, start) - 1, bisect_right(starts, end - 1), form) for form, start, end in matches]


def _pad(words: list[str]) -> str:
    return f" {'  '.join(words)} "


class Matcher:
    """Finds mentions. ``concept_ids[i]`` is looked for by ``patterns[i]``; about 150 MB for 230,000 forms."""

    def __init__(self, concept_ids: Sequence[str], patterns: Sequence[Patterns]) -> None:
        self._folded = [(form, one) for one, p in zip(concept_ids, patterns, strict=True) for form in p.folded]
        self._exact = [(form, one) for one, p in zip(concept_ids, patterns, strict=True) for form in p.exact]
        self._fold_automaton = _Automaton([form for form, _ in self._folded])
        self._exact_automaton = _Automaton([form for form, _ in self._exact])

    @classmethod
    def build(cls, concepts: Sequence[Concept], min_form_length: int) -> "Matcher":
        """A matcher straight from concepts, without a file."""
        return cls([concept.concept_id for concept in concepts], choose_patterns(concepts, min_form_length))

    @classmethod
    def load(cls, directory: Directory) -> "Matcher":
        """The matcher of an ``entities`` directory, from its ``lexicon.parquet``."""
        table = directory.read_table(LEXICON, columns=["concept_id", "folded", "exact"]).to_pydict()
        pairs = zip(table["folded"], table["exact"], strict=True)
        return cls(table["concept_id"], [Patterns(tuple(folded), tuple(exact)) for folded, exact in pairs])

    def find(self, text: str) -> list[Mention]:
        """The mentions of ``text``, in order, not overlapping."""
        spans = [match.span() for match in _TOKEN.finditer(text)]
        words = [text[start:end] for start, end in spans]
        folded = [word.lower() for word in words] if text.isascii() else [normalise(word) for word in words]
        found = [(first, -last, False, form) for first, last, form in self._exact_automaton.find(words)]
        found += [(first, -last, True, form) for first, last, form in self._fold_automaton.find(folded)]
        found.sort()
        mentions, free = [], 0
        for first, last, is_folded, number in found:
            if first >= free:
                free = -last
                form, concept_id = (self._folded if is_folded else self._exact)[number]
                mentions.append(Mention(spans[first][0], spans[free - 1][1], concept_id, form))
        return mentions
