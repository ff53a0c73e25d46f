"""ClinicalTrials.gov: what is asked, and what is made of recorded and damaged answers."""

import asyncio
import datetime
import json
from collections.abc import Callable
from typing import Any

import pytest
from support.live_services import Services, answers

from medr_ray.core.config import LiveConfig
from medr_ray.core.errors import InfrastructureError, ToolError
from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.live.clinical_trials import ClinicalTrialsSource
from medr_ray.retrieval.live.source import LiveQuery

Record = Callable[[str], bytes]
NONE = b'{"studies": []}'


def source(web: Services) -> ClinicalTrialsSource:
    own = {"base_url": web.url, "requests_per_minute": 1e6}
    return ClinicalTrialsSource(LiveConfig.model_validate({"retries": 1, "trials": own}))


def search(
    trials: ClinicalTrialsSource,
    query: str = "Phelan-McDermid syndrome",
    count: int = 10,
    **rest: Any,
) -> list[Document]:
    return asyncio.run(trials.find_documents(LiveQuery(query, count, **rest)))


def test_recorded_studies_become_documents(web: Services, record: Record) -> None:
    web.on("studies", record("ctgov/search_phelan_limit5_20260811.json"))
    studies = search(source(web))
    assert len(studies) == 5
    assert studies[0].document_id == "NCT:NCT02710084"
    assert studies[0].evidence == "registration"
    assert "intranasal oxytocin" in studies[0].text


def test_no_more_are_taken_than_asked_for(web: Services, record: Record) -> None:
    path = web.on("studies", record("ctgov/search_phelan_limit5_20260811.json"))
    assert len(search(source(web), count=2)) == 2
    assert path.asked[0].args["pageSize"] == "2"


def test_what_the_registry_is_asked(web: Services) -> None:
    path = web.on("studies", NONE)
    search(
        source(web),
        'AREA[Phase]PHASE3 AND (lung) NOT "x"',
        since=2001,
        before=datetime.date(2020, 1, 1),
        types=("trial",),
    )
    args = path.asked[0].args
    assert args["query.term"] == "area phase phase3 and lung not x"
    assert args["filter.advanced"] == "AREA[LastUpdatePostDate]RANGE[2001-01-01,2019-12-31]"
    assert (args["aggFilters"], args["sort"]) == ("results:with", "@relevance")
    assert "ContactsLocationsModule" not in args["fields"]


def test_without_years_nothing_is_filtered(web: Services) -> None:
    path = web.on("studies", NONE)
    search(source(web), types=("trial", "registration"))
    assert {"filter.advanced", "aggFilters"}.isdisjoint(path.asked[0].args)


def test_a_question_of_many_words_is_asked_more_loosely(web: Services, record: Record) -> None:
    path = web.on("studies", NONE, NONE, record("clinicaltrials/search.json"))
    assert [
        document.document_id for document in search(source(web), "Which is the drug for BRAF?")
    ] == ["NCT:NCT41300001"]
    assert [request.args["query.term"] for request in path.asked] == [
        "which is the drug for braf",
        "drug braf",
        "drug OR braf",
    ]


def test_a_study_in_disorder_does_not_hide_the_others(web: Services, record: Record) -> None:
    answer = json.loads(record("ctgov/search_phelan_limit5_20260811.json"))
    answer["studies"][1:3] = [
        None,
        {"protocolSection": {"identificationModule": {"nctId": "../x"}}},
    ]
    web.on("studies", json.dumps(answer).encode())
    assert len(search(source(web))) == 3


@pytest.mark.parametrize("cut", [1, 5000])
def test_a_truncated_answer_is_a_failure(web: Services, record: Record, cut: int) -> None:
    web.on("studies", record("ctgov/search_phelan_limit5_20260811.json")[:cut])
    with pytest.raises(
        InfrastructureError, match=r"ClinicalTrials\.gov failed 2 times, at last: its answer cannot"
    ):
        search(source(web))


def test_a_refused_query_is_the_agents_to_change(web: Services) -> None:
    web.on("studies", answers(400, "query.term: too complicated"))
    with pytest.raises(
        ToolError,
        match=r"ClinicalTrials\.gov refuses the query \(400\): query\.term: too complicated",
    ):
        search(source(web))
