"""Everything a run knows of one concept, from its finished files."""

from pathlib import Path

import pytest
from support.named_run import PREVALENCE, write_named_run

from medr_ray.core.errors import DataError
from medr_ray.core.run import RunDirectory
from medr_ray.entities.concept_summary import (
    CompanionConcept,
    ConceptSummary,
    FormCount,
    YearCount,
    find_concepts,
    find_nearest_names,
    read_names,
    summarise_concept,
)
from medr_ray.retrieval.snippets import sentence_spans

MARFAN = "OMIM:154700"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return write_named_run(tmp_path_factory.mktemp("runs"))


def _summarise(
    run: RunDirectory, concept_id: str, companions: int = 9, samples: int = 3
) -> ConceptSummary:
    return summarise_concept(
        run, read_names(run.stage("entities")), concept_id, sentence_spans, companions, samples
    )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("omim:154700", [MARFAN]),
        ("MARFAN  Syndrome", [MARFAN]),
        ("Marfan’s disease", [MARFAN]),
        ("fbn1", ["GENE:FBN1"]),
        ("twin disease", ["OMIM:1", "OMIM:2"]),
        ("Marfan", []),
        ("", []),
    ],
)
def test_a_concept_is_found_by_id_name_or_alias_in_any_case(
    run: RunDirectory, query: str, expected: list[str]
) -> None:
    assert (
        find_concepts(read_names(run.stage("entities")), query)["concept_id"].to_list() == expected
    )


def test_a_name_that_is_unknown_gets_the_nearest_concepts_once_each(run: RunDirectory) -> None:
    names = read_names(run.stage("entities"))
    assert find_nearest_names(names, "Marfans sindrome") == ["Marfan syndrome"]
    assert find_nearest_names(names, "kurru")[0] == "Kuru"
    assert find_nearest_names(names, "x") == []


def test_counts_forms_years_and_companions_are_those_of_the_corpus(run: RunDirectory) -> None:
    marfan = _summarise(run, MARFAN)
    assert (marfan.frequency.documents, marfan.frequency.mentions, marfan.citations) == (3, 5, 6)
    assert (
        marfan.frequency.frequency_lower
        < 0.5
        == marfan.frequency.frequency
        < marfan.frequency.frequency_upper
    )
    assert marfan.forms == (FormCount("marfan syndrome", 3, 4), FormCount("marfan's disease", 0, 1))
    assert marfan.aliases == ("mfs1",)
    assert marfan.years == (YearCount(1999, 1), YearCount(2003, 1), YearCount(None, 1))
    assert marfan.companions == (
        CompanionConcept("GENE:FBN1", "FBN1", 2),
        CompanionConcept("HP:0012531", "Pain", 1),
        CompanionConcept("HP:1", "Long fingers", 1),
        CompanionConcept("MESH:kuru", "Kuru", 1),
    )
    assert len(_summarise(run, MARFAN, companions=2).companions) == 2


def test_the_verdict_stands_with_its_rank_rule_and_prevalence(run: RunDirectory) -> None:
    marfan, kuru, pain = (
        _summarise(run, MARFAN),
        _summarise(run, "MESH:kuru"),
        _summarise(run, "HP:0012531"),
    )
    assert marfan.significance is not None
    assert marfan.significance.verdict
    assert "named in 3 citations" in marfan.significance.reason
    assert (kuru.rank, pain.rank, marfan.rank, marfan.candidates) == (1, 2, 4, 4)
    assert (marfan.prevalence, marfan.prevalence_source) == (1e-4, PREVALENCE.describe_source())
    assert (kuru.prevalence, kuru.prevalence_source) == (None, "")
    assert marfan.rare
    assert marfan.rule.startswith("named in at most 4 of 6 citations")
    assert pain.significance is not None
    assert pain.significance.reason.startswith("too general")


def test_sentences_come_from_where_the_concept_is_named_most_with_the_mention_in_its_place(
    run: RunDirectory,
) -> None:
    samples = _summarise(run, MARFAN).samples
    assert [(sample.pmid, sample.year, sample.sentence) for sample in samples] == [
        ("1", 1999, "We saw Marfan’s disease,\u00a0not kuru, in pain."),
        ("100", 2003, "FBN1 is altered in MARFAN SYNDROME (p<0.05)."),
        ("20", None, "FBN1 in Marfan syndrome"),
    ]
    assert [sample.sentence[sample.start : sample.end] for sample in samples] == [
        "Marfan’s disease",
        "MARFAN SYNDROME",
        "Marfan syndrome",
    ]
    assert [sample.pmid for sample in _summarise(run, MARFAN, samples=1).samples] == ["1"]


def test_a_concept_that_no_citation_names_has_a_summary_too(run: RunDirectory) -> None:
    twin = _summarise(run, "OMIM:2")
    assert (twin.frequency.documents, twin.frequency.frequency, twin.frequency.frequency_lower) == (
        0,
        0.0,
        0.0,
    )
    assert twin.frequency.frequency_upper == pytest.approx(1 - 0.025 ** (1 / 6))
    assert (twin.rare, twin.significance, twin.rank, twin.candidates) == (False, None, None, 4)
    assert (twin.forms, twin.years, twin.companions, twin.samples) == ((), (), (), ())


def test_a_gene_is_no_candidate_here_and_says_so(run: RunDirectory) -> None:
    gene = _summarise(run, "GENE:FBN1")
    assert (gene.significance, gene.rank, gene.rare) == (None, None, True)


def test_a_stage_that_is_not_finished_and_a_corpus_that_has_changed_are_data_errors(
    tmp_path: Path,
) -> None:
    run = write_named_run(tmp_path)
    run.stage("corpus").remove("citations/part-1.parquet")
    table = run.stage("corpus").read_table("citations/part-0.parquet")
    run.stage("corpus").write_table("citations/part-1.parquet", table.slice(0, 0))
    with pytest.raises(DataError, match=r"part-1\.parquet has no PMID 100"):
        _summarise(run, MARFAN)
    run.stage("entities").remove("manifest.json")
    with pytest.raises(DataError, match="medr entities run"):
        _summarise(run, MARFAN)
