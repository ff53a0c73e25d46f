"""What services found, ranked as the index's hits are."""

import datetime

import pytest

from medr_ray.core.config import RetrievalConfig
from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.live.ranker import LiveRanker


def paper(
    key: str, title: str, text: str = "", year: int | None = 2000, retracted: bool = False
) -> Document:
    return Document(
        f"PMID:{key}", "pubmed", title, f"{title}\n{text}", year, ("D016428",), retracted, "J"
    )


FABRY = [paper("1", "Fabry disease in men"), paper("2", "Fabry disease in women")]


def test_of_equals_the_one_that_the_service_puts_first_wins() -> None:
    ranker = LiveRanker(RetrievalConfig(), None)
    for documents in (FABRY, FABRY[::-1]):
        hits = ranker.rank_documents("Fabry disease", [documents], 1.0)
        assert [hit.document_id for hit in hits] == [document.document_id for document in documents]


def test_a_sentence_that_answers_wins_over_the_services_order() -> None:
    answer = paper("9", "Cohort", "Agalsidase beta is given at 1 mg/kg every two weeks.")
    hits = LiveRanker(RetrievalConfig(), None).rank_documents(
        "dose of agalsidase beta mg/kg", [[*FABRY, answer]], 1.0
    )
    assert hits[0].document_id == "PMID:9"
    assert "1 mg/kg" in hits[0].snippet


def test_what_is_retracted_has_no_authority() -> None:
    good, bad = paper("1", "Fabry disease"), paper("2", "Fabry disease", retracted=True)
    hits = LiveRanker(RetrievalConfig(), None).rank_documents(
        "Fabry disease therapy", [[bad], [good]], 0.4
    )
    assert [hit.document_id for hit in hits] == ["PMID:1", "PMID:2"]
    assert hits[1].authority == 0.0


@pytest.mark.parametrize(("before", "authority"), [(datetime.date(2010, 1, 1), 0.4), (None, 0.5)])
def test_age_counts_from_the_cut_off_or_the_newest(
    before: datetime.date | None, authority: float
) -> None:
    """As old as the half-life shifts nothing; new adds half of the weight."""
    ranker = LiveRanker(RetrievalConfig(recency_weight=0.2, recency_half_life=10), before)
    assert ranker.rank_documents("Fabry disease", [FABRY], 0.4)[0].authority == pytest.approx(
        authority
    )


def test_a_score_is_what_its_explanation_adds_up_to() -> None:
    for hit in LiveRanker(RetrievalConfig(), None).rank_documents(
        "Fabry disease women", [FABRY], 0.4
    ):
        assert hit.explanation.total == pytest.approx(hit.score)


def test_nothing_found_is_nothing() -> None:
    assert LiveRanker(RetrievalConfig(), None).rank_documents("Fabry", [[], []], 0.4) == []
