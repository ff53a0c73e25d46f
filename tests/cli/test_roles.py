"""``medr roles``: who plays each role, and five fixed inputs to each model over a scripted
endpoint."""

import contextlib
import functools
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import Result
from pytest_httpserver import HTTPServer
from support.metered_endpoint import MeteredEndpoint
from support.misbehaving_endpoint import fresh_governor
from support.role_players import PLAYERS, judge, prompt_of
from typer.testing import CliRunner
from werkzeug import Response

from medr_ray.cli.main import app
from medr_ray.cli.trials.registry import TRIALS
from medr_ray.cli.trials.trial import read_entries
from medr_ray.core.config.roles import RoleName
from medr_ray.core.records import literal_values
from medr_ray.core.run import RunDirectory
from medr_ray.core.settings import load_config
from medr_ray.knowledge.hpo import load_hpo
from medr_ray.knowledge.prevalence import load_prevalence
from medr_ray.knowledge.rare_diseases import load_rare_listings
from medr_ray.llm import client as client_module
from medr_ray.llm.cache import ResponseCache, read_usage

SECRET = "sk-very-secret-1234567890"
ROLES: tuple[RoleName, ...] = literal_values(RoleName)  # type: ignore[assignment]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh_governor(monkeypatch)
    monkeypatch.setattr(client_module, "_BACKOFF_SECONDS", 0.0)
    monkeypatch.setenv("ROLES_TEST_KEY", SECRET)
    # Tables as wide as they need.
    monkeypatch.setenv("COLUMNS", "200")


class Trying:
    """Calls ``medr roles`` with a configuration in ``folder`` and one endpoint."""

    def __init__(self, server: HTTPServer, folder: Path) -> None:
        self.endpoint = MeteredEndpoint(server, lambda body: "")
        self.root = folder / "runs"
        self._config = folder / "config.yaml"
        self._config.write_text(f"run: {{root: {self.root}}}\n", encoding="utf-8")

    def call(self, *arguments: str, settings: tuple[str, ...] = (), role: str = "") -> Result:
        """What the command printed; ``role`` is given to the model."""
        usual = [
            f"llm.base_url={self.endpoint.url}",
            "llm.model=m",
            "llm.api_key_env=ROLES_TEST_KEY",
            "llm.requests_per_minute=100000",
            "llm.retries=1",
        ]
        if role:
            usual.append(PLAYERS[role][0].replace("URL", self.endpoint.url))
        if role == "back_reader":
            usual.append("questions.writer=llm")
        options = [part for setting in (*usual, *settings) for part in ("--set", setting)]
        return CliRunner().invoke(app, ["roles", *arguments, "-c", str(self._config), *options])

    def try_role(self, role: str, *more: str, settings: tuple[str, ...] = ()) -> Result:
        return self.call("try", "--role", role, *more, role=role, settings=settings)


@pytest.fixture
def trying(httpserver: HTTPServer, tmp_path: Path) -> Trying:
    return Trying(httpserver, tmp_path)


def read_lines(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


# --- a good model, and others ---------------------------------------------------------


def test_every_role_has_trials_and_a_player() -> None:
    assert set(TRIALS) == set(ROLES) == set(PLAYERS)


@pytest.mark.parametrize("role", ROLES)
def test_a_good_model_passes(trying: Trying, role: RoleName) -> None:
    trying.endpoint.answer = PLAYERS[role][1]
    result = trying.try_role(role, "--json")
    lines = read_lines(result)
    assert [line for line in lines[:-1] if not line["passed"]] == []
    assert result.exit_code == 0, result.output
    assert len(lines) == 6
    assert (lines[-1]["passed"], lines[-1]["trials"], lines[-1]["enough"]) == (5, 5, True)
    assert lines[-1]["input_tokens"] == sum(line["input_tokens"] for line in lines[:-1]) > 0
    assert lines[-1]["usd"] is None


@pytest.mark.parametrize("role", [role for role in ROLES if role not in ("teacher", "judge")])
def test_a_model_that_says_nothing_of_use_fails(trying: Trying, role: RoleName) -> None:
    trying.endpoint.answer = lambda body: ""
    result = trying.try_role(role, "--json")
    lines = read_lines(result)
    assert result.exit_code == 1
    assert lines[-1]["enough"] is False
    assert not any(line["passed"] for line in lines[:-1])


def test_a_wrong_judge_fails_with_what_was_expected_shown(trying: Trying) -> None:
    # It is taken in by the answer that asks for it.
    trying.endpoint.answer = lambda body: (
        '{"reason": "it says so", "correct": true}'
        if "Note to the grader" in prompt_of(body)
        else judge(body)
    )
    result = trying.try_role("judge")
    assert result.exit_code == 1
    assert "4 of 5 passed, 5 required" in result.stdout
    failed = result.stdout.partition("FAIL")[2]
    assert "expected: incorrect" in failed
    assert 'came back: correct: {"reason": "it says so", "correct": true}' in failed


def test_one_slip_of_a_role_that_is_checked_is_allowed_and_two_are_not(trying: Trying) -> None:
    write = PLAYERS["writer"][1]
    slips = 1

    def answer(body: dict[str, Any]) -> str:
        trials = ("NCT00889460", "NCT05520294")[:slips]
        is_slip = any(trial in prompt_of(body) for trial in trials)
        return '{"question": "Which gene is it that nobody names?"}' if is_slip else write(body)

    trying.endpoint.answer = answer
    assert trying.try_role("writer").exit_code == 0
    slips = 2
    assert trying.try_role("writer").exit_code == 1


def test_a_refusal_is_shown_and_fails(trying: Trying) -> None:
    trying.endpoint.answer = lambda body: "I cannot help with that request."
    for role in ("teacher", "judge", "preference"):
        result = trying.try_role(role)
        assert result.exit_code == 1
        assert "0 of 5 passed" in result.stdout, role
    result = trying.try_role("teacher")
    assert "I cannot help with that request." in result.stdout


def test_a_teacher_that_answers_from_memory_or_calls_another_tool_fails(trying: Trying) -> None:
    trying.endpoint.answer = lambda body: "<think>easy</think><answer>GALC</answer>"
    assert "it answers before" in trying.try_role("teacher").stdout
    trying.endpoint.answer = lambda body: (
        '<think>x</think><tool_call>{"name": "google", "arguments": {"q": "x"}}</tool_call>'
    )
    assert "it calls google, which is not offered" in trying.try_role("teacher").stdout


# --- what it costs, and what goes wrong -----------------------------------------------


def test_it_really_asks_each_time_and_says_so(trying: Trying) -> None:
    trying.endpoint.answer = judge
    prices = ("llm.usd_per_million_input=10", "llm.usd_per_million_output=10")
    first = trying.try_role("judge", settings=prices)
    second = trying.try_role("judge", settings=prices)
    assert len(trying.endpoint.bodies) == 10
    assert "nothing comes from the cache" in first.stdout
    assert "USD" in second.stdout
    assert "no price set" not in second.stdout
    assert not trying.root.exists(), "no folder is made for a run that has not begun"


def test_a_spent_budget_ends_it_with_the_reason(trying: Trying) -> None:
    trying.endpoint.answer = judge
    result = trying.try_role("judge", settings=("llm.budget_tokens=5",))
    assert result.exit_code == 1
    assert "could not be asked: budget_tokens = 5" in result.stdout
    assert trying.endpoint.bodies == []


def test_what_it_costs_counts_in_the_budget_of_a_run_and_not_in_a_stage_s_use(
    trying: Trying,
) -> None:
    trying.endpoint.answer = judge
    run = RunDirectory(str(trying.root / "default"))
    run.claim()
    budget = ("llm.budget_tokens=100000", "llm.max_tokens=50")
    first = trying.try_role("judge", settings=budget)
    assert first.exit_code == 0, first.stdout
    with contextlib.closing(ResponseCache(run.child("llm").local)) as store:
        assert store.total_spend().tokens > 1000
    assert read_usage(run) == {}
    spent = ("llm.budget_tokens=1001", "llm.max_tokens=50")
    result = trying.try_role("judge", settings=spent)
    assert "could not be asked: budget_tokens = 1,001" in result.stdout


def test_a_dead_endpoint_is_named_with_the_remedy(trying: Trying) -> None:
    result = trying.try_role("judge", settings=("llm.base_url=http://127.0.0.1:9/v1",))
    assert result.exit_code == 1
    assert "judge by m could not be asked: llm.base_url: nothing answers at" in result.stdout
    assert "start the endpoint" in result.stdout


def test_a_refused_key_is_named_and_never_printed(trying: Trying) -> None:
    trying.endpoint.answer = lambda body: Response(
        json.dumps({"error": {"message": f"wrong key {SECRET}"}}), status=401
    )
    for more in ((), ("--json",)):
        result = trying.try_role("judge", *more)
        assert result.exit_code == 1
        assert "ROLES_TEST_KEY" in result.output
        assert SECRET not in result.output
    assert trying.endpoint.keys[-1] == f"Bearer {SECRET}"


def test_without_a_model_the_settings_that_name_one_are_said(trying: Trying) -> None:
    result = trying.call("try")
    assert result.exit_code == 1
    assert "entities.significance: llm" in str(result.exception)
    assert "an endpoint in trajectories.rewrite" in str(result.exception)
    single = trying.call("try", "--role", "judge")
    assert "no model plays judge: set evaluation.judge: llm" in str(single.exception)
    unknown = trying.call("try", "--role", "juge")
    assert "judge" in str(unknown.exception)


def test_the_list_shows_who_plays_and_no_key(trying: Trying) -> None:
    settings = ("questions.calibration=[{model: a}, {model: b}]", "evaluation.judge=llm")
    printed = trying.call("list", settings=settings).stdout
    assert SECRET not in printed
    assert "ROLES_TEST_KEY" not in printed
    rows = read_lines(trying.call("list", "--json", settings=settings))
    by_role = [(row["role"], row["played by"], row["model"]) for row in rows]
    assert ("judge", "llm", "m") in by_role
    assert ("writer", "rules", "") in by_role
    assert ("rewriter", "nobody", "") in by_role
    assert [row["model"] for row in rows if row["role"] == "calibration"] == ["a", "b"]
    assert all(row["role"] in printed and row["setting"] in printed for row in rows)


# --- what the trials say is true ------------------------------------------------------


@functools.cache
def registry_facts(source: str) -> set[tuple[str, str, str]]:
    """(subject, predicate, object or text) of a registry of the embedded snapshot."""
    folder = Path(load_config.__code__.co_filename).parents[1] / "knowledge/registries/data"
    facts = pl.read_parquet(folder / f"{source}.facts.parquet")
    entities = pl.read_parquet(folder / f"{source}.entities.parquet")
    names = dict(zip(entities["entity_id"], entities["names"].to_list(), strict=True))
    stated = set()
    for subject, predicate, obj, text in facts.select(
        "subject", "predicate", "object", "text"
    ).iter_rows():
        for value in (obj, text, *(names.get(obj) or ())):
            stated.add((subject, predicate, value))
    return stated


@pytest.mark.parametrize("fact", read_entries("facts"), ids=lambda fact: fact["subject"])
def test_a_fact_of_the_trials_is_one_of_the_embedded_data(fact: dict[str, str]) -> None:
    triple = (fact["subject"], fact["predicate"], fact["object"])
    if fact["source"] == "hpo":
        record = load_hpo().diseases[fact["subject"]]
        stated = {
            (row.predicate, value)
            for row in record.facts
            for value in (row.object_id, row.object_name)
        }
        assert triple[1:] in stated
    else:
        assert triple in registry_facts(fact["source"])


def test_figures_and_listings_of_the_trials_are_those_of_orphanet() -> None:
    figures = load_prevalence().by_disorder
    listings = load_rare_listings()
    for entry in read_entries("significance"):
        prevalence = entry.get("prevalence")
        if prevalence:
            figure = figures[prevalence["disorder"]]
            assert {name: getattr(figure, name) for name in prevalence} == prevalence
        listing = entry.get("listing")
        if listing:
            found_listing = listings[listing["disorder"]]
            assert found_listing.is_group == listing.get("is_group", False)
