"""Decides whether two answers are the same: by equality after normalisation, never by containment.

These differences are tolerated:

- case, punctuation and articles,
- Greek letters by name, Roman numerals by number, and number words up to twelve,
- "45%" and "45 percent", "5 mg" and "5mg",
- written and ISO dates,
- the order of a list,
- an addition in brackets that offers no alternative.

A prediction that names the answer among others ("either A or B") does not match.
"""

import functools
import re
import unicodedata
from collections.abc import Sequence
from datetime import date

_GREEK_NAMES = {
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
# Numerals of two letters and more count as numbers anywhere.
_ROMAN_NUMERALS = {
    "ii": "2",
    "iii": "3",
    "iv": "4",
    "vi": "6",
    "vii": "7",
    "viii": "8",
    "ix": "9",
    "xi": "11",
    "xii": "12",
}
# Single letters are letters elsewhere ("X-linked"): they are numerals only after the words below.
_SINGLE_LETTER_NUMERALS = {
    "i": "1",
    "v": "5",
    "x": "10",
}
_WORDS_BEFORE_NUMERALS = {
    "type",
    "grade",
    "stage",
    "factor",
    "class",
    "group",
    "phase",
    "subtype",
    "complex",
    "level",
    "part",
}
_NUMBER_WORDS = {
    "zero": "0",
    "one": "1",
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
    "ten": "10",
    "eleven": "11",
    "twelve": "12",
}
_MONTHS = {
    "january": 1,
    "february": 2,
    "march": 3,
    "april": 4,
    "may": 5,
    "june": 6,
    "july": 7,
    "august": 8,
    "september": 9,
    "october": 10,
    "november": 11,
    "december": 12,
}
_MONTHS |= {name[:3]: number for name, number in _MONTHS.items()} | {"sept": 9}
# Longest names first, because a regular expression takes the first alternative that fits.
_MONTH_PATTERN = "|".join(sorted(_MONTHS, key=len, reverse=True))
_DAY_FIRST = re.compile(
    rf"\b(\d{{1,2}})(?:st|nd|rd|th)? (?:of )?({_MONTH_PATTERN})\.?,? (\d{{4}})\b"
)
_MONTH_FIRST = re.compile(rf"\b({_MONTH_PATTERN})\.? (\d{{1,2}})(?:st|nd|rd|th)?,? (\d{{4}})\b")
_ISO_DATE = re.compile(r"\b(\d{4})[-/](\d{1,2})[-/](\d{1,2})\b")
_PREAMBLE = re.compile(r"^(?:the )?(?:final |correct )?answer(?: is\b|:)\s*:?")
# In this order: a date that was written as one word, a negative number at the start of a word, a
# number with its unit, a decimal number, a sign of comparison, a word, one Chinese or Japanese
# character, and a minus sign that ends a word.
_TOKEN = re.compile(
    r"date\d{8}|(?:(?<=\s)|^)-\d+(?:\.\d+)?|\d+(?:\.\d+)?(?=[^\W\d])|\d+\.\d+|[<>≤≥+]"
    r"|[^\W_\u3040-\u30ff\u4e00-\u9fff]+|[\u3040-\u30ff\u4e00-\u9fff]|(?<=\w)-(?=\s|$)"
)
_TRAILING_BRACKET = re.compile(r"^(.+?)\s*\(([^()]*)\)$")
# Words that make an addition in brackets an alternative or a doubt.
_HEDGE_WORD = re.compile(r"\b(?:or|either|not|possibly|probably|maybe|versus|vs)\b")
_LIST_SEPARATOR = re.compile(r"\s*[,;]\s*(?:and\s+)?|\s+and\s+|\s+&\s+")


def _format_date(year: str, month: int, day: str, text: str) -> str:
    """The date as one word ("date20200131"), so that it stays one token."""
    try:
        return date(int(year), month, int(day)).strftime("date%Y%m%d")
    except ValueError:
        # "31 february 2020" is not a date: it is compared as plain text.
        return text


def _replace_dates(text: str) -> str:
    """The text with every date in the same form."""
    text = _DAY_FIRST.sub(
        lambda match: _format_date(match[3], _MONTHS[match[2]], match[1], match[0]), text
    )
    text = _MONTH_FIRST.sub(
        lambda match: _format_date(match[3], _MONTHS[match[1]], match[2], match[0]), text
    )
    return _ISO_DATE.sub(
        lambda match: _format_date(match[1], int(match[2]), match[3], match[0]), text
    )


@functools.lru_cache(maxsize=100_000)
def normalize_words(text: str) -> tuple[str, ...]:
    """The normalised words of a text, in order."""
    # NFKC makes full-width characters and ligatures plain; dashes and apostrophes become ASCII.
    text = (
        unicodedata.normalize("NFKC", text)
        .casefold()
        .replace("−", "-")
        .replace("–", "-")
        .replace("’", "'")
    )
    # NFD separates accents from their letters, so that they can be left out.
    text = "".join(
        _GREEK_NAMES.get(character, character)
        for character in unicodedata.normalize("NFD", text)
        if not unicodedata.combining(character)
    )
    # Thousands separators go first: "1,000" is one number.
    text = _replace_dates(re.sub(r"(?<=\d),(?=\d{3}(?:\D|$))", "", text))
    text = re.sub(r"(?<=\w)'s\b", "", text).replace("%", " percent ").replace("per cent", "percent")
    words: list[str] = []
    for word in _TOKEN.findall(text):
        previous = words[-1] if words else ""
        word = _ROMAN_NUMERALS.get(word, _NUMBER_WORDS.get(word, word))
        if previous in _WORDS_BEFORE_NUMERALS:
            word = _SINGLE_LETTER_NUMERALS.get(word, word)
        words.append(_strip_decimal_zeros(word))
    return tuple(words)


def _strip_decimal_zeros(word: str) -> str:
    """A decimal number without zeros at its end ("2.50" as "2.5"); other words unchanged."""
    return word.rstrip("0").rstrip(".") if re.fullmatch(r"-?\d+\.\d+", word) else word


def canonical_form(text: str) -> str:
    """One spelling for all tolerated ones: normalised words without articles, joined by single
    spaces."""
    words = [word for word in normalize_words(text) if word != "the"]
    # "a" alone, or inside a name ("vitamin a"), is not an article.
    if len(words) > 1 and words[0] in ("a", "an"):
        words = words[1:]
    return " ".join(words)


def _join_words(text: str) -> tuple[str, tuple[str, ...]]:
    """(the text without spaces, its numbers). The numbers keep "1 23" and "12 3" apart."""
    return text.replace(" ", ""), tuple(re.findall(r"\d+(?:\.\d+)?", text))


def _is_same_answer(prediction: str, name: str) -> bool:
    left = canonical_form(prediction)
    right = canonical_form(name)
    # Two texts without any word (signs alone) are not the same answer.
    if not left:
        return False
    # Without spaces "5 mg" and "5mg" are the same.
    return left == right or _join_words(left) == _join_words(right)


def _is_same_list(prediction: str, name: str) -> bool:
    """Whether both are lists of the same items, in any order."""
    expected = _split_items(name)
    return len(expected) > 1 and _split_items(prediction) == expected


def _split_items(text: str) -> list[str]:
    """The items of a list in sorted order, each in its canonical spelling."""
    return sorted(
        item for part in _LIST_SEPARATOR.split(text.casefold()) if (item := canonical_form(part))
    )


def answers_match(prediction: str, answer: str, aliases: Sequence[str]) -> bool:
    """Whether the prediction is the answer or one of its aliases."""
    text = _PREAMBLE.sub("", unicodedata.normalize("NFKC", prediction).casefold().strip()).strip()
    # Both with and without the brackets at the end: an answer may have brackets of its own.
    forms = [text]
    bracket = _TRAILING_BRACKET.match(text.rstrip("."))
    if bracket and not _HEDGE_WORD.search(bracket[2]):
        forms.append(bracket[1])
    return any(
        _is_same_answer(form, name) or _is_same_list(form, name)
        for form in forms
        for name in (answer, *aliases)
    )


def occurs_in(name: str, text: str) -> bool:
    """Whether the words of ``name`` follow one another in ``text``."""
    name_words = normalize_words(name)
    text_words = normalize_words(text)
    return bool(name_words) and any(
        text_words[start : start + len(name_words)] == name_words
        for start in range(len(text_words) - len(name_words) + 1)
    )
