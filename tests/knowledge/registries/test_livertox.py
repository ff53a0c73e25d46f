"""Monographs as facts: scores, years of approval and citations, and what a page does not state."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from medr_ray.core.records import Fact
from medr_ray.knowledge.registries.fact_predicates import FACT_PREDICATES
from medr_ray.knowledge.registries.livertox import read_livertox_facts
from medr_ray.knowledge.registries.record_facts import RecordFacts
from medr_ray.knowledge.registries.record_reading import UnusableRecords

CAUSE = "cause of clinically apparent liver injury"


def page(drug: str = "Acitretin", **sections: str) -> dict[str, Any]:
    return {
        "drug": drug,
        "title": f"{drug} - LiverTox - NCBI Bookshelf",
        "sections": {
            drug: "Last Update: November 4, 2020.",
            **sections,
            "ANNOTATED BIBLIOGRAPHY": "A paper. [PubMed: 8003324]",
        },
        "pmids": ["8003324", "31643963"],  # the second is not printed: a similar article
    }


def read(path: Path, *pages: Any) -> tuple[list[RecordFacts], UnusableRecords]:
    path.write_text("".join(json.dumps(record) + "\n" for record in pages))
    unusable = UnusableRecords()
    return list(read_livertox_facts([str(path)], unusable)), unusable


def read_page(tmp_path: Path, record: dict[str, Any]) -> RecordFacts:
    (facts,), unusable = read(tmp_path / "page.jsonl", record)
    assert not unusable
    return facts


def state(fact: Fact) -> tuple[str, str, str, dict[str, str]]:
    """(subject, predicate, object or value, qualifiers)"""
    value = fact.literal.text if fact.literal else fact.object
    return fact.subject, fact.predicate, value, {item.name: item.value for item in fact.qualifiers}


def list_scores(record: RecordFacts) -> list[tuple[str, str, str, dict[str, str]]]:
    return [state(fact) for fact in record.facts if "likelihood" in fact.predicate]


def list_years(record: RecordFacts) -> list[str]:
    return [state(fact)[2] for fact in record.facts if "approval" in fact.predicate]


def test_a_monograph_states_its_score_its_approval_and_its_papers(tmp_path: Path) -> None:
    record = read_page(
        tmp_path,
        page(
            Background="A retinoid. Acitretin was approved for use in psoriasis in the United "
            "States in 1996, but is used only in severe psoriasis. It is generic.",
            Hepatotoxicity=f"Rare.\nLikelihood score: E* (unproven but suspected {CAUSE}).\nMore.",
        ),
    )
    assert (record.record_id, record.as_of, record.problems) == ("Acitretin", "2020-11-04", ())
    assert [state(fact) for fact in record.facts] == [
        ("SUBSTANCE:acitretin", "us_approval_year", "1996", {}),
        ("SUBSTANCE:acitretin", "monograph_cites", "PMID:8003324", {}),
        ("SUBSTANCE:acitretin", "liver_injury_likelihood", "E*", {}),
    ]
    assert [(fact.evidence.field, fact.evidence.value) for fact in record.facts] == [
        (
            "sections.Background",
            "Acitretin was approved for use in psoriasis in the United States in 1996",
        ),
        ("pmids.0", "8003324"),
        (
            "sections.Hepatotoxicity",
            f"Likelihood score: E* (unproven but suspected {CAUSE})",
        ),
    ]


@pytest.mark.parametrize("score", ["A", "E", "E*", "A[HD]", "C[H]"])
def test_scores_are_as_printed(tmp_path: Path, score: str) -> None:
    text = f"Likelihood score: {score} (probable {CAUSE})."
    record = read_page(tmp_path, page(Hepatotoxicity=text))
    assert list_scores(record) == [("SUBSTANCE:acitretin", "liver_injury_likelihood", score, {})]


def test_a_score_is_that_of_the_drug_it_names(tmp_path: Path) -> None:
    text = (
        f"Likelihood score, acitretin: B (likely {CAUSE}).\n"
        f"Likelihood score (etretinate and bexarotene): C (probable {CAUSE}).\n"
        f"Likelihood score (usnic acid tea): A (known {CAUSE})."
    )
    record = read_page(tmp_path, page(Hepatotoxicity=text))
    assert [(subject, value) for subject, _, value, _ in list_scores(record)] == [
        ("SUBSTANCE:acitretin", "B"),
        ("SUBSTANCE:etretinate", "C"),
        ("SUBSTANCE:bexarotene", "C"),
    ]
    assert [reason[:30] for _, reason in record.problems] == ["a score of no single drug: 'Li"]


def test_scores_of_several_uses_are_not_functional(tmp_path: Path) -> None:
    text = (
        f"Likelihood score when used for emergency contraception: E (unlikely {CAUSE}).\n"
        f"Likelihood score when used daily: C (probable {CAUSE})."
    )
    record = read_page(tmp_path, page("Ulipristal", Hepatotoxicity=text))
    predicate = "liver_injury_likelihood_in_use"
    assert list_scores(record) == [
        (
            "SUBSTANCE:ulipristal",
            predicate,
            "E",
            {"use": "when used for emergency contraception"},
        ),
        ("SUBSTANCE:ulipristal", predicate, "C", {"use": "when used daily"}),
    ]
    assert FACT_PREDICATES[predicate].cardinality == "many"
    text = f"Likelihood score: A (well known {CAUSE}) and D (possible {CAUSE})."
    record = read_page(tmp_path, page(Hepatotoxicity=text))
    assert not list_scores(record)
    assert "two scores in one" in record.problems[0][1]


def test_contradicting_scores_are_none(tmp_path: Path) -> None:
    text = f"Likelihood score: A (well known {CAUSE}).\nLikelihood score: D (possible {CAUSE})."
    record = read_page(tmp_path, page(Hepatotoxicity=text))
    assert not list_scores(record)
    assert {reason for _, reason in record.problems} == {"several scores of Acitretin"}


def test_a_page_on_one_use_of_a_drug_says_so(tmp_path: Path) -> None:
    text = f"Likelihood score: E (unlikely {CAUSE})."
    record = read_page(tmp_path, page("Diazepam (Intravenous)", Hepatotoxicity=text))
    assert list_scores(record) == [
        ("SUBSTANCE:diazepam", "liver_injury_likelihood_in_use", "E", {"use": "Intravenous"})
    ]


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("Acitretin was approved for use in the United States in 1996.", ["1996"]),
        ("Acitretin received accelerated approval for use in the United States in 1996.", ["1996"]),
        ("Acitretin was approved in Europe in 1990. It is not used.", []),
        ("Acitretin was not approved for use in the United States in 1996.", []),
        ("Acitretin was approved for this indication in the United States in 2001.", []),
        ("Etretinate, a prodrug of acitretin was approved in the United States in 1986.", []),
        ("Isoacitretin was approved in the United States in 1986.", []),
        (
            "Acitretin was first approved for use in the United States in 1996. "
            "Acitretin was approved for use in lupus in the United States in 2004.",
            ["1996"],
        ),
        (
            "Acitretin was approved in the United States in 1996.\n"
            "Acitretin was approved for use in the United States in 1997.",
            [],
        ),
    ],
)
def test_the_year_is_that_of_the_first_approval(
    tmp_path: Path, text: str, years: list[str]
) -> None:
    assert list_years(read_page(tmp_path, page(Background=text))) == years


def test_bad_input_is_named_and_costs_nothing_else(tmp_path: Path) -> None:
    score = f"Likelihood score: B (likely {CAUSE})."
    renamed = {"name" if key == "drug" else key: value for key, value in page().items()}
    records, unusable = read(
        tmp_path / "pages.jsonl",
        page(Hepatotoxicity=score),
        {"drug": "Statins", "sections": {"Access denied": "Your access was blocked."}},
        renamed,
        page("Fibrates", OVERVIEW="Fibrates are many."),
        {**page("Ibuprofen", Hepatotoxicity=f"{score} [PubMed: 12]"), "pmids": ["12", "x", 7]},
        {
            **page("Aspirin", Background=""),
            "sections": {"Aspirin": "Last Update: May 44, 2020. [PubMed: 8003324]"},
        },
    )
    assert [record.record_id for record in records] == ["Acitretin", "Ibuprofen", "Aspirin"]
    assert [(record.where, record.reason) for record in unusable] == [
        ("line 2", "a page that was refused, no monograph"),
        ("line 3", "drug: is missing: give it"),
        ("line 4", "a monograph on a class of drugs that states no fact"),
    ]
    assert [field for field, _ in records[1].problems] == ["pmids.2", "pmids.1"]
    assert len(records[1].facts) == 2
    assert records[2].as_of == ""
    assert "May 44, 2020" in records[2].problems[0][1]


def test_real_pages_state_what_they_hold(tmp_path: Path, shared_data: Path) -> None:
    whole = shared_data / "fda" / "livertox_pages.jsonl.gz"
    unusable = UnusableRecords()
    records = list(read_livertox_facts([str(whole)], unusable))
    counts = Counter(fact.predicate for record in records for fact in record.facts)
    assert len(records) + len(unusable) == 1095
    assert counts["liver_injury_likelihood"] > 740
    assert counts["us_approval_year"] > 470
    assert counts["first_us_approval_year"] >= 20
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    unusable = UnusableRecords()
    first = list(read_livertox_facts([str(cut)], unusable))
    assert 0 < len(first) < len(records)
    assert first == records[: len(first)]
    assert "gzip" in unusable[-1].reason


def test_the_file_of_another_registry_gives_no_facts(tmp_path: Path, shared_data: Path) -> None:
    with gzip.open(shared_data / "trials" / "ctgov_v2_all.jsonl.gz", "rt") as lines:
        study = json.loads(next(lines))
    records, unusable = read(tmp_path / "studies.jsonl", study)
    assert not records
    assert "drug: is missing" in unusable[0].reason
