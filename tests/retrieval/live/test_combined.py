"""The index and the live sources together."""

import json
from pathlib import Path
from typing import Any

import pytest
from retrieval.live.test_searcher import PAPERS, live, serve_pubmed
from support.live_services import Services, answers
from support.pubmed_xml import document
from support.small_index import KRABBE, build_index

from medr_ray.core.config import ModelsConfig, RetrievalConfig
from medr_ray.core.errors import DataError
from medr_ray.retrieval import Document, RetrievalHit, Retriever
from medr_ray.retrieval.live import combine_searchers
from medr_ray.retrieval.live.combined import CombinedSearcher, merge_hits

OLD = Document(
    "PMID:2",
    "pubmed",
    "A guideline",
    "A guideline\nTrametinib as the index has it.",
    2019,
    ("D017065",),
    False,
    "J",
)


def open_combined(folder: Path, web: Services, results: int = 5) -> CombinedSearcher:
    index = build_index(folder, [KRABBE, OLD])
    local = Retriever.open(index, RetrievalConfig(mode="text", results=results), ModelsConfig())
    searcher = combine_searchers(local, live(web, "pubmed", results=results), results)
    assert isinstance(searcher, CombinedSearcher)
    return searcher


def make_hit(key: str, score: float) -> RetrievalHit:
    return RetrievalHit(key, "pubmed", "", "", 0.0, 0.0, score)


def test_without_live_sources_the_index_is_all_there_is(tmp_path: Path) -> None:
    local = Retriever.open(
        build_index(tmp_path, [KRABBE]), RetrievalConfig(mode="text"), ModelsConfig()
    )
    assert combine_searchers(local, None, 3) is local


def test_what_both_have_is_there_once(tmp_path: Path, web: Services) -> None:
    serve_pubmed(web, *PAPERS)
    hits = open_combined(tmp_path, web).medical_search("trametinib melanoma")
    ids = [hit.document_id for hit in hits]
    assert sorted(ids) == ["PMID:1", "PMID:2", "PMID:3"]
    assert "as the index has it" in next(hit.snippet for hit in hits if hit.document_id == "PMID:2")


def test_no_more_than_results(tmp_path: Path, web: Services) -> None:
    serve_pubmed(web, *PAPERS)
    assert len(open_combined(tmp_path, web, results=1).medical_search("trametinib melanoma")) == 1


def test_a_record_that_the_query_names_stays_first(tmp_path: Path, web: Services) -> None:
    serve_pubmed(web, *PAPERS)
    hits = open_combined(tmp_path, web).medical_search("gene of Krabbe disease trametinib")
    assert hits[0].document_id == "HPO:OMIM:245200"


def test_live_sources_that_fail_leave_the_index(tmp_path: Path, web: Services) -> None:
    web.on("esearch.fcgi", answers(500))
    hits = open_combined(tmp_path, web).medical_search("Krabbe disease")
    assert hits[0].document_id == "HPO:OMIM:245200"
    assert hits.notes == (
        "not every source answered: PubMed failed 1 times, at last: it answers 500",
    )


def test_search_is_the_index_alone(tmp_path: Path, web: Services) -> None:
    endpoint = web.on("esearch.fcgi", answers(500))
    assert open_combined(tmp_path, web).search("Krabbe disease")[0].document_id == "HPO:OMIM:245200"
    assert endpoint.asked == []


def test_what_was_found_can_be_read(tmp_path: Path, web: Services) -> None:
    serve_pubmed(web, *PAPERS)
    searcher = open_combined(tmp_path, web)
    assert searcher.document("PMID:1") is None
    searcher.medical_search("trametinib")
    live_document, stored_document = searcher.document("PMID:1"), searcher.document("PMID:2")
    assert live_document is not None
    assert "One patient" in live_document.text
    assert stored_document is not None
    assert "as the index has it" in stored_document.text


def test_an_index_that_fails_is_not_hidden(web: Services) -> None:
    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise DataError("no index here")

    web.on("esearch.fcgi", json.dumps({"esearchresult": {"idlist": ["1"]}}).encode())
    web.on("efetch.fcgi", document(PAPERS[0]))
    with pytest.raises(DataError, match="no index here"):
        CombinedSearcher(Broken(), live(web, "pubmed"), 3).medical_search("trametinib")


def test_neither_list_is_reordered() -> None:
    named_first = [make_hit("named", 0.2), make_hit("b", 0.7), make_hit("c", 0.1)]
    other = [make_hit("x", 0.9), make_hit("y", 0.5), make_hit("b", 0.4)]
    assert [hit.document_id for hit in merge_hits(named_first, other)] == [
        "x",
        "named",
        "b",
        "y",
        "c",
    ]
