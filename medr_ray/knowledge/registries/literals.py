"""Typed values of facts, from the text that a registry prints.

Raised by every function: DataError with the text for one that is no such value.
"""

import re
from datetime import date, datetime
from decimal import Decimal, InvalidOperation

from medr_ray.core.errors import DataError
from medr_ray.core.records import DatePrecision, LiteralValue

_ISO_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?(?:[T ].*)?")
_COMPACT_DATE = re.compile(r"(\d{4})(\d{2})(\d{2})")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
# "Aug 24, 2026" (Orange Book), "August 24, 2026" and "August 2026" (older records of trials).
_PRINTED_FORMATS = {"%b %d, %Y": 3, "%B %d, %Y": 3, "%b %Y": 2, "%B %Y": 2}
_PRECISIONS: tuple[DatePrecision, ...] = ("", "year", "month", "day")


def parse_date(text: str) -> LiteralValue:
    """A date as precise as it is printed: ISO 8601 ("2019", "2019-08", "2019-08-12", with or
    without a time), "20190812", "Aug 12, 2019" or "August 2019"."""
    text = text.strip()
    match = _ISO_DATE.fullmatch(text) or _COMPACT_DATE.fullmatch(text)
    if match:
        parts = [int(part) for part in match.groups() if part]
        return _make_date(parts, text)
    for printed_format, precision in _PRINTED_FORMATS.items():
        try:
            day = datetime.strptime(text, printed_format)
        except ValueError:
            continue
        return _make_date([day.year, day.month, day.day][:precision], text)
    raise DataError(f"no date: {text[:40]!r}")


def _make_date(parts: list[int], text: str) -> LiteralValue:
    """The date of a year, and of a month and a day where they are given."""
    try:
        date(*[*parts, 1, 1][:3])
    except ValueError as error:
        raise DataError(f"no date: {text[:40]!r} ({error})") from None
    widths = (4, 2, 2)
    digits = [f"{part:0{width}d}" for part, width in zip(parts, widths, strict=False)]
    return LiteralValue("date", "-".join(digits), precision=_PRECISIONS[len(parts)])


def make_number(value: str | int | float, unit: str = "") -> LiteralValue:
    """A number with its unit; thousands may be set apart by commas ("1,234")."""
    text = str(value).strip()
    if _THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise DataError(f"no number: {text[:40]!r}") from None
    if not number.is_finite():
        raise DataError(f"no number: {text[:40]!r}")
    return LiteralValue("number", f"{number:f}", float(number), unit)


def make_category(text: str) -> LiteralValue:
    """One of a closed list of words, as the source prints it."""
    return _make_text("category", text)


def make_text(text: str) -> LiteralValue:
    """A text on one line, such as a trade name or the name of an outcome measure."""
    return _make_text("text", text)


def _make_text(kind: str, text: str) -> LiteralValue:
    line = " ".join(text.split())
    if not line:
        raise DataError("an empty value")
    return LiteralValue("category" if kind == "category" else "text", line)
