"""Reports of evaluation runs of their own: tables, page, and logs for inspect_ai."""

import io
import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support.evaluation_runs import GREEDY, TASKS, answer_all, plan_of
from support.reported_answers import HOSTILE, make_trajectory, make_words

from medr_ray.core.records import ENCRYPTED_KEY, MetadataItem
from medr_ray.core.run import Directory
from medr_ray.evaluation.report.evaluation_report import (
    export_inspect_logs,
    print_evaluation,
    write_evaluation_page,
    write_evaluation_report,
)
from medr_ray.evaluation.runs import EvaluationRun, ScorerRecord
from medr_ray.evaluation.scorers.base import Score

_REPOSITORY = Path(__file__).resolve().parents[2]
_INSPECT_PYTHON = _REPOSITORY / ".venv-inspect" / "bin" / "python"
_INSPECT_INSTALL = "python3 -m venv .venv-inspect && .venv-inspect/bin/pip install inspect-ai"
_CREATED = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
# What inspect_ai itself reads of a log.
_READ_LOG = """
import json, sys
from inspect_ai.log import read_eval_log
log = read_eval_log(sys.argv[1])
print(json.dumps({
    "model": log.eval.model,
    "epochs": log.eval.config.epochs,
    "temperature": log.eval.model_generate_config.temperature,
    "accuracy": {s.name: s.metrics["accuracy"].value for s in log.results.scores},
    "unscored": {s.name: s.unscored_samples for s in log.results.scores},
    "samples": [
        {
            "id": s.id,
            "epoch": s.epoch,
            "roles": [m.role for m in s.messages],
            "calls": [c.function for m in s.messages for c in getattr(m, "tool_calls", None) or ()],
            "completion": s.output.completion,
            "scores": {name: score.value for name, score in s.scores.items()},
            "error": s.error.message if s.error else None,
            "output_tokens": sum(u.output_tokens for u in s.model_usage.values()),
        }
        for s in log.samples
    ],
}))
"""


def build_run(root: Path, respondent: str = "m", rollouts: int = 2) -> EvaluationRun:
    """Four questions asked twice: one attempt failed, every other right, one of them unscored by
    the second scorer."""
    plan = plan_of(rollouts=rollouts, respondent=replace(GREEDY, name=respondent))
    run = EvaluationRun.plan_run(str(root), plan)
    words = make_words()
    for number, attempt in enumerate(run.list_pending()):
        if number == 0:
            run.keep_failure(attempt, "the endpoint hung up")
            continue
        run.keep_answer(attempt, make_trajectory(number, 1_000, words), 2.5)
        value = float(number % 2)
        verdict = "correct" if number % 2 else "incorrect"
        run.keep_score("exact-1", attempt, Score(verdict, value, "e", "exact", reason="because"))
        if number > 1:
            run.keep_score("f1-1", attempt, Score(verdict, 0.5, "x", "f1", "judge-7"))
    scorers = [ScorerRecord("exact-1", "exact"), ScorerRecord("f1-1", "f1", "judge-7")]
    run.record_scorers({"own": scorers})
    return run


def test_the_report_of_a_run_has_its_tables_by_every_scorer(tmp_path: Path) -> None:
    run = build_run(tmp_path / "run-a")
    names = write_evaluation_report(run, run.directory)
    assert names == ["report.html", "report.md", "report.json"]
    assert all((tmp_path / "run-a" / name).exists() for name in names)
    markdown = (tmp_path / "run-a" / "report.md").read_text()
    assert markdown.startswith("# run-a\n")
    for title in (
        "Own, scored by exact",
        "Own, scored by f1 (judge-7)",
        "Own, scored by exact: exact match by hops",
        "Own, scored by exact: exact match by tool",
        "Own, scored by exact: exact match by source",
        "Own, scored by exact: exact match by stop reason",
    ):
        assert f"## {title}\n" in markdown
    # What infrastructure failed is scored by nobody.
    assert (
        "| weights | answered | infrastructure |\n| --- | --- | --- |\n| m | 62.5 % of 4 | - |"
        in markdown
    )
    figures = json.loads((tmp_path / "run-a" / "report.json").read_text())["evaluation"]
    own = figures["benchmarks"]["own"]
    assert (own["scorer"], own["m"]["unscored"], own["m"]["seconds"]) == ("exact", 1, 2.5)
    assert own["scorers"]["f1"]["m"]["unscored"] == 2
    assert own["m"]["by_stop_reason"]["answered"]["n"] == 4
    # The run is read back as it was: a report is no part of it.
    assert EvaluationRun.open(str(tmp_path / "run-a")).plan == run.plan


def test_the_terminal_has_the_same_tables(tmp_path: Path) -> None:
    stream = io.StringIO()
    print_evaluation(build_run(tmp_path), Console(file=stream, width=200))
    printed = stream.getvalue()
    assert "Own, scored by f1 (judge-7)" in printed
    assert "exact match by tool" in printed
    assert "pass@2" in printed


def test_two_runs_share_a_page_on_which_their_answers_can_be_compared(tmp_path: Path) -> None:
    runs = [build_run(tmp_path / "run-a"), build_run(tmp_path / "run-b")]
    write_evaluation_page(runs, Directory(str(tmp_path)), "both")
    page = (tmp_path / "both.html").read_text()
    text = page.partition('id="report-data">')[2].partition("</script>")[0]
    data = json.loads(text)
    assert len(data["tasks"]) == 4
    assert {answer["run"] for answer in data["answers"]} == {"run-a", "run-b"}
    assert len(data["answers"]) == 16
    scores = data["answers"][3]["scores"]
    assert [(score["scorer"], score["verdict"]) for score in scores] == [
        ("exact", "correct"),
        ("f1", "correct"),
    ]
    failed = data["answers"][0]
    assert failed["trajectory"] is None
    assert failed["scores"][0]["reason"] == "the endpoint hung up"
    assert data["tables"][0]["title"] == "run-a: Own, scored by exact"
    (by_question,) = [table for table in data["tables"] if table["title"] == "By question"]
    assert by_question["columns"] == ["question", "run-a: m", "run-b: m"]
    assert by_question["rows"][0][1:] == ["1 of 1", "1 of 1"]
    assert by_question["rows"][1][1:] == ["1 of 2", "1 of 2"]


def read_with_inspect(path: Path) -> dict[str, Any]:
    command = [str(_INSPECT_PYTHON), "-c", _READ_LOG, str(path)]
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    return dict(json.loads(output))


@pytest.mark.slow
@pytest.mark.skipif(not _INSPECT_PYTHON.exists(), reason=f"no inspect_ai: {_INSPECT_INSTALL}")
def test_inspect_ai_reads_the_exported_logs(tmp_path: Path) -> None:
    run = build_run(tmp_path / "run", respondent="m/7 b")
    (name,) = export_inspect_logs(run, Directory(str(tmp_path / "logs")), _CREATED)
    log = read_with_inspect(tmp_path / "logs" / name)
    assert (log["model"], log["epochs"], log["temperature"]) == ("m/7 b", 2, 0.0)
    figures = {each.scorer: each.models[0] for each in run.figures()}
    assert log["accuracy"] == {
        scorer: pytest.approx(model.exact_match.value) for scorer, model in figures.items()
    }
    assert log["unscored"] == {"exact": 1, "f1": 2}
    assert len(log["samples"]) == 8
    failed, second, *_ = log["samples"]
    assert (failed["error"], failed["roles"], failed["scores"]) == ("the endpoint hung up", [], {})
    assert (second["id"], second["epoch"]) == (TASKS[0].task_id, 2)
    assert second["scores"] == {"exact": "C"}
    assert second["roles"] == ["system", "user", *(["assistant", "tool"] * 10), "assistant"]
    assert second["calls"] == ["search"] * 10
    assert second["output_tokens"] == 100
    assert log["samples"][2]["scores"] == {"exact": "I", "f1": 0.5}


def test_an_exported_log_is_strict_json_whatever_the_model_wrote(tmp_path: Path) -> None:
    run = EvaluationRun.plan_run(str(tmp_path / "run"), plan_of(TASKS[:1]))
    (attempt,) = run.list_pending()
    trajectory = make_trajectory(1, 1_000, make_words())
    answer = " ".join(HOSTILE)
    run.keep_answer(attempt, replace(trajectory, answer=answer), 1.0)
    run.record_scorers({"own": [ScorerRecord("exact-1", "exact")]})
    (name,) = export_inspect_logs(run, Directory(str(tmp_path)), _CREATED)
    log = json.loads((tmp_path / name).read_bytes())
    (sample,) = log["samples"]
    assert sample["output"]["completion"] == answer
    assert sample["scores"] == {}
    assert log["results"]["scores"][0]["unscored_samples"] == 1
    assert "accuracy" not in log["results"]["scores"][0]["metrics"]


def test_texts_of_a_secret_benchmark_are_in_no_report_and_no_log(tmp_path: Path) -> None:
    metadata = (*TASKS[0].metadata, MetadataItem(ENCRYPTED_KEY, "true"))
    secret = replace(TASKS[0], text="zymase question", answer="zymase answer", metadata=metadata)
    run = EvaluationRun.plan_run(str(tmp_path / "run"), plan_of((secret,)))
    (attempt,) = run.list_pending()
    trajectory = replace(make_trajectory(1, 1_000, make_words()), answer="zymase prediction")
    run.keep_answer(attempt, trajectory, 1.0)
    run.keep_score("exact-1", attempt, Score("correct", 1.0, "zymase", "exact"))
    run.record_scorers({"own": [ScorerRecord("exact-1", "exact")]})
    write_evaluation_report(run, Directory(str(tmp_path / "report")))
    (name,) = export_inspect_logs(run, Directory(str(tmp_path / "report")), _CREATED)
    for path in (tmp_path / "report").iterdir():
        assert "zymase" not in path.read_text(), path.name
    log = json.loads((tmp_path / "report" / name).read_text())
    assert (log["results"]["completed_samples"], log["samples"][0]["scores"]["exact"]["value"]) == (
        1,
        "C",
    )
    assert "error" not in log["samples"][0]
    page = (tmp_path / "report" / "report.html").read_text()
    data = json.loads(page.partition('id="report-data">')[2].partition("</script>")[0])
    assert (data["tasks"][0]["isSecret"], data["answers"][0]["calls"]) == (True, None)
    assert data["answers"][0]["trajectory"] is None


def test_answers_without_scores_can_be_reported(tmp_path: Path) -> None:
    run = EvaluationRun.plan_run(str(tmp_path), plan_of())
    answer_all(run)
    write_evaluation_report(run, run.directory)
    assert "By question" in (tmp_path / "report.html").read_text()
