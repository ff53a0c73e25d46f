"""Drugs of arms, over trials of the embedded snapshot."""

import pytest
from support.snapshot_facts import build_snapshot_table

from medr_ray.graph.facts.fact_table import FactTable
from medr_ray.questions.plans import PlanNode, name, solve_plan
from medr_ray.questions.steps.kinds import Refusal
from medr_ray.questions.steps.trials import make_text

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
