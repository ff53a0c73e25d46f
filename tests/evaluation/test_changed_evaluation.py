"""A finished run whose evaluation is configured anew: only what is new is asked, and nothing that
was answered or scored is lost."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console
from support.asked_endpoint import AskedEndpoint, asked_endpoint, write_questions
from support.misbehaving_endpoint import fresh_governor
from support.tiny_model import build_tiny_model

from medr_ray import pipeline
from medr_ray.core.config import PipelineConfig
from medr_ray.core.records import Trajectory
from medr_ray.core.run import Directory, open_run
from medr_ray.core.settings import load_config
from medr_ray.evaluation import stage as stage_module
from medr_ray.evaluation.figures import read_figures
from medr_ray.evaluation.runs import EvaluationRun
from medr_ray.evaluation.runs.asking import RunRequests
from medr_ray.evaluation.runs.in_process import run_in_process
from medr_ray.evaluation.runs.plain_question import ask_plainly
from medr_ray.evaluation.runs.policies import EndpointPolicies, Endpoints
from medr_ray.evaluation.runs.weights import describe_endpoints, locate_weights_run
from medr_ray.evaluation.stage import EVALUATION_STAGE
from medr_ray.llm import client as client_module
from medr_ray.rollouts.worker import RolloutRequest


class FinishedRun:
    """A run of weights and questions whose evaluation ``run`` makes or changes. In place of the
    server is an endpoint that counts, and in place of the agent a plain question."""

    def __init__(self, root: Path, endpoint: AskedEndpoint) -> None:
        self._root = root
        self._endpoint = endpoint
        self._questions = write_questions(root / "things.jsonl")
        build_tiny_model(root / "base")
        open_run(self.configure()).claim()
        for seed, name in enumerate(("sft", "grpo"), 1):
            build_tiny_model(self.directory / name / "model", seed=seed)

    @property
    def directory(self) -> Path:
        return self._root / "runs" / "small"

    def configure(self, *settings: str) -> PipelineConfig:
        usual = [
            f"run.root={self._root / 'runs'}",
            "run.name=small",
            f"models.policy={self._root / 'base'}",
            f"evaluation.benchmarks=['{self._questions}']",
            "evaluation.max_questions=6",
            "llm.requests_per_minute=1000000",
            # Equal answers of two weights would be judged once.
            "llm.cache=false",
            f"llm.base_url={self._endpoint.url}",
        ]
        return load_config(None, [*usual, *settings], environment={})

    def run(self, *settings: str) -> tuple[int, int]:
        """Run the stage; returns how many questions and how many judgements that cost."""
        asked, judged = len(self._endpoint.asked), len(self._endpoint.judged)
        stage = replace(EVALUATION_STAGE, needs=(), uses_ray=False, check=lambda config, run: ())
        pipeline.run_pipeline(
            self.configure(*settings),
            console=Console(file=io.StringIO()),
            stages=[stage],
            report=lambda config, run, console: None,
        )
        return len(self._endpoint.asked) - asked, len(self._endpoint.judged) - judged

    def open_evaluation(self) -> EvaluationRun:
        return EvaluationRun.open(locate_weights_run(open_run(self.configure())))

    def list_files(self) -> dict[str, bytes]:
        """The content of every answer and score."""
        folder = self.directory / "evaluations" / "weights"
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for kind in ("answers", "scores")
            for path in (folder / kind).rglob("*.json")
        }


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FinishedRun]:
    fresh_governor(monkeypatch)
    monkeypatch.setattr(client_module, "_BACKOFF_SECONDS", 0.0)
    with asked_endpoint() as endpoint:

        @contextmanager
        def serve(config: PipelineConfig, run: Directory) -> Iterator[Endpoints]:
            yield describe_endpoints(config, endpoint.url, "key")

        @contextmanager
        def open_pool(
            config: PipelineConfig, index: Directory, endpoints: Endpoints, reports: Directory
        ) -> Iterator[RunRequests]:
            policies = EndpointPolicies(endpoints, 64)

            async def ask(request: RolloutRequest) -> Trajectory:
                complete = policies.complete_for(request)
                return await ask_plainly(
                    request.task,
                    complete,
                    config.agent,
                    mode=request.mode,
                    rollout=request.rollout,
                )

            yield partial(run_in_process, ask, concurrency=4, retries=0)

        monkeypatch.setattr(stage_module, "serve_weights", serve)
        monkeypatch.setattr(stage_module, "open_pool", open_pool)
        yield FinishedRun(tmp_path, endpoint)


def test_a_changed_evaluation_asks_and_judges_only_what_is_new(finished: FinishedRun) -> None:
    assert finished.run() == (18, 0)
    assert finished.run() == (0, 0)
    first = finished.list_files()
    # More questions, more attempts.
    assert finished.run("evaluation.max_questions=8") == (6, 0)
    assert finished.run("evaluation.max_questions=8", "evaluation.rollouts=2") == (24, 0)
    # Another confidence, fewer weights: new tables of what is there.
    assert finished.run("evaluation.rollouts=2", "evaluation.confidence=0.8") == (0, 0)
    assert finished.run("evaluation.weights=[base, grpo]") == (0, 0)
    # A judge beside the rules, and another one.
    assert finished.run("evaluation.judge=llm", "llm.model=judge") == (0, 18)
    assert finished.run("evaluation.judge=llm", "llm.model=judge-2") == (0, 18)
    assert finished.run("evaluation.judge=llm", "llm.model=judge", "evaluation.rollouts=2") == (
        0,
        18,
    )
    assert finished.run() == (0, 0)
    files = finished.list_files()
    assert first.items() <= files.items()
    assert len([name for name in files if name.startswith("answers/")]) == 48
    assert len(finished.open_evaluation().list_scorers()) == 3


def test_the_tables_are_those_of_the_configured_part(finished: FinishedRun) -> None:
    finished.run("evaluation.max_questions=8", "evaluation.rollouts=2")
    finished.run("evaluation.max_questions=3", "evaluation.weights=[base, sft]")
    (figures,) = read_figures(open_run(finished.configure()).stage("evaluation"))
    assert [model.model for model in figures.models] == ["base", "sft"]
    assert [(model.exact_match.n, model.attempts) for model in figures.models] == [(3, 3)] * 2
    assert [(each.first, each.second) for each in figures.comparisons] == [("base", "sft")]
    # The tables before stay too, with the stage's earlier results.
    assert len(list((finished.directory / "earlier" / "evaluation").iterdir())) == 1


def test_the_base_weights_may_be_asked_less_and_are_compared_on_what_both_were_asked(
    finished: FinishedRun,
) -> None:
    assert finished.run("evaluation.max_base_questions=2") == (2 + 6 + 6, 0)
    (figures,) = read_figures(open_run(finished.configure()).stage("evaluation"))
    assert [(model.model, model.exact_match.n) for model in figures.models] == [
        ("base", 2),
        ("sft", 6),
        ("grpo", 6),
    ]
    pairs = {(each.first, each.second): each.difference for each in figures.comparisons}
    assert {pair: difference.n for pair, difference in pairs.items() if difference} == {
        ("base", "sft"): 2,
        ("sft", "grpo"): 6,
        ("base", "grpo"): 2,
    }
    # Asked more later, what was answered stays.
    assert finished.run() == (4, 0)


def test_weights_that_were_trained_anew_are_asked_anew(finished: FinishedRun) -> None:
    finished.run()
    build_tiny_model(finished.directory / "grpo" / "model", seed=7)
    assert finished.run("evaluation.confidence=0.9") == (6, 0)
    assert finished.run() == (0, 0)


def test_what_decides_the_answers_asks_anew_and_takes_the_earlier_ones_back(
    finished: FinishedRun,
) -> None:
    finished.run()
    assert finished.run("evaluation.temperature=0.7") == (18, 0)
    assert finished.run("agent.max_tool_calls=1") == (18, 0)
    assert finished.run() == (0, 0)
