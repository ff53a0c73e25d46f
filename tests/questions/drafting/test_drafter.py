"""Drafting over real records: what is accepted, why the rest is not, and that it is always the
same."""

import random
from collections import Counter

import pytest
from support.registry_facts import SETTINGS, drug

from medr_ray.core.config import PipelineConfig
from medr_ray.core.records import Chain, Verification
from medr_ray.graph.facts.fact_table import FactTable
from medr_ray.questions.answer_matching import occurs_in
from medr_ray.questions.drafting.assembly import assemble_question
from medr_ray.questions.drafting.candidates import Candidate, RejectedDraft
from medr_ray.questions.drafting.drafter import Drafter, DraftingUnit, SeedChains, list_units
from medr_ray.questions.plans import NAMED, SolvedPlan, solve_plan

LANGUAGES = ("en", "zh")


def make_drafter(
    table: FactTable, seeds: SeedChains | None = None, run_seed: int = 0, **settings: object
) -> Drafter:
    config = PipelineConfig.model_validate(
        {**SETTINGS, "run": {"seed": run_seed}, "questions": settings}
    )
    return Drafter(table, seeds or SeedChains({}, {}), config)


def draft_all(
    drafter: Drafter, units: list[DraftingUnit] | None = None
) -> tuple[list[Candidate], list[RejectedDraft], Counter[str]]:
    accepted: list[Candidate] = []
    rejected: list[RejectedDraft] = []
    reasons: Counter[str] = Counter()
    for unit in units or list_units(PipelineConfig().questions):
        passed, failed, counts = drafter.draft_unit(unit)
        accepted += passed
        rejected += failed
        reasons += counts
    return accepted, rejected, reasons


@pytest.fixture(scope="module", params=LANGUAGES)
def drafts(
    table: FactTable, request: pytest.FixtureRequest
) -> tuple[list[Candidate], list[RejectedDraft], Counter[str]]:
    return draft_all(make_drafter(table, language=request.param))


def test_every_accepted_draft_is_solved_by_its_steps_and_does_not_hold_its_answer(
    table: FactTable, drafts: tuple[list[Candidate], list[RejectedDraft], Counter[str]]
) -> None:
    accepted = drafts[0]
    assert len(accepted) > 400
    assert len({candidate.shape for candidate in accepted}) >= 12
    assert len({candidate.key for candidate in accepted}) > 0.9 * len(accepted)
    for candidate in accepted:
        assert candidate.verification == Verification(True, True, True, True, True, True)
        solved = solve_plan(candidate.plan, table)
        assert isinstance(solved, SolvedPlan)
        assert solved.answer == candidate.answer
        assert solved.plan.hops == candidate.hops
        assert candidate.text.endswith(("?", "？"))
        named = [step for step in candidate.steps if step.kind == NAMED]
        assert named
        is_choice = any(step.value == candidate.answer for step in named)
        if not candidate.answer or candidate.answer.startswith("VALUE:number") or is_choice:
            continue
        assert not occurs_in(candidate.answer_names[0], candidate.text)


def test_rejected_drafts_keep_their_reasons_and_all_are_counted(
    drafts: tuple[list[Candidate], list[RejectedDraft], Counter[str]],
) -> None:
    _, rejected, reasons = drafts
    assert rejected
    assert all(draft.reasons for draft in rejected)
    kept = {reason.partition(":")[0] for draft in rejected for reason in draft.reasons}
    assert kept == set(reasons)
    assert {"cardinality", "contradiction", "source", "hops_needed"} <= kept
    assert sum(reasons.values()) > len(rejected), "of plans without one value some are kept"


def test_the_same_seed_gives_the_same_drafts_in_any_order_of_units(table: FactTable) -> None:
    units = list_units(PipelineConfig().questions)[::5]
    first = {unit.part: make_drafter(table).draft_unit(unit) for unit in units}
    shuffled = list(units)
    random.Random(7).shuffle(shuffled)
    drafter = make_drafter(table)
    assert {unit.part: drafter.draft_unit(unit) for unit in shuffled} == first


def test_drafts_per_chain_bounds_them_and_the_seed_decides_which(table: FactTable) -> None:
    unit = DraftingUnit("trial_record", ("sponsor_of_trial",))
    texts = [
        [c.text for c in make_drafter(table, run_seed=seed, drafts_per_chain=5).draft_unit(unit)[0]]
        for seed in (0, 0, 1)
    ]
    assert len(texts[0]) == 5
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]


def test_questions_about_seeds_come_first_and_carry_their_specialty_and_chain(
    table: FactTable,
) -> None:
    disease, gene = "OMIM:135100", "GENE:ACVR1"
    chain = Chain("chain-1", disease, (disease, gene), ("rel-1",), 1, 1, True, 0.0, "dfs")
    seeds = SeedChains({disease: chain}, {disease: "orthopaedics"})
    unit = DraftingUnit("disease_to_gene", ("gene_of_disease",))
    (candidate,) = make_drafter(table, seeds, drafts_per_chain=1).draft_unit(unit)[0]
    assert (candidate.seed, candidate.specialty) == (disease, "orthopaedics")
    assert candidate.chain_id == "chain-1"
    # A plan that leaves the chain is not a piece of it.
    onset = DraftingUnit("trial_record", ("sponsor_of_trial",))
    other = make_drafter(table, seeds, drafts_per_chain=1).draft_unit(onset)[0][0]
    assert other.chain_id == ""


def test_what_is_not_searchable_is_not_asked(table: FactTable) -> None:
    config = PipelineConfig.model_validate({"index": {"sources": ["hpo"]}})
    unit = DraftingUnit("drug_approval", ("approval_year_of_drug",))
    accepted, rejected, reasons = Drafter(table, SeedChains({}, {}), config).draft_unit(unit)
    assert accepted == []
    assert reasons["evidence"] > 0
    assert any("is not searchable" in reason for draft in rejected for reason in draft.reasons)


def test_a_trial_leads_over_its_drug_to_the_company_with_the_facts_of_each_hop(
    table: FactTable,
) -> None:
    chain = ("drug_of_trial", "first_application_for_drug", "sponsor_of_application")
    unit = DraftingUnit("trial_to_approval", chain)
    accepted, _, reasons = make_drafter(table).draft_unit(unit)
    assert reasons["hops_needed"] > 0, "trials that the company sponsored itself"
    candidate = next(c for c in accepted if c.seed == "NCT:NCT00084097")
    assert [step.value for step in candidate.steps][1] == drug("Omalizumab")
    assert all(step.facts for step in candidate.steps[1:])
    question = assemble_question(candidate, "train", "en")
    assert question.task.answer == candidate.answer_names[0]
    assert [step.predicate for step in question.guidance] == list(chain)
    masked = question.cheat_sheet + str(question.guidance)
    assert not any(occurs_in(step.name, masked) for step in question.steps)
    assert question.facts == candidate.facts
