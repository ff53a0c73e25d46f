"""An answer's sources: what states it, what the agent cites, and what is missing."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from support.agent_run import Script
from support.questions import worded_task
from support.small_index import KRABBE

from medr_ray.agent.cited_answer import CitedAnswer, cite_answer
from medr_ray.agent.episode_loop import run_episode
from medr_ray.agent.protocol import ToolCall, render_reply
from medr_ray.core.config import AgentConfig
from medr_ray.core.records import Language
from medr_ray.retrieval.documents import REGISTRY_PREFIXES, Document, document_url
from medr_ray.tools.base import ToolResult

VINCA = (
    "[1] Vinca Alkaloids - LiverTox - NCBI Bookshelf (LIVERTOX:Vinca_Alkaloids, as of 2020): "
    "hepatotoxicity: Likelihood score, vincristine: C (probable rare cause of clinically apparent "
    "liver injury); value: C\n"
    "[2] Heroin - LiverTox - NCBI Bookshelf (LIVERTOX:Heroin, as of 2020): hepatotoxicity: "
    "Likelihood score, Heroin: E (unlikely cause of clinically apparent liver injury); value: E"
)
TRIAL = (
    "[1] Dupilumab in asthma (NCT:NCT01234567, as of 2023): enrollment count: 98; value: 98\n"
    "[2] A trial of aspirin (PMID:7, 2019): It enrolled 98 patients (NCT07654321)."
)


class Shown:
    """A tool that shows the results it is given, in turn."""

    name, description = "search", "shows"
    parameters: Mapping[str, Any] = {"type": "object"}

    def __init__(self, *texts: str) -> None:
        self._texts = list(texts)

    async def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        text = self._texts.pop(0)
        documents = [
            word.strip("(),:")
            for word in text.split()
            if word.strip("(").startswith(tuple(f"{name}:" for name in PREFIXES))
        ]
        return ToolResult(text, tuple(dict.fromkeys(documents)))


PREFIXES = (*REGISTRY_PREFIXES.values(), "WEB")


def cite(
    question: str,
    results: Mapping[str, str],
    answer: str | None,
    thought: str = "done",
    language: Language = "en",
    documents: Mapping[str, Document] | None = None,
) -> CitedAnswer:
    """The cited answer of an episode that asked the queries of ``results`` in turn."""
    lines = [
        render_reply("look", [ToolCall("search", {"query": query}) for query in [query]])
        for query in results
    ]
    lines.append(render_reply(thought, answer=answer) if answer is not None else "no answer")
    trajectory = asyncio.run(
        run_episode(
            worded_task(question),
            Script(*lines),
            [Shown(*results.values())],
            AgentConfig(max_tool_calls=max(len(results), 1) + (answer is not None)),
            mode="m",
        )
    )
    return cite_answer(trajectory, language, documents.get if documents is not None else None)


def test_the_line_that_states_the_answer_is_quoted_with_title_page_and_date() -> None:
    cited = cite("What is vincristine's LiverTox score?", {"vincristine LiverTox": VINCA}, "C")
    assert [source.document_id for source in cited.citations] == ["LIVERTOX:Vinca_Alkaloids"]
    source = cited.citations[0]
    assert source.title == "Vinca Alkaloids - LiverTox - NCBI Bookshelf"
    assert source.url == "https://www.ncbi.nlm.nih.gov/books/NBK547852/"
    assert (source.as_of, source.published, source.states_answer) == ("2020", "", True)
    assert source.quote == (
        "hepatotoxicity: Likelihood score, vincristine: C (probable rare cause of clinically "
        "apparent liver injury); value: C"
    )
    assert (cited.remark, cited.unresolved) == ("", ())


def test_the_same_value_of_something_else_is_no_source() -> None:
    # What a small model did: a misspelt query, and the score of another drug as the answer.
    cited = cite(
        "What likelihood score for liver injury does LiverTox give erenumab?",
        {"renemumab LiverTox likelihood score": VINCA},
        "C",
    )
    assert cited.citations == ()
    assert cited.remark.startswith("None of the documents that were read states this")


def test_a_record_of_a_similar_name_is_no_source() -> None:
    results = (
        "[1] Erosive pustular dermatosis of the scalp (ORPHANET:ORPHA:222, as of 2021): average "
        "age of onset name: Adolescent\n"
        "[2] Subcorneal pustular dermatosis (ORPHANET:ORPHA:48377, as of 2021): average age of "
        "onset name: Adult"
    )
    question = "As of 2021, when does subcorneal pustular dermatosis begin, by Orphanet?"
    query = "subcorneal pustular dermatosis age of onset"
    assert cite(question, {query: results}, "Adolescent").citations == ()
    cited = cite(question, {query: results}, "Adult")
    assert [source.document_id for source in cited.citations] == ["ORPHANET:ORPHA:48377"]


def test_an_answer_that_nothing_states_is_said_to_be_so_in_both_languages() -> None:
    english = cite("Which score has heroin?", {"heroin": VINCA}, "Guaifenesin")
    assert english.citations == ()
    assert "None of the documents" in english.remark
    assert "not medical advice" in english.notice
    chinese = cite("海洛因的评分是什么？", {"heroin": VINCA}, "愈创甘油醚", language="zh")
    assert chinese.remark.startswith("所查阅的文献都没有陈述")
    assert "不构成医疗建议" in chinese.notice


def test_no_answer_is_no_answer() -> None:
    cited = cite("Which score has heroin?", {"heroin": VINCA}, None)
    assert (cited.text, cited.citations, cited.remark) == (None, (), "The agent gave no answer.")


def test_a_document_that_the_agent_cites_comes_with_its_closest_line() -> None:
    cited = cite(
        "How many patients did the trial of dupilumab enrol?",
        {"dupilumab": TRIAL},
        "a lot (NCT01234567)",
        thought="It enrolled many (NCT:NCT01234567).",
    )
    (source,) = cited.citations
    assert (source.document_id, source.states_answer) == ("NCT:NCT01234567", False)
    assert source.quote == "enrollment count: 98; value: 98"
    assert cited.remark != ""


@pytest.mark.parametrize(
    ("citation", "unresolved"),
    [
        ("PMID: 31234567", "PMID:31234567"),
        ("PMID 31234567", "PMID:31234567"),
        ("FDA:NDA021436", "FDA:NDA021436"),
        ("NCT99999999", "NCT:NCT99999999"),
        ("https://example.org/page.", "WEB:https://example.org/page"),
    ],
)
def test_an_id_that_was_never_shown_is_named(citation: str, unresolved: str) -> None:
    cited = cite("How many?", {"dupilumab": TRIAL}, "98", thought=f"98 were enrolled ({citation}).")
    assert [(entry.document_id, entry.mentioned_in) for entry in cited.unresolved] == [
        (unresolved, ())
    ]


def test_an_id_that_a_shown_document_names_says_where() -> None:
    cited = cite("How many?", {"aspirin": TRIAL}, "98 patients", thought="In NCT07654321.")
    assert [(entry.document_id, entry.mentioned_in) for entry in cited.unresolved] == [
        ("NCT:NCT07654321", ("PMID:7",))
    ]


def test_an_id_of_the_question_is_no_citation() -> None:
    cited = cite("What of NCT11111111?", {"NCT11111111": TRIAL}, "98", thought="See NCT11111111.")
    assert cited.unresolved == ()


def test_items_of_a_list_are_looked_for_one_by_one() -> None:
    cited = cite(
        "Which drugs did the trial in asthma give?",
        {"asthma": TRIAL},
        "dupilumab; warfarin",
    )
    assert [source.document_id for source in cited.citations] == ["NCT:NCT01234567"]
    assert cited.remark == "None of the documents that were read states: warfarin"


def test_a_name_that_the_question_gave_is_no_answer_of_a_title() -> None:
    cited = cite("When was dupilumab in asthma studied?", {"x": TRIAL}, "Dupilumab in asthma")
    assert cited.citations == ()


def test_scores_with_an_asterisk_are_other_scores() -> None:
    shown = VINCA.replace("vincristine: C", "vincristine: E*").replace("value: C", "value: E*")
    question, query = "What is vincristine's LiverTox score?", "vincristine LiverTox"
    assert cite(question, {query: shown}, "E*").citations[0].states_answer
    assert cite(question, {query: shown}, "E").citations == ()


def test_the_whole_record_gives_the_exact_date_and_the_line_that_was_cut() -> None:
    line = "Inheritance: Autosomal recessive inheritance; HPO: HP:0000007; Reference: PMID:1"
    record = Document(
        "ORPHANET:ORPHA:487",
        "registries",
        "Krabbe disease",
        "Krabbe disease\nOrphanet: ORPHA:487; as of: 2021-03-01\n"
        "average age of onset name: Infancy; status: a long one that a snippet has no room for",
        2021,
        (),
        False,
        "Orphanet",
    )
    shown = (
        "[1] Krabbe disease (ORPHANET:ORPHA:487, as of 2021): average age of onset name: Infancy; "
        "status: a long…\n"
        f"[2] Krabbe disease (HPO:OMIM:245200): {line}"
    )
    cited = cite(
        "When does Krabbe disease begin?",
        {"Krabbe disease": shown},
        "Infancy",
        documents={record.document_id: record, KRABBE.document_id: KRABBE},
    )
    (source,) = cited.citations
    assert source.as_of == "2021-03-01"
    assert source.quote.endswith("that a snippet has no room for")


@pytest.mark.parametrize(
    ("document_id", "url"),
    [
        ("PMID:413346", "https://pubmed.ncbi.nlm.nih.gov/413346/"),
        ("NCT:NCT05575037", "https://clinicaltrials.gov/study/NCT05575037"),
        ("ORPHANET:ORPHA:487", "https://www.orpha.net/en/disease/detail/487"),
        ("HPO:OMIM:245200", "https://hpo.jax.org/browse/disease/OMIM:245200"),
        ("WEB:https://example.org/a?b={c}", "https://example.org/a?b={c}"),
    ],
)
def test_ids_lead_to_pages(document_id: str, url: str) -> None:
    assert document_url(document_id) == url


def test_every_kind_of_document_has_a_page() -> None:
    for prefix in REGISTRY_PREFIXES.values():
        assert document_url(f"{prefix}:X1").startswith("https://"), prefix


def test_an_answer_of_another_kind_than_asked_for_is_pointed_out() -> None:
    # What a small model did: asked for a disorder, it answered with its inheritance.
    shown = (
        "[1] Krabbe disease (HPO:OMIM:245200): Inheritance: Autosomal recessive inheritance; "
        "HPO: HP:0000007; Reference: PMID:8297359; Evidence: PCS"
    )
    answer = "Autosomal recessive inheritance"
    asked = cite("How is Krabbe disease inherited?", {"Krabbe disease": shown}, answer)
    assert asked.remark == ""
    other = cite("Which gene is mutated in Krabbe disease?", {"Krabbe disease": shown}, answer)
    assert other.remark.startswith("The records state this as: inheritance.")
    assert other.citations == asked.citations


@pytest.mark.parametrize(
    "document_id",
    [
        "PMID:399296",
        "HPO:DECIPHER:14",
        "HPO:OMIM:245200",
        "NCT:NCT00000410",
        "FDA-LABEL:000b5b37-3873-4007-b3be-ad99a9904bed",
        "FDA:ANDA018659",
        "ORANGE-BOOK:NDA018659",
        "LIVERTOX:Vinca_Alkaloids",
        "ORPHANET:ORPHA:10",
    ],
)
def test_every_kind_of_id_is_read_where_it_is_cited(document_id: str) -> None:
    shown = f"[1] A title ({document_id}, as of 2020): weight: 70 kg"
    cited = cite(
        "How heavy?", {"heavy": shown}, "heavy", thought=f"It says so (see {document_id})."
    )
    assert [source.document_id for source in cited.citations] == [document_id]
    assert cited.unresolved == ()
    assert cited.citations[0].url.startswith("https://")
