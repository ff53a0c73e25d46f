"""How paths read as questions, in both directions and both languages, and what a model is shown."""

import asyncio
from typing import Any

import pytest
from support.small_graph import (
    MARFAN,
    MASS,
    STICKLER,
    fact_index_of,
    reported_relation,
    small_graph,
)

from medr_ray.core.errors import ModelError
from medr_ray.graph.facts.hops import make_walk, mark_other_hops
from medr_ray.knowledge.predicates import CHINESE_WORDING, PREDICATES
from medr_ray.questions.drafting.assembly import build_cheat_sheet
from medr_ray.questions.drafting.obfuscation import describe_start
from medr_ray.questions.drafting.question_paths import QuestionPath
from medr_ray.questions.wording.llm_writer import LLMWriter, QuestionReply
from medr_ray.questions.wording.writers import ChineseRulesWriter, Draft, EnglishRulesWriter

_GRAPH = small_graph()


def path(start: str, *relations: str) -> QuestionPath:
    hops = make_walk(start, [_GRAPH.relations[relation_id] for relation_id in relations])
    assert hops is not None
    return QuestionPath(MARFAN, "chain-m", mark_other_hops(hops, fact_index_of(_GRAPH)), True)


@pytest.mark.parametrize(
    ("start", "relations", "text"),
    [
        (MARFAN, ["inherit"], "What is the mode of inheritance of Marfan syndrome?"),
        (MARFAN, ["fbn1"], "What is the gene associated with Marfan syndrome?"),
        (MARFAN, ["lens"], "What is the finding in 3 of 7 patients with Marfan syndrome?"),
        ("GENE:COL2A1", ["col2a1"], "What is the disease associated with the gene COL2A1?"),
        (
            "GENE:COL2A1",
            ["col2a1", "detach"],
            (
                "What is the finding in 45% of patients with the disease associated with "
                "the gene COL2A1?"
            ),
        ),
        (
            MARFAN,
            ["fbn1", "fbn1-mass", "onset-mass"],
            "Begin with the gene associated with Marfan syndrome. Next, take the other "
            "disease associated with that gene. "
            "What is the age of onset of that disease?",
        ),
    ],
)
def test_english(start: str, relations: list[str], text: str) -> None:
    assert (
        EnglishRulesWriter(_GRAPH.entities).write([Draft(path(start, *relations))])[0].text == text
    )


_TREATED = small_graph(
    extra=[
        reported_relation(
            "losartan", MASS, "treated_with", "D:losartan", (1977, "American heart journal")
        ),
        reported_relation(
            "losartan-also", MARFAN, "treated_with", "D:losartan", (1990, "Chest"), (2001, "Chest")
        ),
    ]
)


@pytest.mark.parametrize(
    ("start", "relations", "text"),
    [
        (
            MASS,
            ["losartan"],
            (
                "What is the drug used in the treatment of MASS syndrome, as reported in "
                "1977 in American heart journal?"
            ),
        ),
        (
            "GENE:FBN1",
            ["fbn1-mass", "losartan"],
            "Begin with the disease associated with the gene FBN1. What is the drug "
            "used in the treatment of that disease, as "
            "reported in 1977 in American heart journal?",
        ),
        (
            "D:losartan",
            ["losartan", "onset-mass"],
            "Begin with the disease treated with Losartan, as reported in 1977 in "
            "American heart journal. What is the age of "
            "onset of that disease?",
        ),
    ],
)
def test_what_abstracts_state_is_asked_with_the_report(
    start: str, relations: list[str], text: str
) -> None:
    hops = make_walk(start, [_TREATED.relations[relation_id] for relation_id in relations])
    assert hops is not None
    assert (
        EnglishRulesWriter(_TREATED.entities)
        .write([Draft(QuestionPath(MASS, "", hops, False))])[0]
        .text
        == text
    )


def test_a_report_in_chinese_stands_behind_its_step() -> None:
    hops = make_walk(MASS, [_TREATED.relations["losartan"]])
    assert hops is not None
    assert ChineseRulesWriter(_TREATED.entities).write(
        [Draft(QuestionPath(MASS, "", hops, False))]
    )[0].text == ("用于治疗MASS syndrome的药物（据1977年《American heart journal》报道）是什么？")


def test_the_sheet_says_who_reported() -> None:
    hops = make_walk(MASS, [_TREATED.relations["losartan"]])
    assert hops is not None
    assert "is Entity_B, as reported in 1977 in American heart journal." in build_cheat_sheet(
        QuestionPath(MASS, "", hops, False), _TREATED.entities
    )


def test_chinese() -> None:
    drafts = [Draft(path("GENE:COL2A1", "col2a1", "detach")), Draft(path(MARFAN, "lens"))]
    assert [written.text for written in ChineseRulesWriter(_GRAPH.entities).write(drafts)] == [
        "与基因COL2A1相关的疾病在45%的患者中出现的表现是什么？",
        "Marfan syndrome在7名患者中3名中出现的表现是什么？",
    ]


def test_every_direction_that_can_be_asked_has_chinese_wording() -> None:
    wording = CHINESE_WORDING
    phrase_keys = {p.name for p in PREDICATES.values() if p.phrase} | {
        f"inverse:{p.name}" for p in PREDICATES.values() if p.inverse_phrase
    }
    clause_keys = {f"clause:{p.name}" for p in PREDICATES.values() if p.clause} | {
        f"clause:inverse:{p.name}"
        for p in PREDICATES.values()
        if p.inverse_clause and not p.symmetric
    }
    assert phrase_keys | clause_keys <= set(wording)


@pytest.mark.parametrize("name", sorted(PREDICATES))
def test_no_wording_has_a_hole_or_a_double_space(name: str) -> None:
    predicate = PREDICATES[name]
    phrases = [
        predicate.name_object("X", "3 of 7 patients"),
        predicate.render_sentence("X", "Y", "3 of 7 patients"),
    ]
    phrases += [predicate.name_subject("X", "3 of 7 patients")] if predicate.inverse_phrase else []
    phrases += [
        predicate.render_clause("X", forward, "3 of 7 patients") for forward in (True, False)
    ]
    assert not any(
        "  " in phrase or "{" in phrase or phrase != phrase.strip() for phrase in phrases
    )


def test_a_described_start_is_not_named_and_fits_nothing_else() -> None:
    facts = fact_index_of(_GRAPH)
    question_path = path(MARFAN, "inherit")
    description = describe_start(question_path, facts)
    assert description is not None
    assert description.find_described_entities(facts) == {MARFAN}
    text = EnglishRulesWriter(_GRAPH.entities).write([Draft(question_path, description)])[0].text
    assert "Marfan" not in text
    assert text.startswith("What is the mode of inheritance of the disease ")
    assert describe_start(path(STICKLER, "inherit-stickler"), facts) is not None


class _ScriptedModel:
    """Replies with given texts; keeps the prompts."""

    def __init__(self, *replies: str | Exception) -> None:
        self._replies, self.prompts = list(replies), []

    async def complete_json(self, messages: list[dict[str, str]], reply_type: Any) -> Any:
        self.prompts.append(messages[0]["content"])
        reply = self._replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        await asyncio.sleep(0)
        return QuestionReply(question=reply)


def test_a_model_is_never_shown_a_hidden_name() -> None:
    model = _ScriptedModel(
        "Starting from COL2A1, which finding is seen in 45% of patients with its disease?"
    )
    (written,) = LLMWriter(model, _GRAPH.entities, "en", "m").write(
        [Draft(path("GENE:COL2A1", "col2a1", "detach"))]
    )
    assert written.problem == ""
    assert "COL2A1" in model.prompts[0]
    assert "45% of patients" in model.prompts[0]
    assert "Stickler" not in model.prompts[0]
    assert "Retinal" not in model.prompts[0]


def test_what_a_model_gets_wrong_is_a_problem_of_that_question_alone() -> None:
    model = _ScriptedModel(
        ModelError("no JSON"),
        "What is the finding in most patients of COL2A1's disease?",
        "What is the finding in 45% of patients?",
        "Of what gene COL2A1 is 45% the finding?",
    )
    draft = Draft(path("GENE:COL2A1", "col2a1", "detach"))
    problems = [
        written.problem
        for written in LLMWriter(model, _GRAPH.entities, "en", "m").write([draft] * 4)
    ]
    assert problems == [
        "writer: no JSON",
        'writer: the text lacks the qualifier "45% of patients"',
        "writer: the text does not name the start",
        "",
    ]


def test_mass_is_reached_only_as_the_other_disease() -> None:
    hops = path(MARFAN, "fbn1", "fbn1-mass").hops
    assert [(hop.directed_predicate, hop.target, hop.other) for hop in hops] == [
        ("associated_gene", "GENE:FBN1", False),
        ("inverse:associated_gene", MASS, True),
    ]
