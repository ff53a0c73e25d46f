"""The words of steps in both languages, and reading them back."""

import itertools
import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.worded_facts import ENTITIES, build_worded_table

from medr_ray.core.records import Language, LiteralValue
from medr_ray.graph.facts.registry_relations import make_value_id
from medr_ray.questions.plans import PlanNode, name
from medr_ray.questions.steps import STEP_KINDS
from medr_ray.questions.steps.kinds import StepKind
from medr_ray.questions.wording.grammar import read_question, write_question
from medr_ray.questions.wording.mentions import Mentions, fits_type
from medr_ray.questions.wording.value_names import word_date

LANGUAGES: tuple[Language, ...] = ("en", "zh")
TABLE = build_worded_table()
MENTIONS: dict[Language, Mentions] = {language: Mentions(TABLE, language) for language in LANGUAGES}
ASKING = [kind for kind in STEP_KINDS.values() if kind.english.question]
VALUES = {
    "date": ["date/2019-08-12", "date/2019-08"],
    "year": ["date/2012"],
    "category": ["category/E*", "category/E"],
    "text": ["text/ESSENCE", "text/s CAR-T"],
    "number": ["number/12 years"],
}
PARTS = ("noun", "statement", "question")


def list_values(step_type: str) -> list[str]:
    """What the table has of a type."""
    if step_type in VALUES:
        return [f"VALUE:{value}" for value in VALUES[step_type]]
    return [
        entity_id
        for entity_id, entity in ENTITIES.items()
        if fits_type(entity.entity_type, step_type)
    ]


def list_nodes(step_type: str) -> Iterator[PlanNode]:
    """The named nodes of a type, and every step over named ones that finds it."""
    for value in list_values(step_type):
        yield name(value)
    for kind in STEP_KINDS.values():
        if kind.output == step_type and kind.english.noun:
            yield PlanNode(kind.name, tuple(name(list_values(given)[0]) for given in kind.inputs))


def list_plans(kind: StepKind) -> Iterator[PlanNode]:
    """The step with each node in each place. Two places never have the same value; and where a step
    is a sentence of its own, the other place has no step: one reference would mean either."""
    for nodes in itertools.product(*map(list_nodes, kind.inputs)):
        steps = [node for node in nodes if not node.is_named]
        is_clear = len(steps) < 2 or all(node.step_kind.chinese.noun for node in steps)
        if len(set(nodes)) == len(nodes) and is_clear:
            yield PlanNode(kind.name, nodes)


# --- completeness ---------------------------------------------------------------------


def list_placeholders(form: str) -> set[str]:
    return set(re.findall(r"\{\d\}", form))


def test_every_kind_is_worded_in_chinese() -> None:
    """What English nests in a phrase may be a sentence of its own in Chinese."""
    missing = [
        kind.name
        for kind in STEP_KINDS.values()
        if (kind.english.question and not kind.chinese.question)
        or (kind.english.noun and not (kind.chinese.noun or kind.chinese.statement))
        or (kind.english.statement and not kind.chinese.statement)
        or (kind.chinese.statement and not kind.chinese.reference)
    ]

    assert missing == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_form_names_every_input_once(language: Language) -> None:
    wrong = [
        f"{kind.name}: {form}"
        for kind in STEP_KINDS.values()
        for part in PARTS
        for form in getattr(kind.wording(language), part)
        if sorted(re.findall(r"\{(\d)\}", form)) != [str(n) for n in range(len(kind.inputs))]
    ]

    assert wrong == []


def test_chinese_says_another_where_english_does() -> None:
    wrong = [
        f"{kind.name}.{part}"
        for kind in STEP_KINDS.values()
        for part in PARTS
        if any(re.search(r"\b(?:an)?other\b", form) for form in getattr(kind.english, part))
        and not all("另" in form or "其他" in form for form in getattr(kind.chinese, part))
    ]

    assert wrong == []


def test_chinese_sentences_are_punctuated_as_chinese() -> None:
    wrong = [
        form
        for kind in STEP_KINDS.values()
        for part, end in (("statement", "。"), ("question", "？"))
        for form in getattr(kind.chinese, part)
        if not form.endswith(end) or re.search(r"[,;?!()]", form.replace("submission class", ""))
    ]

    assert wrong == []


# --- reading back ---------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", ASKING, ids=[kind.name for kind in ASKING])
def test_what_is_written_is_read_as_the_same_plan(kind: StepKind, language: Language) -> None:
    mentions = MENTIONS[language]
    for plan, form in itertools.product(list_plans(kind), range(4)):
        text = write_question(plan, mentions, language, form)

        assert [read.plan for read in read_question(text, mentions, language)] == [plan], text


@st.composite
def draw_plan(draw: st.DrawFn) -> PlanNode:
    """A chain of up to five steps."""
    kind = draw(st.sampled_from(ASKING))
    return PlanNode(kind.name, draw_inputs(draw, kind, depth=4))


def draw_inputs(draw: st.DrawFn, kind: StepKind, depth: int) -> tuple[PlanNode, ...]:
    inputs = []
    for place, step_type in enumerate(kind.inputs):
        kinds = [k for k in STEP_KINDS.values() if k.output == step_type and k.english.noun]
        # A chain goes on in one place only.
        if depth and kinds and place == 0 and draw(st.booleans()):
            earlier = draw(st.sampled_from(kinds))
            inputs.append(PlanNode(earlier.name, draw_inputs(draw, earlier, depth - 1)))
        else:
            inputs.append(name(list_values(step_type)[place % len(list_values(step_type))]))
    return tuple(inputs)


@given(draw_plan(), st.sampled_from(LANGUAGES), st.integers(0, 11))
@settings(max_examples=300, deadline=None)
def test_chains_are_read_as_the_same_plan(plan: PlanNode, language: Language, form: int) -> None:
    mentions = MENTIONS[language]
    text = write_question(plan, mentions, language, form, as_of="2019-07-01")
    readings = read_question(text, mentions, language)

    assert [read.plan for read in readings] == [plan], text
    assert readings[0].as_of == word_date("2019-07-01", language)


def test_a_long_chain_is_several_chinese_sentences() -> None:
    plan = name("NCT:NCT05246267")
    for step in ("drug_of_trial", "first_application_for_drug", "sponsor_of_application"):
        plan = PlanNode(step, (plan,))

    text = write_question(plan, MENTIONS["zh"], "zh", form=0, as_of="2019-07-01")

    assert text == (
        "临床试验NCT05246267所研究的药物首次获FDA批准时凭的是一份上市申请。"
        "截至2019年7月1日，据Drugs@FDA，该申请由哪家公司持有？"
    )


def test_a_phrase_within_another_one_gets_a_sentence_of_its_own() -> None:
    drug = PlanNode("drug_of_trial", (name("NCT:NCT05246267"),))
    latest = PlanNode("latest_application_for_drug", (drug, name("VALUE:date/2019-07-01")))
    plan = PlanNode("sponsor_of_application", (latest,))

    text = write_question(plan, MENTIONS["en"], "en", form=0, as_of="2019-07-01")

    assert text == (
        "Trial NCT05246267 studied a single drug. As of 1 July 2019, which company does Drugs@FDA "
        "list as the sponsor of the latest NDA or BLA in Drugs@FDA on that date with that drug as "
        "its only active ingredient?"
    )
    assert plan in [read.plan for read in read_question(text, MENTIONS["en"], "en")]


def test_a_date_that_the_sentence_before_names_is_not_said_twice() -> None:
    latest = PlanNode(
        "latest_application_for_drug", (name("DRUGBANK:DB15233"), name("VALUE:date/2019-07-01"))
    )
    plan = PlanNode("sponsor_of_application", (latest,))
    mentions = MENTIONS["zh"]

    same = write_question(plan, mentions, "zh", form=2, as_of="2019-07-01")
    other = write_question(plan, mentions, "zh", form=2, as_of="2025-04-08")

    assert "。截至当日，" in same
    assert "。截至2025年4月8日，" in other
    for text, as_of in ((same, "2019年7月1日"), (other, "2025年4月8日")):
        read = read_question(text, mentions, "zh")
        assert [(r.plan, r.as_of) for r in read] == [(plan, as_of)]


def test_a_name_may_contain_what_stands_between_two_inputs() -> None:
    mentions = MENTIONS["en"]
    hospital = name("INSTITUTION:boston childrens hospital")
    acronym = name(make_value_id(LiteralValue("text", "CAR-T trial sponsored by us")))
    plan = PlanNode("start_of_trial", (PlanNode("trial_by_acronym", (acronym, hospital)),))

    text = write_question(plan, mentions, "en", form=1)

    assert text == (
        "On what date did the CAR-T trial sponsored by us trial sponsored by Boston Children's "
        "Hospital begin?"
    )
    assert plan in [read.plan for read in read_question(text, mentions, "en")]
