"""Typed values from what registries print."""

import pytest

from medr_ray.core.errors import DataError
from medr_ray.knowledge.registries.literals import make_number, parse_date


@pytest.mark.parametrize(
    ("printed", "text", "precision"),
    [
        ("2019", "2019", "year"),
        ("2019-08", "2019-08", "month"),
        ("2019-08-12 00:00:00", "2019-08-12", "day"),
        ("20190812", "2019-08-12", "day"),
        ("Aug 12, 2019", "2019-08-12", "day"),
        ("August 2019", "2019-08", "month"),
    ],
)
def test_a_date_is_as_precise_as_it_is_printed(printed: str, text: str, precision: str) -> None:
    date = parse_date(printed)
    assert (date.text, date.precision) == (text, precision)


@pytest.mark.parametrize("printed", ["2019-13", "2019-02-30", "Jan 17, 17", "soon", ""])
def test_what_is_no_date_is_named(printed: str) -> None:
    with pytest.raises(DataError, match="no date"):
        parse_date(printed)


def test_commas_set_thousands_apart_and_nothing_else() -> None:
    assert make_number("1,234,567").number == 1_234_567
    assert make_number("-1,234.5", "mg").text == "-1234.5"
    for decimal_comma in ("0,5", "12,5", "1,23,456"):
        with pytest.raises(DataError, match="no number"):
            make_number(decimal_comma)
