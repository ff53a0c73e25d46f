"""Records of registries: what is left out of one, and what is set aside whole."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from medr_ray.core.errors import DataError
from medr_ray.knowledge.registries.record_reading import (
    UnusableRecords,
    read_json_lines,
    validate_leniently,
)


class Arm(BaseModel):
    label: str
    size: int | None = None


class Trial(BaseModel):
    number: str
    arms: list[Arm] = []
    year: int | None = None


def test_a_bad_field_costs_a_record_only_that_field() -> None:
    record: dict[str, Any] = {
        "number": "1",
        "year": "many",
        "arms": [{"size": 3}, {"label": 7}, {"label": "b", "size": "few"}, {"label": "c"}],
    }
    trial, problems = validate_leniently(Trial, record)
    assert trial == Trial(number="1", arms=[Arm(label="b"), Arm(label="c")])
    assert problems == [
        ("arms.0.label", "is missing: give it"),
        ("arms.1.label", "must be text, not 7: put it in quotes"),
        ("arms.2.size", "must be a whole number, not 'few'"),
        ("year", "must be a whole number, not 'many'"),
    ]
    assert record["year"] == "many"


@pytest.mark.parametrize("record", [{"year": 2019}, {"number": None}, []])
def test_a_record_without_what_it_cannot_lack_is_none(record: Any) -> None:
    with pytest.raises(DataError, match=r"number|must be"):
        validate_leniently(Trial, record)


def test_a_file_of_another_format_is_set_aside_whole(tmp_path: Path) -> None:
    path = tmp_path / "table.txt"
    path.write_text("a~b~c\n" * 1_000)
    unusable = UnusableRecords()
    assert list(read_json_lines(str(path), unusable)) == []
    assert len(unusable) == 101
    assert "its first 100 lines are none" in unusable[-1].reason


class Label(BaseModel):
    number: str
    maker: list[str] | str = []


@pytest.mark.parametrize("maker", [5, [1, "A Inc"], {"x": 1}])
def test_a_bad_value_of_a_field_with_alternatives_is_left_out(maker: Any) -> None:
    label, problems = validate_leniently(Label, {"number": "1", "maker": maker})
    assert label.number == "1"
    assert label.maker == []
    assert problems
