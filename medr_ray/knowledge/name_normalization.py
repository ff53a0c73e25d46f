"""The normal form of names, in which two spellings of the same name are equal."""

import functools
import unicodedata

# Typographic characters that Unicode's NFKC keeps.
_HYPHENS = dict.fromkeys(map(ord, "‐‑‒–—−"), "-")
_QUOTES = dict.fromkeys(map(ord, "‘’ʼ′"), "'")
_PUNCTUATION = {**_HYPHENS, **_QUOTES}


def normalise(text: str) -> str:
    """The normal form of a name: NFKC, case-folded, with plain hyphens and apostrophes and single
    spaces."""
    if text.isascii():  # most names; NFKC and the table would change nothing
        return " ".join(text.lower().split())
    return " ".join(unicodedata.normalize("NFKC", text).translate(_PUNCTUATION).casefold().split())


@functools.lru_cache(maxsize=4096)
def fold_character(character: str) -> str:
    """One character in the normal form of ``normalise``; white space becomes a space. The result
    may have several characters ("ß" becomes "ss")."""
    folded = unicodedata.normalize("NFKC", character).translate(_PUNCTUATION).casefold()
    return " " if folded.isspace() else folded
