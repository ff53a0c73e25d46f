"""How the time of a reader grows with the length of its text."""

import time
from collections.abc import Callable, Iterable, Sequence

from medr_ray.core.measurement import Measurement, build_measurement

_SIZES = (1_000, 10_000, 100_000, 1_000_000)  # characters
_REPEATS = 3  # of which the fastest counts
# Times the growth of the text, between the two largest sizes: linear, and a disturbed machine.
_MOST_GROWTH = 3.0


def measure_growth(
    subject: str,
    read: Callable[[str], object],
    pieces: Iterable[str],
    quick: bool,
    openings: Sequence[str] = ("",),
) -> Measurement:
    """A row of how the time grows to the largest size, per character; 1 is linear.

    A text is one of ``openings`` and then one of ``pieces`` again and again. The slowest one
    counts at each size. ``quick`` leaves the largest size out.
    """
    sizes = _SIZES[:-1] if quick else _SIZES
    beginnings = [(opening, piece) for opening in openings for piece in pieces]
    seconds = {}
    for size in sizes:
        texts = (opening + (piece * size)[:size] for opening, piece in beginnings)
        seconds[size] = max(_measure_seconds(read, text) for text in texts)
    larger = sizes[-1]
    smaller = sizes[-2]
    return build_measurement(
        f"{subject}, {larger:,} characters against {smaller:,}, per character",
        seconds[larger] / seconds[smaller] / (larger / smaller),
        goal=_MOST_GROWTH,
        lower_is_better=True,
        unit="times",
        note=", ".join(f"{size:,}: {1e3 * taken:.1f} ms" for size, taken in seconds.items()),
    )


def _measure_seconds(read: Callable[[str], object], text: str) -> float:
    """CPU seconds for the text; of a few runs where they are short enough to be disturbed."""
    seconds = []
    for _ in range(_REPEATS if len(text) < _SIZES[-1] else 1):
        started = time.process_time()
        read(text)
        seconds.append(time.process_time() - started)
    return min(seconds)
