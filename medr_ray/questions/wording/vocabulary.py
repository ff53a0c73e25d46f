"""The vocabulary of questions: what each word of a text may mean.

The words are in ``questions/prompts/words.LANGUAGE.txt``: a meaning ("approve", "last", "arm") and
the words that have it. A word may have several. A word that stands nowhere has no meaning, and a
text that uses it cannot be placed: that is the point, for whatever a question adds, "in children",
"tentatively", "not", it adds with a word.
"""

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from medr_ray.core.prompts import read_prompt
from medr_ray.core.records import Language

EMPTY = "-"  # the meaning of words without one of their own
_MAX_WORDS = 5  # of an entry
_PIECE = re.compile("[^\\W\\d_\u4e00-\u9fff]+|\\d+(?:[.,]\\d+)*|\\S")
_IDEOGRAPH = re.compile("[\u4e00-\u9fff]")
_DOUBLED = re.compile("[aeiou][bdglmnprt]$")


@dataclass(frozen=True)
class Word:
    """A word or phrase of a text, with its place in it; no meanings where it has none."""

    text: str
    start: int
    end: int
    meanings: frozenset[str]


class Vocabulary:
    """The words of one language."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._meanings: dict[str, set[str]] = {}
        for meaning, entry in _read_entries(language):
            for form in _inflect(entry) if entry.startswith("~") else (entry,):
                self._meanings.setdefault(form, set()).add(meaning)
        self._longest = max(map(len, self._meanings))

    def list_meanings(self) -> list[frozenset[str]]:
        """What each entry means."""
        return [frozenset(meanings) for meanings in self._meanings.values()]

    def find_meanings(self, text: str) -> frozenset[str]:
        """What a word or phrase may mean. An entry in capitals ("NDA") means something in capitals
        alone."""
        meanings = self._meanings.get(text)
        # "WAS" is a gene.
        if meanings is None and not (text.isupper() and len(text) > 1):
            meanings = self._meanings.get(text.lower())
        return frozenset(meanings or ())

    def split(self, text: str, start: int = 0) -> list[Word]:
        """The words of a text, such that the fewest of them are without a meaning; ``start`` is its
        place in a longer one."""
        pieces = [match.span() for match in _PIECE.finditer(_straighten(text))]
        # best[i]: (pieces without a meaning, words, the words) of the pieces before the i-th.
        best: list[tuple[int, int, tuple[Word, ...]]] = [(0, 0, ())]
        if self._language == "zh":
            pieces = list(_split_ideographs(text, pieces))
        for end in range(1, len(pieces) + 1):
            options = []
            for begin in range(end):
                first, last = pieces[begin][0], pieces[end - 1][1]
                if last - first > self._longest and begin < end - 1:
                    continue
                meanings = self.find_meanings(_straighten(text[first:last]))
                if not meanings and begin < end - 1:
                    continue
                unknown, count, words = best[begin]
                word = Word(text[first:last], start + first, start + last, meanings)
                options.append((unknown + (not meanings), count + 1, (*words, word)))
            best.append(min(options, key=lambda option: option[:2]))
        return list(best[-1][2])


def _split_ideographs(text: str, pieces: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for first, last in pieces:
        if _IDEOGRAPH.search(text, first, last):
            yield from ((place, place + 1) for place in range(first, last))
        else:
            yield first, last


def _straighten(text: str) -> str:
    return text.translate(_STRAIGHT)


_STRAIGHT = str.maketrans("’‘＇‐‑–—", "'''----")


def _read_entries(language: Language) -> Iterator[tuple[str, str]]:
    for line in read_prompt("medr_ray.questions", "words", language).splitlines():
        if line and not line.startswith("#"):
            meaning, _, words = line.partition(": ")
            for entry in words.split(", "):
                yield meaning, entry.strip().strip('"')


def _inflect(entry: str) -> Iterator[str]:
    """The forms of an English verb or noun whose first word is inflected."""
    base, _, rest = entry.removeprefix("~").partition(" ")
    tail = f" {rest}" if rest else ""
    stem = base.removesuffix("e")
    if base.endswith("y") and base[-2] not in "aeiou":
        forms = [base, f"{base[:-1]}ies", f"{base[:-1]}ied", f"{base}ing"]
    else:
        plural = "es" if base.endswith(("s", "x", "ch", "sh")) else "s"
        forms = [base, base + plural, f"{stem}ed", f"{stem}ing"]
        if _DOUBLED.search(base):
            forms += [f"{base}{base[-1]}ed", f"{base}{base[-1]}ing"]
    yield from (form + tail for form in forms)


@functools.cache
def open_vocabulary(language: Language) -> Vocabulary:
    """The vocabulary of a language, read once."""
    return Vocabulary(language)
