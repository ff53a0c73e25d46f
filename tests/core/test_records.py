"""Records survive Parquet and JSON unchanged, whatever they hold; ids depend on content alone."""

import dataclasses
import json
import types
import typing
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medr_ray.core import records
from medr_ray.core.errors import DataError
from medr_ray.core.records import (
    arrow_schema,
    canonical_json,
    content_id,
    from_row,
    from_table,
    literal_values,
    to_table,
)

RECORDS = [
    record
    for record in (getattr(records, name) for name in records.__all__)
    if isinstance(record, type) and dataclasses.is_dataclass(record)
]
SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(st.characters(codec="utf-8"), max_size=20),
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False),
    bool: st.booleans(),
}


def values_of(annotation: Any) -> st.SearchStrategy[Any]:
    if annotation in SCALARS:
        return SCALARS[annotation]
    if literal_values(annotation):
        return st.sampled_from(literal_values(annotation))
    if isinstance(annotation, types.UnionType):
        return st.none() | values_of(
            next(argument for argument in typing.get_args(annotation) if argument is not type(None))
        )
    if typing.get_origin(annotation) is tuple:
        return st.lists(values_of(typing.get_args(annotation)[0]), max_size=3).map(tuple)
    return instances_of(annotation)


def instances_of(record: type) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(record)
    return st.builds(
        record, **{field.name: values_of(hints[field.name]) for field in dataclasses.fields(record)}
    )


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_record_survives_parquet_and_json(record: type, data: st.DataObject) -> None:
    rows = data.draw(st.lists(instances_of(record), max_size=3))
    table = to_table(record, rows)
    assert table.schema == arrow_schema(record)
    assert from_table(record, table) == rows
    assert [from_row(record, json.loads(canonical_json(row))) for row in rows] == rows


def test_optional_fields_alone_are_nullable() -> None:
    schema = arrow_schema(records.Citation)
    assert schema.field("year").nullable
    assert not schema.field("pmid").nullable
    assert schema.field("mesh").type.value_type.field("major").type == pa.bool_()


def test_a_row_without_a_later_field_takes_its_default_and_no_other_may_be_missing() -> None:
    row = dataclasses.asdict(
        records.Evidence("pubmed", "PMID:1", "A sentence.", 0, 11, "", 1977, "Chest")
    )
    earlier = {key: value for key, value in row.items() if key not in ("year", "journal")}
    assert from_row(records.Evidence, earlier) == records.Evidence(
        "pubmed", "PMID:1", "A sentence.", 0, 11, ""
    )
    with pytest.raises(DataError, match="Evidence has no sentence"):
        from_row(records.Evidence, {key: value for key, value in row.items() if key != "sentence"})


def test_records_are_frozen_and_hashable() -> None:
    term = records.Term("D1", "name")
    assert len({term, records.Term("D1", "name")}) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        term.ui = "D2"  # type: ignore[misc]


def test_an_id_depends_on_content_and_not_on_the_order_of_keys() -> None:
    assert content_id("q", {"a": 1, "b": 2}) == content_id("q", {"b": 2, "a": 1})
    assert content_id("q", "ab", "c") != content_id("q", "a", "bc")
    assert content_id("rel", "x") == "rel-" + content_id("chain", "x").removeprefix("chain-")
    assert (
        content_id("q", "Sjögren", 1) == "q-b82a5aa89e6387d7"
    )  # the same on every machine and in every process


def test_records_inside_of_others_are_json_too() -> None:
    value = records.LiteralValue("number", "1", 1.0, "mg")
    evidence = records.FactEvidence("livertox", "Acitretin", "drug", "x")
    fact = records.Fact("fact-1", "a", "b", "", value, "", (records.Qualifier("q", "v"),), evidence)
    as_dictionary = json.dumps(
        dataclasses.asdict(fact), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    assert canonical_json(fact) == as_dictionary
    assert canonical_json({"fact": [fact]}) == f'{{"fact":[{as_dictionary}]}}'


def test_what_is_not_json_is_refused() -> None:
    with pytest.raises(TypeError, match="set"):
        canonical_json({1, 2})


def test_questions_of_an_earlier_form_are_refused_and_never_misread() -> None:
    row = {"question_id": "q-1", "text": "Which gene?", "answer": "FBN1", "split": "train"}
    with pytest.raises(DataError, match=r"Question has no task, .*earlier form"):
        from_table(records.Question, pa.Table.from_pylist([row]))


def test_a_task_without_the_metadatum_says_so() -> None:
    task = records.Task("t-1", "Which gene?", "en", "FBN1")
    assert (task.metadata_value("hops"), task.hops) == (None, None)
    described = dataclasses.replace(task, metadata=records.question_metadata("causal", 2, "", 0))
    assert described.hops == 2
    assert described.metadata_value(records.PARADIGM_KEY) == "causal"


def test_a_value_outside_its_closed_set_is_refused_by_record_and_field() -> None:
    row = {"role": "tool", "content": "found"}
    with pytest.raises(DataError, match=r"Message\.role is 'tool', which is none of system, user"):
        from_row(records.Message, row)


def test_a_closed_set_is_a_string_in_arrow() -> None:
    assert arrow_schema(records.Question).field("split").type == pa.string()
    assert arrow_schema(records.Trajectory).field("asked").type == pa.string()
    assert literal_values(records.SampleRequest)[-1] == "mixed"
