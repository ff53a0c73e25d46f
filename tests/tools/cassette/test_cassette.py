"""Recorded episodes are repeated word for word, without the index, the service or the clock they
came from."""

import asyncio
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.questions import worded_task
from support.small_index import KRABBE, build_index

from medr_ray.agent.episode_loop import run_episode
from medr_ray.agent.policies import PolicyTurn
from medr_ray.agent.protocol import ToolCall, render_reply
from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import ConfigError, DataError, InfrastructureError, ToolError
from medr_ray.core.records import Message, Trajectory
from medr_ray.core.run import Directory
from medr_ray.tools import ToolResult, build_tools, for_episode, open_tools
from medr_ray.tools.base import Tool

ORACLE = f"{__name__}:oracle"


class Oracle:
    """Answers differently each time, fails on request, and counts its calls."""

    name, description = "oracle", "knows"
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {"q": {"type": "string"}},
        "required": ["q"],
    }

    def __init__(self) -> None:
        self.questions: list[str] = []

    async def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        self.questions.append(arguments["q"])
        if arguments["q"] == "broken":
            raise InfrastructureError("the oracle is closed")
        if arguments["q"] == "hang":
            await asyncio.Event().wait()
        if arguments["q"] == "flaky" and self.questions.count("flaky") == 1:
            raise ToolError("not now")
        return ToolResult(
            f"{arguments['q']} {len(self.questions)}, p<0.05", (f"PMID:{len(self.questions)}",)
        )


oracle = Oracle()


@pytest.fixture(autouse=True)
def fresh_oracle(monkeypatch: pytest.MonkeyPatch) -> Oracle:
    new = Oracle()
    monkeypatch.setitem(globals(), "oracle", new)
    return new


class Script:
    """Says its lines in order, then answers."""

    def __init__(self, *lines: str) -> None:
        self.lines = list(lines)

    async def respond(self, messages: Sequence[Message]) -> PolicyTurn | None:
        return PolicyTurn(self.lines.pop(0) if self.lines else render_reply("done", answer="x"))


def config(path: Path | str, mode: str, *tools: str, **settings: Any) -> PipelineConfig:
    return PipelineConfig.model_validate(
        {
            "retrieval": {"mode": "text"},
            "agent": {"tools": tools or [ORACLE], "max_tool_calls": 8, **settings.pop("agent", {})},
            "tools": {"cassette": {"mode": mode, "path": str(path)}, **settings.pop("tools", {})},
            **settings,
        }
    )


def tools_of(path: Path, mode: str, *names: str, **settings: Any) -> list[Tool]:
    return build_tools(config(path, mode, *names, **settings), searcher=None)  # type: ignore[arg-type]


def ask(tool: Tool, *questions: str) -> list[str]:
    """The answers to one episode's calls, failures in brackets."""
    (own,) = for_episode([tool])

    async def answers() -> list[str]:
        texts = []
        for question in questions:
            try:
                texts.append((await own.call({"q": question})).text)
            except ToolError as error:
                texts.append(f"({error})")
        return texts

    return asyncio.run(answers())


def episode(settings: PipelineConfig, index: Directory, *lines: str) -> Trajectory:
    tools = for_episode(open_tools(settings, index).tools)
    return asyncio.run(
        run_episode(worded_task(), Script(*lines), tools, settings.agent, mode="exploration")
    )


def lines_of(*calls: tuple[str, dict[str, Any]]) -> list[str]:
    return [render_reply("look", [ToolCall(name, arguments)]) for name, arguments in calls]


def test_an_episode_is_made_again_word_for_word_when_its_index_is_gone(
    tmp_path: Path, fresh_oracle: Oracle
) -> None:
    index, cassette = build_index(tmp_path / "index", [KRABBE]), tmp_path / "cassette"
    lines = lines_of(
        ("search", {"query": "Krabbe disease"}),
        ("oracle", {"q": "flaky"}),
        ("oracle", {"q": "flaky"}),
        ("search", {"querry": "x"}),
        ("oracle", {"q": "when"}),
    )
    first = episode(config(cassette, "record", "search", ORACLE), index, *lines)
    assert "GALC" in first.messages[3].content
    assert [event.status for event in first.tool_events] == ["ok", "error", "ok", "error", "ok"]

    shutil.rmtree(tmp_path / "index")
    fresh_oracle.questions.clear()
    again = episode(config(cassette, "replay", "search", ORACLE), index, *lines)
    assert again.trajectory_id == first.trajectory_id
    assert again.messages == first.messages
    assert again.documents == first.documents == ("HPO:OMIM:245200", "PMID:2", "PMID:3")
    assert fresh_oracle.questions == []


def test_calls_of_one_turn_are_made_again_in_their_order(tmp_path: Path) -> None:
    lines = [
        render_reply("look", [ToolCall("oracle", {"q": question}) for question in ("a", "b", "a")])
    ]
    nowhere = Directory(str(tmp_path / "index"))
    build_index(tmp_path / "index", [KRABBE])
    first = episode(config(tmp_path / "c", "record"), nowhere, *lines)
    again = episode(config(tmp_path / "c", "replay"), nowhere, *lines)
    assert again.messages == first.messages


def test_recorded_answers_are_used_while_recording_too(
    tmp_path: Path, fresh_oracle: Oracle
) -> None:
    (tool,) = tools_of(tmp_path, "record")
    assert ask(tool, "a", "a", "b") == ["a 1, p<0.05", "a 2, p<0.05", "b 3, p<0.05"]
    assert ask(tool, "b", "a", "a", "a") == [
        "b 3, p<0.05",
        "a 1, p<0.05",
        "a 2, p<0.05",
        "a 4, p<0.05",
    ]
    (another_worker,) = tools_of(tmp_path, "record")
    assert ask(another_worker, "a") == ["a 1, p<0.05"]
    assert len(fresh_oracle.questions) == 4


def test_without_an_episode_a_call_counts_as_the_first_of_its_kind(tmp_path: Path) -> None:
    (tool,) = tools_of(tmp_path, "record")
    assert [asyncio.run(tool.call({"q": "a"})).text for _ in range(2)] == ["a 1, p<0.05"] * 2


def test_the_order_of_arguments_does_not_matter_and_their_values_do(tmp_path: Path) -> None:
    (tool,) = tools_of(tmp_path, "record")

    def call(**arguments: Any) -> str:
        return asyncio.run(for_episode([tool])[0].call(arguments)).text

    assert call(q="a", n=1) == call(n=1, q="a")
    assert call(q="a", n=1) != call(q="a", n=2)
    assert call(q="\ud800") == call(q="\ud800")  # half a character, as a model may write it


def test_failures_and_late_answers_are_kept_as_what_the_agent_saw(tmp_path: Path) -> None:
    late = {"tool_seconds": 0.2}
    (tool,) = tools_of(tmp_path, "record", agent=late)
    seen = ask(tool, "flaky", "flaky", "hang")
    assert seen == ["(not now)", "flaky 2, p<0.05", "(oracle did not answer within 0.2 s)"]
    (tool,) = tools_of(tmp_path, "replay", agent=late)
    assert ask(tool, "flaky", "flaky", "hang") == seen


def test_a_late_answer_reads_as_it_does_without_a_cassette(tmp_path: Path) -> None:
    index = build_index(tmp_path / "index", [KRABBE])
    line = lines_of(("oracle", {"q": "hang"}))
    trajectories = [
        episode(config(tmp_path / "c", mode, agent={"tool_seconds": 0.6}), index, *line)
        for mode in ("off", "record", "replay")
    ]
    assert len({trajectory.trajectory_id for trajectory in trajectories}) == 1


def test_the_tool_behind_is_given_its_own_episode_and_is_prepared(
    tmp_path: Path, fresh_oracle: Oracle, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Careful(Oracle):
        def __init__(self, prepared: list[str]) -> None:
            super().__init__()
            self.prepared = prepared

        def for_episode(self) -> Tool:
            return Careful(self.prepared)

        async def prepare(self) -> None:
            self.prepared.append("yes")

    careful = Careful([])
    monkeypatch.setitem(globals(), "oracle", careful)
    index = build_index(tmp_path / "index", [KRABBE])
    for question in ("a", "b"):
        trajectory = episode(
            config(tmp_path / "c", "record"), index, *lines_of(("oracle", {"q": question}))
        )
        assert f"{question} 1, p<0.05" in trajectory.messages[3].content
    assert careful.prepared == ["yes", "yes"]
    again = episode(config(tmp_path / "c", "replay"), index, *lines_of(("oracle", {"q": "b"})))
    assert again.messages == trajectory.messages
    assert careful.prepared == ["yes", "yes"]


def test_a_failure_of_ours_is_never_kept(tmp_path: Path, fresh_oracle: Oracle) -> None:
    (tool,) = tools_of(tmp_path, "record")
    for _ in range(2):
        with pytest.raises(InfrastructureError, match="the oracle is closed"):
            ask(tool, "broken")
    assert len(fresh_oracle.questions) == 2
    (tool,) = tools_of(tmp_path, "replay")
    with pytest.raises(InfrastructureError, match="not on the cassette"):
        ask(tool, "broken")


def test_a_call_that_was_never_made_is_not_answered(tmp_path: Path, fresh_oracle: Oracle) -> None:
    ask(tools_of(tmp_path, "record")[0], "a")
    (tool,) = tools_of(tmp_path, "replay")
    with pytest.raises(
        InfrastructureError, match=r'oracle: this call \({"q": "b"}\) is not on the cassette'
    ):
        ask(tool, "b")
    with pytest.raises(InfrastructureError, match="not on the cassette"):
        ask(tool, "a", "a")
    assert fresh_oracle.questions == ["a"]


def test_a_cassette_says_when_and_how_it_was_recorded(tmp_path: Path) -> None:
    ask(tools_of(tmp_path, "record", tools={"before": "2020-01-31"})[0], "a")
    header = json.loads((tmp_path / "cassette.json").read_text())
    assert header["snapshot"][:2] == "20"
    assert header["versions"]["medr-ray"]
    assert header["settings"]["tools"]["before"] == "2020-01-31"
    assert len(header["config"]) == 64
    (answer,) = (tmp_path / "answers").rglob("*.json")
    kept = json.loads(answer.read_text())
    assert (kept["tool"], kept["arguments"], kept["occurrence"]) == ("oracle", {"q": "a"}, 0)
    assert (kept["failed"], kept["text"], kept["documents"]) == (False, "a 1, p<0.05", ["PMID:1"])
    assert kept["recorded"] >= header["snapshot"]


def test_other_settings_are_not_mixed_into_a_cassette(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tools_of(tmp_path, "record")
    other = {"before": "2020-01-31"}
    with pytest.raises(
        ConfigError, match=r"recorded with other tools\.before: give tools\.cassette\.path a new"
    ):
        tools_of(tmp_path, "record", tools=other)
    with caplog.at_level(logging.WARNING):
        tools_of(tmp_path, "replay", tools=other)
    assert "recorded with other tools.before" in caplog.text


def test_a_tool_that_has_changed_is_not_recorded_on(tmp_path: Path, fresh_oracle: Oracle) -> None:
    tools_of(tmp_path, "record")
    fresh_oracle.description = "knows better"
    with pytest.raises(ConfigError, match="oracle is not what it was"):
        tools_of(tmp_path, "record")
    (tool,) = tools_of(tmp_path, "replay")
    assert tool.description == "knows"


def test_a_folder_without_a_cassette_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no cassette in"):
        tools_of(tmp_path / "none", "replay")
    assert not (tmp_path / "none").exists()
    tools_of(tmp_path / "one", "record")
    with pytest.raises(ConfigError, match="'search' is not on the cassette"):
        tools_of(tmp_path / "one", "replay", "search")
    (tmp_path / "one" / "cassette.json").write_text('{"format": 9}')
    with pytest.raises(DataError, match="format 9; this version reads 1"):
        tools_of(tmp_path / "one", "replay")
    with pytest.raises(ValueError, match=r"mode record needs tools\.cassette\.path"):
        config("", "record")


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"failed": False, "text": None, "documents": []},
        {"failed": False, "text": "x", "documents": [1]},
        {"failed": {}, "text": "x", "documents": []},
        {"failed": False, "text": ["x"], "documents": "PMID:1"},
    ],
)
def test_an_answer_that_somebody_else_put_there_is_named(
    tmp_path: Path, content: dict[str, Any]
) -> None:
    ask(tools_of(tmp_path, "record")[0], "a")
    (file,) = (tmp_path / "answers").rglob("*.json")
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match=rf"{file.name} is no file of a cassette .*remove it"):
        ask(tools_of(tmp_path, "replay")[0], "a")


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"tools": {}},
        {"tools": [{"name": "x y", "description": "", "parameters": {}}]},
        {"tools": [{"name": "x", "description": "", "parameters": "none"}]},
        {"tools": [{"live": "os.system"}]},
    ],
)
def test_a_tool_that_somebody_else_put_there_is_named(
    tmp_path: Path, content: dict[str, Any]
) -> None:
    tools_of(tmp_path, "record")
    (file,) = (tmp_path / "tools").glob("*.json")
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match=rf"{file.name} is no file of a cassette"):
        tools_of(tmp_path, "replay")


@pytest.mark.parametrize(
    "content", [{"format": 1}, {"format": 1, "snapshot": 2026, "settings": []}]
)
def test_a_header_that_somebody_else_put_there_is_named(
    tmp_path: Path, content: dict[str, Any]
) -> None:
    (tmp_path / "cassette.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"cassette\.json is no file of a cassette"):
        tools_of(tmp_path, "replay")
