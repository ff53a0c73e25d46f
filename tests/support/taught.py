"""Episodes of the rules teacher over disease records made for a test, with the real index, tools
and loop."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from support.disease_lines import make_fact
from support.questions import with_task, worded_question
from support.small_index import build_index

from medr_ray.agent.episode_loop import run_episode
from medr_ray.agent.faults import NO_FAULTS, FaultPlan
from medr_ray.agent.protocol import parse_reply
from medr_ray.core.config import PipelineConfig
from medr_ray.core.records import GuidanceStep, Question, Trajectory
from medr_ray.core.settings import load_config
from medr_ray.entities.matching import Matcher
from medr_ray.graph.extraction.extractor import RulesExtractor
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.hpo import DiseaseRecord, load_hpo
from medr_ray.knowledge.lexicon import Concept
from medr_ray.retrieval.disease_records import document_from_disease
from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.retriever import Retriever
from medr_ray.rollouts.worker import RolloutRequest
from medr_ray.tools.base import Tool
from medr_ray.tools.registry import build_tools
from medr_ray.trajectories.solver.articles import ArticleReader
from medr_ray.trajectories.stage import build_rollout_request
from medr_ray.trajectories.teacher import GUIDED, RulesTeacherFactory

Facts = Sequence[tuple[str, str, str]]  # predicate, object, qualifier
SETTINGS = (
    "retrieval.mode=text",
    "agent.max_tool_calls=12",
    "retrieval.results=4",
    "retrieval.snippet_sentences=3",
    "agent.observation_chars=2000",
    "retrieval.snippet_chars=400",
)
TRUE_RECORDS: Mapping[str, Facts] = {
    "Marfan syndrome": (
        ("has_inheritance", "Autosomal dominant inheritance", ""),
        ("has_onset", "Childhood onset", ""),
        ("associated_gene", "FBN1", ""),
        ("has_finding", "Ectopia lentis", "3 of 7 patients"),
        ("has_finding", "Tall stature", "9 of 9 patients"),
        ("has_finding", "Scoliosis", "6 of 9 patients"),
    ),
    "MASS syndrome": (
        ("has_inheritance", "Autosomal dominant inheritance", ""),
        ("has_onset", "Adult onset", ""),
        ("associated_gene", "FBN1", ""),
        ("has_finding", "Striae", "80-99% of patients"),
        ("has_finding", "Ectopia lentis", "80-99% of patients"),
    ),
    "Weill-Marchesani syndrome 2": (
        ("has_inheritance", "Autosomal recessive inheritance", ""),
        ("has_onset", "Congenital onset", ""),
        ("associated_gene", "FBN1", ""),
        ("has_finding", "Ectopia lentis", "8 of 10 patients"),
        ("has_finding", "Short stature", "10 of 10 patients"),
    ),
    "Homocystinuria": (
        ("has_inheritance", "Autosomal recessive inheritance", ""),
        ("associated_gene", "CBS", ""),
        ("has_finding", "Ectopia lentis", "5-29% of patients"),
        ("has_finding", "Tall stature", "2 of 9 patients"),
    ),
}


def record_documents(records: Mapping[str, Facts] = TRUE_RECORDS) -> list[Document]:
    """The records as the index holds them."""
    return [
        document_from_disease(
            DiseaseRecord(f"OMIM:{number}", name, (), tuple(make_fact(*fact) for fact in facts))
        )
        for number, (name, facts) in enumerate(records.items(), 100)
    ]


def make_tools(
    folder: Path, records: Mapping[str, Facts] = TRUE_RECORDS, *settings: str
) -> list[Tool]:
    """The agent's tools over an index of the records."""
    config = load_settings(*settings)
    return build_tools(
        config,
        Retriever.open(
            build_index(folder, record_documents(records)), config.retrieval, config.models
        ),
    )


def load_settings(*settings: str) -> PipelineConfig:
    return load_config(None, [*SETTINGS, *settings], environment={})


def run_teacher(
    tools: Sequence[Tool],
    text: str,
    guidance: tuple[GuidanceStep, ...] | None = None,
    *,
    answer: str = "",
    language: str = "en",
    faults: FaultPlan = NO_FAULTS,
    config: PipelineConfig | None = None,
) -> Trajectory:
    """The rules teacher's episode: guided where guidance is given, else exploring."""
    question = question_with(text, answer, guidance or (), language)
    config, mode = config or load_settings(), "exploration" if guidance is None else GUIDED
    policy = RulesTeacherFactory(config.agent.tools, config.agent.max_tool_calls)(
        build_rollout_request(question, mode, 0)
    )
    return asyncio.run(
        run_episode(question.task, policy, tools, config.agent, mode=mode, faults=faults)
    )


def question_with(
    text: str, answer: str, guidance: tuple[GuidanceStep, ...] = (), language: str = "en"
) -> Question:
    question = worded_question(text, answer, guidance)
    question = replace(question, complexity=max(len(guidance), 1))
    return with_task(question, language=language)


def run_teacher_on_articles(folder: Path, library: Sequence[Document], text: str) -> Trajectory:
    """Exploring, with articles read by the cues over a vocabulary of the records' names and two
    drugs."""
    config = load_settings()
    retriever = Retriever.open(build_index(folder, list(library)), config.retrieval, config.models)
    names = [(name, "disease") for name in TRUE_RECORDS] + [
        ("Losartan", "drug"),
        ("Atenolol", "drug"),
    ]
    lexicon = [
        Concept(f"{kind}:{number}", name, kind, (name.lower(),), "")
        for number, (name, kind) in enumerate(names)
    ]
    vocabulary = Vocabulary(lexicon)
    reader = ArticleReader(
        RulesExtractor(vocabulary, Matcher.build(lexicon, 4), load_hpo(), 0.5), vocabulary
    )
    question = question_with(text, "")
    policy = RulesTeacherFactory(config.agent.tools, config.agent.max_tool_calls, reader)(
        RolloutRequest(question.task)
    )
    tools = build_tools(config, retriever)
    return asyncio.run(run_episode(question.task, policy, tools, config.agent, mode="exploration"))


def thoughts_of(trajectory: Trajectory) -> list[str]:
    return [
        parse_reply(message.content).thought
        for message in trajectory.messages
        if message.role == "assistant"
    ]
