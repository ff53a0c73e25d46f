"""Concepts named together, counted as a naive count would."""

import itertools
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medr_ray.core.run import Directory
from medr_ray.entities import comentions
from medr_ray.entities.comentions import COMENTIONS_SCHEMA, count_comentions, read_postings
from medr_ray.entities.counting import POSTINGS_SCHEMA

IDS = ["A", "B", "C", "D", "ORPHA:1"]
citations = st.lists(st.lists(st.sampled_from(IDS)), max_size=6)


def _make_postings(named: list[list[str]]) -> pa.Table:
    rows = [
        {"pmid": str(i), "concept_ids": ids, "mentions": [1] * len(ids)}
        for i, ids in enumerate(named)
    ]
    return pa.Table.from_pylist(rows, schema=POSTINGS_SCHEMA)


def _count_naively(files: list[list[list[str]]], concepts: set[str]) -> list[dict[str, object]]:
    pairs = Counter(
        pair
        for file in files
        for ids in file
        for pair in itertools.permutations(set(ids), 2)
        if pair[0] in concepts
    )
    return [
        {"concept_id": concept_id, "other_id": other, "documents": count}
        for (concept_id, other), count in sorted(pairs.items())
    ]


@settings(deadline=None)
@given(st.lists(citations, max_size=4), st.sets(st.sampled_from([*IDS, "never named"])))
def test_as_many_as_a_naive_count_finds(files: list[list[list[str]]], concepts: set[str]) -> None:
    table = count_comentions(map(_make_postings, files), concepts)
    assert table.schema == COMENTIONS_SCHEMA
    assert table.to_pylist() == _count_naively(files, concepts)


def test_summing_early_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    files = [[["A", "B"], ["A", "C"]], [["B", "A"]], [["A"], []], [["C", "A", "B"]]]
    monkeypatch.setattr(comentions, "_MAX_UNMERGED_PAIRS", 1)
    assert count_comentions(map(_make_postings, files), {"A"}).to_pylist() == [
        {"concept_id": "A", "other_id": "B", "documents": 3},
        {"concept_id": "A", "other_id": "C", "documents": 2},
    ]


def test_a_runs_postings_are_read_file_by_file_and_markers_are_not(tmp_path: Path) -> None:
    directory = Directory(str(tmp_path))
    for name, named in (("part-1", [["A", "B"]]), ("part-0", [["B", "A"], ["A"]])):
        directory.write_table(f"postings/{name}.parquet", _make_postings(named))
        directory.write_json(f"postings/_{name}.json", {})
    tables = list(read_postings(directory))
    assert [table.num_rows for table in tables] == [2, 1]
    assert count_comentions(tables, ["B"]).to_pylist() == [
        {"concept_id": "B", "other_id": "A", "documents": 2}
    ]
