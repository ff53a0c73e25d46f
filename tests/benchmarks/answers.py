"""Comparing answers: time from 1,000 to 1,000,000 characters, whatever they hold.

Each row is one piece repeated: words, figures in several spellings, brackets, white space. A reader
that starts anew at every figure or bracket takes a hundred times longer for ten times the text.
"""

from collections.abc import Iterable

from support.growth import measure_growth

from medr_ray.core.measurement import Measurement
from medr_ray.questions import answers_match

_PIECES = {
    "words": "Marfan syndrome type II, ",
    "white space": " ",
    "digits": "1",
    "Chinese numerals": "一百二",
    "thousands": "1 234 ",
    "points": "1.234.",
    "fractions": "½",
    "signs": "-5≥",
    "brackets": "(",
    "number words": "five hundred and ",
    "Greek": "β-",
}


def measure(quick: bool) -> Iterable[Measurement]:
    """A row for each piece: how the time grows to the largest size."""
    for name, piece in _PIECES.items():
        yield measure_growth(f"answers of {name}", _compare_answers, [piece], quick)


def _compare_answers(text: str) -> None:
    """Compare two answers of the text that differ at their ends."""
    answers_match(f"a{text}", f"{text}b", ())
