"""What ``read`` shows of real records: every line of the field that a goal asks for, first."""

import asyncio
import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medr_ray.core.config import ReadConfig
from medr_ray.core.records import FactSource
from medr_ray.knowledge.hpo import load_hpo
from medr_ray.knowledge.registries.snapshot import read_snapshot
from medr_ray.retrieval.disease_records import document_from_disease
from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.registry_records import document_from_record, join_editions
from medr_ray.tools.read import ReadTool
from medr_ray.tools.reading.quoting import RulesQuoter
from medr_ray.trajectories.solver.notes import Notes

_RECORDS: dict[str, FactSource] = {
    "NCT00597558": "clinical_trials",
    "NCT04167618": "clinical_trials",
    "NDA209241": "orange_book",
    "NDA207202": "orange_book",  # of all records that with the most lines on patents
    "NDA021436": "drugs_at_fda",
    "ORPHA:442835": "orphanet",
    "Gefitinib": "livertox",
}
_TRIAL, _WIDE_TRIAL = "NCT00597558", "NCT04167618"
_DISEASE = "OMIM:154700"


@functools.cache
def _document(record_id: str) -> Document:
    if record_id == _DISEASE:
        return document_from_disease(load_hpo().diseases[_DISEASE])
    [*editions] = read_snapshot(_RECORDS[record_id], None, {record_id, f"{record_id}@2018-03-14"})
    return document_from_record(join_editions(editions))


class _OneDocument:
    def __init__(self, document: Document) -> None:
        self._document = document

    def document(self, document_id: str) -> Document:
        return self._document


def _read(record_id: str, goal: str, chars: int = 6000) -> str:
    document = _document(record_id)
    tool = ReadTool(ReadConfig(), RulesQuoter(6, 400), _OneDocument(document), chars)
    arguments = {"url": document.document_id, "goal": goal}
    return asyncio.run(tool.call(arguments)).text


def _lines(record_id: str, field: str) -> list[str]:
    lines = _document(record_id).text.splitlines()
    return [line for line in lines if line.startswith(f"{field}: ")]


@pytest.mark.parametrize(
    ("record_id", "goal", "field"),
    [
        (_TRIAL, "number of countries", "country"),
        (_TRIAL, "In how many countries does NCT00597558 have sites?", "country"),
        (_TRIAL, "interventions name drug", "interventions name"),
        (_TRIAL, "how many participants were enrolled", "enrollment count"),
        (_TRIAL, "principal investigator", "overall officials name"),
        (_TRIAL, "publication of results", "pmid"),
        (_TRIAL, "which company is the lead sponsor", "lead sponsor name"),
        ("NDA209241", "last patent expiry", "patent expire date text"),
        ("NDA209241", "When does the last patent of INGREZZA expire?", "patent expire date text"),
        ("NDA209241", "patent expire date, drug product", "patent expire date text"),
        ("NDA209241", "how many patents", "patent no"),
        ("NDA209241", "drug substance patent no", "patent no"),
        ("NDA209241", "end of exclusivity", "exclusivity date"),
        ("NDA021436", "who holds the application", "sponsor name"),
        ("NDA021436", "year of approval", "submission status date"),
        ("NDA021436", "brand names", "drug name"),
        ("ORPHA:442835", "age at onset", "average age of onset name"),
        ("ORPHA:442835", "mode of inheritance", "type of inheritance name"),
        ("ORPHA:442835", "frequency of symptoms", "HPO id"),
        ("Gefitinib", "liver injury likelihood score", "hepatotoxicity"),
        pytest.param(_DISEASE, "which gene is mutated", "Gene", marks=pytest.mark.slow),
        pytest.param(_DISEASE, "inheritance", "Inheritance", marks=pytest.mark.slow),
    ],
)
def test_the_first_quote_has_every_line_of_the_field_that_is_asked_for(
    record_id: str, goal: str, field: str
) -> None:
    lines = _lines(record_id, field)
    first = _read(record_id, goal).splitlines()[1]
    assert lines
    assert first.startswith(f'[1] "{field}: ')
    for line in lines:
        printed, separator, others = line.removeprefix(f"{field}: ").partition("; ")
        assert printed in first
        assert separator + others in first


@pytest.mark.parametrize("chars", [2000, 6000])
def test_countries_and_patents_can_be_counted(chars: int) -> None:
    notes = Notes()
    notes.read(_read(_WIDE_TRIAL, "number of countries", chars))
    facts = notes.table.facts_of("trial_country", f"NCT:{_WIDE_TRIAL}")
    assert len(facts) == len(_lines(_WIDE_TRIAL, "country")) == 5
    notes.read(_read("NDA209241", "number of patents", chars))
    patents = {line.split("; ")[0].split(": ")[1] for line in _lines("NDA209241", "patent no")}
    response = _read("NDA209241", "number of patents", chars)
    assert len(patents) == 22
    assert all(patent in response for patent in patents)
    assert "Left out" not in response


def test_of_fields_that_are_named_a_long_one_takes_the_room_of_no_other() -> None:
    sites = _lines(_WIDE_TRIAL, "facility")
    response = _read(_WIDE_TRIAL, "country, facility, city", 700)
    assert response.splitlines()[1].count(" | ") == len(_lines(_WIDE_TRIAL, "country")) - 1
    fitting = response.count("facility: ")
    assert 0 < fitting < len(sites)
    left_out = len(sites) - fitting
    assert response.endswith(f"Left out: {left_out} of {len(sites)} lines of 'facility'.")
    assert _read(_WIDE_TRIAL, "country, facility, city").count("facility: ") == len(sites)


def test_lines_without_room_are_counted() -> None:
    total = len(_lines("NDA207202", "patent expire date text"))
    response = _read("NDA207202", "last patent expiry", 900)
    fitting = response.count("patent expire date text: ")
    assert 0 < fitting < total
    assert response.endswith(
        f"Left out: {total - fitting} of {total} lines of 'patent expire date text'."
    )


def test_a_value_that_is_asked_for_comes_first() -> None:
    response = _read("NDA209241", "expiry of patent 10857137")
    assert response.splitlines()[1].startswith('[1] "patent expire date text: Oct')
    first_line = response.splitlines()[1].split(" patent expire date text")[0]
    assert "of: 10857137" in first_line


def test_a_goal_that_names_a_value_alone_is_quoted_its_lines() -> None:
    assert "Mayo Clinic" in _read(_WIDE_TRIAL, "Rochester").splitlines()[1]


def test_a_goal_that_the_record_does_not_have_is_told_so() -> None:
    assert "No word of the goal" in _read(_TRIAL, "zebrafish")


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([*_RECORDS]),
    st.lists(
        st.sampled_from(
            [
                "country",
                "patent",
                "drug",
                "expiry",
                "date",
                "name",
                "of",
                "the",
                "gene",
                "score",
                "study",
                "NCT00597558",
            ]
        ),
        min_size=1,
        max_size=5,
    ),
    st.integers(min_value=400, max_value=7000),
)
def test_a_record_never_exceeds_its_room(record_id: str, words: list[str], chars: int) -> None:
    assert len(_read(record_id, " ".join(words), chars)) <= chars
