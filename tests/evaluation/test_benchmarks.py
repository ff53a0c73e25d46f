"""A benchmark is one file: a module that declares a JSONL of questions and answers is answered,
judged and reported like the held-out questions."""

import json
import sys
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from rich.console import Console
from support.evaluation_run import QUESTIONS, fill_run, make_context
from support.run_manifest import write_manifest
from werkzeug import Request, Response

from medr_ray.core.errors import ConfigError, DataError
from medr_ray.core.run import RunDirectory, compute_fingerprint
from medr_ray.core.settings import load_config
from medr_ray.evaluation.benchmarks import BENCHMARKS, find_benchmark, select_benchmarks
from medr_ray.evaluation.benchmarks.jsonl import JsonlBenchmark
from medr_ray.evaluation.report import print_report, write_report
from medr_ray.evaluation.runs.asking import answer_pending
from medr_ray.evaluation.runs.planning import load_benchmark_tasks
from medr_ray.evaluation.runs.weights import describe_endpoints, open_pool
from medr_ray.evaluation.stage import (
    EVALUATION_STAGE,
    plan_weights,
    score_weights,
    write_tables,
)

CAPITALS = [
    {"question": "What is the capital of France?", "answer": "Paris", "continent": "Europe"},
    {"question": "What is the capital of Italy?", "answer": "Rome", "continent": "Europe"},
    {
        "question": "What is the capital of Kenya?",
        "answer": "Nairobi",
        "aliases": ["Nairobi City"],
        "continent": "Africa",
    },
]
MODULE = """
from pathlib import Path

from medr_ray.evaluation.benchmarks.jsonl import JsonlBenchmark

BENCHMARK = JsonlBenchmark(
    "capitals", "Capitals", Path(__file__).with_name("capitals.jsonl"), slices=("continent",)
)
"""
SELECTED = "evaluation.benchmarks=[heldout, 'capitals_benchmark:BENCHMARK']"


@pytest.fixture
def capitals_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a module that declares the benchmark, and of its data."""
    (tmp_path / "capitals_benchmark.py").write_text(MODULE, encoding="utf-8")
    lines = "".join(json.dumps(row) + "\n" for row in CAPITALS)
    (tmp_path / "capitals.jsonl").write_text(lines, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    # Python would otherwise hand out the module of an earlier test, with that test's file.
    monkeypatch.delitem(sys.modules, "capitals_benchmark", raising=False)
    return tmp_path


def script_model(server: HTTPServer) -> None:
    """A chat endpoint at which sft knows every capital and base answers nothing but Paris."""

    def reply(request: Request) -> Response:
        body = request.get_json()
        prompt = str(body["messages"])
        capitals = [row["answer"] for row in CAPITALS if row["question"] in prompt]
        capital = capitals[0] if capitals and body["model"] == "sft" else "Paris"
        message = {"role": "assistant", "content": f"<think>x</think><answer>{capital}</answer>"}
        completion = {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 7, "total_tokens": 8},
        }
        return Response(json.dumps(completion), content_type="application/json")

    server.expect_request("/v1/chat/completions", method="POST").respond_with_handler(reply)


@pytest.mark.slow
def test_a_benchmark_of_one_file_is_answered_judged_and_reported(
    ray_local: None, capitals_module: Path, httpserver: HTTPServer, tmp_path: Path
) -> None:
    context = make_context(tmp_path / "root", SELECTED)
    fill_run(context)
    config, run = context.config, context.run
    benchmarks = select_benchmarks(config.evaluation.benchmarks)
    script_model(httpserver)
    evaluation = plan_weights(config, run, benchmarks)
    endpoints = describe_endpoints(config, httpserver.url_for("/v1"), "key")
    index = context.upstream("index")
    with open_pool(config, index, endpoints, context.directory) as run_requests:
        answer_pending(evaluation, run_requests, context.console)
    score_weights(context, evaluation, benchmarks)
    counts = write_tables(context.directory, evaluation)
    write_manifest(run, "evaluation", counts, 1.0)

    report = write_report(config, run)
    heldout, capitals = (benchmark.figures for benchmark in report.benchmarks)
    assert [figures.benchmark for figures in (heldout, capitals)] == ["heldout", "capitals"]
    assert {model.model: model.exact_match.value for model in heldout.models} == {
        "base": 0.0,
        "sft": 0.0,
    }
    base, sft = capitals.models
    assert (base.exact_match.value, base.exact_match.n) == (pytest.approx(1 / 3), 3)
    assert (sft.exact_match.value, sft.exact_match.n) == (1.0, 3)
    by_continent = base.slices[0]
    assert [each.name for each in base.slices] == ["continent", "stop reason"]
    parts = {part.value: part.exact_match for part in by_continent.parts}
    assert (parts["Africa"].value, parts["Africa"].n) == (0.0, 1)
    assert (parts["Europe"].value, parts["Europe"].n) == (0.5, 2)
    assert capitals.comparisons[0].test.c == 2

    layout = json.loads((run.local / "report.json").read_text(encoding="utf-8"))["evaluation"]
    assert layout["questions"] == len(QUESTIONS)
    assert layout["base"]["by_hops"]["1"]["n"] == 2
    assert layout["benchmarks"]["capitals"]["questions"] == 3
    assert layout["benchmarks"]["capitals"]["sft_vs_base"]["only_sft"] == 2
    assert layout["benchmarks"]["capitals"]["samples"][0]["answer"] == "Paris"
    assert any(conclusion.startswith("Capitals: sft") for conclusion in report.conclusions)
    markdown = (run.local / "report.md").read_text(encoding="utf-8")
    assert "## Capitals, scored by rules: exact match by continent" in markdown
    print_report(report, Console(quiet=True))


def test_the_package_s_own_benchmarks_are_discovered() -> None:
    assert sorted(BENCHMARKS) == [
        *("2wiki", "bamboogle", "bioasq", "browsecomp", "gaia", "heldout", "medbrowsecomp"),
        *("multiple-choice", "musique", "xbench"),
    ]
    assert find_benchmark("heldout").title == "Held-out questions"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("heldut", "did you mean 'heldout'"),
        ("no_such_module:BENCHMARK", "cannot be imported"),
        ("capitals_benchmark:NOTHING", "has no benchmark 'NOTHING'"),
    ],
)
def test_a_benchmark_that_does_not_exist_is_named(
    capitals_module: Path, reference: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        select_benchmarks([reference])


def test_a_benchmark_is_selected_once() -> None:
    with pytest.raises(ConfigError, match="2 benchmarks are named 'heldout'"):
        select_benchmarks(["heldout", "heldout"])


def test_changed_tasks_are_answered_anew(capitals_module: Path) -> None:
    upstream = dict.fromkeys(EVALUATION_STAGE.needs, "x")
    config = load_config(None, [SELECTED])
    before = compute_fingerprint(EVALUATION_STAGE, config, upstream)
    assert compute_fingerprint(EVALUATION_STAGE, config, upstream) == before
    with (capitals_module / "capitals.jsonl").open("a", encoding="utf-8") as stream:
        stream.write('{"question": "What is the capital of Peru?", "answer": "Lima"}\n')
    assert compute_fingerprint(EVALUATION_STAGE, config, upstream) != before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"question": "q", "answer": "a"}\n{"question": "q"}\n', "line 2"),
        ("[1]\n", "item 1"),
        ("nothing", "line 1"),
        ("", "holds no question"),
        ('{"question": "q", "answer": "a"}\n' * 2, "2 tasks have the id"),
    ],
)
def test_a_file_that_holds_no_tasks_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text(text, encoding="utf-8")
    benchmark = JsonlBenchmark("broken", "Broken", path)
    with pytest.raises(DataError, match=message):
        load_benchmark_tasks(benchmark, load_config(), RunDirectory(str(tmp_path)))
