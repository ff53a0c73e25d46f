"""Authority levels, and how relevance and authority are put together."""

import pytest

from medr_ray.retrieval.authority import authority_level
from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.ranking import (
    Candidate,
    CosineCalibration,
    clinical_scores,
    lexical_relevance,
    rank_positions,
    semantic_relevance,
    vector_relevance,
)
from medr_ray.retrieval.snippets import QueryTerms

GUIDELINE, META, TRIAL, CASE, LETTER, ARTICLE = (
    "D017065",
    "D017418",
    "D016449",
    "D002363",
    "D016422",
    "D016428",
)


def document(key: str, text: str = "", title: str = "") -> Document:
    return Document(key, "pubmed", title, text, None, (), False, "")


def test_evidence_levels_keep_their_order() -> None:
    levels = [
        authority_level("pubmed", [kind, ARTICLE], False)
        for kind in (GUIDELINE, META, TRIAL, CASE, LETTER)
    ]
    assert levels == sorted(levels, reverse=True)
    assert len(set(levels)) == 5
    assert authority_level("hpo", [], False) > authority_level("pubmed", [META], False)


@pytest.mark.parametrize(("types", "retracted"), [([GUIDELINE], True), ([TRIAL, "D016441"], False)])
def test_what_was_retracted_has_no_authority(types: list[str], retracted: bool) -> None:
    assert authority_level("pubmed", types, retracted) == 0.0


def test_the_papers_score() -> None:
    assert clinical_scores([1.0, 0.9], [0.0, 1.0], 0.4) == pytest.approx([0.4, 0.96])


def test_authority_cannot_lift_what_is_off_the_topic() -> None:
    on_topic, off_topic = clinical_scores([1.0, 0.3], [0.25, 1.0], 0.4)
    assert on_topic > off_topic


def test_one_sentence_that_answers_beats_scattered_words() -> None:
    answers = document("A", "The gene of Foo is FBN1.\nOther things.")
    scattered = document("B", "A gene was sought.\nFoo occurs.\nFBN1 is long.")
    terms = QueryTerms({"gene": 1.0, "foo": 3.0, "fbn1": 6.0}, {})
    first, second = lexical_relevance(
        terms, [Candidate(answer, 5.0, None, 0) for answer in (answers, scattered)]
    )
    assert first > second


def test_agreement_of_words_and_vectors_comes_first() -> None:
    both, text, vector = (
        Candidate(document("A"), 9.0, 0.9, 0),
        Candidate(document("B"), 8.0, 0.1, 0),
        Candidate(document("C"), 0.0, 0.8, 0),
    )
    scores = [
        relevance.total
        for relevance in semantic_relevance(QueryTerms({}, {}), [vector, text, both])
    ]
    assert scores[2] > max(scores[0], scores[1])


def test_a_rare_word_outweighs_a_title_that_sounds_alike() -> None:
    names_it = Candidate(document("A", "The gene associated with Foo is SLC6A2."), 9.0, 0.2, 0)
    sounds_like_it = Candidate(document("B", "The gene associated with Bar is ABCD1."), 4.0, 0.8, 0)
    terms = QueryTerms({"gene": 1.0, "associated": 1.0, "slc6a2": 8.0}, {})
    first, second = semantic_relevance(terms, [names_it, sounds_like_it])
    assert first.total > second.total


def test_vector_mode_ranks_by_meaning_alone() -> None:
    near, far = Candidate(document("B"), 0.0, 0.9, 0), Candidate(document("A", "fbn1"), 9.0, 0.1, 0)
    first, second = vector_relevance([far, near], CosineCalibration())
    assert first.total < second.total


def test_a_cosine_means_the_same_whatever_else_was_found() -> None:
    encoder = CosineCalibration(unrelated=0.6)
    assert [encoder.relevance(cosine) for cosine in (0.3, 0.6, 0.8, 1.0)] == pytest.approx(
        [0.0, 0.0, 0.5, 1.0]
    )


def test_the_longest_named_title_comes_first_whatever_the_scores() -> None:
    long, short, none = (
        Candidate(document(key), 0.0, None, words) for key, words in (("C", 4), ("B", 2), ("A", 0))
    )
    assert rank_positions([none, short, long], [1.0, 0.5, 0.1], [1.0, 0.2, 0.9]) == [2, 1, 0]


def test_ties_are_broken_by_id() -> None:
    equal_candidates = [
        Candidate(document(key), 0.0, None, 0) for key in ("PMID:2", "PMID:10", "PMID:1")
    ]
    assert rank_positions(equal_candidates, [0.5] * 3, [0.4] * 3) == [2, 1, 0]
