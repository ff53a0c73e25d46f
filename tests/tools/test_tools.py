"""What an agent gets back from its tools, for good and bad calls."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medr_ray.core.config import AgentConfig, PipelineConfig
from medr_ray.core.errors import InfrastructureError, ToolError
from medr_ray.retrieval.live.annotated_results import AnnotatedResults
from medr_ray.retrieval.retriever import RetrievalHit
from medr_ray.tools import ToolResult, build_tools
from medr_ray.tools.observations import render_hits


@dataclass(frozen=True)
class _Hit:
    document_id: str
    title: str
    snippet: str
    date_text: str = ""


_HITS = (
    _Hit(
        "HPO:OMIM:154700",
        "Marfan syndrome",
        "Inheritance: Autosomal dominant inheritance; Evidence: PCS",
    ),
    _Hit("PMID:1", "Aortic root\ndilatation", "In 45% of patients (p<0.05).", "2019"),
    _Hit("PMID:2", "Ectopia lentis", "A case."),
)


class _Searcher:
    """Remembers what was asked, and in which thread."""

    def __init__(self, hits: Sequence[_Hit] = _HITS, fail: Exception | None = None) -> None:
        self.queries: list[tuple[str, str, Sequence[str] | None]] = []
        self.thread: threading.Thread | None = None
        self._hits = hits
        self._fail = fail

    def search(self, query: str, *, sources: Sequence[str] | None = None) -> Sequence[_Hit]:
        return self._answer("search", query, sources)

    def medical_search(
        self, query: str, *, sources: Sequence[str] | None = None, **_: Any
    ) -> Sequence[_Hit]:
        return self._answer("medical_search", query, sources)

    def _answer(self, how: str, query: str, sources: Sequence[str] | None) -> Sequence[_Hit]:
        self.queries.append((how, query, sources))
        self.thread = threading.current_thread()
        if self._fail is not None:
            raise self._fail
        return self._hits


def _call(
    name: str, arguments: dict[str, object], searcher: _Searcher | None = None, chars: int = 900
) -> ToolResult:
    config = PipelineConfig(agent=AgentConfig(tools=(name,), observation_chars=chars))
    (tool,) = build_tools(config, searcher or _Searcher())
    return asyncio.run(tool.call(arguments))


def test_a_hit_is_one_line_with_its_document_id_and_date() -> None:
    result = _call("search", {"query": "Marfan syndrome"})
    assert result.text.splitlines() == [
        (
            "[1] Marfan syndrome (HPO:OMIM:154700): Inheritance: Autosomal dominant "
            "inheritance; Evidence: PCS"
        ),
        "[2] Aortic root dilatation (PMID:1, 2019): In 45% of patients (p<0.05).",
        "[3] Ectopia lentis (PMID:2): A case.",
    ]
    assert result.documents == ("HPO:OMIM:154700", "PMID:1", "PMID:2")


def test_each_tool_asks_its_own_ranking_and_medical_search_can_keep_one_source() -> None:
    searcher = _Searcher()
    _call("search", {"query": " Marfan "}, searcher)
    _call("medical_search", {"query": "Marfan"}, searcher)
    _call("medical_search", {"query": "Marfan", "source": "hpo"}, searcher)
    assert searcher.queries == [
        ("search", "Marfan", None),
        ("medical_search", "Marfan", None),
        ("medical_search", "Marfan", ["hpo"]),
    ]


def test_the_blocking_search_leaves_the_event_loop_free() -> None:
    searcher = _Searcher()
    _call("search", {"query": "Marfan"}, searcher)
    assert searcher.thread is not threading.main_thread()


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("search", {}, "needs the argument 'query'"),
        ("search", {"querry": "x"}, "'querry': did you mean 'query'"),
        ("search", {"query": "x", "source": "hpo"}, "no argument 'source'"),
        ("search", {"query": 7}, "'query' is wrong"),
        ("search", {"query": "x" * 1001}, "'query' is wrong"),
        ("search", {"query": " ?! "}, "'query' is empty"),
        ("medical_search", {"query": "x", "source": "google"}, "'source' is wrong"),
    ],
)
def test_a_wrong_call_names_the_argument_and_searches_nothing(
    name: str, arguments: dict[str, object], message: str
) -> None:
    searcher = _Searcher()
    with pytest.raises(ToolError, match=message.replace("?", r"\?")):
        _call(name, arguments, searcher)
    assert searcher.queries == []


def test_no_hits_are_reported_and_none_invented() -> None:
    assert _call("search", {"query": "xyzzy"}, _Searcher(hits=())) == ToolResult("No results.")


def test_a_broken_index_is_not_the_agents_mistake() -> None:
    with pytest.raises(InfrastructureError, match="cannot be searched"):
        _call("search", {"query": "Marfan"}, _Searcher(fail=OSError("no such file")))


def test_only_whole_lines_are_shown_and_only_their_documents_count() -> None:
    result = _call("search", {"query": "Marfan"}, chars=180)
    assert len(result.text.splitlines()) == 2
    assert result.documents == ("HPO:OMIM:154700", "PMID:1")


@pytest.mark.parametrize(
    ("document_id", "year", "date_text"),
    [
        ("PMID:1", 2019, "2019"),
        ("NCT:NCT00367016", 2026, "as of 2026"),
        ("HPO:OMIM:154700", None, ""),
    ],
)
def test_a_papers_year_is_that_of_publication_and_a_records_that_of_its_edition(
    document_id: str, year: int | None, date_text: str
) -> None:
    hit = RetrievalHit(document_id, "registries", "t", "s", 1.0, 1.0, 1.0, year)
    assert hit.date_text == date_text
    heading = render_hits([hit], 900).text.partition("[1] t (")[2].partition(")")[0]
    assert heading == ", ".join(filter(None, (document_id, date_text)))


def test_a_long_first_line_is_cut_after_a_word() -> None:
    result = render_hits(_HITS, 66)
    assert result.text == "[1] Marfan syndrome (HPO:OMIM:154700): Inheritance: Autosomal…"
    assert result.documents == ("HPO:OMIM:154700",)


@settings(deadline=None)
@given(
    st.lists(
        st.builds(_Hit, st.text(max_size=20), st.text(max_size=80), st.text(max_size=300)),
        max_size=5,
    ),
    st.integers(min_value=100, max_value=900),
)
def test_observations_never_exceed_their_room(hits: list[_Hit], chars: int) -> None:
    result = render_hits(hits, chars)
    assert len(result.text) <= chars
    assert len(result.text.splitlines() if hits else []) >= min(1, len(hits))
    assert result.documents == tuple(hit.document_id for hit in hits[: len(result.documents)])


@settings(deadline=None)
@given(st.lists(st.text(max_size=400), max_size=3), st.integers(min_value=100, max_value=900))
def test_notes_on_what_is_missing_leave_room_for_hits(notes: list[str], chars: int) -> None:
    result = render_hits(_HITS, chars, notes)
    assert len(result.text) <= chars
    assert result.documents[0] == "HPO:OMIM:154700"


def test_a_source_that_did_not_answer_is_reported() -> None:
    result = _call(
        "search",
        {"query": "Marfan"},
        _Searcher(hits=AnnotatedResults(_HITS[:1], ["pubmed is down"])),
    )
    assert result.text.splitlines()[1:] == ["Note: pubmed is down"]
    assert _call(
        "search", {"query": "x"}, _Searcher(hits=AnnotatedResults((), ["all\nare down"]))
    ).text == ("No results.\nNote: all are down")
