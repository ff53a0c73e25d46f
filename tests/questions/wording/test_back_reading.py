"""What a text means, read by rules and by a second model."""

import json
from typing import Any

import pytest
from support.misbehaving_endpoint import Line, broken, endpoint, fresh_governor
from support.rewrites import REWRITES, rewrites_table

from medr_ray.core.errors import InfrastructureError
from medr_ray.core.records import Language
from medr_ray.questions.plans import PlanNode
from medr_ray.questions.steps import STEP_KINDS
from medr_ray.questions.wording.back_reading import RulesBackReader, compare
from medr_ray.questions.wording.mentions import Mentions
from medr_ray.questions.wording.model_back_reader import ModelBackReader
from medr_ray.questions.wording.vocabulary import open_vocabulary

BY_NAME = {case.name: case for case in REWRITES}
SIMPLE = BY_NAME["d10"]  # the gene of Camurati-Engelmann disease
WORDS = "Camurati–Engelmann disease"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh_governor(monkeypatch)


def rules(language: Language = "en") -> RulesBackReader:
    table = rewrites_table()
    return RulesBackReader(table, Mentions(table, language), language)


# --- words ----------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "zh"])
def test_cues_use_meanings_that_words_have(language: Language) -> None:
    vocabulary = open_vocabulary(language)
    types = {"text", "category", "mode", "day", "*"}
    meanings = {meaning for words in vocabulary.list_meanings() for meaning in words}
    used = {
        word
        for kind in STEP_KINDS.values()
        for cue in (*kind.cues.evidence(language), *kind.cues.asides)
        for part in cue.replace("&", " ").split()
        for word in part.strip("?!").split("|")
    }
    assert used - meanings - types == set()


def test_a_gene_in_capitals_is_no_ordinary_word() -> None:
    assert open_vocabulary("en").find_meanings("was")
    assert not open_vocabulary("en").find_meanings("WAS")


# --- a second model -------------------------------------------------------------------


def reply(**changes: Any) -> str:
    content = {
        "named": [{"id": "n1", "text": WORDS}],
        "steps": [{"id": "s1", "kind": "gene_of_disease", "inputs": ["n1"]}],
        "as_of": "",
        "left_over": [],
    }
    return json.dumps(content | changes)


def read(text: str, line: Line, plan: PlanNode, as_of: str = "") -> str:
    """How the model's reading of a text differs from a plan."""
    table = rewrites_table()
    with endpoint({text: [line]}) as server:
        reader = ModelBackReader(server.client(retries=0), table, Mentions(table), "en", "m")
        (reading,) = reader.read([text])
        messages = server.asked[text][0]
        assert not [name for name in SIMPLE.hidden if name in messages[0]["content"]]
    return compare(reading, plan, as_of)


def test_a_plan_that_the_model_reads_is_compared() -> None:
    assert read(SIMPLE.natural["en"], reply(), SIMPLE.plan) == ""


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"steps": [{"id": "s1", "kind": "inheritance_of_disease", "inputs": ["n1"]}]},
            "asks for “inheritance_of_disease”, the draft for “gene_of_disease”",
        ),
        ({"left_over": ["in boys"]}, "“in boys” has no place"),
        ({"as_of": "1 July 2019"}, 'as of "1 July 2019"'),
        ({"named": [{"id": "n1", "text": "Marfan syndrome"}]}, "which the text does not"),
        ({"named": [{"id": "n1", "text": "gives rise"}]}, "no record has a disease"),
        ({"steps": [{"id": "s1", "kind": "cure", "inputs": ["n1"]}]}, "does not exist"),
        ({"steps": [{"id": "s1", "kind": "gene_of_disease", "inputs": []}]}, "0 inputs"),
        ({"steps": [{"id": "s1", "kind": "gene_of_disease", "inputs": ["s0"]}]}, "no disease"),
        ({"steps": []}, "the reply"),
    ],
)
def test_what_a_model_reads_otherwise_is_a_difference(
    changes: dict[str, Any], problem: str
) -> None:
    assert problem in read(SIMPLE.natural["en"], reply(**changes), SIMPLE.plan)


def test_an_endpoint_that_stays_down_ends_the_reading() -> None:
    with pytest.raises(InfrastructureError):
        read(SIMPLE.natural["en"], broken(), SIMPLE.plan)
