"""Decides whether two answers are the same: by equality after normalisation, never by containment.

Training's reward, the filter of trajectories, calibration and the judge by rules all ask
``answers_match``. It is symmetric, and an answer with any word in it matches itself.

These differences are tolerated:

- case, punctuation, articles, accents, and American and British spellings,
- Greek letters by name ("ß" for β too), and Roman numerals by number,
- the spellings of one figure (``answer_figures``): ".5" and "0.5", "1,000" and "1 000", "10^6",
  "10⁶" and "1e6", "≥ 5" and "at least 5", "1000 mg" and "1 g", "5 mg/dL" and "50 mg/L", number
  words, dates, and phrases (``answer_phrases``): "twice daily" and "2 times a day", "1 in 1000"
  and "1/1000"; never the signs that make it another figure,
- the order of a list,
- yes and no in English and Chinese,
- an addition in brackets that gives the abbreviation or explains, and offers no alternative.

A prediction that names the answer among others ("either A or B") does not match. Neither does
"about 5" or "> 5" for 5, "50 %" for 0.5, or a month for a day in it.
"""

import functools
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from medr_ray.knowledge.name_normalization import GREEK_NAMES
from medr_ray.knowledge.spellings import fold_spelling
from medr_ray.questions.answer_figures import (
    fold_signs,
    merge_figures,
    merge_proportions,
    write_figures,
)

_Value = TypeVar("_Value")

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
# "Stage IIIB" is stage 3b.
_LETTERED_NUMERAL = re.compile(r"(i{1,3}|iv|v)([a-d])")
_NUMERALS = _ROMAN_NUMERALS | _SINGLE_LETTER_NUMERALS
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
# What a text is in front of its answer, in the folded text.
_PREAMBLE = re.compile(
    r"(?:(?:so|thus|therefore),? )?(?:"
    r"(?:the )?(?:final |correct |exact )?answer(?: is\b|:) ?:?|it is |it's |"
    r"(?:最终|正确)?的?答案(?:是|为|:)+|选(?=[a-z]$)|"
    r"(?:in )?(?:the )?year (?=\d{4}[.]?$)|in (?=(?:1[5-9]|20)\d\d[.]?$)"
    r") ?"
)
_FRAMES = (("\\boxed{", "}"), ("<answer>", "</answer>"))
_YES_NO = {
    **dict.fromkeys(("yes", "是", "是的", "对", "对的"), "yes"),
    **dict.fromkeys(("no", "否", "不", "不是", "不是的", "不对"), "no"),
}
# In this order: a date that was written as one word; an ordinal; a power of ten; a number with an
# exponent; a simple fraction; a negative number at the start of a word; a decimal number; a number
# with its unit; a raised figure; signs; a ratio; a score with an asterisk; a word; one Chinese or
# Japanese character; a minus sign that ends a word; a separator of lists.
_TOKEN = re.compile(
    r"date\d{6,8}"
    r"|\d+(?:st|nd|rd|th)(?![^\W_])"
    r"|10\^[-+]?\d+"
    r"|(?:(?<![^\s(\[<>≤≥±=~–,;:])-)?\d+(?:\.\d+)?e[-+]?\d+(?![^\W_])"
    r"|(?<![\d./])\d{1,2}/\d{1,2}(?![\d/])"
    r"|(?<![^\s(\[<>≤≥±=~–,;:])-\d+(?:\.\d+)?"
    # Variants before and behind the coding sequence: c.-12A>G, c.*12A>G.
    r"|(?<=\b[cngmr]\.)(?:-\d+|\*)"
    r"|\d+\.\d+"
    r"|\d+(?=[^\W\d])"
    r"|\^[-+]?\d+"
    r"|[<>≤≥±+~%‰–×√∞&$€£¥]"
    r"|(?<=\d)[/:*](?=\d)"
    # LiverTox's E* is another score than E; "*E*" is no more than emphasis.
    r"|(?<![\w*-])[a-z]\*(?![^\W぀-ヿ一-鿿]|\*)"
    r"|[^\W_぀-ヿ一-鿿]+"
    r"|[぀-ヿ一-鿿]"
    r"|(?<=\w)-(?=\s|$)"
    r"|[,;、]"
)
_TOKEN_WORDS = {
    "%": "percent",
    "&": "and",
    "-": "minus",
    "*": "×",
    ";": ",",
    "、": ",",
    "usd": "$",
    "eur": "€",
    "gbp": "£",
}
_COMMA = ","  # what separators of lists are read as
_CURRENCIES = frozenset("$€£¥")
_SEPARATORS = frozenset({",", "and", "和", "与", "與", "及"})
_NUMBERS = re.compile(r"\d+(?:\.\d+)?")
# Words that make an addition in brackets an alternative, a doubt or a narrower name.
_HEDGE_WORD = re.compile(
    r"\b(?:or|either|not|no|possibly|probably|maybe|versus|vs|except|without|type|group|form|"
    r"variant|stage|grade|class)\b|或|还是|可能|不|非"
)
_MAX_ABBREVIATION = 12  # characters
_MAX_EXPANSION = 200
_CACHED_CHARACTERS = 2_000  # longer texts are read anew each time


@dataclass(frozen=True)
class _Answer:
    """A text as it is compared: its words, those of the names that its bracket leaves, and the
    items of the list that it is (none for a single item)."""

    words: tuple[str, ...]
    short_forms: tuple[tuple[str, ...], ...]
    items: tuple[str, ...]


# --- words ------------------------------------------------------------------------------


def _list_tokens(text: str) -> list[str]:
    """The words, figures and separators of a text of ``fold_signs``, each in one spelling."""
    # NFD separates accents from their letters, so that they can be left out.
    if not text.isascii():
        text = "".join(
            GREEK_NAMES.get(character, character)
            for character in unicodedata.normalize("NFD", text)
            if not unicodedata.combining(character)
        )
    text = re.sub(r"(?<=\w)'s\b", "", write_figures(text)).replace("以及", "和")
    tokens: list[str] = []
    previous = ""
    for token in _TOKEN.findall(text):
        word = _TOKEN_WORDS.get(token, token)
        word = _ROMAN_NUMERALS.get(word, word)
        if previous in _WORDS_BEFORE_NUMERALS:
            numeral = _LETTERED_NUMERAL.fullmatch(word)
            if numeral:
                tokens.append(_NUMERALS[numeral[1]])
                word = numeral[2]
            word = _NUMERALS.get(word, word)
        previous = word
        tokens.append(word)
    return [fold_spelling(token) for token in merge_proportions(merge_figures(tokens))]


def _cache_short(function: Callable[[str], _Value]) -> Callable[[str], _Value]:
    """The function with its values for short texts kept."""
    cached = functools.lru_cache(maxsize=100_000)(function)

    @functools.wraps(function)
    def call(text: str) -> _Value:
        return cached(text) if len(text) <= _CACHED_CHARACTERS else function(text)

    return call


@_cache_short
def normalize_words(text: str) -> tuple[str, ...]:
    """The normalised words of a text, in order."""
    return tuple(word for word in _list_tokens(fold_signs(text)) if word != _COMMA)


def _drop_articles(words: Sequence[str]) -> tuple[str, ...]:
    words = [word for word in words if word != "the"]
    # "a" alone, or inside a name ("vitamin a"), is not an article.
    if len(words) > 1 and words[0] in ("a", "an"):
        words = words[1:]
    return tuple(words)


def canonical_form(text: str) -> str:
    """One spelling for all tolerated ones: normalised words without articles, joined by single
    spaces."""
    return " ".join(_drop_articles(normalize_words(text)))


# --- answers ----------------------------------------------------------------------------


@_cache_short
def _read_answer(text: str) -> _Answer:
    body = _strip_frame(fold_signs(text))
    tokens = _list_tokens(body)
    return _Answer(
        words=_name_words(tokens),
        short_forms=tuple(_name_words(_list_tokens(form)) for form in _list_short_forms(body)),
        items=_list_items(tokens),
    )


def _strip_frame(text: str) -> str:
    """The folded text without a preamble ("the answer is") and the marks of an answer."""
    body = text
    for opening, closing in _FRAMES:
        start = body.find(opening)
        if start >= 0 and body.endswith(closing):
            body = body[start + len(opening) : -len(closing)].strip()
    body = body[match.end() :] if (match := _PREAMBLE.match(body)) else body
    # A text that is nothing else is compared as it is.
    return body.strip() or text


def _name_words(tokens: Sequence[str]) -> tuple[str, ...]:
    """The words of a name, without separators, articles and the ending of a Chinese verb."""
    words = _drop_articles([word for word in tokens if word != _COMMA])
    if len(words) > 2 and words[-1] == "了":
        words = words[:-1]
    answer = _YES_NO.get("".join(words))
    return (answer,) if answer else words


def _list_items(tokens: Sequence[str]) -> tuple[str, ...]:
    """The items of a list in sorted order; none where there are not two."""
    items: list[str] = []
    item: list[str] = []
    for token in [*tokens, _COMMA]:
        if token not in _SEPARATORS:
            item.append(token)
        elif words := _name_words(item):
            items.append(" ".join(words))
            item = []
    return tuple(sorted(items)) if len(items) > 1 else ()


def _list_short_forms(text: str) -> list[str]:
    """What a name with an addition in brackets at its end is called without it.

    An abbreviation and what it stands for are both names; of another addition, which has no figure
    and no doubt in it, the name before it.
    """
    text = text.rstrip(". 。")
    start = text.rfind("(")
    if not text.endswith(")") or start <= 0:
        return []
    name = text[:start].strip()
    addition = text[start + 1 : -1].strip()
    if not name or not addition or ")" in addition or _HEDGE_WORD.search(addition):
        return []
    if _is_abbreviation(name, addition) or _is_abbreviation(addition, name):
        return [name, addition]
    words = normalize_words(addition)
    has_figure = any(character.isdigit() for word in words for character in word)
    return [] if has_figure or len(words) < 2 else [name]


def _is_abbreviation(short: str, name: str) -> bool:
    """Whether the letters of the short form stand in the name in this order, from its beginning."""
    if not 2 <= len(short) <= _MAX_ABBREVIATION or len(name) > _MAX_EXPANSION:
        return False
    if " " in short or not short[0].isalpha() or short[0] != name[0] or len(name) <= len(short):
        return False
    letters = iter(name)
    return all(character in letters for character in short if character.isalnum())


def answers_match(prediction: str, answer: str, aliases: Sequence[str]) -> bool:
    """Whether the prediction is the answer or one of its aliases."""
    given = _read_answer(prediction)
    return any(_is_same(given, _read_answer(name)) for name in (answer, *aliases))


def _is_same(left: _Answer, right: _Answer) -> bool:
    if left.items and left.items == right.items:
        return True
    # Never two short forms: what tells the names apart may be in the brackets.
    return (
        _is_same_name(left.words, right.words)
        or any(_is_same_name(words, right.words) for words in left.short_forms)
        or any(_is_same_name(left.words, words) for words in right.short_forms)
    )


def _is_same_name(left: tuple[str, ...], right: tuple[str, ...]) -> bool:
    # Two texts without any word (signs alone) are not the same answer.
    if not left or not right:
        return False
    if left == right:
        return True
    # A bare number may be an amount of any currency, but dollars are not euros.
    if _CURRENCIES.isdisjoint(left) != _CURRENCIES.isdisjoint(right):
        left = tuple(word for word in left if word not in _CURRENCIES)
        right = tuple(word for word in right if word not in _CURRENCIES)
    # Without spaces "X linked" and "Xlinked" are the same.
    return bool(left) and _join_words(left) == _join_words(right)


def _join_words(words: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """(the words without spaces, their numbers). The numbers keep "1 23" and "12 3" apart."""
    return "".join(words), tuple(_NUMBERS.findall(" ".join(words)))


def occurs_in(name: str, text: str) -> bool:
    """Whether the words of ``name`` follow one another in ``text``."""
    name_words = normalize_words(name)
    text_words = normalize_words(text)
    return bool(name_words) and any(
        text_words[start : start + len(name_words)] == name_words
        for start in range(len(text_words) - len(name_words) + 1)
    )
