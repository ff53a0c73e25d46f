"""What an abstract says beyond one sentence: references to the subject of its title."""

import pytest
from support.marked_text import read_marked_abstract, stated_relations

TITLE = "A family with {Wolfram syndrome:disease}.\n"


@pytest.mark.parametrize(
    "sentence",
    [
        "This rare disorder is characterized by {optic atrophy:phenotype}.",
        "RESULTS: The disease is characterized by {optic atrophy:phenotype}.",
    ],
)
def test_this_disorder_is_the_one_of_the_title(sentence: str) -> None:
    assert stated_relations(TITLE + sentence) == {
        ("wolfram syndrome", "presents_with", "optic atrophy")
    }


@pytest.mark.parametrize(
    "text",
    [
        (
            "On {Wolfram syndrome:disease} and {gout:disease}.\nThis disorder is characterized "
            "by {tremor:phenotype}."
        ),
        TITLE + "The syndrome of {tremor:phenotype} presents with {ataxia:phenotype}.",
        TITLE + "This gene causes {tremor:phenotype}.",
    ],
)
def test_a_reference_that_is_not_clear_is_not_read(text: str) -> None:
    assert not [
        stated_relation
        for stated_relation in stated_relations(text, least=0)
        if "wolfram syndrome" in stated_relation
    ]


def test_a_reference_is_less_sure_than_a_name() -> None:
    (named,) = read_marked_abstract(
        "{Gout:disease} is characterized by {pain:phenotype}."
    ).statements
    (referred,) = read_marked_abstract(
        "On {gout:disease}.\nThis disease is characterized by {pain:phenotype}."
    ).statements
    assert referred.confidence < named.confidence
    assert referred.start == len("On gout.\n")


def test_this_drug_and_the_gene_are_read_too() -> None:
    assert stated_relations("On {aspirin:drug}.\nThis drug induced {pain:phenotype}.") == {
        ("pain", "sign_induced_by", "aspirin")
    }
    assert stated_relations("On {RET:gene}.\nThe gene is mutated in {gout:disease}.") == {
        ("gout", "associated_gene", "ret")
    }


def test_an_abstract_without_entities_says_nothing() -> None:
    for text in ("", "Nothing is named here."):
        abstract = read_marked_abstract(text)
        assert (abstract.statements, abstract.compute_ties()) == ((), [])
