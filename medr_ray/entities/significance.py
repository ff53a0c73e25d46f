"""Judging whether a rare entity is clinically significant, by rules or by a language model; always
with a reason.

What holds: every candidate gets exactly one judgement, in the order of the candidates; a specialty
is only ever replaced by another of the twelve; a reply that stays unusable is a verdict of no that
says so, while an endpoint that cannot be reached, or a spent budget, is an error and never a
verdict.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from string import Template
from typing import Any, Protocol

from pydantic import BaseModel, Field, ValidationError, model_validator

from medr_ray.core.config import EndpointConfig
from medr_ray.core.errors import ModelError
from medr_ray.core.prompts import read_prompt
from medr_ray.core.records import Significance
from medr_ray.entities.form_patterns import is_common
from medr_ray.entities.seed_candidates import SeedCandidate, SeedJudgement
from medr_ray.knowledge.name_normalization import normalise
from medr_ray.knowledge.specialty import SPECIALTIES
from medr_ray.llm.roles import JsonClient

RULES = "rules"
_ABBREVIATION = (
    5  # characters; a single word at most this long and found in no other form may mean anything
)
_VERDICT_TOKENS = 60  # of one verdict in a reply, on the high side
_SHOWN_FORMS = 12  # in a prompt; the commonest
_AGAIN = "An earlier reply held no usable verdict on these. Judge every one of them.\n\n"
_SOURCES = {
    "OMIM": "OMIM",
    "ORPHA": "Orphanet",
    "DECIPHER": "DECIPHER",
    "HP": "the Human Phenotype Ontology",
    "MESH": "MeSH",
    "MONDO": "MONDO",
    "DRUGBANK": "DrugBank",
    "DRUG": "the drug dictionary",
    "GENE": "the HPO gene annotations",
    "HGNC": "HGNC",
}

ProgressCallback = Callable[[int], object]


def _unseen(count: int) -> None:
    """Progress that nobody watches."""


class SignificanceJudge(Protocol):
    """Decides on candidates; answers in their order. ``advance`` is told how many more are
    decided."""

    def judge(
        self, candidates: Sequence[SeedCandidate], advance: ProgressCallback = _unseen
    ) -> list[SeedJudgement]: ...


class RulesSignificanceJudge:
    """In a vocabulary; named often enough; neither too general nor found only by forms that are
    ambiguous or likely typos."""

    def __init__(self, min_documents: int) -> None:
        self._min_documents = min_documents

    def judge(
        self, candidates: Sequence[SeedCandidate], advance: ProgressCallback = _unseen
    ) -> list[SeedJudgement]:
        judged = [SeedJudgement(self._judge_one(one), one.specialty) for one in candidates]
        advance(len(judged))
        return judged

    def _judge_one(self, candidate: SeedCandidate) -> Significance:
        problem = self._problem(candidate)
        return Significance(not problem, problem or _support(candidate), RULES)

    def _problem(self, candidate: SeedCandidate) -> str:
        if not _vocabulary(candidate):
            return f"in no vocabulary: {candidate.concept_id}"
        if candidate.frequency.documents < self._min_documents:
            return f"named in {_number(candidate.frequency.documents, 'citation')}, fewer than {self._min_documents}"
        if candidate.general:
            return f"too general: {candidate.general}"
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


def _vocabulary(candidate: SeedCandidate) -> str:
    """Where the concept comes from, by the prefix of its id; "" for an id without one."""
    prefix, colon, _ = candidate.concept_id.partition(":")
    return _SOURCES.get(prefix, prefix) if colon else ""


def _support(candidate: SeedCandidate) -> str:
    one = candidate.frequency
    record = (
        f"an HPO record with {_number(candidate.facts, 'fact')}"
        if candidate.facts
        else "no HPO record"
    )
    return (
        f"in {_vocabulary(candidate)}, {record}; named in {_number(one.documents, 'citation')} "
        f"({_number(one.mentions, 'mention')}), mostly as {candidate.forms[0][0]!r}"
    )


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _quoted(forms: Iterable[str]) -> str:
    return ", ".join(repr(form) for form in forms)


# --- by a language model --------------------------------------------------------------


class EntityVerdict(BaseModel):
    """What the model is asked to answer with for one entity."""

    id: str
    significant: bool
    reason: str = Field(min_length=1)
    specialty: str | None = None


class VerdictsReply(BaseModel):
    """A reply. Its verdicts are read one by one, so that a bad one spoils no other; a bare list is
    taken as well."""

    verdicts: list[Any]

    @model_validator(mode="before")
    @classmethod
    def _bare_list(cls, value: Any) -> Any:
        return {"verdicts": value} if isinstance(value, list) else value


def read_verdicts(reply: VerdictsReply, asked: Collection[str]) -> dict[str, EntityVerdict]:
    """The usable verdicts by id: of an entity that was asked about, complete, and not contradicted
    in the reply."""
    found: dict[str, list[EntityVerdict]] = defaultdict(list)
    for item in reply.verdicts:
        verdict = _verdict(item)
        if verdict is not None and verdict.id.strip() in asked:
            found[verdict.id.strip()].append(verdict)
    return {
        name: ones[0] for name, ones in found.items() if len({one.significant for one in ones}) == 1
    }


def _verdict(item: Any) -> EntityVerdict | None:
    try:
        return EntityVerdict.model_validate(item)
    except ValidationError:
        return None


class LLMSignificanceJudge:
    """A language model behind ``client`` (of ``endpoint``) decides, ``batch`` candidates to a
    request, or as many as ``endpoint.max_tokens`` holds verdicts of. Candidates that a reply leaves
    out are asked about once more, in smaller requests. Requests run side by side; the client
    governs and caches them."""

    def __init__(self, client: JsonClient, endpoint: EndpointConfig, batch: int) -> None:
        self._client, self._model = client, endpoint.model
        self._batch = max(1, min(batch, endpoint.max_tokens // _VERDICT_TOKENS))
        template = Template(read_prompt("medr_ray.entities", "significance"))
        self._prompt = template.substitute(
            specialties="\n".join(f"- {name}: {one.covers}" for name, one in SPECIALTIES.items())
        )

    def judge(
        self, candidates: Sequence[SeedCandidate], advance: ProgressCallback = _unseen
    ) -> list[SeedJudgement]:
        """Raises InfrastructureError when the endpoint stays unreachable, BudgetExceeded when the
        budget is spent."""
        return asyncio.run(self._judge_all(candidates, advance))

    async def _judge_all(
        self, candidates: Sequence[SeedCandidate], advance: ProgressCallback
    ) -> list[SeedJudgement]:
        batches = await asyncio.gather(
            *(self._judge_batch(batch, advance) for batch in _slices(candidates, self._batch))
        )
        return [judgement for batch in batches for judgement in batch]

    async def _judge_batch(
        self, batch: Sequence[SeedCandidate], advance: ProgressCallback
    ) -> list[SeedJudgement]:
        verdicts, _ = await self._ask(batch, "")
        missing = [one for one in batch if one.concept_id not in verdicts]
        problems: dict[str, str] = {}
        for part in _slices(missing, (len(batch) + 1) // 2):
            again, problem = await self._ask(part, _AGAIN)
            verdicts |= again
            problems |= dict.fromkeys((one.concept_id for one in part), problem)
        advance(len(batch))
        return [self._judgement(one, verdicts.get(one.concept_id), problems) for one in batch]

    async def _ask(
        self, batch: Sequence[SeedCandidate], preface: str
    ) -> tuple[dict[str, EntityVerdict], str]:
        """The usable verdicts of one request, and why there may be too few."""
        messages = [
            {"role": "system", "content": self._prompt},
            {"role": "user", "content": preface + "\n\n".join(map(describe_candidate, batch))},
        ]
        try:
            reply = await self._client.complete_json(messages, VerdictsReply)
        except ModelError as error:
            return {}, str(error)
        return read_verdicts(reply, {one.concept_id for one in batch}), "the replies left it out"

    def _judgement(
        self, candidate: SeedCandidate, verdict: EntityVerdict | None, problems: Mapping[str, str]
    ) -> SeedJudgement:
        if verdict is None:
            reason = f"no usable verdict: {problems[candidate.concept_id]}"
            return SeedJudgement(Significance(False, reason, self._model), candidate.specialty)
        specialty = (verdict.specialty or "").strip().lower()
        return SeedJudgement(
            Significance(verdict.significant, verdict.reason, self._model),
            specialty if specialty in SPECIALTIES else candidate.specialty,
        )


def _slices(candidates: Sequence[SeedCandidate], size: int) -> Iterator[Sequence[SeedCandidate]]:
    return (candidates[start : start + size] for start in range(0, len(candidates), size))


def describe_candidate(candidate: SeedCandidate) -> str:
    """The candidate as the model is shown it."""
    one = candidate.frequency
    forms = "; ".join(f"{form} ({count})" for form, count in candidate.forms[:_SHOWN_FORMS])
    lines = [
        f"id: {one.concept_id}",
        f"Name: {one.name}",
        f"Type: {one.entity_type}",
        f"Specialty: {candidate.specialty}",
        f"Citations: {one.documents}",
        f"Mentions by form: {forms}",
        f"HPO facts: {candidate.facts}",
    ]
    if candidate.prevalence is not None:
        lines.append(
            f"Prevalence: {candidate.prevalence.value:.2g} ({candidate.prevalence.kind.lower()})"
        )
    lines += [
        f"One letter from a far commoner form: {form} / {other}"
        for form, other in candidate.typo_of
    ]
    return "\n".join(lines)
