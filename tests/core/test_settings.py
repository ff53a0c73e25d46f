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


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("graph.steps=three", "--set graph.steps: must be a whole number, not 'three'"),
        ("graph.steps=[", "--set graph.steps: not YAML"),
        ("graph.steps=", "--set graph.steps: must be a whole number, not null"),
        ("graph=5", "--set graph: must be a section of keys and values, not 5"),
        ("graph={steps: three}", "--set graph: graph.steps: must be a whole number"),
        ("graph.steps.x=1", "--set graph.steps.x: steps is a value, not a section"),
        ("rollouts.workers=5", "--set rollouts.workers: rollouts: workers is 5, more than"),
        ("run.name=5", "--set run.name: must be text, not 5: put it in quotes"),
        ("agent.tools=search", "--set agent.tools: must be a list, such as [a, b], not 'search'"),
        ("agent.tools=[mcp:x]", "--set agent.tools: unknown server of tools.mcp 'x'"),
        ("chains.subgraph=x", "--set chains.subgraph: must be 'seed_graph' or 'augmented_chain'"),
        ("tools.before=2024-13-45", "--set tools.before: must be a date, such as 2024-01-31"),
        ("llm=sk-secret", "--set llm: must be a section of keys and values, not text"),
        (
            "questions.calibration=[{modle: m}]",
            "--set questions.calibration: unknown key questions.calibration.0.modle: did you mean "
            "questions.calibration.0.model?",
        ),
        (
            "tools.mcp={files: {comand: [serve]}}",
            "--set tools.mcp: unknown key tools.mcp.files.comand: did you mean "
            "tools.mcp.files.command?",
        ),
    ],
)
def test_a_wrong_override_is_blamed_as_the_override(
    tmp_path: Path, override: str, message: str
) -> None:
    file = write(tmp_path / "c.yaml", "graph: {steps: 2}\nrollouts: {concurrency: 3}\n")
    with pytest.raises(ConfigError) as error:
        load_config(file, [override], {})
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
    for words in ("Input should", "valid dictionary", "GraphConfig"):
        assert words not in str(error.value)


def test_each_value_is_blamed_on_its_own_source(tmp_path: Path) -> None:
    file = write(tmp_path / "c.yaml", "graph:\n  steps: three\n  max_entities: 1\n")
    with pytest.raises(ConfigError) as error:
        load_config(file, ["graph.max_entities=many"], {"MEDR_GRAPH__WORKERS": "few"})
    assert set(str(error.value).split("; ")) == {
        f"{file} line 2: graph.steps: must be a whole number, not 'three'",
        "MEDR_GRAPH__WORKERS: graph.workers: must be a whole number, not 'few'",
        "--set graph.max_entities: must be a whole number, not 'many'",
    }
    # What an override replaces is at fault no longer.
    assert load_config(file, ["graph={steps: 3}"], {}).graph.steps == 3
    with pytest.raises(ConfigError, match=r"^MEDR_GRAPH__STEP: unknown key graph\.step"):
        load_config(None, [], {"MEDR_GRAPH__STEP": "3"})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"graph:\n  steps: 3\n  steps: 4\n", " line 3: the key steps is given twice"),
        (b"graph:\n\tsteps: 3\n", " line 2: not YAML: a tab indents it: indent with spaces"),
        ("graph: {}\n".encode("utf-16"), ": it is UTF-16 text: save it as UTF-8"),
        (b"# caf\xe9\ngraph: {}\n", " line 1: byte 0xe9 is not UTF-8: save the file as UTF-8"),
    ],
)
def test_a_file_that_is_no_plain_yaml_is_one_line_with_its_place(
    tmp_path: Path, content: bytes, message: str
) -> None:
    file = tmp_path / "c.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        load_config(file, [], {})
    assert str(error.value).startswith(f"{file}{message}")
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        load_config(tmp_path / "nowhere.yaml", environment={})


def test_the_dump_loads_back_to_the_same_configuration(tmp_path: Path) -> None:
    config = load_config(
        None,
        [
            "run.name=1e5x",
            "corpus.sources=[a, 'no', '1e5', '007', 'null', '12:30', '0x1F', '']",
            "sft.optimiser={learning_rate: 1e-6}",
        ],
        {},
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
