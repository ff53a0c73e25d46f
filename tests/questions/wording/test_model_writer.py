"""A model's wording of questions: what it may say, what it is shown, and an endpoint that
misbehaves."""

import json
import re
from collections.abc import Sequence
from pathlib import Path as Folder

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
from support.rewrites import REWRITES, SET_ASIDE, Rewrite, rewrites_table

from medr_ray.core.errors import InfrastructureError
from medr_ray.core.prompts import read_prompt
from medr_ray.core.records import Language
from medr_ray.core.run import Directory
from medr_ray.llm.client import ChatClient
from medr_ray.questions.wording.back_reading import RulesBackReader
from medr_ray.questions.wording.mentions import Mentions
from medr_ray.questions.wording.model_writer import Draft, ModelWriter, WrittenQuestion

LANGUAGES: tuple[Language, ...] = ("en", "zh")
BY_NAME = {case.name: case for case in REWRITES}


def back_reader(language: Language = "en") -> RulesBackReader:
    table = rewrites_table()
    return RulesBackReader(table, Mentions(table, language), language)


def writer(client: ChatClient, language: Language = "en") -> ModelWriter:
    return ModelWriter(client, back_reader(language), language, "m")


def json_reply(text: str) -> str:
    return json.dumps({"question": text})


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh_governor(monkeypatch)


def write(
    cases: Sequence[Rewrite], texts: Sequence[str], language: Language = "en"
) -> list[WrittenQuestion]:
    """What becomes of drafts for which the model replies with the texts."""
    drafts = [case.draft(language) for case in cases]
    plan = {draft.plain: [json_reply(text)] for draft, text in zip(drafts, texts, strict=True)}
    with endpoint(plan) as server:
        return writer(server.client(), language).write(drafts)


# --- what a text may say --------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_natural_rewrites_pass(language: Language) -> None:
    texts = [case.natural[language] for case in REWRITES]
    assert len(texts) == 20
    assert write(REWRITES, texts, language) == [WrittenQuestion(text) for text in texts]


@pytest.mark.parametrize("language", LANGUAGES)
def test_changed_meanings_are_refused_with_a_reason(language: Language) -> None:
    texts = [case.changed[language] for case in REWRITES]
    written = write(REWRITES, texts, language)
    assert [question.text for question in written] == texts, "kept to be looked at"
    assert [
        (case.name, question.text)
        for case, question in zip(REWRITES, written, strict=True)
        if not re.match("(?:back_reading|no_leak): .", question.problem)
    ] == []


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        (
            "d10",
            "What is the mode of inheritance of Camurati-Engelmann disease?",
            "asks for “inheritance_of_disease”, the draft for “gene_of_disease”",
        ),
        (
            "d01",
            "As of 1 July 2019, which company is the sponsor of the drug studied in NCT03280550?",
            "the step “first_application_for_drug” is missing",
        ),
        (
            "d09",
            "What LiverTox likelihood score does fostamatinib have, which US patent 8211889 "
            "protects in the Orange Book of 8 April 2025?",
            'names "fostamatinib", which is hidden',
        ),
        ("d18", "Which did the FDA not approve first, gemcitabine or erlotinib?", "“not”"),
        ("d18", "Which did the FDA approve first, gemcitabine or dacomitinib?", "DRUGBANK:DB11963"),
        ("d06", "How many of the 300 people invited took part in the ADAPT trial?", '"300"'),
        ("d10", "Which gene is mutated in Camurati-Engelmann disease? And where?", "one question"),
        ("d10", "Tell me the gene that is mutated in Camurati-Engelmann disease.", "one question"),
        ("d10", "Which gene causes Camurati-Engelmann disease in boys?", "“boys” has no place"),
        ("d10", f"Which gene is mutated in {'the same ' * 50}Camurati-Engelmann disease?", "words"),
        ("d10", "Look here. See it. Which gene is mutated in Camurati-Engelmann disease?", "form"),
    ],
)
def test_why_a_text_is_refused(name: str, text: str, problem: str) -> None:
    (written,) = write([BY_NAME[name]], [text])
    assert problem in written.problem


def test_a_number_may_be_grouped() -> None:
    case = BY_NAME["d09"]
    text = case.natural["en"].replace("8211889", "8,211,889")
    assert text != case.natural["en"]
    assert write([case], [text]) == [WrittenQuestion(text)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_most_of_the_texts_that_were_set_aside_are_judged_rightly(language: Language) -> None:
    natural = write(SET_ASIDE, [case.natural[language] for case in SET_ASIDE], language)
    changed = write(SET_ASIDE, [case.changed[language] for case in SET_ASIDE], language)
    assert all(question.problem for question in changed)
    assert sum(not question.problem for question in natural) >= 10


# --- what the model is shown ----------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_model_is_shown_the_plain_wording_and_nothing_hidden(language: Language) -> None:
    with endpoint({"": [json_reply("Which is it, then?")]}) as server:
        write_with = writer(server.client(), language)
    examples = read_prompt("medr_ray.questions", "examples", language).strip()
    for case in REWRITES:
        prompt = write_with.format_prompt(case.draft(language))
        assert case.plain[language] in prompt
        own = prompt.replace(case.plain[language], "").replace(examples, "")
        shown_names = [name for name in case.hidden if len(name) > 3 and name in own]
        assert shown_names == []
        assert ("45" if language == "en" else "90") in prompt or case.plan.hops > 4


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_examples_in_the_prompt_would_pass(language: Language) -> None:
    lines = read_prompt("medr_ray.questions", "examples", language).splitlines()
    good = [line.partition(": " if language == "en" else "：")[2] for line in lines[1::3]]
    assert len(good) == 5
    readings = back_reader(language).read(good)
    assert [(text, reading.problem) for text, reading in zip(good, readings, strict=True)] == [
        (text, "") for text in good
    ]


# --- what an endpoint may do ----------------------------------------------------------

FIRST, SECOND = (BY_NAME[name].draft("en") for name in ("d18", "d10"))
GOOD, ALSO_GOOD = (BY_NAME[name].natural["en"] for name in ("d18", "d10"))
BAD_REPLIES = [
    "no JSON",
    '{"question": ',
    '{"question": ""}',
    '{"answer": "TGFB1"}',
    "null",
    Half(json_reply(GOOD)[:-20]),
    Half(""),
]


@pytest.mark.parametrize("bad", BAD_REPLIES)
def test_a_question_that_stays_unwritten_says_why_and_spoils_no_other(bad: Line) -> None:
    plan: dict[str, Sequence[Line]] = {FIRST.plain: [bad], SECOND.plain: [json_reply(ALSO_GOOD)]}
    with endpoint(plan) as server:
        lost, kept = writer(server.client()).write([FIRST, SECOND])
        assert kept == WrittenQuestion(ALSO_GOOD)
        assert lost.text == "", "nothing is made up in its place"
        assert lost.problem.startswith("writer: the reply")
        assert server.requests == 3


@pytest.mark.parametrize(
    "failing", [[broken()], [Hang()], [slow_down(0.01)], [broken(), slow_down(0), Hang()]]
)
def test_an_endpoint_that_recovers_costs_nothing(failing: list[Line]) -> None:
    plan = {FIRST.plain: [*failing, json_reply(GOOD)], SECOND.plain: [json_reply(ALSO_GOOD)]}
    with endpoint(plan) as server:
        client = server.client(timeout_seconds=SHORT, retries=3)
        assert writer(client).write([FIRST, SECOND]) == [
            WrittenQuestion(GOOD),
            WrittenQuestion(ALSO_GOOD),
        ]
        assert server.requests == len(failing) + 2


def test_a_pause_that_is_asked_for_is_kept_by_all(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    with endpoint({FIRST.plain: [slow_down(7), json_reply(GOOD)]}) as server:
        mine = writer(server.client())
        assert mine.write([FIRST]) + mine.write([FIRST]) == [WrittenQuestion(GOOD)] * 2
        assert server.requests == 3
    assert clock.granted[0] == 0
    assert min(clock.granted[1:]) >= 7


@pytest.mark.parametrize("failing", [Hang(), broken(), slow_down(3600)])
def test_an_endpoint_that_stays_down_ends_the_writing_and_what_was_written_is_not_asked_again(
    failing: Line, tmp_path: Folder
) -> None:
    run = Directory(str(tmp_path))
    plan: dict[str, Sequence[Line]] = {
        FIRST.plain: [json_reply(GOOD)],
        SECOND.plain: [failing, failing, json_reply(ALSO_GOOD)],
    }
    with endpoint(plan) as server:
        patient, hasty = server.client(run), server.client(run, timeout_seconds=SHORT, retries=0)
        assert writer(patient).write([FIRST]) == [WrittenQuestion(GOOD)]
        for _ in range(2):
            with pytest.raises(InfrastructureError):
                writer(hasty).write([FIRST, SECOND])
        assert writer(patient).write([FIRST, SECOND]) == [
            WrittenQuestion(GOOD),
            WrittenQuestion(ALSO_GOOD),
        ]
        assert len(server.asked[FIRST.plain]) == 1
        assert len(server.asked[SECOND.plain]) == 3


def test_questions_are_written_side_by_side_within_the_limit_and_come_back_in_order() -> None:
    drafts: list[Draft] = [case.draft("en") for case in REWRITES]
    plan = {case.plain["en"]: [json_reply(case.natural["en"])] for case in REWRITES}
    with endpoint(plan, hold=3) as server:
        written = writer(server.client(concurrency=3)).write(drafts)
        assert (server.at_once, server.requests) == (3, len(drafts))
    assert written == [WrittenQuestion(case.natural["en"]) for case in REWRITES]
