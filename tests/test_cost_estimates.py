"""Estimates of what models would use, beside what scripted ones used: within a factor of two."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from support.agent_run import Echo, call
from support.metered_endpoint import MeteredEndpoint
from support.misbehaving_endpoint import fresh_governor
from support.questions import make_question
from support.rewrites import REWRITES, rewrites_table

from medr_ray.agent.episode_loop import run_episode
from medr_ray.agent.protocol import render_reply
from medr_ray.core.config import PipelineConfig
from medr_ray.core.costs import ModelCost
from medr_ray.core.run import MANIFEST, RunDirectory, open_run
from medr_ray.core.settings import load_config
from medr_ray.evaluation.cost_estimate import estimate_evaluation_costs
from medr_ray.evaluation.scorers.configured import build_configured_scorers
from medr_ray.llm.cache import read_usage
from medr_ray.llm.roles import open_chat_client
from medr_ray.questions.cost_estimate import estimate_question_costs
from medr_ray.questions.wording.back_reading import RulesBackReader
from medr_ray.questions.wording.mentions import Mentions
from medr_ray.questions.wording.model_writer import ModelWriter
from medr_ray.rollouts.worker import RolloutRequest
from medr_ray.tools.base import ToolResult
from medr_ray.tools.medical import MedicalSearchTool
from medr_ray.tools.search import SearchTool
from medr_ray.trajectories.cost_estimate import estimate_trajectory_costs
from medr_ray.trajectories.teacher import EXPLORATION, ChatTeacherFactory


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh_governor(monkeypatch)


class Place:
    """A run with counts of its questions, and an endpoint."""

    def __init__(self, server: HTTPServer, root: Path) -> None:
        self.endpoint = MeteredEndpoint(server, lambda body: "")
        self._root = root

    def config(self, *overrides: str) -> PipelineConfig:
        return load_config(
            None,
            [
                f"run.root={self._root}",
                f"llm.base_url={self.endpoint.url}",
                "llm.model=m",
                "llm.requests_per_minute=1000000",
                *overrides,
            ],
            environment={},
        )

    def run(self, config: PipelineConfig, **counts: Any) -> RunDirectory:
        run = open_run(config)
        manifest = {"fingerprint": "f", "counts": counts, "seconds": 1}
        run.stage("questions").write_json(MANIFEST, manifest)
        return run


@pytest.fixture
def place(httpserver: HTTPServer, tmp_path: Path) -> Place:
    return Place(httpserver, tmp_path)


def require_near(costs: Iterator[ModelCost], run: RunDirectory, role: str) -> None:
    (cost,) = (cost for cost in costs if cost.role == role)
    used = read_usage(run)[role, "m"]
    for name in ("requests", "input_tokens", "output_tokens"):
        estimate, actual = getattr(cost, name), getattr(used, name)
        assert actual / 2 <= estimate <= actual * 2, f"{name}: {estimate} for {actual}"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_writer(place: Place, language: Any) -> None:
    config = place.config("questions.writer=llm", f"questions.language={language}")
    run = place.run(config, accepted=len(REWRITES))
    texts = {case.plain[language]: case.natural[language] for case in REWRITES}

    def answer(body: dict[str, Any]) -> str:
        prompt = body["messages"][0]["content"]
        (text,) = (text for plain, text in texts.items() if f"\n{plain}\n" in prompt)
        return json.dumps({"question": text})

    place.endpoint.answer = answer
    table = rewrites_table()
    reader = RulesBackReader(table, Mentions(table, language), language)
    client = open_chat_client(config.llm, run, "writer")
    drafts = [case.draft(language) for case in REWRITES]
    written = ModelWriter(client, reader, language, "m").write(drafts)
    assert [question.problem for question in written] == [""] * len(REWRITES)
    if language == "en":
        # The endpoint counts four characters for a token, which is right for English alone.
        require_near(estimate_question_costs(config, run), run, "writer")


class Records(Echo):
    """A search as it is offered, whose results are as long as those of two records."""

    def __init__(self, offered: SearchTool | MedicalSearchTool) -> None:
        super().__init__(offered.name)
        self.description, self.parameters = offered.description, offered.parameters

    async def _answer(self, query: str) -> ToolResult:
        line = (
            "[1] NDA022348 CALDOLOR (ORANGE-BOOK:NDA022348): patent no: 9072661; of: NDA022348/003"
            "; patent expire date: Nov 27, 2028; delist flag: N; as of: 2025-04-08"
        )
        return ToolResult(f"{line}\n{line}", ("ORANGE-BOOK:NDA022348",))


def test_the_teacher(place: Place) -> None:
    config = place.config("trajectories.teacher=llm", "agent.max_tool_calls=8")
    questions = [make_question(number, split="train", hops=2) for number in range(5)]
    run = place.run(config, train=len(questions), mean_hops=2.0)
    thought = "The application is known now, so its patents come next; the list states their ends."

    def answer(body: dict[str, Any]) -> str:
        calls = sum(message["role"] == "assistant" for message in body["messages"])
        if calls == 3:
            return render_reply(f"{thought} Nothing speaks against it.", answer="Hepatitis B")
        return call(f"patents of application {calls}", name="search", thought=thought)

    place.endpoint.answer = answer
    factory = ChatTeacherFactory(config, run)
    searcher: Any = None  # what is offered is described and not called
    offered_tools = (SearchTool(searcher, 900), MedicalSearchTool(searcher, 900))
    for question in questions:
        policy = factory(RolloutRequest(question.task, EXPLORATION, 0, ()))
        tools = [Records(offered) for offered in offered_tools]
        episode = run_episode(question.task, policy, tools, config.agent, mode=EXPLORATION)
        assert asyncio.run(episode).answer == "Hepatitis B"
    require_near(estimate_trajectory_costs(config, run), run, "teacher")


def test_the_judge(place: Place) -> None:
    config = place.config("evaluation.judge=llm", "evaluation.weights=[base, sft]")
    questions = [make_question(number) for number in range(6)]
    run = place.run(config, heldout=len(questions))
    reason = "The given answer names the same infection as the correct answer does."
    place.endpoint.answer = lambda body: json.dumps({"reason": reason, "correct": True})
    judge = build_configured_scorers(config, run)[0]

    async def judge_all() -> list[str]:
        return [
            (await judge.score(question.task, f"hepatitis B, by {weights}")).verdict
            for weights in config.evaluation.weights
            for question in questions
        ]

    assert asyncio.run(judge_all()) == ["correct"] * 12
    require_near(estimate_evaluation_costs(config, run), run, "judge")


def test_only_the_questions_that_are_played_are_counted(place: Place) -> None:
    config = place.config("trajectories.teacher=llm", "trajectories.max_questions=10")
    run = place.run(config, train=1000, mean_hops=2.0)
    (cost,) = estimate_trajectory_costs(config, run)
    assert cost.requests == 10 * 5
    assert "10 questions" in cost.basis


def test_without_a_finished_stage_the_estimate_is_a_bound_and_says_so(place: Place) -> None:
    config = place.config("questions.writer=llm", "questions.max_questions=50")
    (cost,) = estimate_question_costs(config, open_run(config))
    assert cost.requests == 50
    assert "from at most 50 questions" in cost.describe()
