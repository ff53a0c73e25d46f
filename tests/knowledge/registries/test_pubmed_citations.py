"""Citations as facts: what each field becomes, what is left out, and where it says that it is."""

from dataclasses import replace

import pytest
from support.pubmed_xml import ARTICLE, BOOK_ARTICLE

from medr_ray.core.records import Author, Citation, Databank, Fact
from medr_ray.corpus.medline import BOOK, CITATION, PubmedRecord, parse_citation
from medr_ray.knowledge.registries.fact_predicates import FACT_PREDICATES
from medr_ray.knowledge.registries.pubmed_citations import facts_of_citation

PLACE = "MedlineCitation/Article"
NUMBERS = f"{PLACE}/DataBankList/DataBank/AccessionNumberList/AccessionNumber"


def read_article(data: bytes = ARTICLE, kind: str = CITATION) -> Citation:
    return parse_citation(PubmedRecord(kind, 0, 0, data, "utf-8"), "file.xml")


def list_facts(citation: Citation, predicate: str) -> list[tuple[str, str, str, str]]:
    """(subject, object or literal, field, value as printed)."""
    return [
        (fact.subject, _object(fact), fact.evidence.field, fact.evidence.value)
        for fact in facts_of_citation(citation).facts
        if fact.predicate == predicate
    ]


def _object(fact: Fact) -> str:
    return fact.object if fact.literal is None else fact.literal.text


def test_every_field_of_a_citation_is_a_fact_with_its_place() -> None:
    citation = read_article()
    record = facts_of_citation(citation)
    assert (record.source, record.record_id, record.as_of) == ("pubmed", "123", "1998")
    paper = "PMID:123"
    assert list_facts(citation, "published_in") == [
        (paper, "JOURNAL:some journal", f"{PLACE}/Journal/Title", "Some Journal")
    ]
    assert list_facts(citation, "publication_year") == [
        (paper, "1998", f"{PLACE}/Journal/JournalIssue/PubDate", "1998")
    ]
    assert list_facts(citation, "registered_as") == [
        (paper, f"NCT:NCT0000000{number}", NUMBERS, f"NCT0000000{number}") for number in (1, 2)
    ]
    assert list_facts(citation, "funded_by_grant") == [
        (paper, "R01 1", f"{PLACE}/GrantList/Grant/GrantID", "R01 1"),
        (paper, "CIHR", f"{PLACE}/GrantList/Grant/Agency", "CIHR"),
    ]
    assert [value for _, value, _, _ in list_facts(citation, "doi")] == ["10.1/right"]
    assert [value for _, value, _, _ in list_facts(citation, "group_author")] == [
        "The Marfan Group, Kiel"
    ]
    paper_entity = record.entities[0]
    assert paper_entity.identifiers == ("DOI:10.1/right", "PMCID:PMC5")
    assert all(fact.predicate in FACT_PREDICATES for fact in record.facts)


def test_authors_have_their_places_and_their_addresses_without_mail() -> None:
    citation = read_article()
    authors = [fact for fact in facts_of_citation(citation).facts if fact.predicate == "has_author"]
    assert [
        {qualifier.name: qualifier.value for qualifier in fact.qualifiers} for fact in authors
    ] == [{"authors": "3", "position": "1"}, {"authors": "3", "position": "2"}]
    assert authors[0].evidence.value == "Müller Anna B Jr"
    places = list_facts(citation, "affiliation")
    assert [value for _, _, _, value in places] == ["Clinic A, Kiel. a@b.de", "Clinic <B>, Kiel."]
    names = {
        entity.entity_id: entity.names
        for entity in facts_of_citation(citation).entities
        if entity.entity_type == "institution"
    }
    assert names[places[0][1]] == ("Clinic A, Kiel",)


def make_author(name: str, orcid: str) -> Author:
    return Author(name, "", "", "", orcid, ())


@pytest.mark.parametrize(
    ("orcids", "ids"),
    [
        (("0000-0002-1825-0097", ""), ["ORCID:0000-0002-1825-0097", "PERSON:PMID:123/b"]),
        # A wrong check digit; one ORCID of two people.
        (("0000-0002-1825-0098", ""), ["PERSON:PMID:123/a", "PERSON:PMID:123/b"]),
        (("0000-0002-1825-0097",) * 2, ["PERSON:PMID:123/a", "PERSON:PMID:123/b"]),
    ],
)
def test_an_orcid_names_one_person(orcids: tuple[str, str], ids: list[str]) -> None:
    authors = tuple(map(make_author, "AB", orcids))
    citation = replace(read_article(), authors=authors)
    assert [person for _, person, _, _ in list_facts(citation, "has_author")] == ids
    has_problem = ids[0].startswith("PERSON")
    assert bool(facts_of_citation(citation).problems) == has_problem


def test_two_authors_of_one_name_are_two_people() -> None:
    authors = (make_author("Wang", ""), make_author("Wang", ""))
    people = list_facts(replace(read_article(), authors=authors), "has_author")
    assert len({person for _, person, _, _ in people}) == 2


@pytest.mark.parametrize(
    ("databank", "number", "trial"),
    [
        ("ClinicalTrials.gov", "nct01234567", "NCT:NCT01234567"),
        ("EudraCT", "NCT01234567", "NCT:NCT01234567"),
        ("ISRCTN", "ISRCTN12345678", "ISRCTN:12345678"),
        ("CTRI", "CTRI/2013/06/ 003753", "CTRI:2013/06/003753"),
    ],
)
def test_a_trial_has_the_number_of_its_registry(databank: str, number: str, trial: str) -> None:
    citation = replace(read_article(), databank_numbers=(Databank(databank, (number,)),))
    assert list_facts(citation, "registered_as") == [("PMID:123", trial, NUMBERS, number)]


def test_what_is_no_number_of_a_registry_is_a_problem_and_other_databanks_are_no_trials() -> None:
    banks = (Databank("ClinicalTrials.gov", ("NCT12",)), Databank("GENBANK", ("NCT01234567",)))
    citation = replace(read_article(), databank_numbers=banks)
    assert list_facts(citation, "registered_as") == []
    assert [field for field, _ in facts_of_citation(citation).problems][-1] == NUMBERS
    assert [value for _, value, _, _ in list_facts(citation, "databank_accession")] == [
        "NCT01234567"
    ]


@pytest.mark.parametrize("kind", ["RetractionIn", "RetractionOf", "ErratumIn"])
def test_a_retraction_is_the_same_statement_from_either_record(kind: str) -> None:
    citation = read_article(ARTICLE.replace(b"RetractionIn", kind.encode()))
    field = f"MedlineCitation/CommentsCorrectionsList/CommentsCorrections[@RefType='{kind}']/PMID"
    expected = {
        "RetractionIn": [("PMID:123", "PMID:9", field, "9")],
        "RetractionOf": [("PMID:9", "PMID:123", field, "9")],
        "ErratumIn": [],
    }
    assert list_facts(citation, "retracted_by") == expected[kind]
    dates = {
        fact.as_of for fact in facts_of_citation(citation).facts if fact.predicate == "retracted_by"
    }
    # The notice has its own date; when the other record was marked is not known.
    assert dates == {"RetractionIn": {""}, "RetractionOf": {"1998"}, "ErratumIn": set()}[kind]


def test_a_chapter_has_paths_that_hold_in_its_record_and_no_journal() -> None:
    citation = read_article(BOOK_ARTICLE, BOOK)
    assert list_facts(citation, "published_in") == []
    assert list_facts(citation, "publication_year") == [
        ("PMID:20301510", "1993", "//PubDate", "1993")
    ]
    assert list_facts(citation, "has_author") == [
        (
            "PMID:20301510",
            "PERSON:PMID:20301510/harry dietz",
            "//AuthorList/Author",
            "Dietz Harry",
        )
    ]
