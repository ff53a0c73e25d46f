"""The filters of the medical search, and the errors for wrong ones."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import ToolError
from medr_ray.retrieval.authority import KINDS
from medr_ray.retrieval.documents import SOURCES
from medr_ray.tools.medical import MedicalSearchTool, build_medical_search_tool


class Asked:
    """A searcher that finds nothing and remembers what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def search(self, query: str, *, sources: Sequence[str] | None = None) -> Sequence[Any]:
        raise AssertionError("medical_search asks for authority")

    def medical_search(self, query: str, **kept: Any) -> Sequence[Any]:
        self.calls.append((query, kept))
        return []


def call(
    arguments: dict[str, Any], tool: MedicalSearchTool | None = None
) -> tuple[str, dict[str, Any]]:
    backend = Asked()
    tool = tool or MedicalSearchTool(backend, 900, SOURCES)
    asyncio.run(tool.call(arguments))
    (call,) = backend.calls
    return call


def test_a_query_alone_keeps_everything() -> None:
    assert call({"query": " Marfan "}) == (
        "Marfan",
        {"sources": None, "since": None, "until": None, "types": None},
    )


def test_every_filter_reaches_the_searcher() -> None:
    arguments = {
        "query": "statins",
        "source": "livertox",
        "since": 2010,
        "until": 2020,
        "type": "monograph",
    }
    assert call(arguments)[1] == {
        "sources": ["livertox"],
        "since": 2010,
        "until": 2020,
        "types": ["monograph"],
    }


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"source": "wikipedia"}, "source"),
        ({"type": "rct"}, "type"),
        ({"since": "2010"}, "since"),
        ({"since": 20100101}, "since"),
        ({"until": 12}, "until"),
        ({"since": 2020, "until": 2010}, "since"),
        ({"year": 2010}, "year"),
        ({"types": ["trial"]}, "types"),
    ],
)
def test_an_unknown_value_is_named(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ToolError, match=f"'{named}'"):
        call({"query": "statins", **wrong})


def test_an_agent_is_offered_what_is_indexed_and_what_is_asked_live() -> None:
    config = PipelineConfig.model_validate(
        {
            "index": {"sources": ["pubmed", {"source": "livertox", "paths": ["pages.jsonl"]}]},
            "tools": {"live": {"sources": ["pubmed", "trials"]}},
        }
    )
    tool = build_medical_search_tool(config, Asked())
    assert tool.parameters["properties"]["source"]["enum"] == ["pubmed", "livertox", "trials"]
    assert tool.description.endswith(
        "The source is pubmed (articles) or livertox (liver toxicity of drugs) or "
        "trials (registered trials)."
    )


def test_by_default_the_description_is_that_of_the_corpus() -> None:
    tool = build_medical_search_tool(PipelineConfig(), Asked())
    assert tool.description.endswith("The source is pubmed (articles) or hpo (disease records).")
    assert tool.parameters["properties"]["type"]["enum"] == list(KINDS)
