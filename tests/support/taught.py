"""Episodes of the rules teacher over real records of the embedded snapshot and of HPO, with the
real index, tools and loop."""

import asyncio
import functools
from collections.abc import Sequence
from pathlib import Path

from support.questions import with_task, worded_question
from support.small_index import build_index

from medr_ray.agent.episode_loop import run_episode
from medr_ray.agent.faults import NO_FAULTS, FaultPlan
from medr_ray.agent.protocol import parse_reply
from medr_ray.core.config import PipelineConfig
from medr_ray.core.records import GuidanceStep, Language, LiteralValue, Question, Trajectory
from medr_ray.core.settings import load_config
from medr_ray.graph.facts.fact_table import FactTable, StatedFact, TableEntity
from medr_ray.graph.facts.registry_relations import make_value_id
from medr_ray.knowledge.hpo import load_hpo
from medr_ray.questions.plans import PlanNode, name
from medr_ray.questions.steps import STEP_KINDS
from medr_ray.questions.wording.grammar import write_question
from medr_ray.questions.wording.mentions import Mentions
from medr_ray.retrieval.disease_records import document_from_disease
from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.registry_records import list_registry_documents
from medr_ray.retrieval.retriever import Retriever
from medr_ray.tools.base import Tool
from medr_ray.tools.registry import build_tools
from medr_ray.trajectories.solver.dictionary import NameDictionary
from medr_ray.trajectories.stage import build_rollout_request
from medr_ray.trajectories.teacher import GUIDED, RulesTeacherFactory

# As the demo is set: two results, of which one line each is seen.
SETTINGS = (
    "retrieval.mode=text",
    "retrieval.results=2",
    "retrieval.snippet_sentences=1",
    "retrieval.snippet_chars=140",
    "agent.max_tool_calls=3",
    "trajectories.style=plain",
    "index.sources=[{source: pubmed},{source: hpo},{source: registries}]",
)
FICOLIN = "Immunodeficiency due to ficolin3 deficiency"
# What a question names, by the ids that a run's facts would give it.
ENTITIES = {
    "NCT:NCT01781637": TableEntity("trial", ("NCT01781637",)),
    "NCT:NCT00367016": TableEntity("trial", ("NCT00367016",)),
    "NCT:NCT00597558": TableEntity("trial", ("NCT00597558",)),
    "PMID:17208602": TableEntity("paper", ()),
    "DRUG:erlotinib": TableEntity("drug", ("Erlotinib",)),
    "DRUG:temozolomide": TableEntity("drug", ("Temozolomide",)),
    "OMIM:310600": TableEntity("disease", ("Norrie disease",)),
    "ORPHA:331190": TableEntity("disease", (FICOLIN,)),
    "GENE:GALC": TableEntity("gene", ("GALC",)),
    "COMPANY:genentech": TableEntity("company", ("GENENTECH",)),
    "HP:0000007": TableEntity("value", ("Autosomal recessive inheritance",)),
}
SCORE_E = make_value_id(LiteralValue("category", "E"))
_TRIALS_BESIDE = 60  # so that a search has something to choose from
_APPLICATIONS = ("BLA103976", "NDA021743", "ANDA091002", "NDA021029", "NDA021446")
_MONOGRAPHS = ("Omalizumab", "Erlotinib", "Temozolomide", "Enalapril")
_DISEASES = ("OMIM:310600", "OMIM:245200", "OMIM:154700", "OMIM:604308")


def fact_table() -> FactTable:
    """The entities, with the score that a question names."""
    fact = StatedFact(
        "f1", "DRUG:erlotinib", "liver_injury_likelihood", SCORE_E, None, "", (), "livertox", "x"
    )
    return FactTable.build([fact], ENTITIES)


@functools.cache
def real_documents() -> tuple[Document, ...]:
    """Some trials, applications, monographs and rare diseases, as the index holds them."""
    trials = list_registry_documents("clinical_trials")
    named = [trial for trial in trials if trial.document_id in ENTITIES]
    applications = {f"FDA:{number}" for number in _APPLICATIONS}
    monographs = {f"LIVERTOX:{drug}" for drug in _MONOGRAPHS}
    registries = [*list_registry_documents("drugs_at_fda"), *list_registry_documents("livertox")]
    orphanet = [d for d in list_registry_documents("orphanet") if d.title == FICOLIN]
    diseases = load_hpo().diseases
    return (
        *named,
        *(trial for trial in trials[:_TRIALS_BESIDE] if trial not in named),
        *(d for d in registries if d.document_id in applications | monographs),
        *orphanet,
        *(document_from_disease(diseases[i]) for i in _DISEASES if i in diseases),
    )


def make_tools(folder: Path, *settings: str) -> list[Tool]:
    """The agent's tools over an index of the records."""
    config = load_settings(*settings)
    directory = build_index(folder, list(real_documents()))
    return build_tools(config, Retriever.open(directory, config.retrieval, config.models))


def load_settings(*settings: str) -> PipelineConfig:
    return load_config(None, [*SETTINGS, *settings], environment={})


def plan_of(*kinds: str, named: Sequence[str]) -> PlanNode:
    """A chain of steps from what a question names."""
    node = PlanNode(kinds[0], tuple(map(name, named)))
    for kind in kinds[1:]:
        node = PlanNode(kind, (node,))
    return node


def word_plan(plan: PlanNode, language: Language = "en", form: int = 0) -> str:
    """The question in words."""
    return write_question(plan, Mentions(fact_table(), language), language, form)


def guidance_of(plan: PlanNode) -> tuple[GuidanceStep, ...]:
    """The masked triples of a plan."""
    return tuple(
        GuidanceStep(input_type, node.kind, node.step_kind.output)
        for node in plan.walk()
        if not node.is_named
        for input_type in STEP_KINDS[node.kind].inputs
    )


def run_teacher(
    tools: Sequence[Tool],
    text: str,
    guidance: tuple[GuidanceStep, ...] | None = None,
    *,
    answer: str = "",
    language: Language = "en",
    faults: FaultPlan = NO_FAULTS,
    config: PipelineConfig | None = None,
    dictionary: NameDictionary | None = None,
) -> Trajectory:
    """The rules teacher's episode: guided where guidance is given, else exploring."""
    question = question_with(text, answer, guidance or (), language)
    config, mode = config or load_settings(), "exploration" if guidance is None else GUIDED
    policy = RulesTeacherFactory.from_config(config, dictionary)(
        build_rollout_request(question, mode, 0)
    )
    return asyncio.run(
        run_episode(question.task, policy, tools, config.agent, mode=mode, faults=faults)
    )


def question_with(
    text: str,
    answer: str,
    guidance: tuple[GuidanceStep, ...] = (),
    language: Language = "en",
    answer_type: str = "text",
) -> Question:
    question = worded_question(text, answer, guidance)
    return with_task(question, language=language, answer_type=answer_type)


def thoughts_of(trajectory: Trajectory) -> list[str]:
    return [
        parse_reply(message.content).thought
        for message in trajectory.messages
        if message.role == "assistant"
    ]
