"""A model's wording of questions: what it may lose or add, and an endpoint that misbehaves."""

import json
from collections.abc import Sequence
from pathlib import Path as Folder
from typing import Any

import pytest
from support.misbehaving_endpoint import (
    SHORT,
    Clock,
    Half,
    Hang,
    Line,
    broken,
    endpoint,
    fresh_governor,
    slow_down,
)

from medr_ray.core.errors import InfrastructureError
from medr_ray.core.records import Entity
from medr_ray.core.run import Directory
from medr_ray.graph.facts.fact_index import Clause, IndexedFact
from medr_ray.graph.facts.hops import Hop
from medr_ray.llm.client import ChatClient
from medr_ray.questions.drafting.obfuscation import StartDescription
from medr_ray.questions.drafting.question_paths import QuestionPath
from medr_ray.questions.wording.llm_writer import LLMWriter
from medr_ray.questions.wording.writers import Draft, WrittenQuestion, open_rules_writer

ENTITIES = {
    entity.entity_id: entity
    for entity in (
        Entity("D1", "Marfan syndrome", "disease", ("MFS1",), "", None, True),
        Entity("D2", "Stickler syndrome", "disease", (), "", None, False),
        Entity("D3", "MASS syndrome", "disease", (), "", None, False),
        Entity("G1", "FBN1", "gene", (), "", None, False),
        Entity("G2", "COL2A1", "gene", (), "", None, False),
        Entity("G3", "WAS", "gene", (), "", None, False),
        Entity("P1", "Ectopia lentis", "phenotype", (), "", None, False),
        Entity("P2", "Retinal detachment", "phenotype", (), "", None, False),
        Entity("V1", "Congenital onset", "value", (), "", None, False),
    )
}
GENE_OF = Hop("r1", "associated_gene", True, "", "D1", "G1")
OTHER_OF = Hop("r2", "associated_gene", False, "", "G1", "D3", other=True)
DISEASE_OF = Hop("r3", "associated_gene", False, "", "G2", "D2")
FINDING_OF = Hop("r4", "has_finding", True, "45% of patients", "D2", "P2")
LENS = Clause("r5", "has_finding", True, "all patients", "P1")


def draft(*hops: Hop, description: StartDescription | None = None, **more: Any) -> Draft:
    return Draft(QuestionPath("D1", "chain", hops, True, **more), description)


FINDING = draft(DISEASE_OF, FINDING_OF)
OTHER = draft(GENE_OF, OTHER_OF)
WITH_CLAUSE = draft(Hop("r3", "associated_gene", False, "", "G2", "D2", also=(LENS,)))
MEETING = draft(GENE_OF, second=(Hop("r6", "associated_gene", True, "", "D3", "G1"),))
EARLIEST = draft(DISEASE_OF, asked="earliest")
SHARE_QUESTION = draft(
    DISEASE_OF, asked="share", about=(Clause("r7", "has_finding", True, "5 of 9 patients", "P1"),)
)
DESCRIBED = draft(
    GENE_OF,
    description=StartDescription(
        (
            IndexedFact("D1", "has_finding", "P1", "3 of 7 patients"),
            IndexedFact("D1", "presents_with", "P2", ""),
        )
    ),
)
REPORTED = draft(Hop("r8", "complicated_by", True, "reported in 1977 in Chest", "D1", "D2"))
ALL = [REPORTED, FINDING, OTHER, WITH_CLAUSE, MEETING, EARLIEST, SHARE_QUESTION, DESCRIBED]


def plain(draft: Draft, language: str = "en") -> str:
    return open_rules_writer(language, ENTITIES).write([draft])[0].text


def json_reply(text: str) -> str:
    return json.dumps({"question": text})


def writer(client: ChatClient, language: str = "en") -> LLMWriter:
    return LLMWriter(client, ENTITIES, language, "m")


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh_governor(monkeypatch)


def write(draft: Draft, text: str, language: str = "en") -> WrittenQuestion:
    """What becomes of a draft for which the model replies ``text``."""
    with endpoint({plain(draft, language): [json_reply(text)]}) as server:
        return writer(server.client(), language).write([draft])[0]


# --- what a text may say --------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_plain_wording_can_be_put_in_other_words(language: str) -> None:
    for draft in ALL:
        text = f"Please tell: {plain(draft, language)}"
        assert write(draft, text, language) == WrittenQuestion(text)


@pytest.mark.parametrize(
    ("draft", "change", "problem"),
    [
        (FINDING, ("COL2A1", "collagen"), "does not name the start"),
        (FINDING, ("COL2A1", "COL2A11"), "does not name the start"),
        (FINDING, ("45%", "most"), 'lacks the qualifier "45% of patients"'),
        (FINDING, ("45%", "4 of 5"), 'lacks the qualifier "45% of patients"'),
        (REPORTED, ("Chest", "a journal"), 'lacks the qualifier "reported in 1977 in Chest"'),
        (REPORTED, ("1977", "the seventies"), 'lacks the qualifier "reported in 1977 in Chest"'),
        (OTHER, ("other ", ""), 'does not say "the other"'),
        (WITH_CLAUSE, ("Ectopia lentis", "an eye sign"), 'does not name "Ectopia lentis"'),
        (WITH_CLAUSE, ("all patients", "patients"), 'lacks the qualifier "all patients"'),
        (MEETING, ("MASS syndrome", "another disease"), 'does not name "MASS syndrome"'),
        (EARLIEST, ("earliest", "latest"), "does not ask for the earliest"),
        (SHARE_QUESTION, ("Ectopia lentis", "it"), 'does not name "Ectopia lentis"'),
        (DESCRIBED, ("3 of 7 patients", "some"), 'lacks the qualifier "3 of 7 patients"'),
        (DESCRIBED, ("Retinal detachment", "another sign"), 'does not name "Retinal detachment"'),
    ],
)
def test_what_makes_a_question_unique_may_not_be_lost(
    draft: Draft, change: tuple[str, str], problem: str
) -> None:
    assert change[0] in plain(draft)
    text = plain(draft).replace(*change)
    written = write(draft, text)
    assert written.text == text, "kept to be looked at"
    assert problem in written.problem


@pytest.mark.parametrize(
    ("draft", "added", "problem"),
    [
        (FINDING, "It was first described in 1965.", 'adds the number "1965"'),
        (FINDING, "Think of Stickler Syndrome.", 'adds the name "Stickler syndrome"'),
        (
            FINDING,
            "Hint: retinal detachments? No: retinal detachment.",
            'adds the name "Retinal detachment"',
        ),
        (FINDING, "It is not FBN1.", 'adds the name "FBN1"'),
        (OTHER, "It has congenital onset.", 'adds the name "Congenital onset"'),
        (SHARE_QUESTION, "It is 5 of 9.", 'adds the number "5"'),
        (DESCRIBED, "It is Marfan syndrome.", "names the start, which is to be described"),
    ],
)
def test_nothing_may_be_added(draft: Draft, added: str, problem: str) -> None:
    assert problem in write(draft, f"{plain(draft)} {added}").problem


def test_a_word_is_no_gene_and_the_words_of_a_relation_are_no_name() -> None:
    text = f"{plain(FINDING)} The disease was found by the age of onset of a sign."
    assert write(FINDING, text) == WrittenQuestion(text)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_model_is_shown_all_that_is_printed_and_nothing_hidden(language: str) -> None:
    with endpoint(
        {plain(draft, language): [json_reply(plain(draft, language))] for draft in ALL}
    ) as server:
        writer(server.client(), language).write(ALL)
        prompts = {word: messages[0][0]["content"] for word, messages in server.asked.items()}
    hidden = {
        FINDING: ("Stickler", "Retinal"),
        OTHER: ("FBN1", "MASS"),
        WITH_CLAUSE: ("Stickler",),
        MEETING: ("FBN1",),
        EARLIEST: ("Stickler",),
        SHARE_QUESTION: ("Stickler", "5 of 9"),
        DESCRIBED: ("Marfan", "FBN1"),
    }
    for draft, names in hidden.items():
        assert not [name for name in names if name in prompts[plain(draft, language)]]
    assert "Second start: MASS syndrome" in prompts[plain(MEETING, language)]
    assert (
        "told of it: has_finding in all patients -> Ectopia lentis"
        in prompts[plain(WITH_CLAUSE, language)]
    )


# --- what an endpoint may do ----------------------------------------------------------

GOOD = plain(FINDING)
BAD_REPLIES = [
    "no JSON",
    '{"question": ',
    '{"question": ""}',
    '{"answer": "FBN1"}',
    "null",
    Half(json_reply(GOOD)[:-20]),
    Half(""),
]


@pytest.mark.parametrize("bad", BAD_REPLIES)
def test_a_reply_that_cannot_be_read_is_asked_for_once_more(bad: Line) -> None:
    with endpoint({GOOD: [bad, json_reply(GOOD)]}) as server:
        assert writer(server.client()).write([FINDING]) == [WrittenQuestion(GOOD)]
        assert server.requests == 2


@pytest.mark.parametrize("bad", BAD_REPLIES)
def test_a_question_that_stays_unwritten_says_why_and_spoils_no_other(bad: Line) -> None:
    with endpoint({plain(OTHER): [bad], GOOD: [json_reply(GOOD)]}) as server:
        lost, kept = writer(server.client()).write([OTHER, FINDING])
        assert kept == WrittenQuestion(GOOD)
        assert lost.text == "", "nothing is made up in its place"
        assert lost.problem.startswith("writer: the reply")
        assert server.requests == 3


@pytest.mark.parametrize(
    "failing", [[broken()], [Hang()], [slow_down(0.01)], [broken(), slow_down(0), Hang()]]
)
def test_an_endpoint_that_recovers_costs_nothing(failing: list[Line]) -> None:
    with endpoint(
        {GOOD: [*failing, json_reply(GOOD)], plain(OTHER): [json_reply(plain(OTHER))]}
    ) as server:
        written = writer(server.client(timeout_seconds=SHORT, retries=3)).write([FINDING, OTHER])
        assert written == [WrittenQuestion(GOOD), WrittenQuestion(plain(OTHER))]
        assert server.requests == len(failing) + 2


def test_a_pause_that_is_asked_for_is_kept_by_all(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    with endpoint({GOOD: [slow_down(7), json_reply(GOOD)]}) as server:
        mine = writer(server.client())
        assert mine.write([FINDING]) + mine.write([FINDING]) == [WrittenQuestion(GOOD)] * 2
        assert server.requests == 3
    assert clock.granted[0] == 0
    assert min(clock.granted[1:]) >= 7


@pytest.mark.parametrize("failing", [Hang(), broken(), slow_down(3600)])
def test_an_endpoint_that_stays_down_ends_the_writing_and_what_was_written_is_not_asked_again(
    failing: Line, tmp_path: Folder
) -> None:
    run = Directory(str(tmp_path))
    plan: dict[str, Sequence[Line]] = {
        GOOD: [json_reply(GOOD)],
        plain(OTHER): [failing, failing, json_reply(plain(OTHER))],
    }
    with endpoint(plan) as server:
        patient, hasty = server.client(run), server.client(run, timeout_seconds=SHORT, retries=0)
        assert writer(patient).write([FINDING]) == [WrittenQuestion(GOOD)]
        for _ in range(2):
            with pytest.raises(InfrastructureError):
                writer(hasty).write([FINDING, OTHER])
        assert writer(patient).write([FINDING, OTHER]) == [
            WrittenQuestion(GOOD),
            WrittenQuestion(plain(OTHER)),
        ]
        assert len(server.asked[GOOD]) == 1
        assert len(server.asked[plain(OTHER)]) == 3


def test_questions_are_written_side_by_side_within_the_limit_and_come_back_in_order() -> None:
    with endpoint({plain(draft): [json_reply(plain(draft))] for draft in ALL}, hold=3) as server:
        written = writer(server.client(concurrency=3)).write(ALL)
        assert (server.at_once, server.requests) == (3, len(ALL))
    assert written == [WrittenQuestion(plain(draft)) for draft in ALL]
