"""``medr evaluate``: any endpoint on any benchmark, stopped, grown, scored again and compared."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from support.asked_endpoint import (
    QUESTIONS,
    AskedEndpoint,
    answer_of,
    asked_endpoint,
    half_fails,
    only_pages,
    sunny,
    write_questions,
)
from support.misbehaving_endpoint import fresh_governor
from support.researched_run import build_researched_run, strong_endpoint
from typer.testing import CliRunner

from medr_ray.cli.main import app
from medr_ray.core.errors import ConfigError, DataError
from medr_ray.core.run import open_run
from medr_ray.core.settings import load_config
from medr_ray.evaluation.runs import EvaluationRun
from medr_ray.llm import client as client_module

QUICK = ("evaluation.endpoint.requests_per_minute=1000000", "llm.requests_per_minute=1000000")


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fresh_governor(monkeypatch)
    monkeypatch.setattr(client_module, "_BACKOFF_SECONDS", 0.0)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


def call(*arguments: str, settings: tuple[str, ...] = (), typed: str | None = None) -> Result:
    """What ``medr evaluate`` printed."""
    sets = [part for setting in settings for part in ("--set", setting)]
    result = CliRunner().invoke(app, ["evaluate", *arguments, *sets], input=typed)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def evaluate(
    endpoint: AskedEndpoint, out: Path, *arguments: str, settings: tuple[str, ...] = ()
) -> Result:
    questions = write_questions(out.parent / "things.jsonl")
    return call(
        *("run", "--benchmark", str(questions), "--endpoint", endpoint.url, "--model", "m"),
        *("--out", str(out), *arguments),
        settings=(*QUICK, *settings),
    )


def verdicts_of(out: Path, scorer: int = 0) -> list[tuple[str, int, str | None, str]]:
    """What every attempt came to, in order."""
    run = EvaluationRun.open(str(out))
    (benchmark,) = run.plan.benchmarks
    answers = run.judged_answers(benchmark.name, run.scorers[benchmark.name][scorer].identity)
    rows = [answer.result for answer in answers]
    return [(row.task_id, row.rollout, row.prediction, row.verdict) for row in rows]


def files_of(out: Path) -> dict[str, bytes]:
    """The content of every answer and score."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for folder in ("answers", "scores")
        for path in (out / folder).rglob("*.json")
    }


def test_an_endpoint_answers_a_file_of_questions_and_is_scored(tmp_path: Path) -> None:
    with asked_endpoint() as endpoint:
        result = evaluate(endpoint, tmp_path / "out", "-k", "2")
    assert result.exit_code == 0, result.output
    assert "24 answered" in result.output
    assert len(endpoint.asked) == 24
    rows = verdicts_of(tmp_path / "out")
    assert {verdict for *_, verdict in rows} == {"correct", "incorrect"}
    right = sum(verdict == "correct" for *_, verdict in rows)
    assert f"{100 * right / 24:.1f} %" in result.output
    assert "exact match by category" in result.output
    # Two samples of a question are two samples.
    assert len({(body["messages"][0]["content"], body["seed"]) for body in endpoint.asked}) == 24


def test_more_questions_and_attempts_ask_only_what_is_new(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with asked_endpoint() as endpoint:
        evaluate(endpoint, out, "-n", "5")
        assert len(endpoint.asked) == 5
        first = files_of(out)
        evaluate(endpoint, out, "-n", "12")
        assert len(endpoint.asked) == 12
        evaluate(endpoint, out, "-n", "12", "-k", "3")
        assert len(endpoint.asked) == 36
        evaluate(endpoint, out, "-n", "2", settings=("evaluation.confidence=0.8",))
        evaluate(endpoint, out, "-k", "3")
        assert len(endpoint.asked) == 36
    assert first.items() <= files_of(out).items()
    assert len(files_of(out)) == 72


def test_another_judge_scores_beside_and_nothing_is_asked_again(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with asked_endpoint() as endpoint:
        evaluate(endpoint, out, "-k", "2")
        before = files_of(out)
        judging = ("--judge", "judge", "--judge-endpoint", endpoint.url)
        result = call("score", str(out), *judging, settings=QUICK)
        assert result.exit_code == 0, result.output
        assert (len(endpoint.asked), len(endpoint.judged)) == (24, 24)
        call("score", str(out), *judging, settings=QUICK)
        assert len(endpoint.judged) == 24
        call("score", str(out), "--judge", "judge-2", *judging[2:], settings=QUICK)
        assert (len(endpoint.asked), len(endpoint.judged)) == (24, 48)
    assert before.items() <= files_of(out).items()
    assert "scored by llm (judge)" in result.output
    assert verdicts_of(out, 0) == verdicts_of(out, 1)
    assert len(EvaluationRun.open(str(out)).list_scorers()) == 3


def test_an_endpoint_that_fails_half_of_its_calls_changes_no_verdict(tmp_path: Path) -> None:
    with asked_endpoint() as endpoint:
        evaluate(endpoint, tmp_path / "well", "-k", "2")
    with asked_endpoint(half_fails) as endpoint:
        evaluate(endpoint, tmp_path / "ill", "-k", "2", settings=("evaluation.concurrency=2",))
        call("resume", str(tmp_path / "ill"))
    assert verdicts_of(tmp_path / "ill") == verdicts_of(tmp_path / "well")


def test_pages_in_place_of_answers_leave_all_unscored_and_none_wrong(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with asked_endpoint(only_pages) as endpoint:
        settings = ("rollouts.retries=0", "evaluation.endpoint.retries=0")
        result = evaluate(endpoint, out, "-n", "4", settings=settings)
        assert "0 answered, 4 not" in result.output
        assert {verdict for *_, verdict in verdicts_of(out)} == {"unscored"}
        endpoint.weather = sunny
        call("resume", str(out), settings=("evaluation.endpoint.retries=4",))
    assert {verdict for *_, verdict in verdicts_of(out)} == {"correct", "incorrect"}


def test_an_endpoint_that_hangs_is_left_at_the_limit_and_never_wrong(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with asked_endpoint(seconds=3.0) as endpoint:
        settings = ("rollouts.retries=0", "evaluation.endpoint.retries=0")
        result = evaluate(endpoint, out, "-n", "3", "--limit-seconds", "0.5", settings=settings)
    assert "0 answered, 3 not" in result.output
    assert {verdict for *_, verdict in verdicts_of(out)} == {"unscored"}
    run = EvaluationRun.open(str(out))
    assert "no reply within 0.5 s" in run.read_failure(run.list_pending()[0])


def kill_and_resume(folder: Path, chance: random.Random, kills: int) -> Path:
    """An evaluation in a process of its own, killed again and again, and then let be."""
    out = folder / "killed"
    questions = write_questions(folder / "things.jsonl")
    with asked_endpoint(seconds=0.05) as endpoint:
        arguments = [
            *("run", "--benchmark", str(questions), "--endpoint", endpoint.url, "--model", "m"),
            *("-k", "6", "--out", str(out)),
            *("--set", QUICK[0], "--set", "evaluation.concurrency=2"),
        ]
        command = [sys.executable, "-m", "medr_ray.cli.main", "evaluate"]
        for _ in range(kills):
            answered = len(list((out / "answers").glob("*.json")))
            aim = answered + chance.randint(1, 9)
            process = subprocess.Popen(
                [*command, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            deadline = time.monotonic() + 120
            while len(list((out / "answers").glob("*.json"))) < min(aim, 72):
                assert process.poll() is None or process.returncode == 0
                assert time.monotonic() < deadline
                time.sleep(chance.random() / 50)
            process.send_signal(signal.SIGKILL)
            process.wait()
            arguments = ["resume", str(out)]
        subprocess.run([*command, "resume", str(out)], check=True, stdout=subprocess.DEVNULL)
        asked = len(endpoint.asked)
    # A kill loses what is under way, and nothing else.
    assert 72 <= asked <= 72 + 2 * kills
    return out


@pytest.mark.processes
@pytest.mark.slow
def test_an_evaluation_killed_twice_resumes_with_equal_results(tmp_path: Path) -> None:
    killed = kill_and_resume(tmp_path, random.Random(1), 2)
    with asked_endpoint() as endpoint:
        evaluate(endpoint, tmp_path / "whole", "-k", "6")
    assert verdicts_of(killed) == verdicts_of(tmp_path / "whole")


@pytest.mark.soak
@pytest.mark.slow
def test_an_evaluation_killed_at_ten_random_points_resumes_with_equal_results(
    tmp_path: Path,
) -> None:
    seed = int(os.environ.get("MEDR_SEED", "0")) or random.SystemRandom().randrange(10**6)
    print(f"MEDR_SEED={seed}")
    killed = kill_and_resume(tmp_path, random.Random(seed), 10)
    with asked_endpoint() as endpoint:
        evaluate(endpoint, tmp_path / "whole", "-k", "6")
    assert verdicts_of(killed) == verdicts_of(tmp_path / "whole")


def test_without_a_place_an_evaluation_is_kept_in_the_configured_run(tmp_path: Path) -> None:
    questions = write_questions(tmp_path / "things.jsonl", 1)
    with asked_endpoint() as endpoint:
        arguments = ("run", "--benchmark", str(questions), "--endpoint", endpoint.url)
        call(*arguments, "--model", "org/m:1", settings=QUICK)
    place = tmp_path / "runs" / "default" / "evaluations" / "things-org-m-1-plain"
    assert len(list(EvaluationRun.open(str(place)).answers())) == 1
    # The folder is the run's, which the pipeline may make later.
    open_run(load_config(None, [], environment={})).claim()


def test_a_second_process_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    from medr_ray.core.errors import MedrError
    from medr_ray.core.lock import run_lock
    from medr_ray.core.run import Directory

    out = tmp_path / "out"
    with asked_endpoint() as endpoint:
        evaluate(endpoint, out)
        with run_lock(Directory(str(out))), pytest.raises(MedrError, match="is being written by"):
            call("resume", str(out))


def test_two_runs_are_compared_on_what_both_were_asked(tmp_path: Path) -> None:
    with asked_endpoint() as endpoint:
        evaluate(endpoint, tmp_path / "a", "-k", "3")
        evaluate(endpoint, tmp_path / "b", "-k", "3", "-n", "8", "--model", "other")
    printed = call("compare", str(tmp_path / "a"), str(tmp_path / "b")).output
    assert "things, scored by rules: m and other" in printed
    assert "exact McNemar p = 1" in printed
    assert "paired bootstrap over 8 questions" in printed
    (row,) = json.loads(call("compare", str(tmp_path / "a"), str(tmp_path / "b"), "--json").output)
    assert row["same_scorer"]
    assert row["comparison"]["difference"]["value"] == 0.0
    assert row["first_share"]["n"] == 8
    with pytest.raises(DataError, match="no scorer nobody"):
        call("compare", str(tmp_path / "a"), str(tmp_path / "b"), "--scorer", "nobody")


def test_an_evaluation_is_shown_with_who_was_asked_what(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with asked_endpoint() as endpoint:
        prices = ("usd_per_million_input=10", "usd_per_million_output=100")
        settings = tuple(f"evaluation.endpoint.{price}" for price in prices)
        evaluate(endpoint, out, "-n", "2", settings=settings)
    printed = call("show", str(out)).output
    assert "things: 2 questions, 1 attempts each" in printed
    assert f"m at {endpoint.url}, plain question" in printed
    assert "USD in all" in printed
    assert "0.004" in printed
    (figures,) = json.loads(call("show", str(out), "--json").output)
    assert figures["models"][0]["usd"] == pytest.approx(0.002)


def test_evaluations_are_reported_alone_and_side_by_side_and_exported(tmp_path: Path) -> None:
    with asked_endpoint() as endpoint:
        evaluate(endpoint, tmp_path / "a", "-n", "2")
        evaluate(endpoint, tmp_path / "b", "-n", "2", "-k", "2")
    assert (tmp_path / "a" / "report.html").exists()
    (tmp_path / "a" / "report.html").unlink()
    assert str(tmp_path / "a" / "report.html") in call("show", str(tmp_path / "a"), "--html").output
    alone = call("report", str(tmp_path / "a")).output.split()
    assert [Path(path).name for path in alone] == ["report.html", "report.md", "report.json"]
    assert all(Path(path).stat().st_size > 0 for path in alone)
    both = ("report", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "both"))
    (page,) = call(*both).output.split()
    assert "a and b" in Path(page).read_text(encoding="utf-8")
    (log,) = call(
        "export", str(tmp_path / "a"), "--format", "inspect", "--out", str(tmp_path / "logs")
    ).output.split()
    assert Path(log).stat().st_size > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run",), "--benchmark"),
        (("run", "--benchmark", "x.jsonl"), "--endpoint URL"),
        (("run", "--benchmark", "x.jsonl", "--endpoint", "http://x/v1"), "--model"),
        (("run", "-c", "x.yaml", "-n", "3"), "use --set"),
        (("show",), "directory"),
    ],
)
def test_what_is_missing_is_said(arguments: tuple[str, ...], message: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_a_limit_in_usd_needs_prices(tmp_path: Path) -> None:
    with asked_endpoint() as endpoint, pytest.raises(ConfigError, match="needs the endpoint"):
        evaluate(endpoint, tmp_path / "out", "--limit-usd", "0.01")


# --- the agent ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def config_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_researched_run(tmp_path_factory.mktemp("researched"))


def ask_physician(config_file: Path, url: str, out: Path, *arguments: str) -> Result:
    questions = out.parent / "liver.csv"
    questions.write_text(
        "question,answer,aliases\n"
        "What likelihood score does LiverTox give bosentan?,C,C (probable cause)\n",
        encoding="utf-8",
    )
    return call(
        *("run", "-c", str(config_file), "--benchmark", str(questions)),
        *("--endpoint", url, "--model", "strong", "--out", str(out), *arguments),
        settings=(*QUICK, "agent.tools=[search, read]", "agent.tool_calls=native"),
    )


def test_the_agent_answers_with_the_tools_of_the_configured_run(
    config_file: Path, tmp_path: Path
) -> None:
    with strong_endpoint() as endpoint:
        result = ask_physician(config_file, endpoint.url, tmp_path / "out")
        assert len(endpoint.bodies) == 3
    assert "100.0 %" in result.output
    assert "exact match by tool" in result.output
    (answer,) = EvaluationRun.open(str(tmp_path / "out")).answers()
    assert [event.tool for event in answer.trajectory.tool_events] == ["search", "read"]
    agent = answer.attempt.respondent.agent
    assert agent is not None
    assert (agent["index"], agent["tools"]) == ("", ["search", "read"])


def test_an_agent_that_spent_its_limit_is_asked_for_its_answer(
    config_file: Path, tmp_path: Path
) -> None:
    with strong_endpoint() as endpoint:
        # 110 tokens a reply: the limit is near after the second.
        ask_physician(
            config_file,
            endpoint.url,
            tmp_path / "tokens",
            "--limit-tokens",
            "230",
            "--limit-calls",
            "9",
        )
        ask_physician(config_file, endpoint.url, tmp_path / "calls", "--limit-calls", "1")
    (by_tokens,) = EvaluationRun.open(str(tmp_path / "tokens")).answers()
    (by_calls,) = EvaluationRun.open(str(tmp_path / "calls")).answers()
    assert by_tokens.trajectory.asked == "tokens"
    assert by_calls.trajectory.asked == "calls"
    assert len(by_calls.trajectory.tool_events) == 1


def test_questions_are_gone_through_with_the_agent_s_steps(
    config_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with strong_endpoint() as endpoint:
        ask_physician(config_file, endpoint.url, out)
        (kept,) = (out / "answers").glob("*.json")
        kept.unlink()
        live = call(
            "interactive", str(out), settings=("evaluation.endpoint.cache=false",), typed="\n"
        )
        assert len(endpoint.bodies) == 6
        replayed = call("interactive", str(out), typed="\n")
        assert len(endpoint.bodies) == 6
        ended = call("interactive", str(out), typed="q\n")
    for printed in (live.output, replayed.output):
        assert "What likelihood score does LiverTox give bosentan?" in printed
        assert "→ search" in printed
        assert "C (probable cause)" in printed
        assert "right answer: C" in printed
        assert "rules: correct" in printed
    assert "→ search" not in ended.output
    assert kept.exists()


# --- calibration ----------------------------------------------------------------------


def test_scorers_are_measured_against_people(tmp_path: Path) -> None:
    question = QUESTIONS[0]
    right = answer_of(question)
    rows: list[dict[str, Any]] = [
        {"prediction": right, "label": "yes"},
        {"prediction": f"It is {right}, as far as I can tell.", "label": "correct"},
        {"prediction": "N0", "label": "no"},
        {"prediction": right, "label": 0},
        {"prediction": "", "label": "incorrect"},
    ]
    path = tmp_path / "pairs.jsonl"
    lines = [json.dumps({"question": question, "answer": right, **row}) for row in rows]
    path.write_text("\n".join(lines), encoding="utf-8")
    with asked_endpoint() as endpoint:
        judging = ("--judge", "judge", "--judge-endpoint", endpoint.url)
        printed = call("calibrate", str(path), *judging, settings=QUICK).output
        rules, llm = json.loads(
            call("calibrate", str(path), *judging, "--json", settings=QUICK).output
        )
    assert "rules: agrees on 60.0 % of 5" in printed
    assert "kappa 0.167" in printed
    assert rules["confusion"] == {
        "both_correct": 1,
        "false_accepts": 1,
        "false_rejects": 1,
        "both_incorrect": 2,
    }
    assert (rules["recall"], rules["false_accept_rate"]) == (0.5, pytest.approx(1 / 3))
    assert llm["judge"] == "judge"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"question": "q", "answer": "a", "prediction": "p", "label": "perhaps"}', "perhaps"),
        ('{"question": "q", "answer": "a", "label": "yes"}', "no 'prediction'"),
        ('{"question": "q", "prediction": "p", "label": "yes"}', "no answer in 'answer'"),
    ],
)
def test_a_row_that_is_no_labelled_pair_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=message):
        call("calibrate", str(path))
