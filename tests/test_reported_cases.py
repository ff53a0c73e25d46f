"""Situations that people reported for other tools of this trade, each with its right value.

Those with a small input are tried here, grouped by kind; the files are read in place. Those that
need an endpoint, an index or a server are tested in their rooms, which ``_IN_ITS_ROOM`` names.
Every reported case is in one of the two.
"""

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel

from medr_ray.agent.protocol import parse_reply
from medr_ray.core.errors import MedrError
from medr_ray.core.records import Citation
from medr_ray.corpus.corpus_files import list_corpus_files, open_corpus_file
from medr_ray.corpus.medline import parse_citation, read_records
from medr_ray.corpus.record_stream import read_citations
from medr_ray.entities.matching import Matcher
from medr_ray.evaluation.scorers.verdicts import parse_verdict
from medr_ray.knowledge import mondo, orphanet, tables
from medr_ray.knowledge.lexicon import Concept
from medr_ray.knowledge.name_normalization import normalise
from medr_ray.knowledge.vocabulary_reading import VocabularyEntry, VocabularyReport
from medr_ray.llm.replies import read_reply
from medr_ray.questions import answers_match

_TESTS = Path(__file__).parent
# Case: the file, and the test in it.
_IN_ITS_ROOM = {
    "04": ("corpus/test_ingest.py", "test_a_deletion_removes_earlier_records_and_no_later_ones"),
    "28": (
        "entities/test_form_matching.py",
        "test_every_embedded_disease_is_found_by_its_own_name",
    ),
    "62": ("llm/test_client.py", "test_an_overloaded_endpoint_is_asked_again"),
    "63": (
        "llm/test_client.py",
        "test_an_account_without_quota_gets_one_request_and_pauses_nobody",
    ),
    "64": ("llm/test_client.py", "test_a_model_that_refuses_the_usual_parameters_can_be_asked"),
    "65": ("llm/test_client.py", "test_a_dialogue_that_is_too_long_is_known_in_everybodys_words"),
    "65b": ("llm/test_client.py", "test_a_dialogue_that_is_too_long_is_known_in_everybodys_words"),
    "66": ("llm/test_client.py", "test_native_arguments_may_be_an_object_text_or_nothing"),
    "66b": ("llm/test_client.py", "test_native_arguments_may_be_an_object_text_or_nothing"),
    "68": ("llm/test_client.py", "test_an_error_inside_a_200_is_read_as_the_error_it_is"),
    "69": ("llm/test_client.py", "test_a_thought_beside_the_text_is_kept_apart_from_it"),
    "70": ("llm/test_client.py", "test_broken_bodies_are_passed_over"),
    "71": (
        "tools/reading/test_extraction.py",
        "test_one_broken_byte_leaves_the_others_what_they_are",
    ),
    "71c": (
        "tools/reading/test_extraction.py",
        "test_a_charset_far_behind_the_beginning_is_found",
    ),
    "74": ("tools/reading/test_fetching.py", "test_what_a_page_is_shows_in_its_bytes"),
    "74c": ("tools/reading/test_fetching.py", "test_what_a_page_is_shows_in_its_bytes"),
    "76": (
        "tools/reading/test_fetching.py",
        "test_a_small_answer_that_unpacks_to_50_mb_is_refused",
    ),
    "82": ("retrieval/test_retriever.py", "test_no_word_finds_nothing"),
    "83": ("retrieval/test_retriever.py", "test_a_very_long_query_is_answered"),
    "85": ("retrieval/test_retriever.py", "test_all_ways_to_write_a_name_find_the_same"),
    "85c": ("retrieval/test_retriever.py", "test_all_ways_to_write_a_name_find_the_same"),
    "95b": (
        "serving/test_serving_http.py",
        "test_null_means_the_default_for_every_optional_field",
    ),
    "95d": ("serving/test_serving_http.py", "test_a_message_in_text_parts_is_read"),
    "96": ("training/test_pure.py", "test_groups_that_are_too_small_or_all_alike_teach_nothing"),
    "97": ("graph/test_export.py", "test_only_characters_that_xml_forbids_are_replaced"),
}
_HERE: set[str] = set()


def case(*ids: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Marks the test of reported cases."""
    _HERE.update(ids)
    return lambda test: test


@pytest.fixture(scope="session")
def cases(shared_data: Path) -> Path:
    """The folder of the reported cases."""
    folder = shared_data.parent / "cases"
    if not folder.is_dir():
        pytest.skip(f"no reported cases at {folder}")
    return folder


def test_every_reported_case_has_a_test(cases: Path) -> None:
    lines = (cases / "cases.jsonl").read_text(encoding="utf-8").splitlines()
    assert {json.loads(line)["id"] for line in lines} == _HERE | set(_IN_ITS_ROOM)
    for file, test in _IN_ITS_ROOM.values():
        assert f"def {test}(" in (_TESTS / file).read_text(encoding="utf-8"), (file, test)


# --- PubMed files ---------------------------------------------------------------------


def read_all(path: Path) -> list[Citation]:
    """The citations of a file, by the reader that keeps every field."""
    content = path.read_bytes()
    stream = io.BytesIO(gzip.decompress(content) if path.suffix == ".gz" else content)
    return [parse_citation(record, path.name) for record in read_records(stream)]


def read_pmids(path: Path) -> list[str]:
    """The PMIDs of a file, read as the corpus is."""
    (file,) = list_corpus_files([str(path)])
    with open_corpus_file(file) as stream:
        return [
            str(pmid)
            for chunk in read_citations(stream, file.name)
            for pmid in chunk.table["pmid"].to_pylist()
        ]


@case("01")
def test_text_inside_markup_is_kept(cases: Path) -> None:
    (citation,) = read_all(cases / "01-inline-markup-truncates" / "input.xml")
    assert "Vitamin D3 was not given; five of n = 30." in citation.abstract
    assert "Marfan" in citation.abstract


@case("02")
def test_a_superscript_stays_a_power_and_a_fraction_a_fraction(cases: Path) -> None:
    abstracts = " ".join(
        citation.abstract for citation in read_all(cases / "02-superscript-figures" / "input.xml")
    )
    for figure in ("2 x 10^6 cells/kg", "10^-3", "1/2", "10^5"):
        assert figure in abstracts
    for figure in ("106", "105", " 12 "):
        assert figure not in abstracts


@case("06")
def test_an_abstract_that_stands_elsewhere_is_the_abstract(cases: Path) -> None:
    (citation,) = read_all(cases / "06-other-abstract-only" / "input.xml")
    assert citation.abstract


@case("07")
def test_a_chapter_of_a_book_is_read(cases: Path) -> None:
    (chapter,) = read_all(cases / "07-book-chapter" / "input.xml")
    assert chapter.title
    assert chapter.year == 1993
    assert "Vitamin D3" in chapter.abstract
    assert "FBN1" in chapter.abstract


@case("08")
def test_every_member_of_a_packed_file_is_read_and_a_cut_one_refused(cases: Path) -> None:
    folder = cases / "08-gzip-several-members"
    assert read_pmids(folder / "input.xml.gz") == ["801"]
    with pytest.raises(EOFError, match="ended before the end-of-stream marker"):
        read_pmids(folder / "cut.xml.gz")


@case("09")
@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("09-utf16-file/input.xml", "UTF-16"),
        ("14-old-medline-root/input.xml", "MedlineCitationSet"),
        ("16b-html-instead/efetch.xml", "HTML|efetch|eFetch|ERROR"),
        ("16b-html-instead/medline.xml", "MEDLINE"),
        ("16b-html-instead/pubmed26n0003.xml.gz", "HTML|empty"),
        ("16b-html-instead/pubmed26n0004.xml.gz", "HTML|empty"),
    ],
)
def test_a_file_that_is_no_pubmed_xml_is_named_for_what_it_is(
    cases: Path, file: str, words: str
) -> None:
    with pytest.raises(MedrError, match=words):
        read_pmids(cases / file)


@case("11")
def test_a_record_in_a_comment_is_none(cases: Path) -> None:
    citations = read_all(cases / "11-comment-and-cdata" / "input.xml")
    assert [citation.pmid for citation in citations] == ["1101", "1103"]
    assert "A < B & </PubmedArticle> C" in citations[1].title + citations[1].abstract


@case("12")
def test_two_documents_in_a_file_are_read(cases: Path) -> None:
    assert len(read_pmids(cases / "12-concatenated" / "input.xml")) == 2


@case("15")
def test_characters_beyond_the_first_plane_are_kept(cases: Path) -> None:
    (citation,) = read_all(cases / "15-astral-and-controls" / "input.xml")
    for character in "𝛼😀𝑝":
        assert character in citation.title
    assert "".join(section.text for section in citation.sections) == citation.abstract


# --- names in text --------------------------------------------------------------------

_MARFAN = Concept("D:marfan", "Marfan syndrome", "disease", ("marfan syndrome", "马凡综合征"), "")


def find_ids(names: dict[str, str], text: str) -> list[str]:
    """The concepts found in ``text``, in order; ``names`` are diseases by id."""
    concepts = [
        Concept(concept_id, name, "disease", (normalise(name),), "")
        for concept_id, name in names.items()
    ]
    genes = [
        Concept(f"GENE:{symbol}", symbol, "gene", (symbol,), "", (symbol,))
        for symbol in ("IRE1", "XBP1", "BRCA1")
    ]
    matcher = Matcher.build([_MARFAN, *concepts, *genes], 4)
    return [mention.concept_id for mention in matcher.find_mentions(text)]


@case("16", "18", "19", "21", "22", "22b", "23", "25", "26", "27")
@pytest.mark.parametrize(
    ("names", "text", "expected"),
    [
        ({}, "İ In Marfan syndrome.", ["D:marfan"]),
        ({}, "the IRE1/XBP1 arm", ["GENE:IRE1", "GENE:XBP1"]),
        (
            {},
            "患者确诊为马凡综合征1例。BRCA1基因突变与Marfan syndrome有关",
            ["D:marfan", "GENE:BRCA1", "D:marfan"],
        ),
        (
            {"G": "Gastrointestinal stromal tumor"},
            "Gastrointestinal stromal tumors (GISTs) are rare. A GIST was removed.",
            ["G", "G", "G"],
        ),
        *[
            ({"F": "Idiopathic pulmonary fibrosis"}, text, ["F", "F", "F"])
            for text in (
                "idiopathic pulmonary fibrosis ('IPF') and IPF",
                "idiopathic pulmonary fibrosis {IPF} and IPF",
                "idiopathic pulmonary fibrosis（IPF） and IPF",
                "idiopathic pulmonary fibrosis (“IPF”) and IPF",
                "idiopathic pulmonary fibrosis (or IPF) and IPF",
                "idiopathic pulmonary fibrosis (abbreviated IPF) and IPF",
                "Idiopathic pulmonary fibrosis [IPF]; IPF.",
            )
        ],
        (
            {"G": "Graves disease", "W": "Wilms tumor"},
            "Graves' disease; Wilms’ tumor",
            ["G", "W"],
        ),
        (
            {"F": "Fanconi anemia", "W": "Wilms tumor"},
            "Fanconi anaemia and Wilms tumour",
            ["F", "W"],
        ),
        (
            {"M": "1-Methyl-4-phenylpyridinium"},
            "1-Methyl-4-phenylpyridinium (MPP+), MPP+-treated",
            ["M", "M", "M"],
        ),
        (
            {"F": "Idiopathic pulmonary fibrosis"},
            "Mar\u00adfan syn\u200bdrome; idiopathic pulmonary ﬁbrosis",
            ["D:marfan", "F"],
        ),
    ],
)
def test_names_are_found_however_they_are_written(
    names: dict[str, str], text: str, expected: list[str]
) -> None:
    assert find_ids(names, text) == expected


# --- vocabularies ---------------------------------------------------------------------


def read_vocabulary(
    cases: Path, file: str, read: Callable[..., object]
) -> tuple[list[VocabularyEntry], VocabularyReport]:
    report = VocabularyReport(file)
    with (cases / "30-ontologies" / file).open("rb") as stream:
        entries = list(read(stream, report))  # type: ignore[call-overload]
    return entries, report


@case("30", "31")
@pytest.mark.parametrize("file", ["mondo_edges_first.json", "mondo.json"])
def test_a_bad_class_or_edge_is_reported_and_costs_no_other(cases: Path, file: str) -> None:
    entries, report = read_vocabulary(cases, file, mondo.read_mondo)
    assert len(entries) == 3
    assert report.skipped


@case("33")
def test_a_stray_quote_between_tabs_swallows_no_rows(cases: Path) -> None:
    entries, _ = read_vocabulary(cases, "hgnc.txt", tables.read_hgnc)
    assert {"HGNC:3", "HGNC:4", "HGNC:5"} <= {entry.concept_id for entry in entries}


@case("35")
def test_a_vocabulary_in_latin_1_is_read(cases: Path) -> None:
    entries, _ = read_vocabulary(cases, "en_product1.xml", orphanet.read_orphanet)
    (fabry,) = [entry for entry in entries if entry.concept_id == "ORPHA:324"]
    assert "Maladie de Fabry-Andersén" in str(fabry)


# --- replies of language models -------------------------------------------------------

_CALL = '<tool_call>{"name": "search", "arguments": {"query": "Marfan gene"}}</tool_call>'


@case("41", "42", "44", "47", "48")
@pytest.mark.parametrize(
    ("text", "thought"),
    [
        (f"<think>I must end with <answer> tags, but first I look it up.</think>{_CALL}", None),
        (f"Look.\n</think>\n{_CALL}", "Look."),
        (_CALL.replace("Marfan gene", "Marfan\ngene"), None),
        (
            '<tool_call>{"name": "search", "arguments": "{\\"query\\": \\"Marfan gene\\"}"}'
            "</tool_call>",
            None,
        ),
        (f"<think>I will call. {_CALL}", None),
    ],
)
def test_a_call_is_read_from_what_models_write(text: str, thought: str | None) -> None:
    reply = parse_reply(text)
    (call,) = reply.calls
    assert call.name == "search"
    assert " ".join(call.arguments["query"].split()) == "Marfan gene"
    assert reply.answer is None
    if thought is not None:
        assert reply.thought == thought


@case("46")
def test_what_is_no_json_is_named_and_not_guessed() -> None:
    text = "<tool_call>{'name': 'search', 'arguments': {'query': 'x'}}</tool_call>"
    reply = parse_reply(text)
    (problem,) = reply.attempts
    assert isinstance(problem, str)
    assert "JSON" in problem


class _Verdict(BaseModel):
    correct: bool
    reason: str = ""


@case("51", "52", "54", "55")
@pytest.mark.parametrize(
    "text",
    [
        'According to [1] the gene is FBN1:\n{"correct": true}',
        '{"correct": true}\n\nI hope this helps! {smile}',
        '```text\nplan\n```\nthen\n```json\n{"correct": true}\n```',
        '{"correct": true, "reason": "one\ntwo"}',
    ],
)
def test_the_json_that_fits_is_read(text: str) -> None:
    assert read_reply(text, _Verdict).correct is True


@case("92")
def test_a_hypothesis_is_no_verdict() -> None:
    text = "Correct: no\nIt would have been correct: yes, had it said so."
    assert parse_verdict(text) is False
    assert parse_verdict("not correct: yes") is None


# --- answers --------------------------------------------------------------------------


@case("93", "93c", "93e", "93f")
@pytest.mark.parametrize(
    ("answer", "other", "is_same"),
    [
        (".5 mg", "5 mg", False),
        (".5 mg", "0.5 mg", True),
        ("10⁶", "106", False),
        ("10⁶", "10^6", True),
        ("5±2", "5 2", False),
        ("Fanconi anaemia", "Fanconi anemia", True),
        ("$1,234.50", "1234.5", True),
        ("50 %", "50%", True),
        ("FBN1 or FBN2", "FBN1", False),
    ],
)
def test_answers_are_the_same_when_their_figures_and_names_are(
    answer: str, other: str, is_same: bool
) -> None:
    assert answers_match(answer, other, ()) is is_same
    assert answers_match(other, answer, ()) is is_same
