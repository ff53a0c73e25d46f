"""Configuration: what a file, the environment and --set say, and what is refused."""

from pathlib import Path

import pytest

from medr_ray.core.errors import ConfigError
from medr_ray.core.settings import dump_yaml, load_config


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_set_wins_over_the_environment_which_wins_over_the_file(tmp_path: Path) -> None:
    file = write(
        tmp_path / "c.yaml", "graph: {steps: 1, max_entities: 11, documents_per_step: 4}\n"
    )
    config = load_config(
        file,
        ["graph.steps=3"],
        {"MEDR_GRAPH__STEPS": "2", "MEDR_GRAPH__MAX_ENTITIES": "22", "HOME": "/root"},
    )
    assert (config.graph.steps, config.graph.max_entities, config.graph.documents_per_step) == (
        3,
        22,
        4,
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("graf: {}\n", "unknown key graf: did you mean graph?"),
        ("graph: {step: 3}\n", "unknown key graph.step: did you mean graph.steps?"),
        (
            "sft: {optimiser: {learning_rat: 1}}\n",
            "unknown key sft.optimiser.learning_rat: did you mean",
        ),
        ("graph: {steps: zero}\n", "graph.steps"),
        ("graph: {neighbour_probability: 1.5}\n", "graph.neighbour_probability"),
        ("- a\n", "must be a mapping"),
        ("graph: [\n", "not YAML"),
    ],
)
def test_a_wrong_file_is_refused_with_the_key_at_fault(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(write(tmp_path / "c.yaml", text), environment={})
    assert message in str(error.value)


def test_unknown_keys_are_refused_wherever_they_come_from() -> None:
    with pytest.raises(ConfigError, match=r"retrieval\.relevance_weight"):
        load_config(None, ["retrieval.relevance_wait=1"], {})
    with pytest.raises(ConfigError, match=r"retrieval\.relevance_weight"):
        load_config(None, [], {"MEDR_RETRIEVAL__RELEVANCE_WAIT": "1"})
    with pytest.raises(ConfigError, match=r"section\.key=value"):
        load_config(None, ["graph.steps"], {})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        load_config(tmp_path / "nowhere.yaml", environment={})


def test_the_dump_loads_back_to_the_same_configuration(tmp_path: Path) -> None:
    config = load_config(
        None, ["run.name=x", "corpus.sources=[a, b]", "sft.optimiser={learning_rate: 0.1}"], {}
    )
    assert load_config(write(tmp_path / "c.yaml", dump_yaml(config)), environment={}) == config


@pytest.mark.parametrize("name", ["quickstart", "single-gpu", "cluster", "paper"])
def test_each_shipped_configuration_is_valid_and_its_run_is_its_own(
    repository: Path, name: str
) -> None:
    config = load_config(repository / "configs" / f"{name}.yaml", environment={})
    assert config.run.name == name


def test_the_paper_configuration_has_the_papers_numbers(repository: Path) -> None:
    config = load_config(repository / "configs" / "paper.yaml", environment={})
    assert config.entities.rare_frequency == 1e-6
    assert config.graph.neighbour_probability == 0.5
    assert config.retrieval.relevance_weight == 0.4
    assert config.trajectories.guided_fraction == 0.7
    assert config.trajectories.tool_failure_rate == 0.05
    assert (config.sft.epochs, config.sft.optimiser.schedule) == (3, "cosine")
    assert (config.grpo.task_weight, config.grpo.expert_weight, config.grpo.efficiency_weight) == (
        1.0,
        0.2,
        0.1,
    )


def test_an_identity_leaves_operational_fields_out_at_every_depth() -> None:
    config = load_config(
        None,
        [
            'questions.calibration=[{"model": "m", "timeout_seconds": 7}]',
            'tools.mcp={"files": {"command": ["serve"], "seconds": 7}}',
        ],
        {},
    )
    (endpoint,) = config.questions.identity()["calibration"]
    assert endpoint == {
        "base_url": "http://127.0.0.1:8000/v1",
        "model": "m",
        "max_tokens": 1024,
        "temperature": 0.0,
    }
    server = config.tools.identity()["mcp"]["files"]
    assert server["command"] == ["serve"]
    assert "seconds" not in server
    assert config.tools.read.identity()["max_pages"] == config.tools.read.max_pages
