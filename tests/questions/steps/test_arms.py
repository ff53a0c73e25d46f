"""Drugs of arms, over trials of the embedded snapshot."""

import pytest
from support.snapshot_facts import build_snapshot_table

from medr_ray.graph.facts.fact_table import FactTable
from medr_ray.questions.plans import PlanNode, name, solve_plan
from medr_ray.questions.shapes import SHAPES, build_plan
from medr_ray.questions.steps.kinds import Refusal
from medr_ray.questions.steps.trials import make_text
from medr_ray.questions.wording.grammar import read_question, write_question
from medr_ray.questions.wording.mentions import Mentions

# NCT03563716: tiragolumab and atezolizumab against atezolizumab, with response and survival.
# NCT02856893: gefitinib and osimertinib in three sequences. NCT04256421: survival is the same.
# NCT04870190: almonertinib against osimertinib. NCT00079937: omalizumab against placebo.
TRIALS = ("NCT03563716", "NCT02856893", "NCT04256421", "NCT04870190", "NCT00079937")


@pytest.fixture(scope="module")
def table() -> FactTable:
    return build_snapshot_table({"clinical_trials": TRIALS})


def find(table: FactTable, kind: str, trial: str, *texts: str) -> str:
    """The value of a step, or the check that refuses it."""
    inputs = (name(f"NCT:{trial}"), *(name(make_text(text)) for text in texts))
    solved = solve_plan(PlanNode(kind, inputs), table)
    return solved.reason.partition(":")[0] if isinstance(solved, Refusal) else solved.answer


ORR = "Objective Response Rate (ORR)"
PFS = "PFS Rate at 18 Months"
EVENTS = "Percentage of Participants With at Least 1 Adverse Event"


@pytest.mark.parametrize(
    ("kind", "trial", "texts", "answer"),
    [
        ("drug_only_in_best_arm", "NCT03563716", (ORR,), "SUBSTANCE:tiragolumab"),
        ("drug_only_in_worst_arm", "NCT03563716", (ORR,), "cardinality"),
        ("drug_by_letter_in_best_arm", "NCT03563716", (ORR, "A"), "SUBSTANCE:atezolizumab"),
        ("drug_by_letter_in_best_arm", "NCT03563716", (ORR, "X"), "cardinality"),
        # The arm with the worse response got atezolizumab alone: no letter is needed.
        ("drug_by_letter_in_worst_arm", "NCT03563716", (ORR, "A"), "hops_needed"),
        # Response has a direction: it is asked as better, not as higher.
        ("drug_only_in_highest_arm", "NCT03563716", (ORR,), "form"),
        ("drug_by_letter_in_best_arm", "NCT02856893", (PFS, "O"), "SUBSTANCE:osimertinib"),
        ("drug_by_letter_in_best_arm", "NCT02856893", (PFS, "G"), "SUBSTANCE:gefitinib"),
        # 13.14 and 13.11 months are no difference.
        (
            "drug_only_in_worst_arm",
            "NCT04256421",
            ("Overall Survival (OS) in the PAS",),
            "cardinality",
        ),
        # Fewer events are no better effect.
        ("drug_only_in_best_arm", "NCT00079937", (EVENTS,), "form"),
        ("drug_only_in_lowest_arm", "NCT00079937", (EVENTS,), "SUBSTANCE:omalizumab"),
        ("comparator_drug_of_trial", "NCT04870190", (), "SUBSTANCE:osimertinib"),
        ("experimental_drug_of_trial", "NCT04870190", (), "SUBSTANCE:almonertinib"),
        ("comparator_drug_of_trial", "NCT00079937", (), "cardinality"),
    ],
)
def test_the_drug_of_an_arm(
    table: FactTable, kind: str, trial: str, texts: tuple[str, ...], answer: str
) -> None:
    assert find(table, kind, trial, *texts) == answer


# What MedBrowseComp asks of other trials: the ingredient of the better regimen by its letter, then
# the company of its latest approval, its patents, its exclusivity.
ENDINGS = (
    (),
    ("latest_application_for_drug", "sponsor_of_application"),
    ("first_application_for_drug", "last_patent_expiry_of_application"),
    ("first_application_for_drug", "exclusivity_end_of_application"),
)


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_drug_of_the_better_arm_is_followed(ending: tuple[str, ...]) -> None:
    chains = SHAPES["compare_arms"].chains
    assert ("drug_by_letter_in_best_arm", *ending) in chains
    assert ("drug_by_letter_in_worst_arm", *ending) in chains


def test_the_better_arm_is_asked_about_in_words(table: FactTable) -> None:
    plan = build_plan(
        ("drug_by_letter_in_best_arm", "approval_year_of_drug"),
        ("NCT:NCT02856893", make_text(PFS), make_text("O")),
        table,
    )
    mentions = Mentions(table, "en")
    text = write_question(plan, mentions, "en", form=0)
    assert text == (
        "In which year did the FDA first approve the drug starting with O in the arm of trial "
        "NCT02856893 that did best on the primary outcome “PFS Rate at 18 Months”?"
    )
    assert [question.plan for question in read_question(text, mentions, "en")] == [plan]
