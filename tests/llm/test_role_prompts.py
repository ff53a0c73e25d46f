"""The prompts of roles: pairs of languages say the same, and their examples are good replies."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

import medr_ray
from medr_ray.core.json_text import find_json_values
from medr_ray.entities.significance import EntityVerdict, VerdictsReply
from medr_ray.evaluation.scorers.llm_judge import VerdictReply
from medr_ray.graph.extraction.llm_extractor import ExtractionReply
from medr_ray.knowledge.predicates import TEXT_PREDICATES
from medr_ray.knowledge.specialty import SPECIALTIES
from medr_ray.questions.wording.model_back_reader import PlanReply, find_types
from medr_ray.tools.reading.quoting import QuotesReply
from medr_ray.training.rewards import PreferenceReply
from medr_ray.trajectories.rewriting import Thoughts

PACKAGE = Path(medr_ray.__file__).parent
FILES = {str(path.relative_to(PACKAGE)): path for path in sorted(PACKAGE.glob("*/prompts/*.txt"))}
# Why these are in English alone stands where they are read.
ENGLISH_ONLY = {"entities/prompts/significance.txt", "graph/prompts/extraction.txt"}
# Tables that code reads, in a form of their own.
TABLES = re.compile("/(?:words|askers)\\.")
PLACEHOLDER = re.compile(r"\$[a-z_]+|(?<!\")\{[a-z_]+\}")
HAN = "[\u3400-\u9fff“”（）]"
HALF_WIDTH = re.compile(rf"{HAN}\s?[,:;?!()]|[,:;?!()]\s?{HAN}")
EXAMPLES: dict[str, type[BaseModel]] = {
    "entities/prompts/significance.txt": VerdictsReply,
    "graph/prompts/extraction.txt": ExtractionReply,
    "evaluation/prompts/judge.en.txt": VerdictReply,
    "evaluation/prompts/judge.zh.txt": VerdictReply,
    "evaluation/prompts/judge_browsecomp.en.txt": VerdictReply,
    "evaluation/prompts/judge_browsecomp.zh.txt": VerdictReply,
    "evaluation/prompts/judge_medbrowsecomp.en.txt": VerdictReply,
    "evaluation/prompts/judge_medbrowsecomp.zh.txt": VerdictReply,
    "evaluation/prompts/judge_xbench.en.txt": VerdictReply,
    "evaluation/prompts/judge_xbench.zh.txt": VerdictReply,
    "questions/prompts/reading.en.txt": PlanReply,
    "questions/prompts/reading.zh.txt": PlanReply,
    "tools/prompts/quotes.en.txt": QuotesReply,
    "tools/prompts/quotes.zh.txt": QuotesReply,
    "training/prompts/preference.en.txt": PreferenceReply,
    "training/prompts/preference.zh.txt": PreferenceReply,
    "trajectories/prompts/rewrite.en.txt": Thoughts,
    "trajectories/prompts/rewrite.zh.txt": Thoughts,
}


def read_examples(name: str) -> list[BaseModel]:
    """The objects in a prompt that its role would take for a reply."""
    examples = []
    for value in find_json_values(FILES[name].read_text()):
        try:
            examples.append(EXAMPLES[name].model_validate(value))
        except ValidationError:
            continue  # the form of a reply, with words where values are to be
    return examples


def test_every_prompt_is_in_both_languages_or_in_english_on_purpose() -> None:
    single = {name for name in FILES if not re.search(r"\.(?:en|zh)\.txt$", name)}
    assert single == ENGLISH_ONLY
    for name in FILES.keys() - single:
        other = re.sub(r"\.(en|zh)\.txt$", lambda m: f".{'zh' if m[1] == 'en' else 'en'}.txt", name)
        assert other in FILES
        fields = (set(PLACEHOLDER.findall(FILES[file].read_text())) for file in (name, other))
        assert len(set(map(frozenset, fields))) == 1, name


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".zh.txt")])
def test_chinese_prompts_use_full_width_signs(name: str) -> None:
    if not TABLES.search(name):
        assert HALF_WIDTH.findall(FILES[name].read_text()) == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_in_a_prompt_is_a_reply_that_its_role_can_use(name: str) -> None:
    examples = read_examples(name)
    assert examples
    for example in examples:
        if isinstance(example, VerdictsReply):
            verdicts = [EntityVerdict.model_validate(item) for item in example.verdicts]
            assert {verdict.significant for verdict in verdicts} == {True, False}
            assert {verdict.specialty for verdict in verdicts} <= SPECIALTIES.keys()
        if isinstance(example, ExtractionReply):
            assert not example.malformed
            assert {relation.predicate for relation in example.relations} <= TEXT_PREDICATES.keys()
        if isinstance(example, PlanReply):
            assert find_types(example, {thing.id: thing.text for thing in example.named})


def test_every_role_with_json_replies_has_an_example() -> None:
    # The examples of good wording are in a file of their own, and an example of an answer from
    # memory would suggest one.
    without = {"question", "plain", "closed_book", "guidance", "examples", "askers", "words"}
    roles = {name for name in FILES if "agent" not in name}
    assert {name for name in roles if Path(name).name.split(".")[0] not in without} == set(EXAMPLES)
