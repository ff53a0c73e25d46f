"""Phrases that spell a figure, each in one spelling: how often ("twice daily", "2 times a day"),
shares ("two thirds", "1:50000"), ages, temperatures, money.

Works on folded text (``answer_figures.fold_signs``). What may mean something else stays as it is:
"1:100" may be a dilution or odds, "biweekly" either of two rhythms.
"""

import re
from collections.abc import Callable

_PERIODS = "hour|day|week|month|year"
_ADVERBS = {
    "hourly": "per hour",
    "daily": "per day",
    "weekly": "per week",
    "monthly": "per month",
    "yearly": "per year",
    "annually": "per year",
}
_PERIOD_AHEAD = rf"(?= ?(?:{'|'.join(_ADVERBS)}|(?:a|an|per|each|every|/) ?(?:{_PERIODS})s?\b))"
_TIMES_IN_LATIN = {"b": "2", "t": "3", "q": "4"}
_SHARE_NAMES = {
    "half": 2,
    "halve": 2,
    "third": 3,
    "quarter": 4,
    "fourth": 4,
    "fifth": 5,
    "sixth": 6,
    "seventh": 7,
    "eighth": 8,
    "ninth": 9,
    "tenth": 10,
}
_SHARE = "|".join(_SHARE_NAMES)
_SMALL_NUMBERS = {
    word: value
    for value, word in enumerate(
        ("two", "three", "four", "five", "six", "seven", "eight", "nine"), start=2
    )
}
_DIVIDED = re.compile(
    rf"(?<![\w.])(?P<part>\d|{'|'.join(_SMALL_NUMBERS)})[ -](?P<name>{_SHARE})s\b"
)
# "a third" alone or of something; "a third generation" is not a share.
_UNDIVIDED = re.compile(rf"\bone[ -](?P<one>{_SHARE})\b|^(?:a )?(?P<start>{_SHARE})(?= of\b|[.]?$)")

Replacement = str | Callable[[re.Match[str]], str]


def _write_divided(match: re.Match[str]) -> str:
    part = _SMALL_NUMBERS.get(match["part"], match["part"])
    return f"{part}/{_SHARE_NAMES[match['name']]}"


def _write_undivided(match: re.Match[str]) -> str:
    return f"1/{_SHARE_NAMES[match['one'] or match['start']]}"


# Words of which the text has to hold one, the pattern, what takes its place.
_PHRASES: tuple[tuple[tuple[str, ...], re.Pattern[str], Replacement], ...] = (
    # --- how often
    (
        (".i.d",),
        re.compile(r"\b([btq])\.i\.d\b\.?"),
        lambda match: f"{_TIMES_IN_LATIN[match[1]]} times per day",
    ),
    (
        ("id",),
        re.compile(r"(?<=\d)( ?[a-z]{1,5}(?:/kg)?) ([btq])id\b"),
        lambda match: f"{match[1]} {_TIMES_IN_LATIN[match[2]]} times per day",
    ),
    (("q",), re.compile(r"\bq\.? ?(\d{1,2}) ?h\b"), r"every \1 h"),
    (("twice",), re.compile(r"\btwice\b"), "2 times"),
    (("thrice",), re.compile(r"\bthrice\b"), "3 times"),
    (("once",), re.compile(rf"\bonce\b{_PERIOD_AHEAD}"), "1 times"),
    (("time", "x", "×"), re.compile(rf"(?<=\w) ?(?:\btime\b|[x×]){_PERIOD_AHEAD}"), " times"),
    (
        tuple(_ADVERBS),
        re.compile(rf"\b(?:{'|'.join(_ADVERBS)})\b"),
        lambda match: _ADVERBS[match[0]],
    ),
    (("times",), re.compile(rf"(?<=times )(?:a|an|each|every) (?={_PERIODS})"), "per "),
    (
        ("every other", "every second"),
        re.compile(rf"\bevery (?:other|second) (?={_PERIODS})"),
        "every 2 ",
    ),
    # --- shares
    ((" and a half",), re.compile(r" and a half\b"), " 1/2"),
    (tuple(f"{name}s" for name in _SHARE_NAMES), _DIVIDED, _write_divided),
    (tuple(_SHARE_NAMES), _UNDIVIDED, _write_undivided),
    # Nobody's odds are that long, and a dilution is a share too.
    ((":",), re.compile(r"(?<![\w./:,-])1 ?: ?(?=\d{4,15}(?![\w./:^–-]))"), "1/"),
    (("/", ":"), re.compile(r"(?<=\d) ?([/:]) ?(?=\d)"), r"\1"),
    # --- ages, temperatures, pressures, money
    (
        (" old", "-old", "of age"),
        re.compile(r"[- ]?\b(days?|weeks?|months?|years?)[- ](?:old|of age)\b"),
        r" \1",
    ),
    (
        ("celsius", "centigrade", "degree"),
        re.compile(r"(?:°|\bdegrees?) ?(?:celsius|centigrade|c)\b"),
        " c",
    ),
    (("fahrenheit", "degree"), re.compile(r"(?:°|\bdegrees?) ?(?:fahrenheit|f)\b"), " f"),
    (("mm hg",), re.compile(r"(?<![a-z])mm hg\b"), "mmhg"),
    (("cm h2o",), re.compile(r"(?<![a-z])cm h2o\b"), "cmh2o"),
    (("us", "dollar"), re.compile(r"\bus ?(?=\$)"), ""),
    (("dollar",), re.compile(r"\b(?:us )?dollars?\b"), "usd"),
    (("euro",), re.compile(r"\beuros?\b"), "eur"),
    (("a ",), re.compile(r"\ba (?=(?:hundred|thousand|million|billion)\b)"), "one "),
    # --- variants: a stop codon, which is no footnote
    (("p.",), re.compile(r"(\bp\.\(?[a-z]{1,3}\d+)\*"), r"\1ter"),
)


def write_phrases(text: str) -> str:
    """A folded text, numbers without separators of thousands, with its phrases in one spelling."""
    for words, pattern, replacement in _PHRASES:
        if any(word in text for word in words):
            text = pattern.sub(replacement, text)
    return text
