"""The normal form of names, in which two spellings of the same name are equal."""

import functools
import re
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


# British endings and letters, and the American ones. In this order, on a word in lower case.
_SPELLINGS = (
    (re.compile(r"[ao]e"), "e"),  # anaemia, oedema
    (re.compile(r"(?<=[a-z]{2})our(?=(?:s|ed|ing|al|ally|less|able)?$)"), "or"),  # tumour
    (re.compile(r"is(?=(?:e|ed|es|er|ers|ing|ation|ations)$)"), "iz"),  # randomised
    (re.compile(r"ys(?=(?:e|ed|es|er|ers|ing)$)"), "yz"),  # analyse
    (re.compile(r"(?<=[bt])re(?=s?$)"), "er"),  # fibre, centre
    (re.compile(r"sulph"), "sulf"),
    (re.compile(r"ogue(?=s?$)"), "og"),  # analogue
    (re.compile(r"ll(?=(?:ed|ing|er|ers|ation)$)"), "l"),  # labelled
    (re.compile(r"ense(?=s?$)"), "ence"),  # defense
    (re.compile(r"^aluminium$"), "aluminum"),
    (re.compile(r"^programme(?=s?$)"), "program"),
    (re.compile(r"mould"), "mold"),
    (re.compile(r"^grey(?=s?$)"), "gray"),
    (re.compile(r"ageing$"), "aging"),
)
_MIN_SPELLED_CHARACTERS = 4
_MAX_SPELLED_CHARACTERS = 40


@functools.lru_cache(maxsize=100_000)
def fold_spelling(word: str) -> str:
    """A word in lower case with the British and American spellings made equal.

    Words with figures are left as they are: they are symbols. The result is for comparison only.
    """
    is_word = word.isascii() and word.isalpha()
    if not is_word or not _MIN_SPELLED_CHARACTERS <= len(word) <= _MAX_SPELLED_CHARACTERS:
        return word
    for pattern, spelling in _SPELLINGS:
        word = pattern.sub(spelling, word)
    return word
