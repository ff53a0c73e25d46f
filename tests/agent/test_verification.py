"""Rounds of verification: what counts as checking a candidate, and what does not."""

import pytest
from support.agent_run import Echo, call, run

from medr_ray.agent.answer_checks import VerificationCount, count_verification
from medr_ray.core.records import Trajectory
from medr_ray.tools.base import ToolResult

QUESTION = "Which disease with infantile onset is caused by mutations of GALC?"


class Library(Echo):
    """Every query finds the document named by its first word; its text is the query."""

    async def _answer(self, query: str) -> ToolResult:
        await super()._answer(query)
        document = f"PMID:{query.split()[0]}"
        return ToolResult(f"[1] t ({document}): {query}", (document,))


def answered(*lines: str, answer: str = "Krabbe disease", **agent: int) -> Trajectory:
    last = f"<think>checked</think><answer>{answer}</answer>"
    return run(*lines, last, tools=[Library()], text=QUESTION, **{"max_tool_calls": 20, **agent})


def test_asking_for_the_candidate_with_the_questions_words_is_a_round() -> None:
    trajectory = answered(
        call("disease of GALC"),
        call("infantile onset Krabbe disease", thought="Candidate: Krabbe disease"),
    )
    assert count_verification(trajectory) == VerificationCount(
        rounds=1, checks=1, further_documents=1
    )


def test_calls_side_by_side_are_one_round() -> None:
    trajectory = answered(
        call("disease of GALC"),
        call(
            "infantile onset Krabbe disease",
            "GALC Krabbe disease",
            thought="The answer is likely Krabbe disease.",
        ),
        call("mutations in Krabbe disease", thought="once more"),
    )
    assert count_verification(trajectory) == VerificationCount(
        rounds=2, checks=3, further_documents=3
    )


def test_a_thought_that_names_what_becomes_the_answer_has_stated_it() -> None:
    trajectory = answered(
        call("a"), call("onset of Krabbe disease", thought="It looks like Krabbe disease to me.")
    )
    assert count_verification(trajectory).rounds == 1


def test_a_candidate_that_was_dropped_was_checked_too() -> None:
    trajectory = answered(
        call("infantile onset Tay-Sachs disease", thought="Candidate: Tay-Sachs disease")
    )
    assert count_verification(trajectory).rounds == 1


@pytest.mark.parametrize(
    "lines",
    [
        [
            call("disease with infantile onset"),
            call("Krabbe disease infantile onset"),
        ],  # no thought names the candidate
        [
            call(
                "Krabbe disease infantile onset", name="browse", thought="Candidate: Krabbe disease"
            )
        ],  # it failed
        [call("weather in Rome", thought="Candidate: Krabbe disease")],
    ],
)
def test_what_is_no_check(lines: list[str]) -> None:
    assert count_verification(answered(*lines)) == VerificationCount(0, 0, 0)


@pytest.mark.parametrize(
    ("query", "rounds"), [("Krabbe disease", 0), ("Krabbe disease mutations", 1)]
)
def test_a_query_that_finds_nothing_checks_only_what_it_asks_of_the_candidate(
    query: str, rounds: int
) -> None:
    class Empty(Echo):
        async def _answer(self, query: str) -> ToolResult:
            return ToolResult("No results.")

    trajectory = run(
        call(query, thought="Candidate: Krabbe disease"), tools=[Empty()], text=QUESTION
    )
    assert count_verification(trajectory) == VerificationCount(rounds, rounds, 0)


def test_another_document_that_names_the_candidate_confirms_it() -> None:
    class Unasked(Library):
        async def _answer(self, query: str) -> ToolResult:
            return ToolResult("it is Krabbe disease", (f"PMID:{query}",))

    lines = call("1"), call("2", thought="Candidate: Krabbe disease"), call("1", thought="again")
    trajectory = run(*lines, tools=[Unasked()], text=QUESTION)
    assert count_verification(trajectory) == VerificationCount(
        rounds=1, checks=1, further_documents=1
    )


def test_an_identical_call_verifies_nothing() -> None:
    query = "infantile onset Krabbe disease"
    trajectory = answered(call(query), call(query, thought="Candidate: Krabbe disease"))
    assert trajectory.tool_events[1].repeated
    assert count_verification(trajectory).rounds == 0


def test_the_next_hop_of_a_question_is_no_verification() -> None:
    trajectory = answered(
        call("gene with mutations"),
        call("infantile onset of GALC", thought="gene of it = GALC. I need its disease."),
        "<think>disease of GALC = Krabbe disease.</think><answer>Krabbe disease</answer>",
    )
    assert count_verification(trajectory).rounds == 0


def test_an_answer_that_stands_in_the_question_is_not_stated_by_naming_it() -> None:
    trajectory = answered(call("mutations of GALC", thought="I look at GALC."), answer="GALC")
    assert count_verification(trajectory).rounds == 0


def test_a_name_that_holds_the_answer_as_a_part_does_not_name_it() -> None:
    longer = "Fetal and neonatal thrombocytopenia"
    trajectory = answered(
        call("disease of GALC"),
        call(f"mutations of {longer}", thought=f"disease of GALC = {longer}. Go on."),
        answer="Neonatal thrombocytopenia",
    )
    assert count_verification(trajectory).rounds == 0


DATES = "When was the first generic of carteolol approved?"


class Registry(Echo):
    """Queries find the record of their first word; the text of all says one date."""

    async def _answer(self, query: str) -> ToolResult:
        document = f"FDA:{query.split()[0]}"
        return ToolResult(f"[1] x ({document}): approval date: 2000-01-03", (document,))


class Reader(Registry):
    def __init__(self) -> None:
        super().__init__("read")


def dated(*lines: str, answer: str = "3 January 2000") -> Trajectory:
    last = f"<think>checked</think><answer>{answer}</answer>"
    tools = [Registry(), Reader()]
    return run(*lines, last, tools=tools, text=DATES, max_tool_calls=20)


def test_a_date_is_confirmed_by_a_further_document_in_any_spelling() -> None:
    trajectory = dated(call("A1"), call("A2", thought="Candidate: 3 January 2000."))
    assert count_verification(trajectory) == VerificationCount(1, 1, 1)


def test_reading_the_record_itself_is_a_check() -> None:
    stated = "Candidate: 3 January 2000."
    read = dated(call("A1"), call("A1", name="read", thought=stated))
    assert count_verification(read) == VerificationCount(1, 1, 0)
    searched = dated(call("A1"), call("A1 more", thought=stated))
    assert count_verification(searched).rounds == 0, "the same document once more"


def test_a_count_is_checked_by_a_further_document_on_the_question() -> None:
    stated = "Candidate: 5"
    lines = call("A1 generic"), call("A2 generic carteolol", thought=stated)
    assert count_verification(dated(*lines, answer="5")).rounds == 1
    for other in ("A1 generic carteolol", "A2 weather"):
        lines = call("A1 generic"), call(other, thought=stated)
        assert count_verification(dated(*lines, answer="5")).rounds == 0
