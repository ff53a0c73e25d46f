"""One normal form for names, so that the same name written two ways is found to be the same."""

import functools
import unicodedata

_HYPHENS = dict.fromkeys(map(ord, "‐‑‒–—−"), "-")
_QUOTES = dict.fromkeys(map(ord, "‘’ʼ′"), "'")
_PUNCTUATION = {**_HYPHENS, **_QUOTES}


def normalise(text: str) -> str:
    """NFKC, case folded, typographic hyphens and apostrophes made plain, runs of white space made
    one space."""
    if text.isascii():
        return " ".join(text.lower().split())
    return " ".join(unicodedata.normalize("NFKC", text).translate(_PUNCTUATION).casefold().split())


@functools.lru_cache(maxsize=4096)
def fold_character(character: str) -> str:
    """One character as ``normalise`` would write it, white space as a space."""
    folded = unicodedata.normalize("NFKC", character).translate(_PUNCTUATION).casefold()
    return " " if folded.isspace() else folded
