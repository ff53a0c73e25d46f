"""Questions that rest on a report: articles of its years are searched, and read with the cues of
the graph stage."""

from pathlib import Path

import pytest
from support.taught import TRUE_RECORDS, record_documents, run_teacher_on_articles, thoughts_of

from medr_ray.agent.protocol import parse_reply, render_responses
from medr_ray.knowledge.predicates import PREDICATES
from medr_ray.retrieval.documents import Document
from medr_ray.trajectories.solver.notes import Fact, Notes
from medr_ray.trajectories.solver.plans import Condition

TREATED = PREDICATES["treated_with"]


def article(number: int, year: int, drug: str) -> Document:
    title = f"A trial in Marfan syndrome, number {number}"
    return Document(
        f"PMID:{number}",
        "pubmed",
        title,
        f"{title}\nWe enrolled 9 patients. Marfan syndrome was successfully treated with {drug}.",
        year,
        (),
        False,
        "Chest",
    )


def test_the_report_decides_between_articles_of_different_years(tmp_path: Path) -> None:
    library = [
        *record_documents(TRUE_RECORDS),
        article(1, 1977, "atenolol"),
        article(2, 1999, "losartan"),
    ]
    text = (
        "Begin with the disease in which 9 of 9 patients show Tall stature. What is "
        "the drug used in the treatment "
        "of that disease, as reported in 1999 in Chest?"
    )
    trajectory = run_teacher_on_articles(tmp_path, library, text)
    assert trajectory.answer == "Losartan"
    last = [
        call
        for message in trajectory.messages
        if message.role == "assistant"
        for call in parse_reply(message.content).calls
    ][-1]
    assert last.arguments["source"] == "pubmed"
    assert (last.arguments["since"], last.arguments["until"]) == (1999, 1999)
    assert "as reported in 1999 in Chest" in thoughts_of(trajectory)[-1]


@pytest.mark.parametrize(
    ("years", "qualifier", "is_supported"),
    [
        ((1977, 1977), "reported in 1977 in Chest", True),
        ((1975, 1979), "reported between 1975 and 1979 in a journal of cardiology", True),
        ((1977, 1977), "reported in 1980 in Chest", False),
        (None, "reported in 1977 in Chest", False),
        (None, "", True),
    ],
)
def test_a_report_counts_only_when_its_years_were_searched(
    years: tuple[int, int] | None,
    qualifier: str,
    is_supported: bool,
) -> None:
    notes = Notes(
        lambda document, title, text: [
            Fact("treated_with", "Marfan syndrome", "Losartan", "some patients")
        ]
    )
    notes.read(render_responses(["[1] A trial (PMID:7): It helped."]), years)
    condition = Condition(TREATED, False, qualifier, "Marfan syndrome")
    assert notes.supports(condition, "Losartan") is is_supported


def test_without_a_reader_articles_are_ignored() -> None:
    notes = Notes()
    assert (
        notes.read(
            render_responses(["[1] A trial (PMID:7): Marfan syndrome was treated with losartan."])
        )
        == 0
    )
