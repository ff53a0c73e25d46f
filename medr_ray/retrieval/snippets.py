"""Sentences of a document, and the few of them that answer a query.

What holds: sentences are spans of the text (nothing is rewritten, so an offset stays valid); a
number, comparison, dose or abbreviation ("p<0.05", "5 mg/kg", "e.g. in") is never split; a line
break always ends a sentence. Ranking counts the query's words and word pairs, so a sentence with
the exact qualifier ("3 of 7 patients") wins over one that merely holds the same numbers.
"""

import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

_WORD = re.compile(r"[a-z0-9]+(?:[.\-'][a-z0-9]+)*%?")
_BREAK = re.compile(r"(?<=[.!?])([\"')\]]*)\s+(?=[\"'(\[]*[A-Z0-9])")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\[])(?:e\.g|i\.e|cf|vs|al|approx|ca|fig|figs|no|nos|dr|prof|st|resp|sp|spp|subsp|var|i\.v|i\.m|p\.o|[A-Z])\.$",
    re.IGNORECASE,
)
_STOP = frozenset(
    (
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "by",
        "can",
        "for",
        "from",
        "has",
        "in",
        "is",
        "it",
        "its",
        "of",
        "on",
        "or",
        "that",
        "the",
        "this",
        "to",
        "was",
        "were",
        "what",
        "which",
        "who",
        "whose",
        "with",
    )
)

Span = tuple[int, int]


def words(text: str) -> list[str]:
    """Lower-case words in order; decimals, ranges and percentages ("0.05", "30-79%") are one
    word."""
    return _WORD.findall(text.lower())


def sentence_spans(text: str, lines_only: bool = False) -> list[Span]:
    """[start, end) of each sentence, in order. ``lines_only`` for texts that hold one sentence a
    line."""
    spans: list[Span] = []
    for line in re.finditer(r"[^\n]+", text):
        spans.extend([line.span()] if lines_only else _split_line(text, line.start(), line.end()))
    return [span for span in (_stripped(text, *span) for span in spans) if span[0] < span[1]]


def _split_line(text: str, start: int, end: int) -> list[Span]:
    spans = []
    for match in _BREAK.finditer(text, start, end):
        stop = match.end(1)
        if not _ABBREVIATION.search(text, max(start, stop - 12), stop):
            spans.append((start, stop))
            start = match.end()
    return [*spans, (start, end)]


def _stripped(text: str, start: int, end: int) -> Span:
    part = text[start:end]
    return start + len(part) - len(part.lstrip()), end - len(part) + len(part.rstrip())


@dataclass(frozen=True)
class Wanted:
    """What a query asks for: its telling words and its pairs of neighbouring words, each with a
    weight. Sums are exact (``fsum``), so that the order of a set cannot matter."""

    words: Mapping[str, float]
    pairs: Mapping[tuple[str, str], float]

    def weight(self) -> float:
        return math.fsum(self.words.values()) + math.fsum(self.pairs.values())

    def shared(self, tokens: Sequence[str]) -> float:
        """The weight of what a sentence, given as its words, repeats."""
        found = self.words.keys() & tokens
        pairs = self.pairs.keys() & itertools.pairwise(tokens)
        return math.fsum(self.words[one] for one in found) + math.fsum(
            self.pairs[one] for one in pairs
        )

    def without(self, tokens: Sequence[str]) -> "Wanted":
        """What remains when a text with these words was read."""
        words, pairs = set(tokens), set(itertools.pairwise(tokens))
        return Wanted(
            {one: weight for one, weight in self.words.items() if one not in words},
            {one: weight for one, weight in self.pairs.items() if one not in pairs},
        )


def wanted(
    query: str, weight: Callable[[str], float] = lambda word: 1.0, pair_weight: float = 1.0
) -> Wanted:
    """What ``query`` asks for; a pair weighs ``pair_weight`` times the mean of its words."""
    tokens = words(query)
    pairs = {
        (a, b): pair_weight * (weight(a) + weight(b)) / 2 for a, b in itertools.pairwise(tokens)
    }
    return Wanted({token: weight(token) for token in tokens if token not in _STOP}, pairs)


def best_sentences(query: str, sentences: Sequence[str], count: int) -> list[str]:
    """The ``count`` sentences that overlap the query most, best first; of equals the earlier
    one."""
    asked = wanted(query)
    ranked = sorted(range(len(sentences)), key=lambda i: (-asked.shared(words(sentences[i])), i))
    return [sentences[i] for i in ranked[:count]]


def cut(text: str, limit: int) -> str:
    """``text`` in at most ``limit`` characters, ended at a word boundary and an ellipsis where it
    was longer."""
    if len(text) <= limit:
        return text
    head = text[: limit - 1]
    return (head[: head.rfind(" ")] if " " in head else head).rstrip(" ,;:") + "…"


def snippet(query: str, sentences: Sequence[str], count: int, chars: int) -> str:
    """The best sentences for the query, joined and cut."""
    return cut(" ".join(best_sentences(query, sentences, count)), chars)
