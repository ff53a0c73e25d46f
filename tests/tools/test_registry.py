"""The tools that a configuration selects, and the errors for one that selects none."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from support.small_index import KRABBE, build_index

from medr_ray.core.config import AgentConfig, PipelineConfig
from medr_ray.core.errors import ConfigError
from medr_ray.tools import ToolResult, build_tools, open_tools
from medr_ray.tools.base import Tool, for_episode
from medr_ray.tools.registry import BUILT_IN

MODULE = '''
"""Tools of a user."""
from medr_ray.tools import ToolResult
from medr_ray.core.errors import ConfigError

CONSTANT = 7

def search(query: str) -> str:
    """Has a name that is taken."""
    return query

class Ready:
    name, description, parameters = "ready", "is ready", {"type": "object"}

    async def call(self, arguments):
        return ToolResult("yes")

ready = Ready()

def make(config, searcher):
    ready.seen = (config.agent.observation_chars, searcher)
    return ready

def make_nothing(config, searcher):
    return None
'''


@pytest.fixture
def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module that can be imported."""
    name = f"users_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    (tmp_path / f"{name}_broken.py").write_text("import no_such_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    return name


def build(*names: str, searcher: Any = None, **sections: Any) -> list[Tool]:
    return build_tools(PipelineConfig(agent=AgentConfig(tools=names), **sections), searcher)


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_built_in_tool_is_made_by_its_name(name: str) -> None:
    (tool,) = build(name)
    assert tool.name == name
    assert tool.description
    assert tool.parameters["type"] == "object"


def test_the_tools_come_in_the_order_of_the_configuration() -> None:
    assert [tool.name for tool in build("medical_search", "search")] == ["medical_search", "search"]


def test_a_users_tool_may_be_made_from_the_configuration_and_the_searcher(users: str) -> None:
    searcher = object()
    (ready,) = build(f"{users}:ready")
    (tool,) = build(f"{users}:make", searcher=searcher)
    assert tool is ready
    assert tool.seen == (AgentConfig().observation_chars, searcher)  # type: ignore[attr-defined]
    assert asyncio.run(tool.call({})) == ToolResult("yes")


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("{users}:raedy", "has no 'raedy': did you mean 'ready'?"),
        ("{users}:CONSTANT", "neither a function nor a tool, but int"),
        ("{users}:make_nothing", "made no tool, but NoneType"),
        (
            "{users}_broken:tool",
            "_broken cannot be imported: ModuleNotFoundError: No module named 'no_such_package'",
        ),
        (
            "no_such_package.tools:dose",
            "no_such_package.tools cannot be imported: ModuleNotFoundError",
        ),
    ],
)
def test_a_name_that_is_no_tool_is_a_configuration_error(users: str, name: str, wrong: str) -> None:
    with pytest.raises(ConfigError) as failure:
        build(name.replace("{users}", users))
    assert str(failure.value).startswith("agent.tools: ")
    assert wrong in str(failure.value)


def test_two_tools_of_one_name_are_a_configuration_error(users: str) -> None:
    with pytest.raises(ConfigError, match="2 tools are named 'search'"):
        build("search", f"{users}:search")
    with pytest.raises(ConfigError, match="2 tools are named 'search'"):
        build("search", "search")


def test_the_search_goes_to_the_web_where_a_provider_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MEDR_WEB_SEARCH_API_KEY", "k")
    (local,), (web,) = build("search"), build("search", tools={"web": {"provider": "serper"}})
    assert "literature" in local.description
    assert "web" in web.description


def test_after_the_cut_off_a_later_document_is_not_there(tmp_path: Path) -> None:
    from dataclasses import replace

    later = replace(
        KRABBE, document_id="PMID:2", source="pubmed", title="Krabbe disease cured", year=2021
    )
    index = build_index(
        tmp_path,
        [replace(later, document_id="PMID:1", title="Krabbe disease seen", year=2010), later],
    )

    def find_documents(**tools: Any) -> set[str]:
        config = PipelineConfig.model_validate(
            {"retrieval": {"mode": "text"}, "tools": tools, "agent": {"tools": ["search"]}}
        )
        (tool,) = open_tools(config, index).tools
        return set(asyncio.run(tool.call({"query": "Krabbe disease"})).documents)

    assert find_documents() == {"PMID:1", "PMID:2"}
    assert find_documents(before="2015-06-30") == {"PMID:1"}


def test_live_sources_stand_beside_the_index_and_one_that_is_down_is_reported(
    tmp_path: Path, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/esearch.fcgi").respond_with_data("down", status=500)
    config = PipelineConfig.model_validate(
        {
            "retrieval": {"mode": "text"},
            "agent": {"tools": ["search", "medical_search"]},
            "tools": {
                "live": {
                    "sources": ["pubmed"],
                    "retries": 0,
                    "pubmed": {
                        "base_url": httpserver.url_for("").rstrip("/"),
                        "requests_per_second": 1000,
                    },
                }
            },
        }
    )
    search, medical = open_tools(config, build_index(tmp_path, [KRABBE])).tools
    alone = asyncio.run(search.call({"query": "Krabbe disease"})).text
    first, note = asyncio.run(medical.call({"query": "Krabbe disease"})).text.splitlines()
    assert alone == first
    assert note.startswith("Note: ")
    assert "pubmed" in note.lower()


def test_an_episode_is_given_the_tools_with_nothing_remembered() -> None:
    class Counting:
        name, description, parameters = "count", "counts", {"type": "object"}

        def __init__(self) -> None:
            self.calls = 0

        def for_episode(self) -> Tool:
            return Counting()

        async def call(self, arguments: Mapping[str, Any]) -> ToolResult:
            self.calls += 1
            return ToolResult(str(self.calls))

    tool = Counting()
    for _ in range(2):
        (own,) = for_episode([tool])
        assert asyncio.run(own.call({})).text == "1"
    plain = build("search")
    assert for_episode(plain) == plain
