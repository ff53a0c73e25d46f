"""Matching and counting as one would first write them: slow, plain, and in no way like the code
they check."""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

_TOKEN = re.compile(r"\w+|[^\w\s]")
_POSSESSIVE = re.compile(r"(?<=\w)['’‘ʼ′`][sS](?![\w])")
_GREEK = {"α": "alpha", "β": "beta", "γ": "gamma", "μ": "mu", "ω": "omega"}


def tokens(text: str, exact: bool = False) -> list[tuple[str, int, int]]:
    """(folded token, start, end) of texts made of the characters the tests draw from."""
    tokens = []
    blanked = _POSSESSIVE.sub(lambda match: " " * len(match.group()), text)
    for match in _TOKEN.finditer(re.sub(r"[-‐–—−]", " ", blanked)):
        tokens.append((match.group() if exact else fold(match.group()), match.start(), match.end()))
    return tokens


def fold(word: str) -> str:
    plain = "".join(
        c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c)
    ).casefold()
    plain = "".join(_GREEK.get(c, c) for c in plain)
    return singular("'" if plain in set("’‘ʼ′`") else plain)


def singular(word: str) -> str:
    if len(word) < 6 or not word.endswith("s"):
        return word
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("oses", "osis")):
        if word.endswith(ending):
            return word.removesuffix(ending) + instead
    return word if word[-2] in "sui" or not word[-2] >= "a" else word[:-1]


def find(
    forms: Mapping[tuple[str, ...], str], exact: Mapping[tuple[str, ...], str], text: str
) -> list[tuple[int, int, str]]:
    """Leftmost-longest (start, end, concept), a tie to the exact forms; forms are keyed by their
    tokens."""
    folded, written = tokens(text), tokens(text, exact=True)
    matches, at = [], 0
    while at < len(folded):
        best = 0
        for table, words in ((forms, folded), (exact, written)):
            for size in range(len(words) - at, 0, -1):
                concept = table.get(tuple(word for word, _, _ in words[at : at + size]))
                if concept is not None and size >= max(best, 1):
                    best, winner = size, concept
                    break
        if best:
            matches.append((folded[at][1], folded[at + best - 1][2], winner))
        at += max(best, 1)
    return matches


def count(
    forms: Mapping[tuple[str, ...], str],
    exact: Mapping[tuple[str, ...], str],
    documents: Sequence[tuple[str, str, int | None]],
) -> dict[str, tuple[int, int, dict[int | None, int]]]:
    """concept -> (documents, mentions, documents by year) over (title, abstract, year)."""
    mentions: Counter[str] = Counter()
    years: dict[str, Counter[int | None]] = {}
    for title, abstract, year in documents:
        named = [
            concept for text in (title, abstract) for _, _, concept in find(forms, exact, text)
        ]
        mentions.update(named)
        for concept in set(named):
            years.setdefault(concept, Counter())[year] += 1
    return {
        concept_id: (sum(years[concept_id].values()), mentions[concept_id], dict(years[concept_id]))
        for concept_id in mentions
    }


_ASIDE = re.compile(r"\s*(?:\(([^()\[\]]*)\)|\[([^\[\]()]*)\])")


def abbreviate(text: str, found: Sequence[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """``found`` (start, end, concept) with the abbreviations that the text defines behind them,
    each use by the meaning of its first definition."""
    meanings: dict[str, str] = {}
    for start, end, concept in found:
        aside = _ASIDE.match(text, end)
        short = re.split("[,;]", aside[1] or aside[2] or "")[0].strip(" \t\n") if aside else ""
        if (
            2 <= len(short) <= 10
            and short[0].isalnum()
            and short.count(" ") <= 1
            and re.search("[A-Z]", short)
            and _is_spelled_by(short, text[start:end])
        ):
            meanings.setdefault(short, concept)
    if not meanings:
        return list(found)
    either = "|".join(map(re.escape, sorted(meanings, key=len, reverse=True)))
    uses = [
        (match.start(), match.end(), meanings[match[1]])
        for match in re.finditer(rf"(?<!\w)({either})s?(?!\w)", text)
    ]
    kept = list(found)
    for use in uses:
        touched = [kept_use for kept_use in kept if kept_use[0] < use[1] and use[0] < kept_use[1]]
        if all(use[0] <= start and end <= use[1] for start, end, _ in touched):
            kept = [kept_use for kept_use in kept if kept_use not in touched] + [use]
    return sorted(kept)


def _is_spelled_by(short: str, long: str) -> bool:
    """The algorithm of Schwartz and Hearst: from the end, each character of the short form in
    turn; its first character must begin a word."""
    at = len(long)
    for number, letter in reversed(
        [(i, character) for i, character in enumerate(short.lower()) if character.isalnum()]
    ):
        at -= 1
        while at >= 0 and (
            long[at].lower() != letter or (number == 0 and at > 0 and long[at - 1].isalnum())
        ):
            at -= 1
        if at < 0:
            return False
    return len(long) - at > len(short)
