"""``medr ask``: a run's weights and an endpoint, on the terminal, as JSON, in a dialogue."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support.agent_run import call, run
from support.researched_run import (
    build_researched_run,
    strong_endpoint,
)

from medr_ray.agent.events import events_of_trajectory
from medr_ray.agent.protocol import render_reply
from medr_ray.cli.episode_view import EpisodeView
from medr_ray.cli.main import main

QUESTION = "What likelihood score does LiverTox give bosentan?"


@pytest.fixture(scope="module")
def config_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_researched_run(tmp_path_factory.mktemp("asked"))


def ask(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as exited:
        main(["ask", *arguments])
    return exited.value.code


def ask_endpoint(url: str, config_file: Path, *more: str) -> int | str | None:
    """Ask the question of an endpoint that searches the run's index."""
    arguments = [QUESTION, "-c", str(config_file), "--endpoint", url, "--model", "m", *more]
    return ask(*arguments, "--set", "agent.tools=[search, read]")


def read_events(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def test_an_endpoint_researches_with_native_tools_and_its_answer_is_cited(
    config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with strong_endpoint() as endpoint:
        code = ask_endpoint(endpoint.url, config_file)
    assert code == 0
    output = " ".join(capsys.readouterr().out.split())
    assert "I look bosentan up." in output
    assert "→ search query=bosentan LiverTox" in output
    assert "→ read url=LIVERTOX:Bosentan" in output
    assert (
        "[1] Bosentan - LiverTox - NCBI Bookshelf (LIVERTOX:Bosentan, as of 2017-09-30)" in output
    )
    assert "Likelihood score: C (probable cause" in output
    assert "https://www.ncbi.nlm.nih.gov/books/NBK547852/" in output
    assert "cited, but never shown to the agent: PMID:11111111" in output
    assert "not medical advice" in output
    assert [tool["function"]["name"] for tool in endpoint.bodies[0]["tools"]] == ["search", "read"]


def test_every_event_is_a_line_of_json(
    config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with strong_endpoint() as endpoint:
        ask_endpoint(endpoint.url, config_file, "--json")
    events = read_events(capsys.readouterr().out)
    assert [event["type"] for event in events] == [
        "start",
        "thought",
        "tool_call",
        "tool_result",
        "tool_call",
        "tool_result",
        "thought",
        "answer",
    ]
    assert events[0]["question"] == QUESTION
    answer = events[-1]
    assert answer["text"] == "C (probable cause)"
    assert [source["document_id"] for source in answer["citations"]] == ["LIVERTOX:Bosentan"]
    assert answer["citations"][0]["as_of"] == "2017-09-30"


@pytest.mark.slow
def test_a_runs_own_weights_answer_in_this_process(
    config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # A model of random weights talks nonsense: what matters is that every question has its end.
    assert ask(QUESTION, "-c", str(config_file), "--json") == 0
    events = read_events(capsys.readouterr().out)
    assert events[0]["model"] == "tiny grpo"
    assert events[0]["tools"] == ["search"]
    assert events[-1]["type"] == "answer"
    assert "not medical advice" in events[-1]["notice"]


def test_a_dialogue_goes_on_with_what_was_said_before(
    config_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("And what does that score mean?\n\n"))
    monkeypatch.setattr("builtins.input", lambda prompt: next(lines))
    lines = iter(["And what does that score mean?", ""])
    with strong_endpoint() as endpoint:
        ask_endpoint(endpoint.url, config_file, "--chat", "--json")
    starts = [event for event in read_events(capsys.readouterr().out) if event["type"] == "start"]
    assert [event["question"] for event in starts] == [QUESTION, "And what does that score mean?"]
    asked = [body["messages"][1]["content"] for body in endpoint.bodies]
    # The first question stands alone, as models are trained on it.
    assert asked[0] == QUESTION
    assert asked[-1].endswith("And what does that score mean?")
    assert f"Question: {QUESTION}\nAnswer: C (probable cause)" in asked[-1]


def test_a_question_in_chinese_has_the_chinese_prompt_and_notice(
    config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with strong_endpoint() as endpoint:
        ask(
            "LiverTox 给波生坦（bosentan）的肝损伤评分是多少？",
            "-c",
            str(config_file),
            "--endpoint",
            endpoint.url,
            "--model",
            "m",
            "--set",
            "agent.tools=[search, read]",
        )
    assert endpoint.bodies[0]["messages"][0]["content"].startswith("你是一名医学研究智能体")
    assert "不构成医疗建议" in capsys.readouterr().out


def test_a_tool_that_fails_and_an_endpoint_that_refuses_are_told(
    config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(messages: list[dict[str, Any]]) -> dict[str, Any]:
        raise ValueError("broken")

    with strong_endpoint(refuse) as endpoint:
        code = ask(
            QUESTION,
            "-c",
            str(config_file),
            "--endpoint",
            endpoint.url,
            "--model",
            "m",
            "--json",
            "--set",
            "agent.tools=[search]",
            "--set",
            "llm.retries=0",
        )
    last = read_events(capsys.readouterr().out)[-1]
    assert (code, last["type"]) == (1, "error")
    assert endpoint.url.removeprefix("http://").partition("/")[0] in last["message"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--set", "run.root={folder}"], "run `make demo` first"),
        (["--weights", "sft"], "has no sft weights: ask --weights grpo"),
        (
            ["--endpoint", "http://127.0.0.1:9/v1", "--model", "m", "--set", "run.root={folder}"],
            "there is nothing to search",
        ),
    ],
)
def test_what_is_missing_is_said_in_a_line(
    config_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    told: str,
) -> None:
    filled = [argument.replace("{folder}", str(tmp_path)) for argument in arguments]
    assert ask(QUESTION, "-c", str(config_file), *filled) == 1
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    "arguments",
    [[], [QUESTION], [QUESTION, "--endpoint", "http://127.0.0.1:9/v1"], [QUESTION, "--model", "m"]],
)
def test_arguments_that_do_not_go_together_are_a_usage_error(arguments: list[str]) -> None:
    assert ask(*arguments) == 2


def test_the_terminal_shows_what_documents_say_as_text() -> None:
    hostile = "[bold]a\x1b[2J\u202eb"
    trajectory = run(call(hostile), render_reply("Candidate: a.", answer=f"found {hostile}"))
    output = io.StringIO()
    view = EpisodeView(Console(file=output, width=100, force_terminal=False))
    for event in events_of_trajectory(trajectory):
        view(event)
    printed = output.getvalue()
    assert "[bold]a" in printed
    assert "\x1b" not in printed
    assert "\u202e" not in printed


def test_a_long_result_is_shortened_and_a_bad_call_is_named() -> None:
    lines = "\n".join(f"line {number} {'x' * 50}" for number in range(9))
    trajectory = run(call(lines), '<tool_call>{"name": 3}</tool_call>')
    output = io.StringIO()
    view = EpisodeView(Console(file=output, width=100))
    for event in events_of_trajectory(trajectory):
        view(event)
    printed = output.getvalue()
    assert "5 more lines" in printed
    assert "a call that cannot be read" in printed
    assert "invalid" in printed
