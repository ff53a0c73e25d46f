"""Steps over trials: what is one drug, one disease, one result; real records."""

import pytest
from support.registry_facts import change_facts, drug, state, value

from medr_ray.graph.facts.fact_table import FactTable, StatedFact
from medr_ray.questions.steps import STEP_KINDS
from medr_ray.questions.steps.kinds import Finding, Outcome, Refusal

# Omalizumab alone; with a placebo; omalizumab or loratadine; carboplatin or gemcitabine.
ONE_DRUG, PLACEBO, TWO_DRUGS = "NCT:NCT00084097", "NCT:NCT00096954", "NCT:NCT00481676"
CARBOPLATIN_OR_GEMCITABINE = "NCT:NCT02175381"


def find(table: FactTable, kind: str, *inputs: str) -> Outcome:
    return STEP_KINDS[kind].find(table, *inputs)


def reason(outcome: Outcome) -> str:
    assert isinstance(outcome, Refusal), outcome
    return outcome.reason


def value_of(outcome: Outcome) -> str:
    assert isinstance(outcome, Finding), outcome
    assert outcome.facts
    return outcome.value


def test_a_trial_of_one_drug_is_asked_for_it_and_one_of_two_is_not(table: FactTable) -> None:
    assert value_of(find(table, "drug_of_trial", ONE_DRUG)) == drug("Omalizumab")
    assert value_of(find(table, "drug_of_trial", PLACEBO)) == drug("Omalizumab")
    assert "values of studies_intervention" in reason(find(table, "drug_of_trial", TWO_DRUGS))


@pytest.mark.parametrize(
    ("predicate", "what", "refusal"),
    [
        ("other_intervention", "Breathing exercise", "further interventions"),
        ("studies_among_others", "SUBSTANCE:x", "one of a combination"),
    ],
)
def test_what_is_given_beside_the_drug_makes_it_not_the_only_one(
    table: FactTable, predicate: str, what: str, refusal: str
) -> None:
    changed = change_facts(table, add=(state(ONE_DRUG, predicate, what),))
    assert refusal in reason(find(changed, "drug_of_trial", ONE_DRUG))
    controlled = change_facts(table, add=(state(ONE_DRUG, "other_intervention", "Saline"),))
    assert value_of(find(controlled, "drug_of_trial", ONE_DRUG)) == drug("Omalizumab")


def test_a_condition_that_is_no_disease_is_not_asked_as_one(table: FactTable) -> None:
    assert value_of(find(table, "condition_of_trial", "NCT:NCT00244114")) == "OMIM:306900"
    also = change_facts(table, add=(state("NCT:NCT00244114", "other_condition", "Anaemia"),))
    assert "further conditions" in reason(find(also, "condition_of_trial", "NCT:NCT00244114"))


def test_a_planned_start_and_a_planned_size_are_not_asked(table: FactTable) -> None:
    trial = "NCT:NCT00226057"
    assert value_of(find(table, "start_of_trial", trial)) == value("date", "2005-06")
    planned = frozenset(
        fact.fact_id
        for predicate in ("start_date", "enrolment")
        for fact in table.facts_of(predicate, trial)
    )
    estimates = (
        state(trial, "start_date", value("date", "2005-06"), date_type="ESTIMATED"),
        state(trial, "enrolment", value("number", "30 participants"), count_type="ESTIMATED"),
    )
    changed = change_facts(table, planned, estimates)
    assert "0 values of start_date" in reason(find(changed, "start_of_trial", trial))
    assert "0 values of enrolment" in reason(find(changed, "participants_of_trial", trial))


def test_countries_are_counted_where_a_person_can_check_them(table: FactTable) -> None:
    outcome = find(table, "countries_of_trial", "NCT:NCT00670930")
    assert value_of(outcome) == value("number", "7 countries")
    assert isinstance(outcome, Finding)
    assert len({fact.object for fact in outcome.facts}) == 7
    # The sites of a trial still change.
    assert outcome.as_of == table.facts_of("trial_country", "NCT:NCT00670930")[0].as_of
    assert reason(find(table, "countries_of_trial", "NCT:NCT00079937")) == "form: 1 countries"
    assert reason(find(table, "countries_of_trial", "NCT:NCT02443155")) == "form: 18 countries"


def state_events(*arms: tuple[str, int, int]) -> tuple[StatedFact, ...]:
    """Arms of a trial: (title, participants with serious events, participants at risk)."""
    return tuple(
        state(
            "NCT:NCT1",
            "serious_adverse_events",
            value("number", str(count)),
            number=count,
            group=group,
            at_risk=str(at_risk),
        )
        for group, count, at_risk in arms
    )


def test_arms_are_compared_by_shares_and_not_by_counts() -> None:
    facts = state_events(("Drug", 30, 400), ("Placebo", 28, 100))
    outcome = find(FactTable.build(facts, {}), "arm_with_more_serious_events", "NCT:NCT1")
    assert value_of(outcome) == value("text", "Placebo")


@pytest.mark.parametrize(
    "arms",
    [
        (("Drug", 20, 100), ("Placebo", 40, 200)),
        (("Drug", 201, 1000), ("Placebo", 200, 1000)),
        (("Drug", 2, 4), ("Placebo", 1, 4)),
        (("Drug", 20, 100),),
        (("Drug", 20, 100), ("Placebo", 50, 100), ("Other", 5, 100)),
    ],
)
def test_arms_that_chance_may_part_are_not_compared(arms: tuple[tuple[str, int, int], ...]) -> None:
    facts = state_events(*arms)
    outcome = find(FactTable.build(facts, {}), "arm_with_more_serious_events", "NCT:NCT1")
    assert isinstance(outcome, Refusal)


def test_the_earlier_approved_of_two_drugs_follows_both_records(table: FactTable) -> None:
    outcome = find(table, "earlier_approved_drug_of_trial", CARBOPLATIN_OR_GEMCITABINE)
    assert value_of(outcome) == drug("Carboplatin")
    assert isinstance(outcome, Finding)
    assert {fact.source for fact in outcome.facts} == {
        "clinical_trials",
        "drugs_at_fda",
        "livertox",
    }


def test_an_acronym_alone_is_no_trial_but_with_its_sponsor_it_is(table: FactTable) -> None:
    exact, genentech = value("text", "EXACT"), "COMPANY:genentech"
    assert value_of(find(table, "trial_by_acronym", exact, genentech)) == "NCT:NCT00096954"
    again = (
        state("NCT:NCT2", "trial_acronym", exact),
        state("NCT:NCT2", "lead_sponsor", genentech),
    )
    changed = change_facts(table, add=again)
    assert "2 values" in reason(find(changed, "trial_by_acronym", exact, genentech))


def test_a_field_that_the_record_has_is_not_asked_as_missing(table: FactTable) -> None:
    missing = find(table, "missing_collaborator_of_trial", "NCT:NCT00079937")
    assert isinstance(missing, Finding)
    assert missing.value == ""
    assert missing.facts, "that the record is there shows that the field is not"
    recorded = find(table, "missing_collaborator_of_trial", "NCT:NCT00123630")
    assert "collaborator is recorded" in reason(recorded)
    unknown = find(table, "missing_collaborator_of_trial", "NCT:NCT99999999")
    assert reason(unknown) == "evidence: the trial has no record"
