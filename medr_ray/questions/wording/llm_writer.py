"""The question writer over a language model: it words the path, the same verification decides.

What holds: the model sees what the plain wording prints and the kinds of the hidden entities, never
their names. Its text is kept only with everything that makes the plain wording unique (starts,
further facts, qualifiers, "the other", what is compared), and without a number or a name of the
graph that the plain wording does not print. An answer that cannot be read, or loses or adds
something, is a problem of that one question; an endpoint that cannot be reached ends the stage
(InfrastructureError).
"""

import asyncio
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from string import Template

from pydantic import BaseModel, Field

from medr_ray.core.errors import ModelError
from medr_ray.core.prompts import read_prompt
from medr_ray.core.records import Entity, Language
from medr_ray.graph.facts.fact_index import Clause, IndexedFact
from medr_ray.graph.facts.hops import Hop
from medr_ray.knowledge.predicates import GENE, PREDICATES, directed
from medr_ray.knowledge.published_reports import is_report, journal_of
from medr_ray.llm.roles import JsonClient
from medr_ray.questions.answer_matching import occurs_in, tokens
from medr_ray.questions.wording.writers import Draft, Written, chinese, rules_writer

_QUOTED = re.compile("《(.+?)》")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_OTHER = re.compile(r"\b(?:an)?other\b|另|其他", re.IGNORECASE)
_EXTREMES = {
    "earliest": re.compile(r"\bearliest\b|最早"),
    "latest": re.compile(r"\blatest\b|最晚"),
    "largest": re.compile(r"\blargest\b|最高"),
    "smallest": re.compile(r"\bsmallest\b|最低"),
}
_SHORTEST_NAME = 4  # letters; a shorter name that is no gene symbol may be any word


class QuestionReply(BaseModel):
    """What the model is to reply."""

    question: str = Field(min_length=8)


class LLMWriter:
    """Questions in the model's words. ``client`` is shared by all questions of a batch."""

    def __init__(
        self, client: JsonClient, entities: Mapping[str, Entity], language: Language, model: str
    ) -> None:
        self.name = model
        self._client, self._entities, self._language = client, entities, language
        self._plain = rules_writer(language, entities)
        self._prompt = Template(read_prompt("medr_ray.questions", "question", language))

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
        problem = next(self._problems(draft, text), "")
        return Written(text, f"writer: {problem}" if problem else "")

    # --- what the text must and may not print -----------------------------------------

    def _problems(self, draft: Draft, text: str) -> Iterator[str]:
        """What the text loses or adds, compared with the plain wording."""
        plain = self._plain.write([draft])[0].text
        start = self._entities[draft.path.start].name
        if draft.description is None and not _names(start, text):
            yield "the text does not name the start"
        if draft.description is not None and occurs_in(start, text):
            yield "the text names the start, which is to be described"
        for name in self._told(draft):
            if _names(name, plain) and not _names(name, text):
                yield f'the text does not name "{name}"'
        for qualifier in self._qualifiers(draft):
            if not _printed(qualifier, text):
                yield f'the text lacks the qualifier "{qualifier}"'
        if _OTHER.search(plain) and not _OTHER.search(text):
            yield 'the text does not say "the other"'
        if draft.path.asked in _EXTREMES and not _EXTREMES[draft.path.asked].search(text):
            yield f"the text does not ask for the {draft.path.asked}"
        yield from self._added(plain, text)

    def _told(self, draft: Draft) -> list[str]:
        """Names that the question may print besides the start's."""
        described = draft.description.statements if draft.description is not None else ()
        ids = [
            *draft.path.starts[1:],
            *(one.other for one in draft.path.clauses),
            *(one.object for one in described),
        ]
        return [self._entities[one].name for one in ids]

    def _qualifiers(self, draft: Draft) -> list[str]:
        """The qualifiers that the question prints, in its language; the one that is asked for is
        none of them."""
        hops = (*draft.path.hops, *draft.path.second)
        described = draft.description.statements if draft.description is not None else ()
        printed: list[Hop | Clause | IndexedFact] = [
            *hops,
            *(clause for hop in hops for clause in hop.also),
            *described,
        ]
        return [
            chinese(one.clinical) if self._language == "zh" else one.clinical
            for one in printed
            if one.clinical
        ]

    def _added(self, plain: str, text: str) -> Iterator[str]:
        """Numbers and names that the plain wording does not print."""
        for number in sorted(_numbers(text) - _numbers(plain)):
            yield f'the text adds the number "{number}"'
        words = tokens(text)
        known = self._names_by_words
        found = {
            words[i:j]
            for i in range(len(words))
            for j in range(i + 1, min(len(words), i + self._longest) + 1)
        }
        for name in sorted(known[one] for one in found if one in known):
            if not occurs_in(name, plain) and (name != name.upper() or _names(name, text)):
                yield f'the text adds the name "{name}"'

    @functools.cached_property
    def _names_by_words(self) -> dict[tuple[str, ...], str]:
        """Names and aliases of the graph by their words; those a question needs anyway ("age of
        onset") left out."""
        names: dict[tuple[str, ...], str] = {}
        for one in self._entities.values():
            for name in (one.name, *one.aliases):
                if (len(name) >= _SHORTEST_NAME or one.entity_type == GENE) and not set(
                    tokens(name)
                ) <= _wording():
                    names.setdefault(tokens(name), name)
        return names

    @functools.cached_property
    def _longest(self) -> int:
        return max(map(len, self._names_by_words), default=0)

    # --- what the model is shown ------------------------------------------------------

    def prompt(self, draft: Draft) -> str:
        """The message sent for one draft; it holds no hidden name."""
        plain = self._plain.write([draft])[0].text
        start = (
            self._entities[draft.path.start].name
            if draft.description is None
            else "(described, see below)"
        )
        steps = self._steps(draft.path.hops)
        if draft.path.second:
            again = self._entities[draft.path.second[0].known].name
            steps += [
                f"Second start: {again}",
                *self._steps(draft.path.second),
                "Both walks end in the same entity.",
            ]
        return self._prompt.substitute(start=start, steps="\n".join(steps), plain=plain)

    def _steps(self, hops: Sequence[Hop]) -> list[str]:
        return [
            f"{number}. {hop.directed_predicate}{_whom(hop)} -> (hidden {self._entities[hop.target].entity_type}"
            f"{', another one than before' if hop.other else ''}{self._also(hop)})"
            for number, hop in enumerate(hops, 1)
        ]

    def _also(self, hop: Hop) -> str:
        return "".join(
            f"; told of it: {directed(one.predicate, one.forward)}{_whom(one)} -> "
            f"{self._entities[one.other].name}"
            for one in hop.also
        )


def _whom(one: Hop | Clause) -> str:
    if is_report(one.clinical):
        return f", as {one.clinical}"
    return f" in {one.clinical}" if one.clinical else ""


@functools.cache
def _wording() -> frozenset[str]:
    """The words that questions are made of, whatever they ask."""
    phrases = [
        text
        for one in PREDICATES.values()
        for text in (
            one.phrase,
            one.inverse_phrase,
            one.clause,
            one.inverse_clause,
            one.subject_type,
            one.object_type,
        )
    ]
    return frozenset(word for text in phrases for word in tokens(re.sub(r"\{\w+\}", " ", text)))


def _names(name: str, text: str) -> bool:
    """Whether the name stands in the text as whole words and as it is written."""
    return name in text and occurs_in(name, text)


def _numbers(text: str) -> set[str]:
    return set(_NUMBER.findall(text))


def _printed(qualifier: str, text: str) -> bool:
    """Whether every number of the qualifier stands in the text, or all of its words where it has
    none; of a report its journal as well."""
    numbers, said = _numbers(qualifier), text.casefold()
    journals = [journal_of(qualifier)] if is_report(qualifier) else _QUOTED.findall(qualifier)
    if not all(one.casefold() in said for one in journals):
        return False
    return numbers <= _numbers(text) if numbers else qualifier.casefold() in said
