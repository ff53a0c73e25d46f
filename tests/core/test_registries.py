"""Names that a room owns are declared once, in that room, and checked when a configuration is
loaded."""

import subprocess
import sys

import pytest

from medr_ray.core.config import AgentConfig, EntitiesConfig, GRPOConfig, IndexConfig
from medr_ray.core.config.names import registered_names
from medr_ray.core.errors import ConfigError
from medr_ray.core.settings import load_config
from medr_ray.knowledge.lexicon import VOCABULARIES
from medr_ray.retrieval.documents import HPO, PUBMED, REGISTRIES, SOURCES
from medr_ray.retrieval.readers import READERS
from medr_ray.tools.registry import BUILT_IN
from medr_ray.training.losses import POLICY_LOSSES


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "entities.lexicons=[{format: meshh, path: desc.gz}]",
            "entities.lexicons.0.format: unknown name 'meshh': did you mean 'mesh'?",
        ),
        (
            "entities.vocabularies=[hpo, drug]",
            "entities.vocabularies.1: unknown name 'drug': did you mean 'drugs'?",
        ),
        (
            "index.sources=[pubmed, {source: trial, paths: [a]}]",
            "index.sources.1.source: unknown name 'trial': did you mean 'trials'?",
        ),
        ("index.embed_sources=[hpoo]", "unknown name 'hpoo': did you mean 'hpo'?"),
        ("tools.live.sources=[pubmd]", "unknown name 'pubmd': did you mean 'pubmed'?"),
        (
            "questions.shapes=[trial_to_safty]",
            "questions.shapes.0: unknown name 'trial_to_safty': did you mean 'trial_to_safety'?",
        ),
        ("agent.tools=[serach]", "agent.tools.0: unknown name 'serach': did you mean 'search'?"),
        ("agent.tools=[browse]", "Known: search, medical_search, read, diagnose"),
        (
            "agent.tools=['mcp:drugs']",
            "agent.tools: unknown server of tools.mcp 'drugs': Known: none",
        ),
        (
            "evaluation.benchmarks=[helout]",
            "evaluation.benchmarks.0: unknown name 'helout': did you mean 'heldout'?",
        ),
        ("grpo.loss=cliped", "grpo.loss: unknown name 'cliped': did you mean 'clipped'?"),
    ],
)
def test_an_unknown_name_is_refused_at_load_with_its_key_and_the_nearest_name(
    override: str, message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(None, [override], {})
    assert message in str(error.value)


def test_a_list_of_wrong_names_is_not_called_too_short_as_well() -> None:
    with pytest.raises(ConfigError) as error:
        load_config(None, ["evaluation.benchmarks=[helout]"], {})
    assert "at least 1 item" not in str(error.value)
    with pytest.raises(ConfigError, match=r"evaluation\.benchmarks: .* at least 1 item"):
        load_config(None, ["evaluation.benchmarks=[]"], {})


def test_the_nearest_mcp_server_is_named() -> None:
    servers = "tools.mcp={drugs: {url: 'https://example.org/mcp'}}"
    with pytest.raises(ConfigError, match="did you mean 'drugs'"):
        load_config(None, [servers, "agent.tools=['mcp:drug']"], {})
    config = load_config(None, [servers, "agent.tools=['mcp:drugs', 'package.module:tool']"], {})
    assert config.agent.tools == ("mcp:drugs", "package.module:tool")


def test_the_defaults_are_known_names() -> None:
    """Defaults are not validated when a configuration is loaded."""
    assert set(EntitiesConfig().vocabularies) == set(VOCABULARIES)
    # Tens of thousands of records are found by their words and numbers.
    assert set(IndexConfig().embed_sources) == {*SOURCES} - {REGISTRIES}
    assert {document_source.source for document_source in IndexConfig().sources} <= set(SOURCES)
    assert set(AgentConfig().tools) <= set(BUILT_IN)
    assert GRPOConfig().loss in POLICY_LOSSES


def test_every_source_of_documents_is_read_by_somebody() -> None:
    assert set(SOURCES) == {PUBMED, HPO, REGISTRIES, *READERS}


def test_names_are_checked_without_ray_and_torch() -> None:
    overrides = [
        "entities.lexicons=[{format: csv, path: a.csv}]",
        "agent.tools=[search]",
        "grpo.loss=clipped",
        "questions.shapes=[years_between]",
    ]
    code = (
        "import sys\n"
        "from medr_ray.core.settings import load_config\n"
        f"load_config(None, {overrides!r}, {{}})\n"
        "assert not {'ray', 'torch'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_registry_is_a_collection_of_names() -> None:
    assert "csv" in registered_names("medr_ray.knowledge.vocabularies:READERS")
