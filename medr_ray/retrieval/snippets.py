"""Sentences of a document, and the few of them that answer a query.

Guarantees: sentences are spans of the text, which is not rewritten, so offsets stay valid. A
number, comparison, dose or abbreviation ("p<0.05", "5 mg/kg", "e.g. in") is never split. A line
break always ends a sentence. Ranking counts the query's words and its pairs of words, so a sentence
with the exact qualifier ("3 of 7 patients") beats one that only has the same numbers. A share has
the same words in every spelling: "3/7" is "3 of 7", and "all patients" are "100% of patients".
"""

import functools
import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from medr_ray.knowledge.name_normalization import fold_characters, fold_word

# A hyphen joins figures only: "30-79%", but "beta" and "thalassemia".
_WORD = re.compile(r"[a-z0-9]+(?:(?:[.']|(?<=\d)-(?=\d))[a-z0-9]+)*%?")
# ASCII characters that a word may have inside, and a space for every other: no match of ``_WORD``
# crosses one of those, nor looks beyond it.
_CHUNK_CHARACTERS = "".join(
    character if character.isalnum() or character in ".'%-" else " "
    for character in map(chr, range(128))
)
_MOST_CHUNKS = 200_000  # that are remembered: some 40 MB; the words of most texts come first
# A count of patients as a table prints it. With a further slash it is a date.
_SLASHED_COUNT = re.compile(r"(?<![\w/.])(\d+)/(\d+)(?![\w/])")
_ALL_PATIENTS = re.compile(r"\ball patients\b")
# White space that follows a full stop, question or exclamation mark, with closing quotes and
# brackets behind it, and precedes a capital or a digit.
_BREAK = re.compile(r"(?<=[.!?])([\"')\]]*)\s+(?=[\"'(\[]*[A-Z0-9])")
# Ends of words whose full stop ends no sentence; a single letter is an initial ("J. Smith").
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\[])"
    r"(?:e\.g|i\.e|cf|vs|al|approx|ca|fig|figs|no|nos|dr|prof|st|resp|sp|spp|subsp|var"
    r"|i\.v|i\.m|p\.o|[A-Z])\.$",
    re.IGNORECASE,
)
_LONGEST_ABBREVIATION = 12  # characters before a break that are searched for an abbreviation
_STOP_WORD_LIST = (
    "a an and are as at be by can for from has in is it its of on or that the this to was were "
    "what which who whose with"
)
_STOP_WORDS = frozenset(_STOP_WORD_LIST.split())
ELLIPSIS = "…"  # at the end of a text that was cut

Span = tuple[int, int]


def split_words(text: str) -> list[str]:
    """Words in order, folded as names are (``fold_characters``, ``fold_word``); a decimal, range or
    percentage ("0.05", "30-79%") is one word, and shares have one spelling."""
    return _find_words(_fold_shares(text))


def split_words_of_each(texts: Sequence[str]) -> list[list[str]]:
    """``split_words`` of each of several texts, such as the sentences of a document."""
    words: dict[int, list[str]] = {}
    joined = []
    for i, text in enumerate(texts):
        # Folding takes ASCII letter by letter and no pattern crosses a line break, so such texts
        # are folded as one: most of the time goes into calls, not letters.
        if text.isascii() and "\n" not in text:
            joined.append(i)
        else:
            words[i] = split_words(text)
    lines = _fold_shares("\n".join(texts[i] for i in joined)).split("\n")
    # Without any text there is one empty line.
    words.update((i, _find_words(line)) for i, line in zip(joined, lines, strict=False))
    return [words[i] for i in range(len(texts))]


def _fold_shares(text: str) -> str:
    """The text as names are folded, with shares in one spelling."""
    folded = fold_characters(text)
    # Looking for a text is much faster than for a pattern, and few have one of the two.
    if "/" in folded:
        folded = _SLASHED_COUNT.sub(r"\1 of \2", folded)
    if "all patients" in folded:
        folded = _ALL_PATIENTS.sub("100% of patients", folded)
    return folded


def _find_words(folded: str) -> list[str]:
    if not folded.isascii():
        return list(itertools.chain.from_iterable(map(fold_word, _WORD.findall(folded))))
    # The same words, many of them found before: a pattern would look at every letter again.
    chunks = folded.translate(_CHUNK_CHARACTERS).split()
    return list(itertools.chain.from_iterable(map(_chunk_words.__getitem__, chunks)))


class _ChunkWords(dict[str, tuple[str, ...]]):
    """The folded words of runs of characters that words may have. A cache of functools would take
    twice as long to find them."""

    def __missing__(self, chunk: str) -> tuple[str, ...]:
        words = tuple(itertools.chain.from_iterable(map(fold_word, _WORD.findall(chunk))))
        if len(self) < _MOST_CHUNKS:
            self[chunk] = words
        return words


_chunk_words = _ChunkWords()


def is_stop_word(word: str) -> bool:
    """Whether a word in lower case says nothing about a subject."""
    return word in _STOP_WORDS


# --- sentences ------------------------------------------------------------------------


def sentence_spans(text: str, lines_only: bool = False) -> list[Span]:
    """[start, end) of each sentence, in order.

    ``lines_only`` is for texts that have one sentence a line.
    """
    spans: list[Span] = []
    for line in re.finditer(r"[^\n]+", text):
        if lines_only:
            spans.append(line.span())
        else:
            spans.extend(_split_line(text, line.start(), line.end()))
    stripped = [_strip_span(text, start, end) for start, end in spans]
    return [(start, end) for start, end in stripped if start < end]


def _split_line(text: str, start: int, end: int) -> list[Span]:
    spans = []
    for match in _BREAK.finditer(text, start, end):
        stop = match.end(1)  # behind closing quotes and brackets
        if not _ABBREVIATION.search(text, max(start, stop - _LONGEST_ABBREVIATION), stop):
            spans.append((start, stop))
            start = match.end()
    return [*spans, (start, end)]


def _strip_span(text: str, start: int, end: int) -> Span:
    """The span without the white space at both ends."""
    # As most spans are, and slices are copies.
    if start < end and not text[start].isspace() and not text[end - 1].isspace():
        return start, end
    part = text[start:end]
    leading = len(part) - len(part.lstrip())
    trailing = len(part) - len(part.rstrip())
    return start + leading, end - trailing


# --- matching a query -----------------------------------------------------------------


@dataclass(frozen=True)
class QueryTerms:
    """What a query asks for: its words but stop words, and its pairs of neighbouring words, each
    with a weight.

    Sums are exact (``fsum``), so that the order of a set cannot change a score.
    """

    words: Mapping[str, float]
    pairs: Mapping[tuple[str, str], float]

    @functools.cached_property
    def total_weight(self) -> float:
        return math.fsum(self.words.values()) + math.fsum(self.pairs.values())

    @functools.cached_property
    def _informative_words(self) -> frozenset[str]:
        """Words of which a sentence has at least one if it repeats a term. Of a pair the stop word
        is left out, which is in every sentence."""
        words = set(self.words)
        for pair in self.pairs:
            words.update(set(pair) - _STOP_WORDS or pair)
        return frozenset(words)

    def shared_weight(self, tokens: Sequence[str]) -> float:
        """The weight of the terms that a sentence, given as its words, repeats."""
        # Most sentences have nothing of the query, and this is the quickest way to see it.
        if self._informative_words.isdisjoint(tokens):
            return 0.0
        words = self.words.keys() & tokens
        # Sets: a term counts once, however often the sentence repeats it.
        pairs = self.pairs.keys() & itertools.pairwise(tokens)
        word_weight = math.fsum(self.words[word] for word in words)
        pair_weight = math.fsum(self.pairs[pair] for pair in pairs)
        return word_weight + pair_weight

    def exclude_words(self, tokens: Sequence[str]) -> "QueryTerms":
        """The terms that a text with these words leaves open."""
        covered_words = set(tokens)
        covered_pairs = set(itertools.pairwise(tokens))
        words = {word: self.words[word] for word in self.words if word not in covered_words}
        pairs = {pair: self.pairs[pair] for pair in self.pairs if pair not in covered_pairs}
        return QueryTerms(words, pairs)


def extract_terms(
    query: str, weight: Callable[[str], float] = lambda word: 1.0, pair_weight: float = 1.0
) -> QueryTerms:
    """The terms of ``query``; a pair weighs ``pair_weight`` times the mean of its words. A pair of
    stop words ("with the") is none."""
    tokens = split_words(query)
    words = {token: weight(token) for token in tokens if token not in _STOP_WORDS}
    pairs = {}
    for left, right in itertools.pairwise(tokens):
        if left in _STOP_WORDS and right in _STOP_WORDS:
            continue
        pairs[(left, right)] = pair_weight * (weight(left) + weight(right)) / 2
    return QueryTerms(words, pairs)


def select_sentences(
    query: str,
    sentences: Sequence[str],
    count: int,
    title: str = "",
    number: str = "",
    words: Sequence[Sequence[str]] | None = None,
) -> list[str]:
    """The ``count`` sentences that share most with the query, best first; of equals the earlier.

    ``title`` and ``number``, that of the document, are shown beside them, so they count by what
    these leave open of the query, and a sentence that repeats the title is the last choice.
    ``words`` are those of each sentence, where they are split already.
    """
    if words is None:
        words = split_words_of_each(sentences)
    terms = _exclude_title(query, title) if title else extract_terms(query)
    terms = terms.exclude_words(split_words(number))
    shared = [terms.shared_weight(tokens) for tokens in words]

    def sort_key(i: int) -> tuple[float, bool, int]:
        repeats_title = bool(title) and sentences[i] == title
        return -shared[i], repeats_title, i

    ranked = sorted(range(len(sentences)), key=sort_key)
    return [sentences[i] for i in ranked[:count]]


def _exclude_title(query: str, title: str) -> QueryTerms:
    """The terms of the query beside the title."""
    words = split_words(query)
    title_words = split_words(title)
    length = len(title_words)
    for start in range(len(words) - length + 1):
        # Where the query has the whole title, only that run goes: "age of onset of X, adult onset"
        # keeps the onset that is asked for.
        if length and words[start : start + length] == title_words:
            return extract_terms(" ".join(words[:start] + words[start + length :]))
    return extract_terms(query).exclude_words(title_words)


def truncate(text: str, limit: int) -> str:
    """``text`` in at most ``limit`` characters.

    A longer text ends at a word boundary, with an ellipsis.
    """
    if len(text) <= limit:
        return text
    head = text[: limit - 1]
    if " " in head:
        head = head[: head.rfind(" ")]
    return head.rstrip(" ,;:") + ELLIPSIS


def make_snippet(
    query: str,
    sentences: Sequence[str],
    count: int,
    chars: int,
    title: str = "",
    number: str = "",
    words: Sequence[Sequence[str]] | None = None,
) -> str:
    """The best sentences for the query beside the title and the number, joined and truncated."""
    best = select_sentences(query, sentences, count, title, number, words)
    return truncate(" ".join(best), chars)
