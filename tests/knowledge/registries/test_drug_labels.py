"""Facts of drug labels: what the fields state, and what is left out because it is ambiguous."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from medr_ray.core.errors import DataError
from medr_ray.core.records import Fact
from medr_ray.knowledge.registries import RecordFacts, UnusableRecords
from medr_ray.knowledge.registries.drug_labels import (
    collect_label_facts,
    parse_label,
    read_drug_label_facts,
)

LABEL: dict[str, Any] = {
    "set_id": "S1",
    "title": "Cozaar",
    "effective_time": "20190703",
    "boxed_warning": ["WARNING: FETAL TOXICITY"],
    "indications_and_usage": ["Hypertension."],
    "mechanism_of_action": ["It blocks angiotensin II."],
    "description": ["Losartan potassium has a molecular weight of 461.01. It is white."],
    "openfda": {
        "brand_name": ["Cozaar"],
        "generic_name": ["losartan potassium"],
        "application_number": ["NDA020386", "part348", "NADA1"],
        "substance_name": ["LOSARTAN POTASSIUM"],
        "unii": ["3ST302B24A"],
        "manufacturer_name": ["Organon LLC"],
        "route": ["ORAL"],
        "pharm_class_epc": ["Angiotensin 2 Receptor Blocker [EPC]"],
        "pharm_class_moa": ["Angiotensin 2 Receptor Antagonists [MoA]"],
    },
}


def collect(**changed: Any) -> RecordFacts:
    return collect_label_facts(parse_label({**LABEL, **changed}))


def describe(fact: Fact) -> tuple[str, dict[str, str]]:
    value = fact.literal.text if fact.literal else fact.object
    return value, {qualifier.name: qualifier.value for qualifier in fact.qualifiers}


def list_values(record: RecordFacts, predicate: str) -> list[tuple[str, dict[str, str]]]:
    return [describe(fact) for fact in record.facts if fact.predicate == predicate]


def test_a_label_has_the_facts_of_its_fields() -> None:
    record = collect()
    assert (record.record_id, record.title, record.as_of) == ("S1", "Cozaar", "2019-07-03")
    assert {fact.subject for fact in record.facts} == {"LABEL:s1"}
    assert list_values(record, "label_of_application") == [("FDA:NDA020386", {})]
    # An over-the-counter monograph is no application; what is neither is a problem.
    assert [field for field, _ in record.problems] == ["application_number"]
    assert list_values(record, "label_substance") == [("UNII:3ST302B24A", {})]
    assert list_values(record, "label_manufacturer") == [("COMPANY:organon", {})]
    assert list_values(record, "label_effective_date") == [("2019-07-03", {})]
    assert list_values(record, "has_boxed_warning") == [("Yes", {})]
    assert list_values(record, "label_route") == [("ORAL", {})]
    assert list_values(record, "pharmacologic_class") == [
        ("Angiotensin 2 Receptor Blocker", {"kind": "EPC"}),
        ("Angiotensin 2 Receptor Antagonists", {"kind": "MoA"}),
    ]
    assert list_values(record, "label_indication") == [("Hypertension.", {})]
    assert list_values(record, "mechanism_of_action") == [("It blocks angiotensin II.", {})]


def test_no_section_is_no_statement_that_there_is_no_boxed_warning() -> None:
    assert list_values(collect(boxed_warning=[]), "has_boxed_warning") == []


def test_a_unii_is_taken_only_where_it_can_belong_to_one_substance() -> None:
    names = {"substance_name": ["A", "B"], "unii": ["1", "2"]}
    substances = list_values(collect(openfda=names), "label_substance")
    assert substances == [("SUBSTANCE:a", {}), ("SUBSTANCE:b", {})]


@pytest.mark.parametrize(
    ("description", "substances", "weights"),
    [
        ("Its molecular weight is 318.14.", ["X"], [("318.14", {})]),
        ("It has a molecular weight of 318.14.", ["X"], [("318.14", {})]),
        ("It has a molecular weight of 318.14.", ["X", "Y"], []),  # of which?
        (
            "The molecular weight of the base is 287.37.",
            ["X"],
            [("287.37", {"substance": "base"})],
        ),
        (
            "Naproxen, USP has a molecular weight of 230.26. Naproxen sodium, USP has a molecular "
            "weight of 252.23.",
            ["NAPROXEN"],
            [
                ("230.26", {"substance": "Naproxen"}),
                ("252.23", {"substance": "Naproxen sodium"}),
            ],
        ),
        ("It has a molecular weight of 10.5. One has a molecular weight 20.5.", ["X"], []),
    ],
)
def test_a_molecular_weight_is_that_of_a_named_or_of_the_only_substance(
    description: str, substances: list[str], weights: list[tuple[str, dict[str, str]]]
) -> None:
    record = collect(description=[description], active_ingredients=substances)
    assert list_values(record, "molecular_weight") == weights


def test_a_bad_field_costs_that_field_only() -> None:
    record = collect(effective_time="2019-13", title=7)
    assert {field for field, _ in record.problems} == {
        "title",
        "effective_time",
        "application_number",
    }
    assert (record.title, record.as_of) == ("Cozaar", "")
    assert list_values(record, "has_boxed_warning") == [("Yes", {})]
    assert list_values(record, "label_effective_date") == []


def test_an_animal_drug_has_no_label_for_people() -> None:
    with pytest.raises(DataError, match="animal"):
        parse_label({**LABEL, "document_type": "PRESCRIPTION ANIMAL DRUG LABEL"})


def test_a_file_cut_in_half_gives_what_came_before(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "fda" / "drug_labels.jsonl.gz"
    half = tmp_path / "labels.jsonl.gz"
    half.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    unusable = UnusableRecords()
    records = list(read_drug_label_facts([str(half)], unusable))
    assert 100 < len(records) < 200
    assert "broken gzip" in unusable[-1].reason
    assert {record.file for record in unusable} == {str(half)}


def test_a_file_of_another_registry_is_named(tmp_path: Path) -> None:
    path = tmp_path / "studies.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps({"protocolSection": {}}).encode() + b"\n"))
    unusable = UnusableRecords()
    assert not list(read_drug_label_facts([str(path)], unusable))
    assert [(record.where, record.reason) for record in unusable] == [
        ("line 1", "set_id: is missing: give it")
    ]


def test_a_share_has_its_arms_and_patients_as_qualifiers() -> None:
    text = (
        "Reactions in Patients with Hypertension "
        "Losartan Potassium (n=90) Placebo (n=91) Cough 29% 35%"
    )
    shares = list_values(collect(adverse_reactions=[text]), "adverse_reaction_share")
    assert shares == [
        (
            "29",
            {
                "reaction": "Cough",
                "arm": "Losartan Potassium",
                "patients": "90",
                "comparator": "Placebo",
                "comparator_share": "35%",
                "comparator_patients": "91",
                "population": "Patients with Hypertension",
            },
        )
    ]
