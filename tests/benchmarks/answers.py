"""Comparing answers: time from 1,000 to 1,000,000 characters, whatever they hold.

Each row is one piece repeated: words, figures in several spellings, brackets, white space. A reader
that starts anew at every figure or bracket takes a hundred times longer for ten times the text.
"""

import time
from collections.abc import Iterable

from medr_ray.core.measurement import Measurement, build_measurement
from medr_ray.questions import answers_match

_SIZES = (1_000, 10_000, 100_000, 1_000_000)  # characters
_REPEATS = 3  # of which the fastest counts
_MOST_GROWTH = 3.0  # times the growth of the text, between the two largest sizes
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
    sizes = _SIZES[:-1] if quick else _SIZES
    for name, piece in _PIECES.items():
        seconds = {size: _measure_seconds((piece * size)[:size]) for size in sizes}
        larger = sizes[-1]
        smaller = sizes[-2]
        yield build_measurement(
            f"answers of {name}, {larger:,} characters against {smaller:,}, per character",
            seconds[larger] / seconds[smaller] / (larger / smaller),
            goal=_MOST_GROWTH,
            lower_is_better=True,
            unit="times",
            note=", ".join(f"{size:,}: {1e3 * taken:.1f} ms" for size, taken in seconds.items()),
        )


def _measure_seconds(text: str) -> float:
    """CPU seconds for two answers of the text that differ at their ends."""
    seconds = []
    for _ in range(_REPEATS if len(text) < _SIZES[-1] else 1):
        started = time.process_time()
        answers_match(f"a{text}", f"{text}b", ())
        seconds.append(time.process_time() - started)
    return min(seconds)
