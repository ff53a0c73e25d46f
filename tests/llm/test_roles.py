"""Parts of the pipeline that use a language model: its identity is in their fingerprints."""

import pytest

from medr_ray.core.run import compute_fingerprint
from medr_ray.core.settings import load_config
from medr_ray.pipeline import load_stages

# The stage and the setting that gives the part to a model.
ROLES = [
    ("entities", "entities.significance=llm"),
    ("graph", "graph.extractor=llm"),
    ("questions", "questions.writer=llm"),
    ("trajectories", "trajectories.teacher=llm"),
    ("grpo", "grpo.expert=llm"),
    ("evaluation", "evaluation.judge=llm"),
    ("trajectories", "tools.read.extract=llm"),
    ("grpo", "tools.read.extract=llm"),
    ("evaluation", "tools.read.extract=llm"),
]


def _compute_stage_fingerprint(stage_name: str, *settings: str) -> str:
    stage = next(stage for stage in load_stages() if stage.name == stage_name)
    config = load_config(None, ["llm.model=m", *settings])
    return compute_fingerprint(stage, config, dict.fromkeys(stage.needs, "upstream"))


@pytest.mark.parametrize(("stage", "by_model"), ROLES)
@pytest.mark.parametrize(
    "setting",
    ["llm.model=other", "llm.base_url=http://x/v1", "llm.temperature=1", "llm.max_tokens=9"],
)
def test_what_decides_an_answer_decides_the_stage(stage: str, by_model: str, setting: str) -> None:
    assert _compute_stage_fingerprint(stage, by_model, setting) != _compute_stage_fingerprint(
        stage, by_model
    )


@pytest.mark.parametrize(("stage", "by_model"), ROLES)
@pytest.mark.parametrize(
    "setting", ["llm.timeout_seconds=7", "llm.retries=1", "llm.concurrency=1", "llm.cache=false"]
)
def test_how_a_model_is_called_makes_no_stage_stale(
    stage: str, by_model: str, setting: str
) -> None:
    assert _compute_stage_fingerprint(stage, by_model, setting) == _compute_stage_fingerprint(
        stage, by_model
    )


@pytest.mark.parametrize(("stage", "by_model"), ROLES)
def test_a_model_nobody_uses_decides_nothing(stage: str, by_model: str) -> None:
    assert _compute_stage_fingerprint(stage, "llm.max_tokens=9") == _compute_stage_fingerprint(
        stage
    )
