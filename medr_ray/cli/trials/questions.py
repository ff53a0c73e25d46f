"""Trials of the roles of the questions stage: the writer, the back-reader, and those that answer
from memory."""

import asyncio
import functools
from collections.abc import Iterator, Mapping
from typing import Any

from medr_ray.cli.trials.trial import Outcome, Trial, read_entries
from medr_ray.core.config import EndpointConfig, PipelineConfig
from medr_ray.core.records import Language, Task
from medr_ray.graph.facts.fact_table import FactTable, TableEntity
from medr_ray.llm.client import ChatClient
from medr_ray.questions.answer_matching import answers_match
from medr_ray.questions.calibration.closed_book import format_closed_book_prompt, parse_answer
from medr_ray.questions.plans import PlanNode, name
from medr_ray.questions.wording.back_reading import RulesBackReader, compare
from medr_ray.questions.wording.mentions import Mentions
from medr_ray.questions.wording.model_back_reader import ModelBackReader
from medr_ray.questions.wording.model_writer import Draft, ModelWriter

_CUT_OFF = "length"  # the finish reason of a reply that ran out of tokens


def read_plan(tree: Any) -> PlanNode:
    """A plan from a list: the step, then its inputs; a text is what the question names."""
    if isinstance(tree, str):
        return name(tree)
    kind, *inputs = tree
    return PlanNode(kind, tuple(map(read_plan, inputs)))


def _build_table() -> FactTable:
    """The entities of the questions, without facts: reading needs their names alone."""
    entities = {
        entity_id: TableEntity(entry["type"], tuple(entry["names"]))
        for entity_id, entry in read_entries("questions")["entities"].items()
    }
    return FactTable.build([], entities)


def list_writer_trials(config: PipelineConfig, endpoint: EndpointConfig) -> Iterator[Trial]:
    """A question in the writer's own words that rules read back as its plan."""
    table = _build_table()
    for entry in read_entries("questions")["questions"]:
        ask = functools.partial(_write, endpoint, table, entry)
        expected = f"the same question in other words, such as: {entry['worded']}"
        yield Trial(entry["language"], entry["plain"], expected, ask)


def _write(
    endpoint: EndpointConfig, table: FactTable, entry: Mapping[str, Any], client: ChatClient
) -> Outcome:
    language: Language = entry["language"]
    reader = RulesBackReader(table, Mentions(table, language), language)
    writer = ModelWriter(client, reader, language, endpoint.model)
    draft = Draft(read_plan(entry["plan"]), "", entry["plain"], tuple(entry["hidden"]))
    (written,) = writer.write([draft])
    note = f" ({written.problem})" if written.problem else ""
    return Outcome(not written.problem, f"{written.text}{note}".strip())


def list_back_reader_trials(config: PipelineConfig, endpoint: EndpointConfig) -> Iterator[Trial]:
    """The plan that a question in a person's words means."""
    table = _build_table()
    for entry in read_entries("questions")["questions"]:
        ask = functools.partial(_read_back, endpoint, table, entry)
        yield Trial(entry["language"], entry["worded"], f"the plan {entry['plan']}", ask)


def _read_back(
    endpoint: EndpointConfig, table: FactTable, entry: Mapping[str, Any], client: ChatClient
) -> Outcome:
    language: Language = entry["language"]
    mentions = Mentions(table, language)
    reader = ModelBackReader(client, table, mentions, language, endpoint.model)
    (reading,) = reader.read([entry["worded"]])
    difference = compare(reading, read_plan(entry["plan"]), "")
    return Outcome(not difference, difference or "the same plan")


def list_memory_trials(config: PipelineConfig, endpoint: EndpointConfig) -> Iterator[Trial]:
    """One answer in the form that is asked for; whether it is right decides nothing."""
    for entry in read_entries("memories"):
        task = Task("trial", entry["question"], entry["language"], entry["answer"])
        expected = f"one answer in the form that is asked for (right: {entry['answer']})"
        ask = functools.partial(_answer, task)
        yield Trial(entry["language"], entry["question"], expected, ask)


def _answer(task: Task, client: ChatClient) -> Outcome:
    prompt = format_closed_book_prompt(task.text, task.language)
    result = asyncio.run(client.complete([{"role": "user", "content": prompt}]))
    answer = parse_answer(result.text)
    if result.finish_reason == _CUT_OFF or answer is None:
        return Outcome(False, f"no answer ({result.finish_reason}): {result.text}")
    is_right = answers_match(answer, task.answer, task.aliases)
    return Outcome(True, f"{answer} ({'right' if is_right else 'wrong'})")
