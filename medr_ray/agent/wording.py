"""Names and telling words in running text, in English and Chinese."""

import functools
import re
from collections.abc import Iterable

from medr_ray.knowledge.name_normalization import normalise

_WORD = re.compile(r"[a-z0-9][a-z0-9'.+-]*[a-z0-9+]")
_HAN = re.compile(r"[\u3400-\u9fff]{2,}")
_STOP = frozenset(
    (
        "the",
        "a",
        "an",
        "and",
        "or",
        "of",
        "in",
        "on",
        "at",
        "by",
        "for",
        "from",
        "with",
        "to",
        "is",
        "are",
        "was",
        "were",
        "be",
        "been",
        "has",
        "have",
        "had",
        "that",
        "this",
        "these",
        "those",
        "it",
        "its",
        "as",
        "which",
        "what",
        "who",
        "whose",
        "when",
        "where",
        "how",
        "does",
        "do",
        "did",
        "can",
        "name",
        "following",
        "both",
        "also",
        "than",
        "their",
        "there",
        "into",
        "not",
        "no",
    )
)


def names_in(text: str, names: Iterable[str]) -> list[str]:
    """Those of ``names`` whose words stand in ``text``, whatever their case and spacing; never
    within a longer word."""
    inside = normalise(text)
    return [name for name in names if _stands_in(normalise(name), inside)]


def _stands_in(wanted: str, inside: str) -> bool:
    return bool(wanted) and wanted in inside and _whole(wanted).search(inside) is not None


@functools.lru_cache(maxsize=4096)
def _whole(wanted: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![a-z0-9]){re.escape(wanted)}(?![a-z0-9])")


def telling_words(text: str) -> frozenset[str]:
    """The words of a text that say what it is about; of Chinese, which has no spaces, the pairs of
    characters."""
    plain = normalise(text)
    words = {word for word in _WORD.findall(plain) if word not in _STOP}
    pairs = {run[i : i + 2] for run in _HAN.findall(plain) for i in range(len(run) - 1)}
    return frozenset(words | pairs)
