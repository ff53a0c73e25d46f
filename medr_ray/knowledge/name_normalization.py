"""The normal form of names, and the fold in which two ways to write one name are equal.

``normalise`` is how forms are stored: it keeps hyphens, accents and Greek letters. ``fold_name`` is
how names are compared, in every room. Guaranteed: folding is idempotent, and composed and
decomposed characters (NFC, NFD) give the same. These differences go away:

- case, accents, full width, ligatures, characters that nobody sees, white space around signs,
- hyphens and dashes (a space), possessives ("Down's", "Graves'"),
- Greek letters and their names, with or without a hyphen before a figure ("β2", "beta-2"), and the
  German "ß" where it stands for β (after anything but a small letter),
- British and American spellings (see ``spellings``).

Characters of scripts without spaces, such as Chinese, are words of their own. The matcher of the
room ``entities`` folds text by the same tables.
"""

import functools
import itertools
import re
import unicodedata
from collections.abc import Sequence

from medr_ray.knowledge.spellings import fold_spelling, list_spellings

HYPHENS = frozenset("-‐‑‒–—−﹣－")
APOSTROPHES = frozenset("'’‘ʼ′`＇")
GREEK_NAMES = {
    "α": "alpha",
    "β": "beta",
    "γ": "gamma",
    "δ": "delta",
    "ε": "epsilon",
    "ζ": "zeta",
    "η": "eta",
    "θ": "theta",
    "ι": "iota",
    "κ": "kappa",
    "λ": "lambda",
    "μ": "mu",
    "ν": "nu",
    "ξ": "xi",
    "ο": "omicron",
    "π": "pi",
    "ρ": "rho",
    "σ": "sigma",
    "ς": "sigma",
    "τ": "tau",
    "υ": "upsilon",
    "φ": "phi",
    "χ": "chi",
    "ψ": "psi",
    "ω": "omega",
}
# Typographic characters that Unicode's NFKC keeps.
_HYPHENS = dict.fromkeys(map(ord, "‐‑‒–—−"), "-")
_QUOTES = dict.fromkeys(map(ord, "‘’ʼ′"), "'")
_PUNCTUATION = {**_HYPHENS, **_QUOTES}
# Scripts that are written without spaces between words: Thai to Myanmar, Khmer, kana and
# ideographs, with those beyond the Basic Multilingual Plane.
_UNSPACED_RANGES = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x3005, 0x3007),
    (0x3040, 0x30FF),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),
    (0x20000, 0x3FFFF),
)
_UNSPACED = "".join(f"{chr(first)}-{chr(last)}" for first, last in _UNSPACED_RANGES)
# A word, one character of a script without spaces, or a sign.
_TOKEN = re.compile(rf"[^\W{_UNSPACED}]+|[{_UNSPACED}]|[^\w\s]")
_ASCII_TOKEN = re.compile(r"[a-z0-9_]+|[^\w\s]")
_POSSESSIVE = re.compile(rf"(?<=\w)'s(?![^\W{_UNSPACED}])|(?<=s)'(?![^\W{_UNSPACED}])")
_VOICING_MARKS = "\u3099\u309a"  # of kana; the other marks are accents
_HIDDEN_CATEGORIES = frozenset({"Mn", "Me", "Cf", "Cs", "Cc", "Co", "Cn"})
_SHARP_S = re.compile("(?<![a-zäöü])[ßẞ]")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_GREEK_WORD = re.compile("[α-ω]+")
_SINGLE_LETTER = re.compile("(?<![α-ωΑ-Ω])[α-ωΑ-Ω](?![α-ωΑ-Ω])")
_GREEK_LETTERS = {name: letter for letter, name in GREEK_NAMES.items() if letter != "ς"}
_GREEK_NAME = "|".join(sorted(set(GREEK_NAMES.values()), key=len, reverse=True))
# A Greek letter's name that touches a figure.
_NUMBERED_LETTER = re.compile(rf"(?<![a-z])({_GREEK_NAME})(?=\d)|(?<=\d)({_GREEK_NAME})(?![a-z])")
# "gastroesophageal", "angio-oedema"
_COMBINED_VOWELS = re.compile(
    r"\b((?:bronch|gastr|laryng|pharyng|trache|angi)o)[ -]?o?(e(?:soph|dema)[a-z]*)"
)


def normalise(text: str) -> str:
    """The normal form of a name: NFKC, case-folded, with plain hyphens and apostrophes, single
    spaces, and β for a "ß" that stands for it."""
    if text.isascii():  # most names; NFKC and the table would change nothing
        return " ".join(text.lower().split())
    composed = write_beta(unicodedata.normalize("NFKC", text))
    return " ".join(composed.translate(_PUNCTUATION).casefold().split())


@functools.lru_cache(maxsize=4096)
def fold_character(character: str) -> str:
    """One character in the normal form of ``normalise``; white space becomes a space. The result
    may have several characters ("ß" becomes "ss")."""
    folded = unicodedata.normalize("NFKC", character).translate(_PUNCTUATION).casefold()
    return " " if folded.isspace() else folded


def is_unspaced(character: str) -> bool:
    """Whether the character is of a script that is written without spaces between words."""
    point = ord(character)
    # Most characters are Latin letters, and matching asks for all letters of all names.
    if point < _UNSPACED_RANGES[0][0]:
        return False
    return any(first <= point <= last for first, last in _UNSPACED_RANGES)


def fold_name(text: str) -> str:
    """The name with all tolerated ways to write it made equal: its words and signs, joined by
    single spaces. It is "" for a text without any. For comparison only."""
    folded = fold_characters(text).replace("-", " ")
    folded = _NUMBERED_LETTER.sub(_set_apart, folded)
    pattern = _ASCII_TOKEN if folded.isascii() else _TOKEN
    return " ".join(map(fold_spelling, pattern.findall(folded)))


def fold_characters(text: str) -> str:
    """A text as ``fold_name`` compares it, character by character: its words in their own spelling,
    its signs and figures in their places. For comparison only."""
    if text.isascii():
        folded = text.lower().replace("`", "'")
    else:
        composed = write_beta(unicodedata.normalize("NFC", text))
        # Few characters of a text are not ASCII, and the others go through a table.
        letters = _NOT_ASCII.sub(_fold_letters, composed).translate(_FOLDED_ASCII)
        folded = unicodedata.normalize("NFC", letters)
        folded = _GREEK_WORD.sub(_name_greek_letters, folded)
    if "'" in folded:
        folded = _POSSESSIVE.sub("", folded)
    if "esoph" in folded or "edem" in folded:
        folded = _COMBINED_VOWELS.sub(r"\1\2", folded)
    return folded


@functools.lru_cache(maxsize=200_000)
def fold_word(word: str) -> tuple[str, ...]:
    """A word of ``fold_characters`` in one spelling; two words where a Greek letter's name touches
    a figure ("alpha1")."""
    return tuple(map(fold_spelling, _NUMBERED_LETTER.sub(_set_apart, word).split()))


def list_word_forms(words: Sequence[str]) -> list[str]:
    """Folded words, and the words that texts may have in their place: other spellings, Greek
    letters, and a letter that touches the word or figure beside it."""
    forms = dict.fromkeys(words)
    for word in words:
        forms.update(dict.fromkeys(list_spellings(word)))
        if word in _GREEK_LETTERS:
            forms[_GREEK_LETTERS[word]] = None
    for left, right in itertools.pairwise(words):
        if right in _GREEK_LETTERS and left.isalnum():
            forms[f"{left}{_GREEK_LETTERS[right]}"] = None
        elif left in _GREEK_LETTERS and right[0].isdigit():
            forms[f"{left}{right}"] = None
            forms[f"{_GREEK_LETTERS[left]}{right}"] = None
    return list(forms)


def write_beta(text: str) -> str:
    """A composed text with β for each "ß" that stands for it: that is not behind a small letter."""
    return _SHARP_S.sub("β", text)


def spell_greek_letters(text: str) -> str:
    """A text with its characters composed (NFC) and single Greek letters by their names, joined to
    a neighbouring word by hyphens: "TNFα" and "TNF-α" become "TNF-alpha"."""
    if text.isascii():
        return text
    composed = write_beta(unicodedata.normalize("NFC", text))
    return _SINGLE_LETTER.sub(_spell_letter, composed)


def _spell_letter(match: re.Match[str]) -> str:
    before = "-" if match.start() and match.string[match.start() - 1].isalnum() else ""
    after = "-" if match.string[match.end() : match.end() + 1].isalnum() else ""
    return f"{before}{GREEK_NAMES[match.group().lower()]}{after}"


@functools.lru_cache(maxsize=8192)
def _fold_letter(character: str) -> str:
    """One character without accents and case; "" for one that nobody sees, "-" for a hyphen."""
    parts = unicodedata.normalize("NFKD", character).casefold()
    return "".join(map(_fold_part, unicodedata.normalize("NFKD", parts)))


def _fold_part(character: str) -> str:
    if character in HYPHENS:
        return "-"
    if character.isspace():
        return " "
    if character in APOSTROPHES:
        return "'"
    if character in _VOICING_MARKS:
        return character
    return "" if unicodedata.category(character) in _HIDDEN_CATEGORIES else character


def _fold_letters(match: re.Match[str]) -> str:
    return "".join(map(_fold_letter, match.group()))


_FOLDED_ASCII = dict(enumerate(map(_fold_letter, map(chr, range(128)))))


def _name_greek_letters(match: re.Match[str]) -> str:
    """The names of the letters; that of a single letter is a word of its own."""
    names = "".join(GREEK_NAMES[letter] for letter in match.group())
    return f" {names} " if len(match.group()) == 1 else names


def _set_apart(match: re.Match[str]) -> str:
    return f" {match.group()} "


# --- variants of a name -----------------------------------------------------------------

_MAX_SPELLINGS = 8  # of one name with several words that have two
_GREEK_LETTER = rf"(?:{_GREEK_NAME}|[α-ω])"
_LETTERS_OR_NOT = re.compile("[a-z]+|[^a-z]+")
_MAY_HAVE_LETTER = re.compile(r"[α-ω]|[a-z][ -]?\d|[a-z0-9]-[a-z]")
_LETTER_AND_FIGURE = re.compile(rf"(?<![a-zα-ω])({_GREEK_LETTER})[ -]?(\d)")
_HYPHEN_AND_LETTER = re.compile(rf"(?<=[a-z0-9])-({_GREEK_LETTER})(?![a-z])")
_JOINED_LETTER = re.compile(r"(?<=[a-z0-9])([α-ω])")
_SHORT_POSSESSIVE = re.compile(r"\b([a-z]{2,4})'s\b")
# Words of up to five letters keep their s in the matcher: "Wilms tumor", but "Wilm's tumor".
_SHORT_EPONYM = re.compile(r"\b([a-z]{2,3}[^siu'\W])s'?(?= (?:disease|syndrome|tumou?rs?)\b)")


def list_name_variants(form: str) -> list[str]:
    """Other ways to write a form in lower case that ``entities.tokens`` does not fold to it:
    spellings, figures and Greek letters that touch a word, short possessives."""
    bases = [form]
    # Most forms have none of these, and patterns are slow.
    if _MAY_HAVE_LETTER.search(form):
        bases.append(_LETTER_AND_FIGURE.sub(r"\1\2", form))
        bases.append(_LETTER_AND_FIGURE.sub(r"\1-\2", form))
        bases.append(_HYPHEN_AND_LETTER.sub(r"\1", form))
        bases.append(_JOINED_LETTER.sub(r"-\1", form))
    if "esoph" in form or "edem" in form:
        bases += [_COMBINED_VOWELS.sub(rf"\1{join}\2", form) for join in ("", "o", "-o")]
    if "'s" in form:
        bases.append(_SHORT_POSSESSIVE.sub(r"\1s", form))
    if "s " in form or "s' " in form:
        bases.append(_SHORT_EPONYM.sub(r"\1", form))
    spelled = (spelling for base in bases for spelling in _spell_name(base))
    return [variant for variant in dict.fromkeys((*bases, *spelled)) if variant != form]


def _spell_name(name: str) -> list[str]:
    """A name with each of its words in all its spellings, as far as they are few."""
    parts = _LETTERS_OR_NOT.findall(name)
    spellings = list(map(list_spellings, parts))
    if not any(spellings):
        return [name]
    choices = [(part, *others) for part, others in zip(parts, spellings, strict=True)]
    combinations = itertools.product(*choices)
    return ["".join(combination) for combination in itertools.islice(combinations, _MAX_SPELLINGS)]
