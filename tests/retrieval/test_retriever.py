"""Search over a small real index: disease records of HPO beside made-up abstracts."""

import dataclasses
import datetime
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medr_ray.core.config import IndexConfig, ModelsConfig, RetrievalConfig
from medr_ray.core.errors import ConfigError, DataError
from medr_ray.core.run import Directory
from medr_ray.knowledge.hpo import load_hpo
from medr_ray.knowledge.predicates import PREDICATES
from medr_ray.retrieval import index
from medr_ray.retrieval.disease_records import document_from_disease
from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.registry_records import list_registry_documents
from medr_ray.retrieval.retriever import Retriever
from medr_ray.retrieval.word_rarity import count_words, select_common_words

GUIDELINE = Document(
    "PMID:1",
    "pubmed",
    "Aortic surgery guideline",
    "Aortic surgery guideline\nSurgery of the aorta "
    "in Marfan syndrome is advised above 5.0 cm (p<0.05).",
    2020,
    ("D017065",),
    False,
    "J",
)
CASE = Document(
    "PMID:2",
    "pubmed",
    "Marfan syndrome in a child",
    "Marfan syndrome in a child\nA child with Marfan syndrome had aortic surgery.",
    2019,
    ("D002363",),
    False,
    "J",
)
RETRACTED = Document(
    "PMID:3",
    "pubmed",
    "Aortic surgery cures all",
    "Aortic surgery cures all\nAortic surgery in Marfan syndrome cures all.",
    2018,
    ("D016449", "D016441"),
    True,
    "J",
)
HIV = Document(
    "PMID:4", "pubmed", "HIV/AIDS care", "HIV/AIDS care\nCare of HIV/AIDS.", None, (), False, "J"
)
HIV_BY_NUMBER = dataclasses.replace(HIV, document_id="PMID:34095178")
ARTICLES = [GUIDELINE, CASE, RETRACTED, HIV]
# Words of questions are common ones where there are articles.
STUDIES = [
    Document(
        f"PMID:{number}",
        "pubmed",
        f"Cohort {number}",
        f"Cohort {number}\nSmoking was associated with the outcome in a gene study of disease.",
        None,
        (),
        False,
        "J",
    )
    for number in range(1000, 1300)
]


def build(folder: Path, documents: list[Document], vectors: np.ndarray | None = None) -> Directory:
    directory = Directory(str(folder))
    rows = index.build_table(
        directory, [index.build_batch(documents, vectors, 384)], IndexConfig(), 384
    )
    directory.write_table(index.COMMON_WORDS, select_common_words([count_words(documents)], rows))
    return directory


def open_retriever(directory: Directory, **settings: object) -> Retriever:
    return Retriever.open(
        directory, RetrievalConfig.model_validate({"mode": "text", **settings}), ModelsConfig()
    )


@pytest.fixture(scope="module")
def records() -> list[Document]:
    """Every fifth disease, and the relatives of Marfan syndrome."""
    diseases = sorted(load_hpo().diseases.values(), key=lambda record: record.entity_id)
    chosen = {
        record.entity_id: record
        for record in [*diseases[::5], *(record for record in diseases if "Marfan" in record.name)]
    }
    return [document_from_disease(record) for record in chosen.values() if record.facts]


@pytest.fixture(scope="module")
def retriever(records: list[Document], tmp_path_factory: pytest.TempPathFactory) -> Retriever:
    return open_retriever(build(tmp_path_factory.mktemp("index"), ARTICLES + STUDIES + records))


def test_the_record_of_the_named_disease_comes_first(retriever: Retriever) -> None:
    hit = retriever.search("Marfan syndrome mode of inheritance")[0]
    assert hit.document_id == "HPO:OMIM:154700"
    assert hit.snippet.startswith("Inheritance: Autosomal dominant inheritance; HPO: HP:0000006")


def test_a_number_in_the_query_finds_its_document_and_the_line_that_is_asked(
    tmp_path: Path,
) -> None:
    trials = list_registry_documents("clinical_trials")[:200]
    retriever = open_retriever(
        build(tmp_path, [*ARTICLES, HIV_BY_NUMBER, *trials]), snippet_sentences=1
    )
    trial = next(trial for trial in trials if "\nconditions: " in trial.text)
    hit = retriever.search(f"{trial.number} conditions")[0]
    assert hit.document_id == trial.document_id
    assert hit.snippet.startswith("conditions: ")
    # The number of an article is in no text.
    assert retriever.search("PMID 34095178")[0].document_id == HIV_BY_NUMBER.document_id


@pytest.mark.parametrize("method", ["search", "medical_search"])
def test_facts_are_found_where_they_are_stated(
    retriever: Retriever, records: list[Document], method: str
) -> None:
    """The goal is 90 % of the facts that their wording singles out; 200 of them are asked, from all
    over."""
    diseases = load_hpo().diseases
    questions = []
    for record in records:
        facts = diseases[record.document_id.removeprefix("HPO:")].facts
        keys = [
            (
                fact.predicate,
                fact.clinical if "{clinical}" in PREDICATES[fact.predicate].phrase else "",
            )
            for fact in facts
        ]
        questions += [
            (record, fact) for fact, key in zip(facts, keys, strict=True) if keys.count(key) == 1
        ]
    questions = questions[:: len(questions) // 200][:200]
    first = shown_count = 0
    for record, fact in questions:
        phrase = PREDICATES[fact.predicate].phrase.format(clinical=fact.clinical)
        hit = getattr(retriever, method)(f"{phrase} of {record.title}")[0]
        first += hit.document_id == record.document_id
        shown_count += hit.document_id == record.document_id and fact.object_name in hit.snippet
    assert len(questions) == 200
    assert first >= 190
    assert shown_count >= 190


def test_a_gene_leads_to_a_disease_it_is_associated_with(retriever: Retriever) -> None:
    hit = retriever.medical_search(PREDICATES["associated_gene"].name_subject("FBN1"))[0]
    assert hit.source == "hpo"
    assert "Gene: FBN1;" in hit.snippet


def test_clinical_ranking_prefers_the_guideline_and_buries_the_retracted_trial(
    retriever: Retriever,
) -> None:
    query = "aortic surgery"
    ranked = [
        hit.document_id for hit in retriever.medical_search(query, results=30, sources=["pubmed"])
    ]
    assert ranked[0] == "PMID:1"
    assert ranked[-1] == "PMID:3"


@pytest.mark.parametrize(
    "query", ["p<0.05", "HIV/AIDS", 'a "b" AND (c', "+x -y ~z^2 \\ *", "it's; DROP", "%_'", "的"]
)
def test_a_query_is_words_never_syntax(retriever: Retriever, query: str) -> None:
    retriever.search(query)
    retriever.medical_search(query, sources=["pubmed"])


def test_words_with_signs_are_found(retriever: Retriever) -> None:
    assert retriever.search("HIV/AIDS")[0].document_id == "PMID:4"
    assert "p<0.05" in retriever.search("p<0.05")[0].snippet


@pytest.mark.parametrize("query", ["???", "", "the of and to", "\u200b", "’"])
def test_no_word_finds_nothing(retriever: Retriever, query: str) -> None:
    assert retriever.search(query) == []


def test_a_very_long_query_is_answered(retriever: Retriever) -> None:
    hits = retriever.search("Marfan syndrome inheritance " * 3_000)
    assert hits[0].document_id == "HPO:OMIM:154700"


@pytest.mark.parametrize(
    "queries",
    [
        ("Sjögren syndrome", "Sjo\u0308gren syndrome", "SJOGREN SYNDROME", "Sjögren’s syndrome"),
        ("TNF-α", "TNF-alpha", "TNFα", "TNF-ａｌｐｈａ"),
        ("β-thalassemia", "beta thalassaemia", "ß-thalassaemia", "beta-thal\u00adassemia"),
        ("α1-antitrypsin deficiency", "alpha-1 antitrypsin deficiency"),
        ("Graves' disease", "Graves disease", "Graves’ disease"),
        ("gastroesophageal reflux", "gastro-oesophageal reflux"),
    ],
)
def test_all_ways_to_write_a_name_find_the_same(
    tmp_path: Path, records: list[Document], queries: tuple[str, ...]
) -> None:
    titles = [unicodedata.normalize("NFC", query) for query in queries]
    written = [
        Document(f"PMID:{number}", "pubmed", title, f"{title}\nA study.", 2020, (), False, "J")
        for number, title in enumerate(titles)
    ]
    retriever = open_retriever(build(tmp_path, [*written, *records[::20]]), results=10)
    hits = [[hit.document_id for hit in retriever.search(query)] for query in queries]
    assert all(ids == hits[0] for ids in hits)
    findable = [document.document_id for document in written if "ａ" not in document.title]
    assert set(findable) <= set(hits[0])


def test_sources_and_results_are_honoured(retriever: Retriever) -> None:
    hits = retriever.search("Marfan syndrome", results=2, sources=["pubmed"])
    assert [hit.source for hit in hits] == ["pubmed", "pubmed"]
    assert len(retriever.search("Marfan syndrome")) == 3


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"since": 2019}, {"PMID:1", "PMID:2"}),
        ({"until": 2019}, {"PMID:2", "PMID:3"}),
        ({"since": 2019, "until": 2019}, {"PMID:2"}),
        ({"types": ["guideline", "case_report"]}, {"PMID:1", "PMID:2"}),
        ({"types": ["randomised_trial"], "until": 2018}, {"PMID:3"}),
        ({"types": ["guideline"], "sources": ["hpo"]}, set()),
        ({"types": ["x') OR ('1' = '1"]}, set()),
    ],
)
@pytest.mark.parametrize("method", ["search", "medical_search"])
def test_a_search_keeps_to_its_years_and_kinds_of_evidence(
    retriever: Retriever, filters: dict[str, Any], expected: set[str], method: str
) -> None:
    hits = getattr(retriever, method)(
        "aortic surgery Marfan syndrome", results=30, **{"sources": ["pubmed"], **filters}
    )
    assert {hit.document_id for hit in hits} == expected


def test_records_are_a_kind_of_evidence(retriever: Retriever) -> None:
    assert {
        hit.source for hit in retriever.search("Marfan syndrome", results=30, types=["record"])
    } == {"hpo"}


def test_what_is_later_than_the_cut_off_is_not_there(
    records: list[Document], tmp_path: Path
) -> None:
    directory = build(tmp_path, ARTICLES + STUDIES + records)
    settings = RetrievalConfig(mode="text")
    dated_retriever = Retriever.open(
        directory, settings, ModelsConfig(), before=datetime.date(2019, 3, 1)
    )
    for method in (dated_retriever.search, dated_retriever.medical_search):
        ids = {
            hit.document_id
            for query in ("aortic surgery Marfan", "HIV/AIDS")
            for hit in method(query, 40)
        }
        assert {document_id for document_id in ids if document_id.startswith("PMID")} == {
            "PMID:2",
            "PMID:3",
        }  # PMID:4 has no year
    assert dated_retriever.document("PMID:1") is None
    assert "PMID:1" not in {
        document.document_id for document in dated_retriever.medical_documents("aortic surgery", 30)
    }
    assert (
        dated_retriever.search("Marfan syndrome mode of inheritance")[0].document_id
        == "HPO:OMIM:154700"
    )


def test_the_explanation_adds_up_to_the_score(retriever: Retriever) -> None:
    for method in (retriever.search, retriever.medical_search):
        for hit in method("aortic surgery in Marfan syndrome", results=30):
            assert hit.explanation.total == pytest.approx(hit.score)
    ranked = retriever.medical_search(
        "aortic surgery in Marfan syndrome", results=30, sources=["pubmed"]
    )
    factors = {
        hit.document_id: {factor.name: factor.contribution for factor in hit.explanation.factors}
        for hit in ranked
    }
    assert factors["PMID:1"]["guideline"] == pytest.approx(0.6 * 0.6)
    assert factors["PMID:3"]["retraction"] == pytest.approx(-0.6 * 0.8)


def test_a_hit_says_what_it_is_and_where_to_read_it(retriever: Retriever) -> None:
    hit = retriever.search("aortic surgery guideline", sources=["pubmed"])[0]
    assert (hit.kind, hit.year, hit.url) == (
        "guideline",
        2020,
        "https://pubmed.ncbi.nlm.nih.gov/1/",
    )


def test_a_listed_retraction_counts_though_pubmed_has_not_flagged_it(
    records: list[Document], tmp_path: Path
) -> None:
    directory = build(tmp_path, ARTICLES)
    (tmp_path / "retracted.txt").write_text("1\n")
    ours = open_retriever(directory, retracted_pmids=str(tmp_path / "retracted.txt"))
    ranked = ours.medical_search("aortic surgery", results=10)
    assert ranked[0].document_id == "PMID:2"
    assert [hit.authority for hit in ranked if hit.document_id == "PMID:1"] == [0.0]
    document = ours.document("PMID:1")
    assert document is not None
    assert document.retracted


def test_age_is_counted_from_the_newest_document_or_the_cut_off(tmp_path: Path) -> None:
    directory = build(tmp_path, ARTICLES)
    weights = {"recency_weight": 0.5, "recency_half_life": 2.0}
    newest = {
        hit.document_id: hit.authority
        for hit in open_retriever(directory, **weights).search("aortic", 9)
    }
    assert newest["PMID:2"] == pytest.approx(
        0.25 + 0.5 * (0.5**0.5 - 0.5)
    )  # one year older than the newest
    dated_retriever = Retriever.open(
        directory,
        RetrievalConfig.model_validate({"mode": "text", **weights}),
        ModelsConfig(),
        before=datetime.date(2019, 1, 1),
    )
    assert dated_retriever.search("aortic", sources=["pubmed"], types=["case_report"])[
        0
    ].authority == pytest.approx(0.5)


def test_an_index_of_an_earlier_version_is_searched_all_the_same(tmp_path: Path) -> None:
    directory = build(tmp_path, ARTICLES)
    index.open_table(directory).drop_columns(["issn", "evidence", "references", "kind", "part"])
    old = open_retriever(directory)
    assert old.medical_search("aortic surgery")[0].document_id == "PMID:1"
    with pytest.raises(DataError, match="medr index run"):
        old.search("aortic surgery", types=["guideline"])


def test_a_document_is_given_back_whole(retriever: Retriever) -> None:
    assert retriever.document("PMID:1") == GUIDELINE
    assert retriever.document("PMID:' OR 1=1") is None


def test_the_same_index_built_twice_answers_alike(
    records: list[Document], retriever: Retriever, tmp_path: Path
) -> None:
    again = open_retriever(build(tmp_path, ARTICLES + STUDIES + records))
    for query in ("aortic dilatation in children", "disease associated with COL1A1", "seizures"):
        assert again.search(query, results=10) == retriever.search(query, results=10)


def test_threads_that_share_a_retriever_get_the_hits_they_would_get_alone(
    retriever: Retriever,
) -> None:
    queries = [
        f"{word} of a disease {i}" for i, word in enumerate(["aorta", "gene", "seizures"] * 9)
    ]
    alone = [retriever.search(query, results=10) for query in queries]
    with ThreadPoolExecutor(8) as pool:
        spaced = [f"{query} " for query in queries]  # not remembered from above
        assert list(pool.map(lambda query: retriever.search(query, results=10), spaced)) == alone


def test_vector_mode_needs_vectors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"index\.embed"):
        open_retriever(build(tmp_path, ARTICLES), mode="vector")


def test_a_missing_index_names_the_stage(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="index stage"):
        open_retriever(Directory(str(tmp_path)))


@pytest.mark.slow
def test_vectors_find_what_shares_no_word(tmp_path: Path) -> None:
    from medr_ray.core.errors import MedrError
    from medr_ray.engines.encoder import Encoder

    try:
        encoder = Encoder(ModelsConfig().encoder)
    except MedrError as error:
        pytest.skip(str(error))
    retriever = open_retriever(
        build(tmp_path, ARTICLES, encoder.encode([article.title for article in ARTICLES])),
        mode="hybrid",
    )
    assert retriever.search("cardiac operations", mode="text") == []
    assert retriever.search("cardiac operations")[0].document_id in {"PMID:1", "PMID:3"}
    assert retriever.medical_search("cardiac operations")[0].document_id == "PMID:1"
    assert retriever.search("cardiac operations", mode="vector") == retriever.search(
        "cardiac operations", mode="vector"
    )
    assert retriever.search("HIV/AIDS", mode="vector")[0].document_id == "PMID:4"
