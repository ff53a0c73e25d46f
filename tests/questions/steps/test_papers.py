"""Steps over papers: the trial that a paper reports, its journal, its first author."""

from support.registry_facts import state, value

from medr_ray.graph.facts.fact_table import FactTable, StatedFact
from medr_ray.questions.steps import STEP_KINDS
from medr_ray.questions.steps.kinds import Finding, Refusal

PAPER, TRIAL = "PMID:33662334", "NCT:NCT02443155"


def author(name: str, position: int, authors: int) -> StatedFact:
    return state(
        PAPER,
        "has_author",
        f"PERSON:{name}",
        "pubmed",
        position=str(position),
        authors=str(authors),
    )


def test_the_paper_of_a_trial_is_the_one_that_reports_its_results(table: FactTable) -> None:
    outcome = STEP_KINDS["paper_of_trial"].find(table, TRIAL)
    assert isinstance(outcome, Finding)
    assert outcome.value == PAPER
    assert STEP_KINDS["paper_of_trial"].find(table, "NCT:NCT00079937") == Refusal(
        "cardinality: 0 values of reports_results_in"
    )


def test_the_first_of_several_authors_is_asked_and_an_only_author_is_not() -> None:
    find = STEP_KINDS["first_author_of_paper"].find
    several = FactTable.build([author("b", 2, 2), author("a", 1, 2)], {})
    outcome = find(several, PAPER)
    assert isinstance(outcome, Finding)
    assert outcome.value == "PERSON:a"
    alone = FactTable.build([author("a", 1, 1)], {})
    assert find(alone, PAPER) == Refusal("hops_needed: the paper has a single author")


def test_a_paper_that_names_two_registrations_has_no_only_trial() -> None:
    registered = state(PAPER, "registered_as", TRIAL, "pubmed")
    other = state(PAPER, "registered_as", "NCT:NCT1", "pubmed")
    find = STEP_KINDS["trial_of_paper"].find
    outcome = find(FactTable.build([registered], {}), PAPER)
    assert isinstance(outcome, Finding)
    assert outcome.value == TRIAL
    assert isinstance(find(FactTable.build([registered, other], {}), PAPER), Refusal)


def test_papers_of_trials_alone_are_asked_about() -> None:
    """The journal of any paper is no question of medicine."""
    facts = [
        state(PAPER, "published_in", "JOURNAL:allergy", "pubmed"),
        state("PMID:2", "published_in", "JOURNAL:allergy", "pubmed"),
        state("PMID:3", "publication_year", value("date", "2021"), "pubmed"),
        state("PMID:3", "registered_as", "NCT:NCT3", "pubmed"),
        state(TRIAL, "reports_results_in", PAPER),
    ]
    proposed = list(STEP_KINDS["journal_of_paper"].propose(FactTable.build(facts, {})))
    assert proposed == [("PMID:3",), (PAPER,)]
