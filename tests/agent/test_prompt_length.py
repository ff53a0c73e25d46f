"""How many tokens of a small model's context the prompts take, by the tokenizer of the embedded
one."""

from dataclasses import replace

import pytest
from support.questions import worded_task
from tokenizers import Tokenizer

from medr_ray.agent.instructions import EpisodePrompt
from medr_ray.core.config import PipelineConfig
from medr_ray.core.records import Language
from medr_ray.engines.weights import model_path
from medr_ray.retrieval.documents import REGISTRY_PREFIXES
from medr_ray.tools.base import Tool
from medr_ray.tools.diagnose.tool import DiagnoseTool
from medr_ray.tools.observations import make_heading
from medr_ray.tools.read import WEB_PREFIX
from medr_ray.tools.registry import build_tools

_SOURCES = [{"source": "pubmed"}, {"source": "hpo"}, {"source": "registries"}]


class _Nothing:
    def search(self, query: str, **_: object) -> list[object]:
        return []

    medical_search = search


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    folder = model_path("embedded:smollm2-135m-instruct")
    return Tokenizer.from_file(f"{folder}/tokenizer.json")


def _build_system(prompt: str, language: Language, tools: list[str], native: bool = False) -> str:
    config = PipelineConfig.model_validate(
        {
            "agent": {"tools": [name for name in tools if name != "diagnose"], "prompt": prompt},
            "index": {"sources": _SOURCES},
        }
    )
    built: list[Tool] = build_tools(config, _Nothing())
    if "diagnose" in tools:
        # Without its knowledge base, which the prompt does not need.
        built.append(DiagnoseTool(config.tools.diagnosis, _Nothing(), (), 900))
    task = replace(worded_task("What is asked?"), language=language)
    return EpisodePrompt(task, tuple(built), config.agent).opening_messages(native)[0].content


_PREFIXES = (*REGISTRY_PREFIXES.values(), WEB_PREFIX.removesuffix(":"))
_ALL = ["search", "medical_search", "read", "diagnose"]


@pytest.mark.parametrize(
    ("prompt", "language", "tools", "tokens"),
    [
        ("short", "en", _ALL[:1], 60),
        ("short", "en", _ALL, 70),
        ("short", "zh", _ALL[:1], 105),
        ("short", "zh", _ALL, 115),
        ("full", "en", _ALL[:1], 380),
        ("full", "en", _ALL[:2], 660),
        ("full", "en", _ALL, 1050),
        ("full", "zh", _ALL[:1], 700),
        ("full", "zh", _ALL, 1350),
    ],
)
def test_a_system_prompt_stays_within_its_tokens(
    tokenizer: Tokenizer, prompt: str, language: Language, tools: list[str], tokens: int
) -> None:
    assert len(tokenizer.encode(_build_system(prompt, language, tools)).ids) <= tokens


def test_a_date_costs_a_hit_at_most_eight_tokens(tokenizer: Tokenizer) -> None:
    plain = len(tokenizer.encode(make_heading("t", "NCT:NCT00367016", "")).ids)
    for date in ("2019", "as of 2026"):
        dated = make_heading("t", "NCT:NCT00367016", date)
        assert len(tokenizer.encode(dated).ids) - plain <= 8


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize(
    ("language", "sentence"), [("en", "go into one reply, a call each"), ("zh", "互不依赖的查询")]
)
def test_the_full_prompt_names_the_sources_and_asks_for_look_ups_side_by_side(
    language: Language, sentence: str, native: bool
) -> None:
    system = _build_system("full", language, _ALL[:1], native)
    assert sentence in system
    for prefix in [
        "PMID",
        "NCT",
        "FDA",
        "ORANGE-BOOK",
        "FDA-LABEL",
        "LIVERTOX",
        "ORPHANET",
        "HPO",
        "WEB",
    ]:
        assert prefix in system
    assert "as of" in system


def test_the_schemas_in_the_prompt_have_what_a_call_needs_and_no_limits() -> None:
    system = _build_system("full", "en", _ALL)
    assert "maxLength" not in system
    assert "additionalProperties" not in system
    assert '"enum": ["female", "male"]' in system
    assert '"required": ["url", "goal"]' in system
