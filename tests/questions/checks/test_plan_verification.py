"""The checks of a solved and worded plan, over real records: each seen to refuse what it is for."""

from dataclasses import replace

import pytest
from support.registry_facts import change_facts, drug, state

from medr_ray.core.records import FactSource, literal_values
from medr_ray.graph.facts.fact_table import FactTable
from medr_ray.questions.checks.plan_verification import PlanVerifier
from medr_ray.questions.plans import SolvedPlan, solve_plan
from medr_ray.questions.shapes import build_plan
from medr_ray.questions.steps.approvals import file_date, list_full_applications
from medr_ray.questions.wording.grammar import write_question
from medr_ray.questions.wording.mentions import Mentions

TO_COMPANY = ("drug_of_trial", "first_application_for_drug", "sponsor_of_application")
# Trials of omalizumab, whose application Genentech holds: sponsored by an institute, by Genentech.
OF_INSTITUTE, OF_GENENTECH = "NCT:NCT00084097", "NCT:NCT00096954"
SOURCES = literal_values(FactSource)


def make_verifier(table: FactTable, searchable: tuple[str, ...] = SOURCES) -> PlanVerifier:
    return PlanVerifier(table, Mentions(table), "en", searchable)


def solve(table: FactTable, chain: tuple[str, ...], *inputs: str) -> SolvedPlan:
    solved = solve_plan(build_plan(chain, inputs, table), table)
    assert isinstance(solved, SolvedPlan), solved
    return solved


def word(table: FactTable, solved: SolvedPlan, form: int = 0) -> str:
    return write_question(solved.plan, Mentions(table), "en", form, solved.as_of)


def list_checks(reasons: list[str]) -> set[str]:
    return {reason.partition(":")[0] for reason in reasons}


def refuse(table: FactTable, solved: SolvedPlan, text: str) -> list[str]:
    return make_verifier(table).find_refusals(solved, text, solved.as_of)


@pytest.mark.parametrize("form", range(4))
def test_a_sound_question_passes_in_every_form(table: FactTable, form: int) -> None:
    for chain, inputs in (
        (TO_COMPANY, (OF_INSTITUTE,)),
        (("gene_of_disease",), ("OMIM:101200",)),
        (("disease_of_gene", "onset_of_disease"), ("GENE:ACVR1",)),
    ):
        solved = solve(table, chain, *inputs)
        assert refuse(table, solved, word(table, solved, form)) == []


def test_a_text_that_holds_the_answer_is_refused(table: FactTable) -> None:
    solved = solve(table, TO_COMPANY, OF_INSTITUTE)
    text = word(table, solved)
    leaking = text.replace("trial", "Genentech's trial")
    assert 'no_leak: the text holds "Genentech"' in refuse(table, solved, leaking)


def test_a_text_that_holds_the_answers_words_in_another_order_is_refused(table: FactTable) -> None:
    solved = solve(table, ("disease_of_gene",), "GENE:ACVR1")
    names = Mentions(table).answer_names(solved.answer)
    assert names[0].lower() == "fibrodysplasia ossificans progressiva"
    text = "Which progressiva of fibrodysplasia that is ossificans does ACVR1 cause?"
    reasons = make_verifier(table).check_text(solved, text)
    assert [reason for reason in reasons if "telling word" in reason]


def test_a_text_that_names_what_is_to_be_found_on_the_way_is_refused(table: FactTable) -> None:
    solved = solve(table, TO_COMPANY, OF_INSTITUTE)
    text = word(table, solved).replace("trial", "omalizumab trial")
    reasons = make_verifier(table).check_text(solved, text)
    assert list_checks(reasons) == {"hops_needed"}
    assert "omalizumab" in reasons[0].lower()


def test_a_company_that_sponsored_the_trial_itself_is_a_shortcut(table: FactTable) -> None:
    solved = solve(table, TO_COMPANY, OF_GENENTECH)
    reasons = refuse(table, solved, word(table, solved))
    assert reasons == ["hops_needed: a fact links steps 1 and 4 directly"]
    direct = state(OF_INSTITUTE, "collaborator", "COMPANY:genentech")
    changed = change_facts(table, add=(direct,))
    other = solve(changed, TO_COMPANY, OF_INSTITUTE)
    assert list_checks(refuse(changed, other, word(changed, other))) == {"hops_needed"}


def test_every_hop_has_a_record_that_can_be_searched(table: FactTable) -> None:
    solved = solve(table, TO_COMPANY, OF_INSTITUTE)
    verifier = make_verifier(table, ("clinical_trials", "livertox"))
    reasons = verifier.check_facts(solved)
    assert reasons == ["evidence: drugs_at_fda is not searchable"] * 2
    bare = replace(solved.steps[-1], facts=())
    reasons = verifier.check_facts(SolvedPlan((*solved.steps[:-1], bare)))
    assert "evidence: no fact for sponsor_of_application" in reasons


def test_a_text_that_asks_something_else_is_refused(table: FactTable) -> None:
    solved = solve(table, ("gene_of_disease",), "OMIM:101200")
    other = solve(table, ("inheritance_of_disease",), "OMIM:101200")
    reasons = refuse(table, solved, word(table, other))
    assert reasons == ["back_reading: the text means another plan"]
    reasons = refuse(table, solved, "What is it?")
    assert "back_reading: the text has 0 meanings" in reasons


def test_a_name_that_two_diseases_have_gives_a_text_two_meanings(table: FactTable) -> None:
    entities = {**table.entities, "OMIM:1": table.entities["OMIM:101200"]}
    twice = FactTable.build(
        [
            *table.facts_of("associated_gene", "OMIM:101200"),
            state("OMIM:1", "associated_gene", "GENE:X", "hpo", record_id="OMIM:1"),
        ],
        entities,
    )
    solved = solve(twice, ("gene_of_disease",), "OMIM:101200")
    assert "back_reading: the text has 2 meanings" in refuse(twice, solved, word(twice, solved))


def test_the_date_of_facts_that_age_is_that_of_the_text(table: FactTable) -> None:
    solved = solve(table, ("onset_of_disease",), "OMIM:100800")
    assert solved.as_of == "2021-03-01"
    text = word(table, solved)
    assert refuse(table, solved, text) == []
    later = text.replace("2021", "2023")
    assert refuse(table, solved, later) == ["back_reading: the text states another date"]
    without = write_question(solved.plan, Mentions(table), "en", 0)
    assert refuse(table, solved, without) == ["back_reading: the text states another date"]


def test_long_texts_and_answers_that_say_nothing_are_refused(table: FactTable) -> None:
    solved = solve(table, ("gene_of_disease",), "OMIM:101200")
    padded = f"{'Please ' * 45}{word(table, solved)}"
    assert [reason for reason in refuse(table, solved, padded) if "more than 45" in reason]


def test_a_chinese_text_is_measured_in_characters(table: FactTable) -> None:
    solved = solve(table, TO_COMPANY, OF_INSTITUTE)
    mentions = Mentions(table, "zh")
    verifier = PlanVerifier(table, mentions, "zh", SOURCES)
    text = write_question(solved.plan, mentions, "zh", 0, solved.as_of)
    long_text = f"临床医生想知道，{'在这一领域的许多研究之中，' * 5}{text}"
    assert not [reason for reason in verifier.check_text(solved, text) if "characters" in reason]
    assert [reason for reason in verifier.check_text(solved, long_text) if "characters" in reason]
    arm = replace(solved.steps[-1], value="VALUE:text/Group A")
    reasons = make_verifier(table).check_text(SolvedPlan((solved.steps[0], arm)), "Which arm?")
    assert "form: the answer is too generic" in reasons
    wordy = replace(solved.steps[-1], value=f"VALUE:text/{'long ' * 13}title")
    reasons = make_verifier(table).check_text(SolvedPlan((solved.steps[0], wordy)), "Which arm?")
    assert "form: the answer is longer than 12 words" in reasons


def test_the_same_entity_twice_is_no_chain(table: FactTable) -> None:
    solved = solve(table, TO_COMPANY, OF_INSTITUTE)
    back = replace(solved.steps[-1], value=drug("Omalizumab"))
    reasons = make_verifier(table).check_facts(SolvedPlan((*solved.steps[:-1], back)))
    assert "hops_needed: the same entity comes twice" in reasons


def test_the_latest_of_several_that_all_give_one_answer_is_not_asked(table: FactTable) -> None:
    (today,) = file_date(table)
    chain = ("latest_application_for_drug", "sponsor_of_application")
    solved = solve(table, chain, drug("Gemcitabine"), today)
    reason = "hops_needed: what is chosen from leads to no other answer"
    assert reason not in make_verifier(table).check_facts(solved)
    # The company of the latest one holds all the others too.
    others = [
        fact
        for application in list_full_applications(table, drug("Gemcitabine"))
        for fact in table.facts_of("application_sponsor", application)
    ]
    one_holder = change_facts(
        table,
        drop=frozenset(fact.fact_id for fact in others),
        add=tuple(fact._replace(object=solved.answer) for fact in others),
    )
    same = solve(one_holder, chain, drug("Gemcitabine"), today)
    assert same.answer == solved.answer
    assert reason in make_verifier(one_holder).check_facts(same)
