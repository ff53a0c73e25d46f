"""The question writer that uses a language model. Its text passes the same verification.

The model sees the plain wording and the types of the hidden entities, never their names. Its text
is kept only if it contains everything that makes the plain wording unique (starts, further facts,
qualifiers, "the other", what is compared), and no number or name of the graph that the plain
wording does not print. A reply that cannot be read, or loses or adds something, is a problem of
that question only. An endpoint that cannot be reached ends the stage (InfrastructureError).
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
from medr_ray.graph.facts.identification import COMPLETE_SOURCES
from medr_ray.knowledge.predicates import GENE, PREDICATES, directed_name
from medr_ray.knowledge.published_reports import is_report, parse_journal
from medr_ray.llm.roles import JsonClient
from medr_ray.questions.answer_matching import normalize_words, occurs_in
from medr_ray.questions.wording.writers import (
    Draft,
    WrittenQuestion,
    open_rules_writer,
    word_qualifier_in_chinese,
)

_QUOTED = re.compile("《(.+?)》")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_OTHER = re.compile(r"\b(?:an)?other\b|另|其他", re.IGNORECASE)
_EXTREMES = {
    "earliest": re.compile(r"\bearliest\b|最早"),
    "latest": re.compile(r"\blatest\b|最晚"),
    "largest": re.compile(r"\blargest\b|最高"),
    "smallest": re.compile(r"\bsmallest\b|最低"),
}
# Letters. A shorter name that is not a gene symbol may be any word, so it is not searched for.
_MIN_NAME_LENGTH = 4


class QuestionReply(BaseModel):
    """What the model is to reply."""

    question: str = Field(min_length=8)


class LLMWriter:
    """Writes questions in the model's words. All questions of a batch share ``client``."""

    def __init__(
        self, client: JsonClient, entities: Mapping[str, Entity], language: Language, model: str
    ) -> None:
        self.name = model
        self._client = client
        self._entities = entities
        self._language = language
        self._rules_writer = open_rules_writer(language, entities)
        self._prompt = Template(read_prompt("medr_ray.questions", "question", language))

    def write(self, drafts: Sequence[Draft]) -> list[WrittenQuestion]:
        # All at once: the client itself limits how many requests are open.
        return asyncio.run(self._write_all(drafts))

    async def _write_all(self, drafts: Sequence[Draft]) -> list[WrittenQuestion]:
        return list(await asyncio.gather(*(self._write_question(draft) for draft in drafts)))

    async def _write_question(self, draft: Draft) -> WrittenQuestion:
        messages = [{"role": "user", "content": self.format_prompt(draft)}]
        try:
            reply = await self._client.complete_json(messages, QuestionReply)
        except ModelError as error:
            return WrittenQuestion("", f"writer: {error}")
        text = reply.question.strip()
        # The first problem is enough to reject the text; the others are not computed.
        problem = next(self._find_problems(draft, text), "")
        return WrittenQuestion(text, f"writer: {problem}" if problem else "")

    # --- what the text must and may not print -----------------------------------------

    def _find_problems(self, draft: Draft, text: str) -> Iterator[str]:
        """Yield what the text loses or adds, compared with the plain wording."""
        plain = self._rules_writer.write([draft])[0].text
        start = self._entities[draft.path.start].name
        if draft.description is None and not _contains_name(start, text):
            yield "the text does not name the start"
        if draft.description is not None and occurs_in(start, text):
            yield "the text names the start, which is to be described"
        for name in self._list_printable_names(draft):
            # The plain wording does not print every one of these names.
            if _contains_name(name, plain) and not _contains_name(name, text):
                yield f'the text does not name "{name}"'
        for qualifier in self._list_printed_qualifiers(draft):
            if not _is_printed(qualifier, text):
                yield f'the text lacks the qualifier "{qualifier}"'
        if (source := self._name_source(draft)) and source.casefold() not in text.casefold():
            yield f'the text does not say that it asks in "{source}"'
        if _OTHER.search(plain) and not _OTHER.search(text):
            yield 'the text does not say "the other"'
        if draft.path.asked in _EXTREMES and not _EXTREMES[draft.path.asked].search(text):
            yield f"the text does not ask for the {draft.path.asked}"
        yield from self._find_additions(plain, text)

    def _name_source(self, draft: Draft) -> str:
        """Return the source that the question asks in, in its language, or ""."""
        if not draft.basis.source:
            return ""
        source = COMPLETE_SOURCES[draft.basis.source]
        return source.chinese if self._language == "zh" else source.english

    def _list_printable_names(self, draft: Draft) -> list[str]:
        """Return the names that the question may print besides the first start's."""
        described = draft.description.statements if draft.description is not None else ()
        ids = [
            *draft.path.starts[1:],
            *(clause.other for clause in draft.path.clauses),
            *(statement.object for statement in described),
        ]
        return [self._entities[entity_id].name for entity_id in ids]

    def _list_printed_qualifiers(self, draft: Draft) -> list[str]:
        """Return the qualifiers that the question prints, in its language.

        The qualifier that the question asks for is not among them.
        """
        hops = (*draft.path.hops, *draft.path.second)
        described = draft.description.statements if draft.description is not None else ()
        facts: list[Hop | Clause | IndexedFact] = [
            *hops,
            *(clause for hop in hops for clause in hop.also),
            *described,
        ]
        return [
            word_qualifier_in_chinese(fact.clinical) if self._language == "zh" else fact.clinical
            for fact in facts
            if fact.clinical
        ]

    def _find_additions(self, plain: str, text: str) -> Iterator[str]:
        """Yield the numbers and names that the plain wording does not print."""
        for number in sorted(_find_numbers(text) - _find_numbers(plain)):
            yield f'the text adds the number "{number}"'
        words = normalize_words(text)
        names = self._names_by_words
        # Every run of words up to the longest name: one look-up each, instead of a search for every
        # name of the graph.
        word_runs = {
            words[i:j]
            for i in range(len(words))
            for j in range(i + 1, min(len(words), i + self._max_name_words) + 1)
        }
        for name in sorted(names[run] for run in word_runs if run in names):
            if occurs_in(name, plain):
                continue
            # A name in capitals may be an ordinary word in small letters, so its case must match.
            if name != name.upper() or _contains_name(name, text):
                yield f'the text adds the name "{name}"'

    @functools.cached_property
    def _names_by_words(self) -> dict[tuple[str, ...], str]:
        """Names and aliases of the graph by their words.

        Names made only of words that every question may use ("age of onset") are left out.
        """
        names: dict[tuple[str, ...], str] = {}
        for entity in self._entities.values():
            for name in (entity.name, *entity.aliases):
                words = normalize_words(name)
                is_long_enough = len(name) >= _MIN_NAME_LENGTH or entity.entity_type == GENE
                if is_long_enough and not _phrase_words().issuperset(words):
                    names.setdefault(words, name)
        return names

    @functools.cached_property
    def _max_name_words(self) -> int:
        return max(map(len, self._names_by_words), default=0)

    # --- the prompt -------------------------------------------------------------------

    def format_prompt(self, draft: Draft) -> str:
        """Return the message for one draft; it contains no hidden name."""
        plain = self._rules_writer.write([draft])[0].text
        start = "(described, see below)"
        if draft.description is None:
            start = self._entities[draft.path.start].name
        steps = self._format_steps(draft.path.hops)
        if draft.path.second:
            second_start = self._entities[draft.path.second[0].start].name
            steps += [
                f"Second start: {second_start}",
                *self._format_steps(draft.path.second),
                "Both walks end in the same entity.",
            ]
        return self._prompt.substitute(start=start, steps="\n".join(steps), plain=plain)

    def _format_steps(self, hops: Sequence[Hop]) -> list[str]:
        return [
            f"{number}. {hop.directed_predicate}{_format_qualifier(hop)} -> "
            f"(hidden {self._entities[hop.target].entity_type}"
            f"{', another one than before' if hop.other else ''}{self._format_further_facts(hop)})"
            for number, hop in enumerate(hops, 1)
        ]

    def _format_further_facts(self, hop: Hop) -> str:
        return "".join(
            f"; told of it: {directed_name(clause.predicate, clause.forward)}"
            f"{_format_qualifier(clause)} -> {self._entities[clause.other].name}"
            for clause in hop.also
        )


def _format_qualifier(fact: Hop | Clause) -> str:
    if is_report(fact.clinical):
        return f", as {fact.clinical}"
    return f" in {fact.clinical}" if fact.clinical else ""


@functools.cache
def _phrase_words() -> frozenset[str]:
    """Return the words of the predicates' phrases, which any question may use."""
    phrases = [
        text
        for predicate in PREDICATES.values()
        for text in (
            predicate.phrase,
            predicate.inverse_phrase,
            predicate.clause,
            predicate.inverse_clause,
            predicate.subject_type,
            predicate.object_type,
        )
    ]
    return frozenset(
        word for text in phrases for word in normalize_words(re.sub(r"\{\w+\}", " ", text))
    )


def _contains_name(name: str, text: str) -> bool:
    """Whether the text contains the name as whole words and in the same spelling and case."""
    return name in text and occurs_in(name, text)


def _find_numbers(text: str) -> set[str]:
    return set(_NUMBER.findall(text))


def _is_printed(qualifier: str, text: str) -> bool:
    """Whether the text contains every number of the qualifier, or all its words where it has no
    number. The journal of a report must be in the text as well."""
    numbers = _find_numbers(qualifier)
    folded_text = text.casefold()
    journals = [parse_journal(qualifier)] if is_report(qualifier) else _QUOTED.findall(qualifier)
    if not all(journal.casefold() in folded_text for journal in journals):
        return False
    return numbers <= _find_numbers(text) if numbers else qualifier.casefold() in folded_text
