"""The question writer over a language model: it words the path, the same verification decides.

The model sees the start and the kinds of the hidden entities, never their names. An answer that cannot be read is a
problem of that one question; an endpoint that cannot be reached ends the stage (InfrastructureError).
"""

import asyncio
from collections.abc import Mapping, Sequence
from importlib import resources
from string import Template
from typing import Protocol, TypeVar

from pydantic import BaseModel, Field

from medr_ray.core.errors import ModelError
from medr_ray.core.records import Entity
from medr_ray.questions.writing import Draft, Written, rules_writer

M = TypeVar("M", bound=BaseModel)


class QuestionReply(BaseModel):
    """What the model is to reply."""

    question: str = Field(min_length=8)


class JsonClient(Protocol):
    """The part of ``llm.client.ChatClient`` that is used here."""

    async def complete_json(self, messages: list[dict[str, str]], model: type[M]) -> M:
        """The reply as ``model``; raises ModelError when it cannot be read as one."""
        ...


class LLMWriter:
    """Questions in the model's words. ``client`` is shared by all questions of a batch."""

    def __init__(self, client: JsonClient, entities: Mapping[str, Entity], language: str, model: str) -> None:
        self.name = model
        self._client, self._entities = client, entities
        self._plain = rules_writer(language, entities)
        folder = resources.files("medr_ray.questions").joinpath("prompts")
        self._prompt = Template(folder.joinpath(f"{language}.txt").read_text("utf-8"))

    def write(self, drafts: Sequence[Draft]) -> list[Written]:
        return asyncio.run(self._write_all(drafts))

    async def _write_all(self, drafts: Sequence[Draft]) -> list[Written]:
        return list(await asyncio.gather(*(self._write(draft) for draft in drafts)))

    async def _write(self, draft: Draft) -> Written:
        messages = [{"role": "user", "content": self.prompt(draft)}]
        try:
            reply = await self._client.complete_json(messages, QuestionReply)
        except ModelError as error:
            return Written("", f"writer: {error}")
        text = reply.question.strip()
        if draft.description is None and self._entities[draft.path.start].name not in text:
            return Written(text, "writer: the text does not name the start")
        missing = [hop.clinical for hop in draft.path.hops if hop.clinical and not _printed(hop.clinical, text)]
        return Written(text, f'writer: the text lacks the qualifier "{missing[0]}"' if missing else "")

    def prompt(self, draft: Draft) -> str:
        """The message sent for one draft; it holds no hidden name."""
        plain = self._plain.write([draft])[0].text
        start = self._entities[draft.path.start].name if draft.description is None else "(described, see below)"
        return self._prompt.substitute(start=start, steps="\n".join(self._steps(draft)), plain=plain)

    def _steps(self, draft: Draft) -> list[str]:
        return [
            f"{number}. {hop.directed_predicate}{f' in {hop.clinical}' if hop.clinical else ''}"
            f" -> (hidden {self._entities[hop.target].entity_type})"
            for number, hop in enumerate(draft.path.hops, 1)
        ]


def _printed(clinical: str, text: str) -> bool:
    """Whether every number of the qualifier stands in the text ("all patients" has none to lose)."""
    numbers = [word for word in clinical.replace("%", " ").split() if word[0].isdigit()]
    return all(number in text for number in numbers)
