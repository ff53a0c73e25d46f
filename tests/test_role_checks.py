"""Roles that cannot work together are refused before anything runs, and those that hardly do are
warned of; each message names both settings and the remedy."""

import pytest

from medr_ray.core.config import PipelineConfig
from medr_ray.core.config.roles import list_roles
from medr_ray.core.run import Stage, open_run
from medr_ray.core.settings import load_config
from medr_ray.llm import reachability
from medr_ray.pipeline import load_stages

STAGES = {stage.name: stage for stage in load_stages()}


@pytest.fixture(autouse=True)
def _no_endpoint_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reachability, "find_endpoint_problems", lambda endpoints: iter(()))


def load(*overrides: str) -> PipelineConfig:
    return load_config(None, ["run.root=/tmp/none", *overrides], environment={})


def list_problems(stage: Stage, config: PipelineConfig) -> list[str]:
    return list(stage.check(config, open_run(config)))


REFUSED = [
    ("entities", ["entities.significance=llm"], ["entities.significance: llm", "llm.model"]),
    ("graph", ["graph.extractor=llm"], ["graph.extractor: llm", "llm.model"]),
    ("questions", ["questions.writer=llm"], ["questions.writer: llm", "llm.model"]),
    ("trajectories", ["trajectories.teacher=llm"], ["trajectories.teacher: llm", "llm.model"]),
    ("grpo", ["grpo.expert=llm"], ["grpo.expert: llm", "llm.model", "grpo.expert: rules"]),
    ("evaluation", ["evaluation.judge=llm"], ["evaluation.judge: llm", "llm.model"]),
    ("trajectories", ["tools.read.extract=llm"], ["tools.read.extract: llm", "llm.model"]),
    (
        "entities",
        ["entities.significance=llm", "llm.model=m", "llm.max_tokens=20"],
        ["entities.significance: llm", "llm.max_tokens is 20"],
    ),
    (
        "graph",
        ["graph.extractor=llm", "llm.model=m", "llm.max_tokens=50"],
        ["graph.extractor: llm", "llm.max_tokens is 50"],
    ),
    (
        "graph",
        ["graph.extractor=llm", "llm.model=m", "entities.vocabularies=[hpo]"],
        ["graph.extractor: llm", "entities.vocabularies (hpo)", "graph.extractor: rules"],
    ),
    (
        "graph",
        ["graph.extractor=llm", "llm.model=m", "models.encoder=/none/here"],
        ["graph.link_similarity: 0.85", "graph.extractor: llm", "models.encoder"],
    ),
    (
        "trajectories",
        ["agent.tools=[read]"],
        ["trajectories.teacher: rules", "agent.tools (read)", "trajectories.teacher: llm"],
    ),
    (
        "trajectories",
        ["agent.tools=[search,read]", "tools.web.provider=serper"],
        ["trajectories.teacher: rules", "tools.web.provider: serper", "medical_search"],
    ),
]


@pytest.mark.parametrize(("stage", "overrides", "words"), REFUSED)
def test_a_pair_that_cannot_work_is_refused(
    stage: str, overrides: list[str], words: list[str]
) -> None:
    problems = list_problems(STAGES[stage], load(*overrides))
    assert any(all(word in problem for word in words) for problem in problems), problems


WORKING = [
    ("graph", ["graph.extractor=llm", "llm.model=m"]),
    ("graph", ["entities.vocabularies=[hpo]"]),
    ("trajectories", ["agent.tools=[search]"]),
    ("trajectories", ["agent.tools=[search,medical_search]", "tools.web.provider=serper"]),
    ("trajectories", ["agent.tools=[read]", "trajectories.teacher=llm", "llm.model=m"]),
    ("trajectories", ["questions.writer=llm", "llm.model=m"]),
    ("evaluation", ["evaluation.judge=llm", "llm.model=m"]),
]


@pytest.mark.parametrize(("stage", "overrides"), WORKING)
def test_a_pair_that_works_is_not_refused(stage: str, overrides: list[str]) -> None:
    assert list_problems(STAGES[stage], load(*overrides)) == []


DOUBTFUL = [
    ("questions", ["questions.back_reader=llm"], ["back_reader: llm", "questions.writer"]),
    (
        "questions",
        ["questions.writer=llm", "questions.back_reader=llm", "llm.model=m"],
        ["questions.writer (m)", "questions.back_reader_model"],
    ),
    (
        "questions",
        ["questions.writer=llm", "llm.model=m", "questions.back_reader_model={model: n}"],
        ["questions.back_reader_model names n", "questions.back_reader is rules"],
    ),
    (
        "questions",
        ["questions.writer=llm", "llm.model=m", "questions.calibration=[{model: a}]"],
        ["questions.calibration", "questions.writer is llm", "calibration_rounds: 0"],
    ),
    (
        "trajectories",
        ["trajectories.style=plain", "trajectories.rewrite={model: r}"],
        ["trajectories.rewrite", "trajectories.style: plain"],
    ),
    (
        "trajectories",
        ["questions.writer=llm", "questions.back_reader=llm", "llm.model=m"],
        ["back_reader: llm", "trajectories.teacher: rules", "trajectories.guided_fraction: 0.7"],
    ),
    (
        "trajectories",
        ["trajectories.teacher=llm", "llm.model=m", "trajectories.rollouts_per_question=3"],
        ["trajectories.rollouts_per_question: 3", "llm.temperature is 0"],
    ),
    (
        "trajectories",
        ["trajectories.teacher=llm", "llm.model=m", "agent.max_tokens=9000"],
        ["agent.max_tokens: 9000", "trajectories.max_tokens"],
    ),
    (
        "trajectories",
        [
            "trajectories.teacher=llm",
            "llm.model=m",
            "tools.cassette={mode: replay, path: /tmp/none}",
        ],
        ["tools.cassette.mode: replay", "trajectories.teacher: llm"],
    ),
    (
        "trajectories",
        ["tools.read.extract=llm", "llm.model=m"],
        ["tools.read.extract: llm", "agent.tools"],
    ),
    ("grpo", ["grpo.expert=llm", "grpo.expert_weight=0"], ["grpo.expert: llm", "expert_weight: 0"]),
    (
        "evaluation",
        ["evaluation.judge=llm", "llm.model=SmolLM2-135M-Instruct"],
        ["evaluation.judge: llm", "models.policy: embedded:smollm2-135m-instruct"],
    ),
]


@pytest.mark.parametrize(("stage", "overrides", "words"), DOUBTFUL)
def test_a_pair_that_hardly_works_is_warned_of(
    stage: str, overrides: list[str], words: list[str]
) -> None:
    warnings = list(STAGES[stage].warn(load(*overrides)))
    assert any(all(word in warning for word in words) for warning in warnings), warnings


def test_model_words_that_rules_have_read_are_no_reason_to_warn() -> None:
    config = load("questions.writer=llm", "llm.model=m")
    assert list(STAGES["trajectories"].warn(config)) == []


def test_nobody_is_warned_of_the_defaults() -> None:
    config = load()
    assert [warning for stage in STAGES.values() for warning in stage.warn(config)] == []


def test_every_role_by_a_model_is_listed_once() -> None:
    assert [role.name for role in list_roles(load()) if role.endpoint] == []
    switches = [role.by_model.replace(": ", "=") for role in list_roles(load())]
    plain = [switch for switch in switches if switch.count("=") == 1 and " and " not in switch]
    config = load(
        "llm.model=m",
        "questions.back_reader=llm",
        "questions.closed_book={model: c}",
        "questions.calibration=[{model: a}, {model: b}]",
        "trajectories.rewrite={model: r}",
        *plain,
    )
    played = [(role.name, role.endpoint.model) for role in list_roles(config) if role.endpoint]
    assert played == [
        ("significance", "m"),
        ("extractor", "m"),
        ("writer", "m"),
        ("back_reader", "m"),
        ("closed_book", "c"),
        ("calibration", "a"),
        ("calibration", "b"),
        ("teacher", "m"),
        ("rewriter", "r"),
        ("quoter", "m"),
        ("preference", "m"),
        ("judge", "m"),
    ]


def test_what_every_role_would_use_is_estimated() -> None:
    plain = ["entities.significance", "graph.extractor", "questions.writer", "grpo.expert"]
    plain += ["trajectories.teacher", "evaluation.judge", "tools.read.extract"]
    config = load(
        *(f"{setting}=llm" for setting in plain),
        "llm.model=m",
        "agent.tools=[medical_search, read]",
        "questions.back_reader=llm",
        "questions.closed_book={model: c}",
        "questions.calibration=[{model: a}]",
        "trajectories.rewrite={model: r}",
    )
    run = open_run(config)
    estimated = {
        cost.role for stage in STAGES.values() for cost in stage.estimate_cost(config, run).models
    }
    assert estimated == {role.name for role in list_roles(config)}


def test_without_a_model_nothing_is_estimated() -> None:
    config = load()
    costs = [stage.estimate_cost(config, open_run(config)) for stage in STAGES.values()]
    assert [model for cost in costs for model in cost.models] == []
    assert [cost.product for cost in costs if cost.product] == ["trained weights"] * 2
