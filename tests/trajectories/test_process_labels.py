"""What each reply did for the question, on dialogues of a few calls."""

import json
from dataclasses import replace

from support.questions import make_question

from medr_ray.agent.protocol import ToolCall, render_reply, render_responses
from medr_ray.core.records import Message, QuestionStep, ToolEvent, Trajectory, Usage
from medr_ray.trajectories.process_labels import label_replies, list_needed_facts

NAMED = QuestionStep("named", (), "PATENT:US11426348", "patent", "11426348")
APPLICATION = QuestionStep(
    "application_of_patent", (0,), "FDA:NDA022496", "application", "NDA 022496"
)
DATE = QuestionStep(
    "last_patent_expiry_of_application", (1,), "VALUE:date/2044-07-02", "date", "2 July 2044"
)
QUESTION = replace(make_question(1, answer="2 July 2044"), steps=(NAMED, APPLICATION, DATE))
PATENT_LINE = "[1] NDA022496 (ORANGE-BOOK:NDA022496): patent no: 11426348"
DATE_LINE = "[1] NDA022496 (ORANGE-BOOK:NDA022496): expiry: Jul 2, 2044"
OTHER_LINE = "[1] a record (FDA:NDA022496): patent expiry 2044-07-02"


def labels(*turns: tuple[str, str, str, tuple[str, ...]], question=QUESTION) -> list[list[str]]:
    """Turns as (thought, query, response, documents); an "error: …" is a failure. An answer ends
    the dialogue."""
    messages, events = [Message("system", "s"), Message("user", "When expires 11426348?")], []
    for thought, query, response, documents in turns:
        messages.append(
            Message("assistant", render_reply(thought, [ToolCall("search", {"query": query})]))
        )
        messages.append(Message("user", render_responses([response])))
        status = "error" if response.startswith("error") else "ok"
        arguments = json.dumps({"query": query})
        events.append(ToolEvent("search", arguments, status, 0.1, False, documents=documents))
    answer = question.task.answer
    messages.append(Message("assistant", render_reply("that is it", answer=answer)))
    trajectory = Trajectory(
        "traj-1",
        question.task.task_id,
        "guided",
        0,
        tuple(messages),
        (),
        tuple(events),
        (),
        answer,
        "answered",
        Usage(0, 0, 0),
        None,
    )
    return [list(entry.labels) for entry in label_replies(trajectory, question)]


BOOK = ("ORANGE-BOOK:NDA022496",)
ASK_PATENT = ("look", "patent 11426348", PATENT_LINE, BOOK)
ASK_DATE = ("look", "NDA022496 expiry", DATE_LINE, BOOK)


def test_values_are_found_in_any_spelling_and_the_answer_does_nothing() -> None:
    assert labels(ASK_PATENT, ASK_DATE) == [["found_needed_fact"], ["found_needed_fact"], []]


def test_a_failure_is_an_error_and_other_words_recover_from_it() -> None:
    failed = ("look", "patent 11426348", "error: down", ())
    other_words = ("again", "application of 11426348", PATENT_LINE, BOOK)
    assert labels(failed, other_words)[:2] == [["error"], ["found_needed_fact", "recovery"]]
    assert labels(failed, ASK_PATENT)[1] == ["found_needed_fact"], "the same call is a retry"


def test_what_was_returned_before_is_redundant() -> None:
    again = ("look", "the patent 11426348", PATENT_LINE, BOOK)
    assert labels(ASK_PATENT, again, ASK_DATE)[1] == ["redundant"]


def test_a_further_document_that_names_the_candidate_is_a_verification() -> None:
    check = ("Candidate: 2 July 2044. I check it.", "NDA022496", OTHER_LINE, ("FDA:NDA022496",))
    assert labels(ASK_PATENT, ASK_DATE, check)[2] == ["verification"]


def test_a_short_value_needs_what_it_is_about_beside_it() -> None:
    drug = QuestionStep("named", (), "DRUGBANK:DB1", "drug", "anakinra")
    score = QuestionStep("score_of_drug", (0,), "VALUE:category/C", "category", "C")
    question = replace(make_question(1, answer="C"), steps=(drug, score))
    other = ("look", "scores", "[1] Vitamin C (LIVERTOX:1): x", ("LIVERTOX:1",))
    right = ("look", "anakinra", "[1] Anakinra (LIVERTOX:2): score: C", ("LIVERTOX:2",))
    assert labels(other, right, question=question)[:2] == [
        [],
        ["found_needed_fact"],
    ]


def test_for_a_count_each_further_document_that_names_the_entity_is_needed() -> None:
    drug = QuestionStep("named", (), "DRUGBANK:DB00747", "drug", "scopolamine")
    count = QuestionStep(
        "generic_applications_of_drug",
        (0,),
        "VALUE:number/2 applications",
        "number",
        "2 applications",
    )
    question = replace(make_question(1, answer="2 applications"), steps=(drug, count))
    assert [fact.is_stated for fact in list_needed_facts(question)] == [False]
    first = ("look", "scopolamine ANDA", "[1] SCOPOLAMINE (FDA:ANDA1): x", ("FDA:ANDA1",))
    second = ("look", "scopolamine generic", "[1] SCOPOLAMINE (FDA:ANDA2): x", ("FDA:ANDA2",))
    same = ("look", "scopolamine more", "[1] SCOPOLAMINE (FDA:ANDA2): y", ("FDA:ANDA2",))
    other = ("look", "other", "[1] ASPIRIN (FDA:ANDA3): x", ("FDA:ANDA3",))
    assert labels(first, second, same, other, question=question)[:4] == [
        ["found_needed_fact"],
        ["found_needed_fact"],
        [],
        [],
    ]
