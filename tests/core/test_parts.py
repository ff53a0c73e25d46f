"""Parts of a stage: what is made again, what is kept, and what is thrown away."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from medr_ray.core.parts import Parts, digest
from medr_ray.core.run import Directory

TABLE = pa.table({"x": [1, 2]})


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    """``a`` made from 1, ``b`` from 1."""
    parts = Parts(Directory(str(tmp_path)), "numbers")
    for name in ("a", "b"):
        parts.write(name, "1", TABLE, {"rows": 2})
    return parts


def test_what_is_wanted_and_made_is_kept_and_everything_else_is_made_or_removed(
    parts: Parts, tmp_path: Path
) -> None:
    assert parts.discard_stale({"c": "1", "a": "1", "b": "2"}) == ["c", "b"]
    assert sorted(path.name for path in (tmp_path / "numbers").iterdir()) == [
        "_a.json",
        "a.parquet",
    ]
    assert parts.read_markers() == {"a": {"made_from": "1", "rows": 2}}


def test_a_part_without_its_marker_is_not_finished(parts: Parts, tmp_path: Path) -> None:
    parts.write_batches("d", TABLE.schema, [TABLE, TABLE])
    (tmp_path / "numbers" / ".e.parquet.12345678.partial").write_bytes(b"cut off")
    assert parts.discard_stale({"a": "1", "b": "1", "d": "1"}) == ["d"]
    assert sorted(path.name for path in (tmp_path / "numbers").iterdir()) == [
        "_a.json",
        "_b.json",
        "a.parquet",
        "b.parquet",
    ]


def test_markers_do_not_pass_for_data(parts: Parts, tmp_path: Path) -> None:
    directory = Directory(str(tmp_path))
    assert directory.list_files("numbers") == ["a.parquet", "b.parquet"]
    assert directory.read_table("numbers").num_rows == 4


def test_a_shared_file_survives_a_change_of_either(parts: Parts, tmp_path: Path) -> None:
    directory = Directory(str(tmp_path))
    directory.link_or_copy("numbers/a.parquet", "others/a.parquet")
    directory.write_table("others/a.parquet", pa.table({"x": [7]}))
    assert directory.read_table("numbers/a.parquet").to_pydict() == {"x": [1, 2]}


def test_a_file_that_breaks_off_does_not_appear(tmp_path: Path) -> None:
    directory = Directory(str(tmp_path))

    def yield_one_table() -> Iterator[pa.Table]:
        yield TABLE
        raise ValueError("the source broke off")

    with pytest.raises(ValueError, match="broke off"):
        directory.write_batches("x/whole.parquet", TABLE.schema, yield_one_table())
    assert directory.list_files("x") == []


def test_a_digest_tells_what_something_is_made_from() -> None:
    assert digest("a", [1, None]) == digest("a", [1, None]) != digest("a", [1, 2])
    assert len(digest()) == 32
