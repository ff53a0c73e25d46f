"""Judging whether a rare entity is clinically significant, by rules or by a language model; always with a reason."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Protocol

from pydantic import BaseModel

from medr_ray.core.errors import ModelError
from medr_ray.core.records import EntityFrequency, Significance
from medr_ray.entities.patterns import is_common
from medr_ray.knowledge.text import normalise

if TYPE_CHECKING:  # its import takes a second, and only a model needs it
    from medr_ray.llm.client import ChatClient

RULES = "rules"
_ABBREVIATION = 5  # characters; a single word at most this long and found in no other form may mean anything
_SOURCES = {"OMIM": "OMIM", "ORPHA": "Orphanet", "DECIPHER": "DECIPHER", "HP": "the Human Phenotype Ontology",
            "MESH": "MeSH", "DRUGBANK": "DrugBank", "DRUG": "the drug dictionary", "GENE": "the HPO gene annotations"}


@dataclass(frozen=True)
class Candidate:
    """A rare entity to be judged. ``forms`` are those it was found by, with their mentions; ``facts`` counts what the
    HPO annotations say of it; ``typo_of`` names, for forms that look like one, the commoner form."""

    frequency: EntityFrequency
    specialty: str
    forms: tuple[tuple[str, int], ...]
    facts: int
    typo_of: tuple[tuple[str, str], ...] = ()


class SignificanceJudge(Protocol):
    """Decides on candidates; answers in their order."""

    def judge(self, candidates: Sequence[Candidate]) -> list[Significance]: ...


class RulesJudge:
    """In a vocabulary; found by at least one form that is neither ambiguous nor a likely typo; supported."""

    def __init__(self, min_documents: int) -> None:
        self._min_documents = min_documents

    def judge(self, candidates: Sequence[Candidate]) -> list[Significance]:
        return [self._judge_one(candidate) for candidate in candidates]

    def _judge_one(self, candidate: Candidate) -> Significance:
        problem = self._problem(candidate)
        return Significance(not problem, problem or _support(candidate), RULES)

    def _problem(self, candidate: Candidate) -> str:
        source = candidate.frequency.concept_id.partition(":")[0]
        if source not in _SOURCES:
            return f"not in a known vocabulary: {candidate.frequency.concept_id}"
        if candidate.frequency.documents < self._min_documents:
            return f"named in {candidate.frequency.documents} citations, fewer than {self._min_documents}"
        typos = dict(candidate.typo_of)
        name = normalise(candidate.frequency.name)
        clear = [form for form, _ in candidate.forms if form == name or not is_ambiguous(form)]
        if not clear:
            return f"ambiguous: found only as {_quoted(form for form, _ in candidate.forms)}"
        if all(form in typos for form in clear):
            return f"likely a typo: {clear[0]!r} is one letter from the far commoner {typos[clear[0]]!r}"
        return ""


def is_ambiguous(form: str) -> bool:
    """A common word, or one short word that could stand for several things."""
    return is_common(form) or (len(form) <= _ABBREVIATION and " " not in form)


def _support(candidate: Candidate) -> str:
    one = candidate.frequency
    record = f"an HPO record with {candidate.facts} facts" if candidate.facts else "no HPO record"
    form = max(candidate.forms, key=lambda pair: (pair[1], pair[0]))[0]
    return (f"in {_SOURCES[one.concept_id.partition(':')[0]]}, {record}; named in {one.documents} citations "
            f"({one.mentions} mentions), mostly as {form!r}")


def _quoted(forms: Iterable[str]) -> str:
    return ", ".join(repr(form) for form in forms)


class Verdict(BaseModel):
    """What the model is asked to answer with."""

    significant: bool
    reason: str


class LLMJudge:
    """A language model behind ``client`` decides. A reply that stays unusable is a verdict of no, and says so; an
    unreachable endpoint is an InfrastructureError, never a verdict."""

    def __init__(self, client: "ChatClient", model: str) -> None:
        self._client, self._model = client, model
        self._prompt = files("medr_ray.entities").joinpath("prompts/significance.txt").read_text(encoding="utf-8")

    def judge(self, candidates: Sequence[Candidate]) -> list[Significance]:
        return asyncio.run(self._judge_all(candidates))

    async def _judge_all(self, candidates: Sequence[Candidate]) -> list[Significance]:
        return await asyncio.gather(*(self._judge_one(candidate) for candidate in candidates))

    async def _judge_one(self, candidate: Candidate) -> Significance:
        messages = [{"role": "system", "content": self._prompt}, {"role": "user", "content": describe(candidate)}]
        try:
            verdict = await self._client.complete_json(messages, Verdict)
        except ModelError as error:
            return Significance(False, f"no usable verdict: {error}", self._model)
        return Significance(verdict.significant, verdict.reason, self._model)


def describe(candidate: Candidate) -> str:
    """The candidate as the model is shown it."""
    one = candidate.frequency
    forms = "; ".join(f"{form} ({count})" for form, count in candidate.forms)
    return (f"Name: {one.name}\nType: {one.entity_type}\nIdentifier: {one.concept_id}\n"
            f"Specialty: {candidate.specialty}\n"
            f"Citations: {one.documents}\nMentions by form: {forms}\nHPO facts: {candidate.facts}")
