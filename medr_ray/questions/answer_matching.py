"""When two answers are the same: equality after normalisation, never containment.

Tolerated: case, punctuation, articles, Greek letters and Roman numerals by name or number, number
words up to twelve, "45%" and "45 percent", "5 mg" and "5mg", written and ISO dates, the order of a
list, a bracketed addition that offers no alternative. A prediction that names the answer among
others ("either A or B") does not match.
"""

import functools
import re
import unicodedata
from collections.abc import Sequence
from datetime import date

_GREEK = {
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
_ROMAN = {
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
_SINGLE_ROMAN = {
    "i": "1",
    "v": "5",
    "x": "10",
}  # letters elsewhere ("X-linked"), numerals after these words
_NUMBERED = {
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
_WORDS = {
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
_MONTHS |= {name[:3]: n for name, n in _MONTHS.items()} | {"sept": 9}
_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))
_DAY_FIRST = re.compile(rf"\b(\d{{1,2}})(?:st|nd|rd|th)? (?:of )?({_MONTH})\.?,? (\d{{4}})\b")
_MONTH_FIRST = re.compile(rf"\b({_MONTH})\.? (\d{{1,2}})(?:st|nd|rd|th)?,? (\d{{4}})\b")
_ISO = re.compile(r"\b(\d{4})[-/](\d{1,2})[-/](\d{1,2})\b")
_PREAMBLE = re.compile(r"^(?:the )?(?:final |correct )?answer(?: is\b|:)\s*:?")
_TOKEN = re.compile(
    r"date\d{8}|(?:(?<=\s)|^)-\d+(?:\.\d+)?|\d+(?:\.\d+)?(?=[^\W\d])|\d+\.\d+|[<>≤≥+]"
    r"|[^\W_\u3040-\u30ff\u4e00-\u9fff]+|[\u3040-\u30ff\u4e00-\u9fff]|(?<=\w)-(?=\s|$)"
)
_BRACKET = re.compile(r"^(.+?)\s*\(([^()]*)\)$")
_HEDGE = re.compile(r"\b(?:or|either|not|possibly|probably|maybe|versus|vs)\b")
_LIST = re.compile(r"\s*[,;]\s*(?:and\s+)?|\s+and\s+|\s+&\s+")


def _date(year: str, month: int, day: str, text: str) -> str:
    try:
        return date(int(year), month, int(day)).strftime("date%Y%m%d")
    except ValueError:  # "31 february 2020" is no date: compared as the text it is
        return text


def _dates(text: str) -> str:
    text = _DAY_FIRST.sub(lambda m: _date(m[3], _MONTHS[m[2]], m[1], m[0]), text)
    text = _MONTH_FIRST.sub(lambda m: _date(m[3], _MONTHS[m[1]], m[2], m[0]), text)
    return _ISO.sub(lambda m: _date(m[1], int(m[2]), m[3], m[0]), text)


@functools.lru_cache(maxsize=100_000)
def tokens(text: str) -> tuple[str, ...]:
    """The normalised words of a text, in order."""
    text = (
        unicodedata.normalize("NFKC", text)
        .casefold()
        .replace("−", "-")
        .replace("–", "-")
        .replace("’", "'")
    )
    text = "".join(
        _GREEK.get(c, c) for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c)
    )
    text = _dates(re.sub(r"(?<=\d),(?=\d{3}(?:\D|$))", "", text))
    text = re.sub(r"(?<=\w)'s\b", "", text).replace("%", " percent ").replace("per cent", "percent")
    words: list[str] = []
    for word in _TOKEN.findall(text):
        previous = words[-1] if words else ""
        word = _ROMAN.get(word, _WORDS.get(word, word))
        if previous in _NUMBERED:
            word = _SINGLE_ROMAN.get(word, word)
        words.append(_plain_number(word))
    return tuple(words)


def _plain_number(word: str) -> str:
    return word.rstrip("0").rstrip(".") if re.fullmatch(r"-?\d+\.\d+", word) else word


def canonical(text: str) -> str:
    """One spelling for all tolerated ones: normalised words without articles, joined by single
    spaces."""
    words = [word for word in tokens(text) if word != "the"]
    if len(words) > 1 and words[0] in ("a", "an"):
        words = words[1:]
    return " ".join(words)


def _joined(text: str) -> tuple[str, tuple[str, ...]]:
    """Without spaces, and with its numbers apart, so that "1 23" and "12 3" differ."""
    return text.replace(" ", ""), tuple(re.findall(r"\d+(?:\.\d+)?", text))


def _same(one: str, other: str) -> bool:
    left, right = canonical(one), canonical(other)
    return bool(left) and (left == right or _joined(left) == _joined(right))


def _same_list(one: str, other: str) -> bool:
    left, right = _items(one), _items(other)
    return len(right) > 1 and left == right


def _items(text: str) -> list[str]:
    return sorted(item for part in _LIST.split(text.casefold()) if (item := canonical(part)))


def answers_match(prediction: str, answer: str, aliases: Sequence[str]) -> bool:
    """Whether the prediction is the answer, or one of its aliases."""
    text = _PREAMBLE.sub("", unicodedata.normalize("NFKC", prediction).casefold().strip()).strip()
    forms = [text]
    bracket = _BRACKET.match(text.rstrip("."))
    if bracket and not _HEDGE.search(bracket[2]):
        forms.append(bracket[1])
    return any(
        _same(form, one) or _same_list(form, one) for form in forms for one in (answer, *aliases)
    )


def occurs_in(name: str, text: str) -> bool:
    """Whether the words of ``name`` follow one another in ``text``."""
    words, inside = tokens(name), tokens(text)
    return bool(words) and any(
        inside[i : i + len(words)] == words for i in range(len(inside) - len(words) + 1)
    )
