"""Matching and counting as one would first write them: slow, plain, and in no way like the code
they check."""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

_HAN = "一-鿿"
_TOKEN = re.compile(rf"[^\W{_HAN}]+|[{_HAN}]|[^\w\s]")
_WORD_FOLLOWS = rf"(?![^\W{_HAN}])"
_POSSESSIVE = re.compile(
    rf"(?<=[^\W{_HAN}])['’‘ʼ′`][sS]{_WORD_FOLLOWS}|(?<=[sS])['’‘ʼ′`]{_WORD_FOLLOWS}"
)
_GREEK = {"α": "alpha", "β": "beta", "γ": "gamma", "μ": "mu", "ω": "omega"}


def tokens(text: str, exact: bool = False) -> list[tuple[str, int, int]]:
    """(folded token, start, end) of texts made of the characters the tests draw from."""
    tokens = []
    blanked = _POSSESSIVE.sub(lambda match: " " * len(match.group()), text)
    for match in _TOKEN.finditer(re.sub(r"[-‐–—−]", " ", blanked)):
        tokens.append((match.group() if exact else fold(match.group()), match.start(), match.end()))
    return tokens


def fold(word: str) -> str:
    word = re.sub("(?<![a-z])ß", "β", word)
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


_BRACKETS = {"(": ")", "[": "]", "{": "}", "（": "）"}
_QUOTES = "\"'`‘’“”"


def abbreviate(text: str, found: Sequence[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """``found`` (start, end, concept) with the abbreviations that the text defines behind them,
    each use by the meaning of its first definition."""
    meanings: dict[str, str] = {}
    for start, end, concept in found:
        short = _find_short_form(text, start, end)
        if short:
            meanings.setdefault(short, concept)
    if not meanings:
        return list(found)
    either = "|".join(map(re.escape, sorted(meanings, key=len, reverse=True)))
    uses = [
        (match.start(), match.end(), meanings[match[1]])
        for match in re.finditer(rf"(?<![^\W{_HAN}])({either})s?(?![^\W{_HAN}])", text)
    ]
    kept = list(found)
    for use in uses:
        touched = [kept_use for kept_use in kept if kept_use[0] < use[1] and use[0] < kept_use[1]]
        if all(use[0] <= start and end <= use[1] for start, end, _ in touched):
            kept = [kept_use for kept_use in kept if kept_use not in touched] + [use]
    return sorted(kept)


def _find_short_form(text: str, start: int, end: int) -> str:
    """The short form of the long form ``text[start:end]``, "" where the text gives none."""
    long = text[start:end]
    behind = text[end:].lstrip(" \t\n")
    before = text[:start].rstrip(" \t\n")
    opening = behind[:1]
    if opening in set(",;") and before[-1:] in _BRACKETS:
        opening = before[-1:]
    if opening and opening in _BRACKETS:
        inside, closing, _ = behind[1:].partition(_BRACKETS[opening])
        if closing and len(inside.encode()) <= 60 and not set(inside) & set(_BRACKETS):
            for part in re.split("[,;]", inside):
                words = part.split()
                choices = [part]
                if len(words) > 1 and not re.search("[A-Z]", " ".join(words[:-1])):
                    choices.append(words[-1])
                elif len(words) > 1 and not re.search("[A-Z]", " ".join(words[1:])):
                    choices.append(words[0])
                for choice in choices:
                    if short := _accept_short(choice, long, capitals=1):
                        return short
    opening = before[-1:]
    is_first = opening in (":", "=") or (
        opening in _BRACKETS and behind.startswith(_BRACKETS[opening])
    )
    if opening and is_first:
        word = re.split(r"[\s,;(\[{（]", before[:-1].rstrip(" \t\n"))[-1]
        return _accept_short(word, long, capitals=2)
    return ""


def _accept_short(text: str, long: str, capitals: int) -> str:
    short = text.strip(" \t\n" + _QUOTES)
    if len(short) > 2 and short[-1] == "s" and short[-2].isascii() and not short[-2].islower():
        short = short[:-1]
    is_short = (
        2 <= len(short) <= 10
        and short[0].isalnum()
        and len(re.findall(r"\s", short)) <= 1
        and len(re.findall("[A-Z]", short)) >= capitals
    )
    uncharged = re.sub(r"(?<=..)\d*$", "", short[:-1]) if short[-1:] in ("+", "-") else short
    return short if is_short and len(long) > len(short) and _is_spelled_by(uncharged, long) else ""


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
