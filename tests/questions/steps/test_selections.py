"""Choices by several facts, over records of the embedded snapshot."""

import pytest
from support.registry_facts import drug
from support.snapshot_facts import build_snapshot_table

from medr_ray.core.records import LiteralValue
from medr_ray.graph.facts.fact_table import FactTable
from medr_ray.graph.facts.registry_relations import make_value_id
from medr_ray.questions.steps import STEP_KINDS
from medr_ray.questions.steps.kinds import Refusal


def date(iso: str) -> str:
    return make_value_id(LiteralValue("date", iso))


FILE_DATE = date("2019-07-01")
BOEHRINGER = "COMPANY:boehringer ingelheim"
# The new drug applications of Boehringer Ingelheim of 2014: Jardiance, Ofev with priority review,
# Striverdi, Spiriva Respimat; of 2010: Mirapex ER, Pradaxa with priority review.
APPLICATIONS = ("NDA204629", "NDA205832", "NDA203108", "NDA021936", "NDA022514", "NDA022512")


def find(table: FactTable, kind: str, *inputs: str) -> str:
    """The value of a step, or the check that refuses it."""
    outcome = STEP_KINDS[kind].find(table, *inputs)
    if isinstance(outcome, Refusal):
        return outcome.reason.partition(":")[0]
    assert outcome.facts
    return outcome.value


@pytest.fixture(scope="module")
def approvals() -> FactTable:
    return build_snapshot_table({"drugs_at_fda": APPLICATIONS})


@pytest.mark.parametrize(
    ("company", "year", "day", "answer"),
    [
        (BOEHRINGER, "2014", "2019-07-01", "SUBSTANCE:nintedanib"),
        (BOEHRINGER, "2010", "2019-07-01", "SUBSTANCE:dabigatran"),
        (BOEHRINGER, "2011", "2019-07-01", "hops_needed"),
        # Who held it on another day is not in the file.
        (BOEHRINGER, "2014", "2015-07-01", "date"),
    ],
)
def test_the_drug_of_a_company_with_priority_review(
    approvals: FactTable, company: str, year: str, day: str, answer: str
) -> None:
    kind = "drug_of_company_with_priority_review"
    value = find(approvals, kind, company, date(year), date(day))
    assert value.startswith(answer)


def test_a_combination_may_be_the_drug_that_is_meant() -> None:
    # Stiolto Respimat has two ingredients.
    with_combination = build_snapshot_table({"drugs_at_fda": ("NDA206756", "NDA204629")})
    kind = "drug_of_company_with_priority_review"
    assert find(with_combination, kind, BOEHRINGER, date("2015"), FILE_DATE) == "cardinality"


@pytest.mark.parametrize(
    ("kind", "inputs", "answer"),
    [
        ("drug_of_trial_approved_before", ("NCT:NCT03679676", date("2010")), drug("Omalizumab")),
        ("drug_of_trial_approved_before", ("NCT:NCT03679676", date("2000")), "cardinality"),
        ("larger_trial", ("NCT:NCT00079937", "NCT:NCT02856893"), "NCT:NCT00079937"),
        ("larger_trial", ("NCT:NCT02856893", "NCT:NCT00079937"), "NCT:NCT00079937"),
        # The enrolment of an older record may be that of a plan.
        ("larger_trial", ("NCT:NCT00084097", "NCT:NCT00079937"), "cardinality"),
        ("earlier_trial", ("NCT:NCT00096954", "NCT:NCT02856893"), "NCT:NCT00096954"),
        ("earlier_trial", ("NCT:NCT00079937", "NCT:NCT02856893"), "cardinality"),
    ],
)
def test_one_of_several(table: FactTable, kind: str, inputs: tuple[str, ...], answer: str) -> None:
    assert find(table, kind, *inputs) == answer
