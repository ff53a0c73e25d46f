"""Steps over papers: the trial that a paper reports, and the paper on a trial."""

from support.registry_facts import state

from medr_ray.graph.facts.fact_table import FactTable
from medr_ray.questions.steps import STEP_KINDS
from medr_ray.questions.steps.kinds import Finding, Refusal

PAPER, TRIAL = "PMID:33662334", "NCT:NCT02443155"


def test_the_paper_of_a_trial_is_the_one_that_reports_its_results(table: FactTable) -> None:
    outcome = STEP_KINDS["paper_of_trial"].find(table, TRIAL)
    assert isinstance(outcome, Finding)
    assert outcome.value == PAPER
    assert STEP_KINDS["paper_of_trial"].find(table, "NCT:NCT00079937") == Refusal(
        "cardinality: 0 values of reports_results_in"
    )


def test_a_paper_that_names_two_registrations_has_no_only_trial() -> None:
    registered = state(PAPER, "registered_as", TRIAL, "pubmed")
    other = state(PAPER, "registered_as", "NCT:NCT1", "pubmed")
    find = STEP_KINDS["trial_of_paper"].find
    outcome = find(FactTable.build([registered], {}), PAPER)
    assert isinstance(outcome, Finding)
    assert outcome.value == TRIAL
    assert isinstance(find(FactTable.build([registered, other], {}), PAPER), Refusal)
