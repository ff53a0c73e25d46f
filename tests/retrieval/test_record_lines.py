"""Every line of the snapshot's records is read back as what it states, joined and cut as in
snippets."""

from collections import Counter
from collections.abc import Iterator

import pytest

from medr_ray.core.records import FactSource
from medr_ray.knowledge.registries.snapshot import list_record_ids, read_snapshot
from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.record_lines import FIELD_PREDICATES, join_values, read_record_lines
from medr_ray.retrieval.registry_records import document_from_record

# What the fields of a line do not tell apart.
_ALIKE = {
    "arm_among_others": "arm_intervention",
    "first_us_approval_year": "us_approval_year",
    "named_in_paper": "cites_paper",
    "one_of_exclusivity_end_dates": "exclusivity_end_date",
    "other_condition": "studies_condition",
    "other_intervention": "studies_intervention",
    "owned_by": "product_applicant",
    "retracted_by": "cites_paper",
    "studies_among_others": "studies_intervention",
}
_NOT_READ = {"prevalence_value", "incidence_value", "reported_cases"}
_EVERY = 97  # record of a registry, so that the test takes seconds


def _sample(source: FactSource) -> Iterator[tuple[Document, list[str], list[str]]]:
    """(Document, lines, predicates) of some records."""
    record_ids = set(sorted(list_record_ids(source))[::_EVERY])
    for record in read_snapshot(source, None, record_ids):
        document = document_from_record(record)
        lines = document.text.split("\n")
        yield document, lines, [fact.predicate for fact in record.facts]


@pytest.mark.parametrize("source", sorted(FIELD_PREDICATES))
def test_the_lines_of_a_record_state_its_facts(source: FactSource) -> None:
    missing: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for document, lines, predicates in _sample(source):
        stated = {
            line.predicate
            for text in lines
            for line in read_record_lines(document.document_id, text)
        }
        expected = {*predicates, *(_ALIKE.get(predicate, predicate) for predicate in predicates)}
        wrong.update(stated - expected)
        missing.update(
            predicate
            for predicate in predicates
            if predicate not in stated
            and _ALIKE.get(predicate) not in stated
            and predicate not in _NOT_READ
        )
    assert (wrong, missing) == (Counter(), Counter())


@pytest.mark.parametrize("source", sorted(FIELD_PREDICATES))
def test_joined_lines_are_parted_where_they_were_joined(source: FactSource) -> None:
    for document, lines, _ in _sample(source):
        title, heading, *stating = lines
        apart = [line for text in stating for line in read_record_lines(document.document_id, text)]
        # A snippet has the lines in any order, the title last.
        for joined in ([title, heading, *stating], [*stating, heading, title]):
            text = " ".join(joined)
            assert read_record_lines(document.document_id, text, title) == apart


@pytest.mark.parametrize("source", sorted(FIELD_PREDICATES))
def test_values_that_share_a_line_are_read_one_by_one(source: FactSource) -> None:
    for document, lines, _ in _sample(source):
        _, _, *stating = lines
        apart = [line for text in stating for line in read_record_lines(document.document_id, text)]
        joined = join_values(stating)
        # Values of a field come together; what they state is the same.
        assert Counter(read_record_lines(document.document_id, " ".join(joined))) == Counter(apart)


def test_values_share_a_line_where_all_else_is_equal() -> None:
    lines = ["patent no: 1; of: A", "country: Peru", "patent no: 2; of: A", "patent no: 1; of: B"]
    joined = ["patent no: 1 | 2; of: A", "country: Peru", "patent no: 1; of: B"]
    assert join_values(lines) == joined
    assert [
        (line.name, line.subject) for line in read_record_lines("ORANGE-BOOK:x", joined[0])
    ] == [("1", "A"), ("2", "A")]
    assert read_record_lines("ORANGE-BOOK:x", "patent no: 1 | 2…") == []


def test_a_line_that_was_cut_states_what_its_whole_fields_say() -> None:
    text = (
        "ClinicalTrials.gov: NCT02688478; as of: 2020-01-01 lead sponsor name: University of "
        "British Columbia; sponsor_class: OTHER overall officials name: Christopher Carlsten, MD, "
        "MPH; name: Christopher Carlsten; affiliation: University of British Columbia; role…"
    )
    sponsor, official = read_record_lines("NCT:NCT02688478", text)
    assert (sponsor.predicate, sponsor.name) == ("lead_sponsor", "University of British Columbia")
    assert (official.name, official.qualifier("role")) == ("Christopher Carlsten", "")
    assert read_record_lines("NCT:NCT02688478", "conditions: Eosinophilic…") == []


def test_a_disease_record_is_read_by_its_categories() -> None:
    line = "Gene: GALC; NCBI Gene ID: 2581 Inheritance: Autosomal recessive inheritance; HPO: x"
    assert [
        (stated.predicate, stated.name) for stated in read_record_lines("HPO:OMIM:245200", line)
    ] == [
        ("associated_gene", "GALC"),
        ("has_inheritance", "Autosomal recessive inheritance"),
    ]


def test_other_documents_state_nothing_by_lines() -> None:
    assert read_record_lines("PMID:1", "start date: 2019-01-01") == []
    assert read_record_lines("WEB:x", "start date: 2019-01-01") == []


def test_a_reference_says_that_it_reports_results() -> None:
    [record] = read_snapshot("clinical_trials", None, {"NCT00597558"})
    document = document_from_record(record)
    stated = read_record_lines(document.document_id, document.text.replace("\n", " "))
    reports = [line.name for line in stated if line.predicate == "reports_results_in"]
    assert reports == ["17208602", "21130382"]
