"""Whatever the grammar writes, the teacher reads as the same steps from the same names, without a
table of what exists."""

import pytest
from support.worded_facts import build_worded_table

from medr_ray.core.records import Language, LiteralValue
from medr_ray.graph.facts.registry_relations import make_value_id
from medr_ray.knowledge.hpo import load_hpo
from medr_ray.questions.plans import PlanNode, name
from medr_ray.questions.steps import STEP_KINDS
from medr_ray.questions.wording.grammar import write_question
from medr_ray.questions.wording.mentions import Mentions
from medr_ray.trajectories.solver.question_reader import MODES, read_plan

_NAMED = {
    "trial": "NCT:NCT05246267",
    "paper": "PMID:34086808",
    "company": "COMPANY:pfizer",
    "drug": "DRUGBANK:DB15233",
    "disease": "OMIM:310600",
    "gene": "GENE:NDP",
    "application": "FDA:NDA021234",
    "patent": "PATENT:US9493470",
    "value": "HP:0000006",
    "category": make_value_id(LiteralValue("category", "E")),
    "date": make_value_id(LiteralValue("date", "2019-07-01")),
    "year": make_value_id(LiteralValue("date", "2019")),
    "text": make_value_id(LiteralValue("text", "AVAPRO")),
}
_FORMS = 4


@pytest.mark.parametrize("kind", sorted(kind for kind in STEP_KINDS))
@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_form_of_a_step_is_read_as_the_step(kind: str, language: Language) -> None:
    step = STEP_KINDS[kind]
    if not step.wording(language).question:
        pytest.skip("no question ends with this step")
    plan = PlanNode(kind, tuple(name(_NAMED[input_type]) for input_type in step.inputs))
    mentions = Mentions(build_worded_table(), language)
    for form in range(_FORMS):
        text = write_question(plan, mentions, language, form)
        reading = read_plan(text, language)
        assert reading is not None, text
        assert reading.plan.kind == kind, text


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_chain_is_read_by_its_deepest_reading(language: Language) -> None:
    plan = PlanNode("drug_of_trial", (name(_NAMED["trial"]),))
    plan = PlanNode("first_application_for_drug", (plan,))
    plan = PlanNode("sponsor_of_application", (plan,))
    mentions = Mentions(build_worded_table(), language)
    for form in range(_FORMS):
        text = write_question(plan, mentions, language, form)
        reading = read_plan(text, language)
        assert reading is not None, text
        assert reading.plan == plan, text


def test_the_modes_have_the_names_of_the_ontology() -> None:
    assert {term: load_hpo().terms[term].name for term in MODES} == MODES
