"""Negation and speculation by clause."""

import pytest
from support.marked_text import read_marked_abstract, stated_relations

CAUSED = ("anemia", "induced_by", "aspirin")


@pytest.mark.parametrize(
    "sentence",
    [
        "{Anemia:disease} was not caused by {aspirin:drug}.",
        "There is no evidence that {anemia:disease} was caused by {aspirin:drug}.",
        "Patients without {anemia:disease} caused by {aspirin:drug} were included.",
        "No cases of {aspirin:drug}-induced {anemia:disease} occurred.",
        "{Anemia:disease} caused by {aspirin:drug} was excluded.",
        "Neither {aspirin:drug}-induced {anemia:disease} nor bleeding was seen.",
    ],
)
def test_a_denial_silences_a_relation(sentence: str) -> None:
    assert stated_relations(sentence, least=0) == set()


@pytest.mark.parametrize(
    "sentence",
    [
        "{Anemia:disease} is caused by {aspirin:drug}, not by bleeding.",
        "The diagnosis was not clear; {anemia:disease} was caused by {aspirin:drug}.",
        "Fever was absent but {anemia:disease} was caused by {aspirin:drug}.",
        "In patients without fever, {anemia:disease} was caused by {aspirin:drug}.",
        "Not only {anemia:disease} caused by {aspirin:drug} but also bleeding was seen.",
        "Not uncommonly, {anemia:disease} is caused by {aspirin:drug}.",
        "{Aspirin:drug}-induced {anemia:disease} did not recur.",
        "{Aspirin:drug}-induced {anemia:disease} may be fatal.",
        "Whether {aspirin:drug}-induced {anemia:disease} resolves was studied.",
    ],
)
def test_a_denial_or_doubt_of_something_else_does_not(sentence: str) -> None:
    assert stated_relations(sentence) == {CAUSED}


def test_nitric_oxide_is_no_negation() -> None:
    assert stated_relations(
        "NO levels fell and {anemia:disease} was caused by {aspirin:drug}."
    ) == {CAUSED}
    assert (
        stated_relations("No drug is known and {anemia:disease} caused by {aspirin:drug} is rare.")
        == set()
    )


@pytest.mark.parametrize(
    "sentence",
    [
        "{Anemia:disease} was possibly caused by {aspirin:drug}.",
        "We investigated whether {anemia:disease} is caused by {aspirin:drug}.",
        "Is {anemia:disease} caused by {aspirin:drug}?",
        "To determine if {anemia:disease} is caused by {aspirin:drug}, rats were fed.",
        "Suspected {aspirin:drug}-induced {anemia:disease}.",
        "Whether {anakinra:drug} is of use in the treatment of {gout:disease} is not clear.",
        "The value of {anakinra:drug} in the treatment of {gout:disease} remains unproven.",
        "The aim was to assess {anakinra:drug} for the treatment of {gout:disease}.",
        "We evaluated the efficacy of {anakinra:drug} in the treatment of {gout:disease}.",
    ],
)
def test_what_is_doubted_or_asked_is_not_stated(sentence: str) -> None:
    assert stated_relations(sentence, least=0) == set()


@pytest.mark.parametrize(
    "sentence",
    [
        "The mechanism of {anemia:disease} caused by {aspirin:drug} was studied.",
        "{Anemia:disease} caused by {aspirin:drug} was of unknown severity.",
        "{Anemia:disease} was caused by {aspirin:drug}; whether it resolves is unknown.",
        "We report a case of {anemia:disease} caused by {aspirin:drug}.",
    ],
)
def test_a_question_about_something_else_does_not(sentence: str) -> None:
    assert stated_relations(sentence) == {CAUSED}


def test_a_hedge_lowers_confidence() -> None:
    sure, hedged = (
        read_marked_abstract(f"{{Anemia:disease}} {words} caused by {{aspirin:drug}}.").statements[
            0
        ]
        for words in ("was", "may be")
    )
    assert 0.5 < hedged.confidence < sure.confidence
