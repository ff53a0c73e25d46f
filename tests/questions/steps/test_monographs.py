"""Steps over LiverTox's monographs, real records."""

from support.registry_facts import change_facts, drug, state, value

from medr_ray.graph.facts.fact_table import FactTable
from medr_ray.questions.steps import STEP_KINDS
from medr_ray.questions.steps.kinds import Finding, Refusal

TRIAL = "NCT:NCT02175381"  # carboplatin or gemcitabine


def test_a_score_that_depends_on_the_use_is_not_asked(table: FactTable) -> None:
    find = STEP_KINDS["liver_injury_likelihood_of_drug"].find
    outcome = find(table, drug("Gefitinib"))
    assert isinstance(outcome, Finding)
    assert outcome.value == value("category", "B")
    in_use = state(
        drug("Gefitinib"),
        "liver_injury_likelihood_in_use",
        value("category", "A"),
        "livertox",
        use="high doses",
    )
    refusal = find(change_facts(table, add=(in_use,)), drug("Gefitinib"))
    assert refusal == Refusal("cardinality: the score depends on the use")


def test_the_drug_with_a_score_is_asked_where_every_drug_of_the_trial_has_one(
    table: FactTable,
) -> None:
    find = STEP_KINDS["drug_of_trial_with_score"].find
    outcome = find(table, TRIAL, value("category", "D"))
    assert isinstance(outcome, Finding)
    assert outcome.value == drug("Carboplatin")
    # The facts show every drug's score: only all of them make the answer the only one.
    scored = {fact.subject for fact in outcome.facts if fact.source == "livertox"}
    assert scored == {drug("Carboplatin"), drug("Gemcitabine")}
    third = state(TRIAL, "studies_intervention", "SUBSTANCE:unscored")
    refusal = find(change_facts(table, add=(third,)), TRIAL, value("category", "D"))
    assert isinstance(refusal, Refusal)
    assert "0 values of liver_injury_likelihood" in refusal.reason
    shared = find(table, "NCT:NCT03679676", value("category", "E"))
    assert isinstance(shared, Refusal)
    assert "2 values" in shared.reason
