"""Names and content words in running text, in English and Chinese."""

import functools
import re
from collections.abc import Iterable

from medr_ray.core.records import Language
from medr_ray.knowledge.name_normalization import fold_name, normalise
from medr_ray.questions.answer_matching import canonical_form

_WORD = re.compile(r"[a-z0-9][a-z0-9'.+-]*[a-z0-9+]")
_HAN = re.compile(r"[\u3400-\u9fff]{2,}")
_HAN_CHARACTER = re.compile(r"[\u3400-\u9fff]")
_LATIN_WORD = re.compile(r"[A-Za-z]+")
_DATE = re.compile(r"\bdate\d{6,8}\b")  # a date in the canonical form
_STOP_WORDS_TEXT = """
the a an and or of in on at by for from with to is are was were be been has have had that this
these those it its as which what who whose when where how does do did can name following both also
than their there into not no
"""
_STOP_WORDS = frozenset(_STOP_WORDS_TEXT.split())
_CACHED_PATTERNS = 4096  # names of the dialogues at hand; a pattern is compiled once each


def find_names(text: str, names: Iterable[str]) -> list[str]:
    """Those of ``names`` whose words stand in ``text``, however they are written (``fold_name``);
    never within a longer word. Dates are found in any of their spellings ("2001-11-14"
    for "14 November 2001")."""
    folded = fold_name(text)
    found_names = []
    dated = ""  # the text with its dates in one spelling, written when a name first needs it
    for name in names:
        is_there = _contains_name(folded, fold_name(name))
        if not is_there and _DATE.search(canonical_form(name)):
            dated = dated or f" {canonical_form(text)} "
            is_there = f" {canonical_form(name)} " in dated
        if is_there:
            found_names.append(name)
    return found_names


def _contains_name(text: str, name: str) -> bool:
    # The plain search is quicker than the pattern and decides where the name is not there at all.
    return bool(name) and name in text and _name_pattern(name).search(text) is not None


@functools.lru_cache(maxsize=_CACHED_PATTERNS)
def _name_pattern(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![a-z0-9]){re.escape(name)}(?![a-z0-9])")


def content_words(text: str) -> frozenset[str]:
    """The words of a text that say what it is about. Chinese has no spaces: of it, the pairs of
    neighbouring characters."""
    normalised = normalise(text)
    words = {word for word in _WORD.findall(normalised) if word not in _STOP_WORDS}
    for run in _HAN.findall(normalised):
        words.update(run[start : start + 2] for start in range(len(run) - 1))
    return frozenset(words)


def detect_language(text: str) -> Language:
    """Chinese where a text has more Chinese characters than words in Latin letters, else
    English: questions in Chinese name drugs and genes in English, and the other way round."""
    is_chinese = len(_HAN_CHARACTER.findall(text)) > len(_LATIN_WORD.findall(text))
    return "zh" if is_chinese else "en"
