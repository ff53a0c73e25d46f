"""Plans: solving them, their dates and sources, and their records."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.registry_facts import change_facts, drug, state, value

from medr_ray.core.records import QuestionStep
from medr_ray.graph.facts.fact_table import FactTable
from medr_ray.questions.plans import (
    NAMED,
    PlanNode,
    SolvedPlan,
    SolvedStep,
    list_places,
    name,
    restore_plan,
    solve_plan,
)
from medr_ray.questions.shapes import build_plan
from medr_ray.questions.steps.kinds import Refusal

TRIAL = "NCT:NCT00084097"  # of omalizumab alone


def test_a_plan_is_solved_step_by_step_and_keeps_the_facts_of_each(table: FactTable) -> None:
    plan = build_plan(
        ("drug_of_trial", "first_application_for_drug", "sponsor_of_application"), (TRIAL,), table
    )
    solved = solve_plan(plan, table)
    assert isinstance(solved, SolvedPlan)
    assert [step.value for step in solved.steps] == [
        TRIAL,
        drug("Omalizumab"),
        "FDA:BLA103976",
        "COMPANY:genentech",
    ]
    assert solved.plan == plan
    assert solved.answer == "COMPANY:genentech"
    assert plan.hops == 3
    assert plan.sources[0] == "clinical_trials"
    assert all(step.facts for step in solved.steps if not step.node.is_named)
    assert len(set(solved.facts)) == len(solved.facts)


def test_a_step_that_cannot_be_asked_refuses_the_whole_plan(table: FactTable) -> None:
    chain = ("drug_of_trial", "approval_year_of_drug")
    plan = build_plan(chain, ("NCT:NCT00481676",), table)
    refusal = solve_plan(plan, table)
    assert isinstance(refusal, Refusal)
    assert "studies_intervention" in refusal.reason


def test_facts_of_two_dates_are_refused() -> None:
    steps = tuple(
        SolvedStep(name(f"v{number}"), f"v{number}", (), as_of)
        for number, as_of in enumerate(("", "2019-07-01", "2021-03-01"))
    )
    with pytest.raises(ValueError, match=r"2019-07-01.*2021-03-01"):
        _ = SolvedPlan(steps).as_of
    assert SolvedPlan(steps[:2]).as_of == "2019-07-01"
    assert SolvedPlan(steps[:1]).as_of == ""


def test_a_later_step_takes_the_date_of_the_file_from_the_facts(table: FactTable) -> None:
    plan = build_plan(("latest_application_for_drug",), (drug("Gemcitabine"), "x"), table)
    assert plan.inputs[1].value == "x"
    followed = build_plan(("drug_of_trial", "latest_application_for_drug"), (TRIAL,), table)
    assert followed.inputs[1] == name(value("date", "2019-07-01"))
    newer = state("FDA:NDA1", "application_sponsor", "COMPANY:x", as_of="2020-01-01")
    changed = build_plan(
        ("drug_of_trial", "latest_application_for_drug"),
        (TRIAL,),
        change_facts(table, add=(newer,)),
    )
    assert changed.inputs[1] == name(value("date", "2020-01-01"))


# --- as records -----------------------------------------------------------------------

_NAMES = st.builds(name, st.text(min_size=1, max_size=8))
_PLANS = st.recursive(
    _NAMES,
    lambda inputs: st.builds(
        PlanNode,
        st.sampled_from(["drug_of_trial", "gene_of_both_diseases", "years_between_approvals"]),
        st.lists(inputs, min_size=1, max_size=2).map(tuple),
    ),
    max_leaves=8,
)


@given(_PLANS)
def test_every_plan_is_restored_from_its_places(plan: PlanNode) -> None:
    places = list_places(plan)
    assert [node for node, _ in places] == list(plan.walk())
    for place, (node, inputs) in enumerate(places):
        assert all(given_place < place for given_place in inputs)
        assert tuple(places[given_place][0] for given_place in inputs) == node.inputs
    steps = [
        QuestionStep(node.kind, inputs, node.value if node.kind == NAMED else "found", "x", "x")
        for node, inputs in places
    ]
    assert restore_plan(steps) == plan


def test_a_question_without_steps_has_no_plan() -> None:
    with pytest.raises(ValueError, match="at least one step"):
        restore_plan([])
