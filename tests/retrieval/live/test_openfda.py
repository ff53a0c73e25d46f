"""openFDA: what is asked, and what is made of recorded and damaged answers."""

import asyncio
import datetime
import gzip
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.live_services import KEY, Services, answers

from medr_ray.core.config import LiveConfig
from medr_ray.core.errors import InfrastructureError
from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.live.openfda import FdaApprovalsSource, FdaLabelsSource
from medr_ray.retrieval.live.source import LiveQuery

Record = Callable[[str], bytes]
LABELS, APPROVALS = "drug/label.json", "drug/drugsfda.json"
NO_MATCHES = '{"error": {"code": "NOT_FOUND", "message": "No matches found!"}}'
IMATINIB = "openfda/drugsfda_imatinib_20260811.json"


def config(web: Services) -> LiveConfig:
    return LiveConfig.model_validate(
        {
            "retries": 1,
            "openfda": {
                "base_url": web.url,
                "api_key_env": "SERVICE_TEST_KEY",
                "requests_per_minute": 1e6,
            },
        }
    )


def search(
    fda_source: FdaLabelsSource | FdaApprovalsSource,
    query: str = "imatinib",
    count: int = 20,
    **rest: Any,
) -> list[Document]:
    return asyncio.run(fda_source.find_documents(LiveQuery(query, count, **rest)))


def test_a_recorded_application_becomes_a_document(web: Services, record: Record) -> None:
    web.on(APPROVALS, record(IMATINIB))
    gleevec = search(FdaApprovalsSource(config(web)))[0]
    assert (gleevec.document_id, gleevec.source, gleevec.year) == (
        "FDA:NDA021588",
        "fda_approvals",
        2003,
    )
    assert gleevec.title == "GLEEVEC (IMATINIB MESYLATE): FDA approval NDA021588"
    assert gleevec.text.splitlines()[1:] == [
        "Sponsor: NOVARTIS",
        "Approval: NDA approved on 2003-04-18, Type 3 - New Dosage Form, priority review",
        "Products: 001 GLEEVEC, tablet, oral, EQ 100MG BASE, prescription",
    ]


def test_labels_become_documents(web: Services, shared_data: Path) -> None:
    with gzip.open(shared_data / "fda/drug_labels.jsonl.gz", "rt", encoding="utf-8") as stream:
        labels = [json.loads(line) for line in itertools.islice(stream, 12)]
    path = web.on(LABELS, json.dumps({"results": labels}).encode())
    documents = search(FdaLabelsSource(config(web)), "ibuprofen")
    assert [document.document_id for document in documents] == [
        f"FDA-LABEL:{label['set_id']}" for label in labels[:10]
    ]
    assert "Warnings: " in documents[0].text
    assert path.asked[0].args["limit"] == "10"


def test_names_without_a_section_are_no_label(web: Services, record: Record) -> None:
    web.on(LABELS, record("openfda/label_keytruda_20260811.json"))
    with pytest.raises(
        InfrastructureError, match="its answer cannot be read: a label without a section"
    ):
        search(FdaLabelsSource(config(web)))


def test_no_matches_are_an_answer(web: Services) -> None:
    path = web.on(LABELS, answers(404, NO_MATCHES))
    assert search(FdaLabelsSource(config(web)), "no such drug") == []
    assert [request.args["search"] for request in path.asked] == [
        '"no" AND "such" AND "drug"',
        'openfda.brand_name:("no" OR "such" OR "drug") OR '
        'openfda.generic_name:("no" OR "such" OR "drug") OR '
        'openfda.substance_name:("no" OR "such" OR "drug")',
    ]


def test_another_404_is_no_answer(web: Services) -> None:
    web.on(LABELS, answers(404, '{"error": {"code": "GONE"}}'))
    with pytest.raises(InfrastructureError, match=r"openfda\.base_url"):
        search(FdaLabelsSource(config(web)))


def test_a_query_holds_no_syntax(web: Services) -> None:
    path = web.on(LABELS, answers(404, NO_MATCHES))
    search(FdaLabelsSource(config(web)), '_exists_:x OR "a" AND set_id:[* TO *] \\" p<0.05')
    assert path.asked[0].args["search"] == '"exists" AND "x" AND "set" AND "id" AND "p" AND "0.05"'


def test_the_cut_off_reaches_openfda_and_its_answers(web: Services, record: Record) -> None:
    labels, approvals = (
        web.on(LABELS, answers(404, NO_MATCHES)),
        web.on(APPROVALS, record(IMATINIB)),
    )
    search(FdaLabelsSource(config(web)), before=datetime.date(2020, 1, 1), since=1999)
    assert (
        labels.asked[0].args["search"] == '("imatinib") AND effective_time:[19990101 TO 20191231]'
    )
    assert search(FdaApprovalsSource(config(web)), before=datetime.date(2003, 4, 18)) == []
    assert "submission_status_date:[18000101 TO 20030417]" in approvals.asked[0].args["search"]
    assert len(search(FdaApprovalsSource(config(web)), before=datetime.date(2003, 4, 19))) == 1


def test_later_supplements_make_a_later_record(web: Services, record: Record) -> None:
    answer = json.loads(record(IMATINIB))
    supplement = {
        "submission_type": "SUPPL",
        "submission_status": "AP",
        "submission_status_date": "20240322",
        "submission_class_code_description": "Labeling",
    }
    pending = {**supplement, "submission_status": "TA", "submission_status_date": "20250101"}
    answer["results"][0]["submissions"] += [
        supplement,
        pending,
        {**supplement, "submission_status_date": None},
    ]
    web.on(APPROVALS, json.dumps(answer).encode())
    gleevec = search(FdaApprovalsSource(config(web)))[0]
    assert gleevec.year == 2024
    assert "Supplements: 2024-03-22 Labeling" in gleevec.text.splitlines()
    assert search(FdaApprovalsSource(config(web)), before=datetime.date(2020, 1, 1)) == []


def test_the_key_is_in_no_address(web: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_TEST_KEY", KEY)
    path = web.on(LABELS, answers(404, NO_MATCHES))
    search(FdaLabelsSource(config(web)))
    authorization = path.asked[0].authorization
    assert authorization is not None
    assert (authorization.username, authorization.password) == (KEY, "")
    assert KEY.encode() not in path.asked[0].query_string
