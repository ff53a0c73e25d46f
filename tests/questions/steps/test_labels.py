"""What drug labels state alike, over the labels of the embedded snapshot."""

import pytest
from support.snapshot_facts import build_snapshot_table

from medr_ray.core.records import LiteralValue
from medr_ray.graph.facts.fact_table import FactTable
from medr_ray.graph.facts.registry_relations import make_value_id, print_value
from medr_ray.questions.steps import STEP_KINDS
from medr_ray.questions.steps.kinds import Refusal


@pytest.fixture(scope="module")
def labels() -> FactTable:
    return build_snapshot_table({"drug_labels": None})


def find(table: FactTable, kind: str, drug: str, *texts: str) -> str:
    """The value of a step as it is printed, or the check that refuses it."""
    inputs = (make_value_id(LiteralValue("text", text)) for text in texts)
    (entity_id,) = (item for item in table.find_by_name(drug) if table.type_of(item) != "label")
    outcome = STEP_KINDS[kind].find(table, entity_id, *inputs)
    if isinstance(outcome, Refusal):
        return outcome.reason.partition(":")[0]
    assert outcome.facts
    return print_value(outcome.value)[0]


@pytest.mark.parametrize(
    ("kind", "drug", "texts", "answer"),
    [
        ("molecular_weight_of_drug", "Naproxen", (), "230.26 g/mol"),
        ("molecular_weight_of_drug", "Meloxicam", (), "351.4 g/mol"),
        ("molecular_weight_of_drug", "Ibuprofen", (), "206.28 g/mol"),
        # The labels call the sodium salt diclofenac now and then.
        ("molecular_weight_of_drug", "Diclofenac Sodium", (), "contradiction"),
        # One table of tablets with 141 patients, one of extended-release tablets with 781.
        ("reaction_share_on_drug", "Metformin Hydrochloride", ("diarrhea", "141"), "53%"),
        ("reaction_share_on_drug", "Metformin Hydrochloride", ("diarrhea", "781"), "10%"),
        ("reaction_share_on_placebo", "Metformin Hydrochloride", ("diarrhea", "141"), "12%"),
        ("reaction_share_on_drug", "Metformin Hydrochloride", ("fever", "141"), "cardinality"),
        (
            "more_frequent_reaction",
            "Metformin Hydrochloride",
            ("141", "asthenia", "diarrhea"),
            "diarrhea",
        ),
        # 7 % and 6 %
        (
            "more_frequent_reaction",
            "Metformin Hydrochloride",
            ("141", "indigestion", "headache"),
            "cardinality",
        ),
    ],
)
def test_labels_state_it_alike(
    labels: FactTable, kind: str, drug: str, texts: tuple[str, ...], answer: str
) -> None:
    assert find(labels, kind, drug, *texts) == answer
