"""Records of registries as documents: every fact in the words of its field, as it is printed."""

import pytest
from support.question_moulds import find_mould

from medr_ray.knowledge.registries.literals import make_category, parse_date
from medr_ray.knowledge.registries.record_facts import FactCollector, RecordFacts
from medr_ray.knowledge.registries.snapshot import read_snapshot
from medr_ray.retrieval import registry_records
from medr_ray.retrieval.authority import evidence_kind
from medr_ray.retrieval.registry_records import (
    count_registry_documents,
    document_from_record,
    join_editions,
    list_registry_documents,
    make_document_id,
    render_evidence,
    word_field,
)


def make_application() -> RecordFacts:
    facts = FactCollector("drugs_at_fda", "NDA020386", "NDA020386  COZAAR", "2019-07-01")
    application = facts.add_entity("FDA:NDA020386", "application", "NDA020386")
    company = facts.add_entity("COMPANY:merck", "company", "MERCK")
    facts.add_link(application, "application_sponsor", company, "Applications.SponsorName", "MERCK")
    product = facts.add_entity("PRODUCT:NDA020386/001", "product", "COZAAR")
    facts.add_link(application, "has_product", product, "Products[001].ProductNo", "001")
    for name in ("LOSARTAN", "ZINC"):
        facts.add_link(
            product,
            "active_ingredient",
            facts.add_entity(f"SUBSTANCE:{name}", "substance", name),
            "Products[001].ActiveIngredient",
            "LOSARTAN;\n ZINC",
            strength="25MG" if name == "LOSARTAN" else "",
        )
    facts.try_value(
        product, "product_approval_date", parse_date, "Products[001].Approval_Date", "Apr 14, 1995"
    )
    return facts.build()


def test_each_fact_is_a_line_with_field_value_and_whose_it_is() -> None:
    document = document_from_record(make_application())
    assert document.sentences == [
        "NDA020386 COZAAR",
        "Drugs@FDA: NDA020386; as of: 2019-07-01",
        "sponsor name: MERCK",
        "product no: 001; name: COZAAR (NDA020386/001)",
        "active ingredient: LOSARTAN; ZINC; name: LOSARTAN; of: COZAAR (NDA020386/001); "
        "strength: 25MG",
        "active ingredient: LOSARTAN; ZINC; name: ZINC; of: COZAAR (NDA020386/001)",
        "approval date: Apr 14, 1995; value: 1995-04-14; of: COZAAR (NDA020386/001)",
    ]
    assert (document.document_id, document.source, document.year) == (
        "FDA:NDA020386",
        "registries",
        2019,
    )
    assert evidence_kind(document) == "record"
    assert find_mould(document.text) is None


def test_the_evidence_of_a_fact_begins_its_line() -> None:
    record = make_application()
    lines = document_from_record(record).sentences
    for fact in record.facts:
        assert any(line.startswith(render_evidence(fact)) for line in lines)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("protocolSection.statusModule.startDateStruct.date", "start date"),
        ("protocolSection.sponsorCollaboratorsModule.leadSponsor.name", "lead sponsor name"),
        ("protocolSection.conditionsModule.conditions.0", "conditions"),
        ("products[008].DF;Route", "DF route"),
        ("exclusivity[001/ODE-64].Exclusivity_Date", "exclusivity date"),
        ("HPODisorderAssociationList/HPODisorderAssociation[1]/HPO/HPOId", "HPO id"),
        (
            "sections.Outcome and Management",
            "outcome and management",
        ),
        ("brand_name", "brand name"),
    ],
)
def test_a_field_is_worded_without_its_containers(path: str, words: str) -> None:
    assert word_field(path) == words


def test_papers_are_references_and_a_trial_without_results_is_a_registration() -> None:
    facts = FactCollector("clinical_trials", "NCT00000001", "Losartan in Marfan syndrome")
    trial = facts.add_entity("NCT:NCT00000001", "trial", "Losartan in Marfan syndrome")
    for pmid in ("2", "1", "2"):
        paper = facts.add_entity(f"PMID:{pmid}", "paper")
        facts.add_link(trial, "cites_paper", paper, f"references.{pmid}.pmid", pmid)
    document = document_from_record(facts.build())
    assert (document.references, document.year) == (("PMID:2", "PMID:1"), None)
    assert document.url == "https://clinicaltrials.gov/study/NCT00000001"
    assert evidence_kind(document) == "registration"


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_editions_the_newest_is_shown(monkeypatch: pytest.MonkeyPatch, order: int) -> None:
    editions = []
    for as_of, name in (("2020-01-01", "Disease"), ("2021-03-01", "Disorder")):
        facts = FactCollector("orphanet", "ORPHA:93", "Aspartylglucosaminuria", as_of)
        disease = facts.add_entity("ORPHA:93", "disease", "Aspartylglucosaminuria")
        if name == "Disease":
            facts.try_value(disease, "onset_period", make_category, "AverageAgeOfOnset", "Infancy")
        facts.try_value(disease, "disorder_type", make_category, "DisorderType/Name", name)
        editions.append(facts.build())
    monkeypatch.setattr(registry_records, "list_record_ids", lambda *_: ["ORPHA:93", "ORPHA:93"])
    monkeypatch.setattr(registry_records, "read_snapshot", lambda *_: iter(editions[::order]))
    assert count_registry_documents("orphanet") == 1
    (document,) = list_registry_documents("orphanet")
    assert document.document_id == "ORPHANET:ORPHA:93"
    assert document.sentences == [
        "Aspartylglucosaminuria",
        "Orphanet: ORPHA:93; as of: 2021-03-01",
        "disorder type name: Disorder",
        "average age of onset: Infancy; as of: 2020-01-01",
    ]
    assert document.year == 2021


def test_a_line_names_its_product_where_the_record_is_an_application() -> None:
    facts = FactCollector("orange_book", "NDA020386", "NDA020386 COZAAR", "2019-07-01")
    product = facts.add_entity("PRODUCT:NDA020386/001", "product", "COZAAR")
    facts.try_value(product, "product_approval_date", parse_date, "Approval_Date", "Apr 14, 1995")
    assert document_from_record(facts.build()).sentences[2:] == [
        "approval date: Apr 14, 1995; value: 1995-04-14; of: COZAAR (NDA020386/001)"
    ]


@pytest.mark.parametrize("registry", ["livertox", "orange_book"])
def test_every_fact_of_the_packaged_snapshot_stands_in_one_document(registry: str) -> None:
    documents = {document.document_id: document for document in list_registry_documents(registry)}
    editions: dict[str, list[RecordFacts]] = {}
    for record in read_snapshot(registry):
        editions.setdefault(record.record_id, []).append(record)
    records = [join_editions(editions[record_id]) for record_id in sorted(editions)]
    assert len(documents) == len(records) > 500
    for record in records[:: len(records) // 200]:
        document = documents[make_document_id(record.source, record.record_id)]
        lines = document.text.splitlines()
        for fact in record.facts:
            assert any(line.startswith(render_evidence(fact)) for line in lines)


def test_units_of_a_registry_are_its_documents() -> None:
    """Whole, and in pieces of which each reads its own records alone."""
    documents = list_registry_documents("livertox")
    assert [document.document_id for document in documents] == sorted(
        {document.document_id for document in map(document_from_record, read_snapshot("livertox"))}
    )
    count = count_registry_documents("livertox")
    pieces = [list_registry_documents("livertox", n, n + 300) for n in range(0, count, 300)]
    assert [document for piece in pieces for document in piece] == documents
