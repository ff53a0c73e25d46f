"""The back-reader that uses a language model: a second model reads the text without the draft.

It is shown the kinds of steps and the text, and replies with a plan. What it names has to stand in
the text and in the records. A reply that cannot be read, or is no plan, is a problem of that text
only. An endpoint that cannot be reached ends the stage (InfrastructureError).
"""

import asyncio
import functools
import itertools
from collections.abc import Mapping, Sequence
from string import Template

from pydantic import BaseModel, Field

from medr_ray.core.errors import ModelError
from medr_ray.core.prompts import build_fence, read_prompt
from medr_ray.core.records import Language
from medr_ray.graph.facts.fact_table import FactTable
from medr_ray.llm.roles import JsonClient
from medr_ray.questions.plans import NAMED, PlanNode
from medr_ray.questions.steps import STEP_KINDS
from medr_ray.questions.steps.kinds import StepKind
from medr_ray.questions.wording.back_reading import Reading
from medr_ray.questions.wording.grammar import ReadQuestion, read_question
from medr_ray.questions.wording.mentions import Mentions, fits_type
from medr_ray.questions.wording.name_finding import NameFinder

_MAX_MEANINGS = 50  # of a plan whose names several entities have


class NamedThing(BaseModel):
    """Something that a question names."""

    id: str
    text: str


class ReadStep(BaseModel):
    """A step as the model replies with it."""

    id: str
    kind: str
    inputs: list[str] = Field(max_length=4)


class PlanReply(BaseModel):
    """What the model is to reply."""

    named: list[NamedThing] = Field(max_length=12)
    steps: list[ReadStep] = Field(min_length=1, max_length=16)
    as_of: str = ""
    left_over: list[str] = Field(default_factory=list)


class ModelBackReader:
    """Reads questions by a model. All texts of a batch share ``client``."""

    def __init__(
        self,
        client: JsonClient,
        table: FactTable,
        mentions: Mentions,
        language: Language,
        model: str,
    ) -> None:
        self.name = model
        self._client = client
        self._mentions = mentions
        self._language = language
        self._finder = NameFinder(table, mentions, language)
        self._prompt = Template(read_prompt("medr_ray.questions", "reading", language))

    def read(self, texts: Sequence[str]) -> list[Reading]:
        # All at once: the client itself limits how many requests are open.
        return asyncio.run(self._read_all(texts))

    async def _read_all(self, texts: Sequence[str]) -> list[Reading]:
        return list(await asyncio.gather(*map(self._read_text, texts)))

    async def _read_text(self, text: str) -> Reading:
        exact = read_question(text, self._mentions, self._language)
        if exact:
            return Reading(tuple(exact), is_exact=True)
        messages = [{"role": "user", "content": self.format_prompt(text)}]
        try:
            reply = await self._client.complete_json(messages, PlanReply)
        except ModelError as error:
            return Reading(problem=str(error))
        return self._make_reading(text, reply)

    def format_prompt(self, text: str) -> str:
        """The message for one text: it holds nothing of a draft."""
        kinds = "\n".join(_describe_kind(kind, self._language) for kind in STEP_KINDS.values())
        return self._prompt.substitute(kinds=kinds, text=text, fence=build_fence(text))

    def _make_reading(self, text: str, reply: PlanReply) -> Reading:
        steps = frozenset(step.kind for step in reply.steps)
        if reply.left_over:
            problem = f"“{'”, “'.join(reply.left_over)}” has no place"
            return Reading(problem=problem, steps=steps)
        try:
            plans = self._build_plans(text, reply)
        except ValueError as error:
            return Reading(problem=str(error), steps=steps)
        return Reading(tuple(ReadQuestion(plan, reply.as_of) for plan in plans), steps=steps)

    # --- the plan of a reply ----------------------------------------------------------

    def _build_plans(self, text: str, reply: PlanReply) -> list[PlanNode]:
        """The plans that a reply means, several where a name is that of several entities.
        ValueError where it is no plan, or uses a name or a step twice or never."""
        named = {entity.id: entity.text for entity in reply.named}
        types = find_types(reply, named)
        options: dict[str, list[PlanNode]] = {}
        for name, words in named.items():
            if words not in text:
                raise ValueError(f'the reply names "{words}", which the text does not')
            options[name] = self._find_values(words, types[name])
        nodes = dict(options)
        for step in reply.steps:
            inputs = itertools.product(*(nodes[given] for given in step.inputs))
            nodes[step.id] = [PlanNode(step.kind, row) for row in inputs][:_MAX_MEANINGS]
        return nodes[reply.steps[-1].id]

    def _find_values(self, words: str, step_type: str) -> list[PlanNode]:
        values = list(self._mentions.find(words, step_type)) if step_type != "category" else []
        if not values:
            values = [
                value
                for name in self._finder.find(words)
                for value, value_type in name.options
                if value_type == step_type or fits_type(value_type, step_type)
            ]
        if not values and step_type == "category":
            values = list(self._mentions.find(words, step_type))
        if not values:
            raise ValueError(f'no record has a {step_type} "{words}"')
        return [PlanNode(NAMED, value=value) for value in dict.fromkeys(values)]


def find_types(reply: PlanReply, named: Mapping[str, str]) -> dict[str, str]:
    """The type that each named thing has as the input of a step."""
    outputs: dict[str, str] = {}
    types: dict[str, str] = {}
    used: list[str] = []
    for step in reply.steps:
        kind = STEP_KINDS.get(step.kind)
        if kind is None:
            raise ValueError(f"the reply has a step “{step.kind}”, which does not exist")
        if len(step.inputs) != len(kind.inputs):
            raise ValueError(f"the reply gives “{step.kind}” {len(step.inputs)} inputs")
        for given, step_type in zip(step.inputs, kind.inputs, strict=True):
            if given in named:
                types[given] = step_type
            elif outputs.get(given) != step_type:
                raise ValueError(f"the reply gives “{step.kind}” no {step_type}")
        used += step.inputs
        outputs[step.id] = kind.output
    if sorted(used) != sorted([*named, *list(outputs)[:-1]]):
        raise ValueError("the reply uses a step or a name twice, or never")
    return types


@functools.cache
def _describe_kind(kind: StepKind, language: Language) -> str:
    # The meaning is that of the English words; where a language has its own, those.
    wording = kind.wording(language)
    forms = wording.noun or wording.question or kind.english.noun or kind.english.question
    inputs = ", ".join(kind.inputs)
    return f"- {kind.name}: {forms[0] if forms else kind.name}; {inputs} -> {kind.output}"
