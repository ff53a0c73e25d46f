"""Formats figures for people: percentages, p-values, numbers, curves in one line of text."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

# Eighth blocks, lowest to highest.
_BARS = "▁▂▃▄▅▆▇█"
# Characters of a curve in the report.
_CURVE_WIDTH = 40
# Below it a p-value would print as 0.0000.
_SMALLEST_DECIMAL_P_VALUE = 1e-4


def format_percent(value: float | None) -> str:
    """A share of 1 as a percentage; "-" for None."""
    return "-" if value is None else f"{100 * value:.1f} %"


def format_p_value(value: float) -> str:
    """Four decimals, or an exponent where they would all be zero."""
    return f"{value:.4f}" if value >= _SMALLEST_DECIMAL_P_VALUE else f"{value:.1e}"


def format_number(value: Any, digits: int = 4) -> str:
    """A figure with so many significant digits, thousands separated; "-" for None."""
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return _format_float(value, digits)
    return str(value)


def _format_float(value: float, digits: int) -> str:
    if abs(value) < 10 ** (digits - 1):
        return f"{value:.{digits}g}"
    return f"{value:,.0f}" if digits < 4 else f"{value:,.1f}"


def draw_sparkline(values: Sequence[float | None], width: int = _CURVE_WIDTH) -> str:
    """A curve in one line, lowest to highest value; a missing value is a space. Longer curves are
    averaged."""
    points = _average_to_width(values, width)
    present = [point for point in points if point is not None]
    if not present:
        return ""
    low = min(present)
    spread = max(present) - low
    return "".join(_choose_bar(point, low, spread) for point in points)


def _choose_bar(point: float | None, low: float, spread: float) -> str:
    if point is None:
        return " "
    if spread == 0:
        return _BARS[0]
    return _BARS[round((point - low) / spread * (len(_BARS) - 1))]


def _average_to_width(values: Sequence[float | None], width: int) -> list[float | None]:
    if len(values) <= width:
        return list(values)
    # Rounded edges of equal parts. There are more values than columns here, so no part is empty.
    edges = [round(column * len(values) / width) for column in range(width + 1)]
    return [_average_present(values[start:end]) for start, end in pairwise(edges)]


def _average_present(values: Sequence[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return sum(present) / len(present) if present else None


def shorten_line(text: str, characters: int) -> str:
    """The text on one line of at most so many characters, with an ellipsis where it was longer."""
    line = " ".join(text.split())
    return line if len(line) <= characters else f"{line[: characters - 1]}…"
