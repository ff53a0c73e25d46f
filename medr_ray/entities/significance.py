"""Judges whether a rare entity is clinically significant, by rules or by a language model.

Guaranteed: every candidate gets exactly one judgement with a reason, in the order of the
candidates. A specialty is only replaced by another of the twelve. A disease that the evidence does
not show to be rare is never significant, whoever says so. A candidate without a usable reply is
judged not significant, and the reason says so. An endpoint that cannot be reached, or a
spent budget, is an error and never a verdict.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from string import Template
from typing import Any, Protocol

from pydantic import BaseModel, Field, ValidationError, model_validator

from medr_ray.core.config import EndpointConfig
from medr_ray.core.errors import ModelError
from medr_ray.core.prompts import build_fence, read_prompt
from medr_ray.core.records import Significance
from medr_ray.entities.form_patterns import is_common
from medr_ray.entities.seed_candidates import SeedCandidate, SeedJudgement
from medr_ray.knowledge.name_normalization import normalise
from medr_ray.knowledge.predicates import DISEASE
from medr_ray.knowledge.prevalence import Prevalence
from medr_ray.knowledge.rare_diseases import RARE_PREVALENCE, RareListing
from medr_ray.knowledge.specialty import SPECIALTIES
from medr_ray.llm.roles import JsonClient

RULES = "rules"
_MAX_AMBIGUOUS_LENGTH = 5  # characters; a single word that short may be an abbreviation of anything
VERDICT_TOKENS = 60  # tokens of one verdict in a reply, on the high side
_MAX_PROMPT_FORMS = 12  # forms of a candidate that the model sees, the commonest ones
# Places of Orphanet's figures that hold for a disease wherever it is asked about.
_LARGE_REGIONS = frozenset(("Worldwide", "Europe"))
_RETRY_PREFACE = "An earlier reply held no usable verdict on these. Judge every one of them.\n\n"
# The name of a vocabulary in a reason, by the prefix of its concept ids.
_VOCABULARY_NAMES = {
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


def _ignore_progress(count: int) -> None:
    """The default callback: progress is not shown."""


class SignificanceJudge(Protocol):
    """The role that decides which candidates become seeds."""

    def judge_candidates(
        self, candidates: Sequence[SeedCandidate], advance: ProgressCallback = _ignore_progress
    ) -> list[SeedJudgement]:
        """One judgement per candidate, in order. ``advance`` is called with the number of
        candidates that have just been decided."""
        ...


class RulesSignificanceJudge:
    """Judges by rules.

    A candidate is significant if it belongs to a vocabulary, at least ``min_documents`` citations
    name it, it is not too general, and the corpus names it by a form that is neither ambiguous nor
    a likely typo. A disease must also be rare among people: a list of rare diseases has it as a
    single disease, or its prevalence is known, and no prevalence worldwide or in Europe is as high
    as ``RARE_PREVALENCE``.
    """

    def __init__(self, min_documents: int) -> None:
        self._min_documents = min_documents

    def judge_candidates(
        self, candidates: Sequence[SeedCandidate], advance: ProgressCallback = _ignore_progress
    ) -> list[SeedJudgement]:
        judgements = [
            SeedJudgement(self._judge_candidate(candidate), candidate.specialty)
            for candidate in candidates
        ]
        advance(len(judgements))
        return judgements

    def _judge_candidate(self, candidate: SeedCandidate) -> Significance:
        problem = self._find_problem(candidate)
        return Significance(not problem, problem or _describe_support(candidate), RULES)

    def _find_problem(self, candidate: SeedCandidate) -> str:
        """Why the candidate is not significant, "" when it is."""
        documents = candidate.frequency.documents
        if not _name_vocabulary(candidate):
            return f"in no vocabulary: {candidate.concept_id}"
        if documents < self._min_documents:
            named = _format_count(documents, "citation")
            return f"named in {named}, fewer than {self._min_documents}"
        if candidate.general:
            return f"too general: {candidate.general}"
        contrary = find_contrary_evidence(candidate)
        if contrary:
            return contrary
        typos = dict(candidate.typo_of)
        name = normalise(candidate.frequency.name)
        # The preferred name counts even where it is short.
        clear = [form for form, _ in candidate.forms if form == name or not is_ambiguous(form)]
        if not clear:
            return f"ambiguous: found only as {_format_forms(form for form, _ in candidate.forms)}"
        if all(form in typos for form in clear):
            form = clear[0]
            return f"likely a typo: {form!r} is one letter from the far commoner {typos[form]!r}"
        return ""


def find_contrary_evidence(candidate: SeedCandidate) -> str:
    """Why a disease is not rare among people, or not shown to be; "" when it is, and for other
    entities."""
    if candidate.frequency.entity_type != DISEASE:
        return ""
    prevalence = candidate.prevalence
    listing = candidate.listing
    # A disease that is listed as rare may be common in one country (Hermansky-Pudlak syndrome in
    # Puerto Rico).
    is_general = listing is None or (prevalence and prevalence.place in _LARGE_REGIONS)
    if prevalence is not None and prevalence.value >= RARE_PREVALENCE and is_general:
        return f"not rare: {_describe_prevalence(prevalence)}"
    if listing is None:
        return "" if prevalence else "on no list of rare diseases, and no prevalence is known"
    if listing.is_group:
        return f"a group of disorders: {listing.disorder}"
    if listing.not_rare_in:
        return f"not rare in {listing.not_rare_in.title()}: {listing.disorder}"
    return ""


def _describe_prevalence(prevalence: Prevalence) -> str:
    """The figure and where it comes from."""
    return f"{prevalence.value:.2g} of people ({prevalence.describe_source()})"


def is_ambiguous(form: str) -> bool:
    """Whether a form is a common word, or one short word that could stand for several things."""
    return is_common(form) or (len(form) <= _MAX_AMBIGUOUS_LENGTH and " " not in form)


def _name_vocabulary(candidate: SeedCandidate) -> str:
    """The name of the vocabulary that the concept comes from, by the prefix of its id; "" for an id
    without a prefix."""
    prefix, colon, _ = candidate.concept_id.partition(":")
    return _VOCABULARY_NAMES.get(prefix, prefix) if colon else ""


def _describe_support(candidate: SeedCandidate) -> str:
    """The evidence for the candidate, as the reason of a verdict."""
    frequency = candidate.frequency
    record = "no HPO record"
    if candidate.facts:
        record = f"an HPO record with {_format_count(candidate.facts, 'fact')}"
    citations = _format_count(frequency.documents, "citation")
    mentions = _format_count(frequency.mentions, "mention")
    commonest_form, _ = candidate.forms[0]
    clauses = [
        f"in {_name_vocabulary(candidate)}, {record}",
        *_list_rarity_evidence(candidate),
        f"named in {citations} ({mentions}), mostly as {commonest_form!r}",
    ]
    return "; ".join(clauses)


def _list_rarity_evidence(candidate: SeedCandidate) -> list[str]:
    """What shows that a disease is rare among people: a list, a prevalence."""
    evidence = []
    if candidate.listing is not None:
        evidence.append(
            f"a rare disease of {candidate.listing.source} ({candidate.listing.disorder})"
        )
    if candidate.prevalence is not None:
        evidence.append(f"prevalence {_describe_prevalence(candidate.prevalence)}")
    return evidence


def _format_count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _format_forms(forms: Iterable[str]) -> str:
    return ", ".join(repr(form) for form in forms)


# --- by a language model --------------------------------------------------------------


class EntityVerdict(BaseModel):
    """The model's verdict on one entity, as the prompt asks for it."""

    id: str
    significant: bool
    reason: str = Field(min_length=1)
    specialty: str | None = None


class VerdictsReply(BaseModel):
    """A reply of the model; a bare list of verdicts is accepted too."""

    # Parsed one by one in read_verdicts: one bad verdict must not make the others unusable.
    verdicts: list[Any]

    @model_validator(mode="before")
    @classmethod
    def _accept_bare_list(cls, value: Any) -> Any:
        return {"verdicts": value} if isinstance(value, list) else value


def read_verdicts(reply: VerdictsReply, concept_ids: Collection[str]) -> dict[str, EntityVerdict]:
    """The usable verdicts of a reply, by concept id.

    A verdict is usable if it is complete, is about one of ``concept_ids``, and no other verdict of
    the same reply contradicts it.
    """
    by_concept: dict[str, list[EntityVerdict]] = defaultdict(list)
    for item in reply.verdicts:
        verdict = _parse_verdict(item)
        if verdict is not None and verdict.id.strip() in concept_ids:
            by_concept[verdict.id.strip()].append(verdict)
    return {
        concept_id: verdicts[0]
        for concept_id, verdicts in by_concept.items()
        if len({verdict.significant for verdict in verdicts}) == 1
    }


def _parse_verdict(item: Any) -> EntityVerdict | None:
    try:
        return EntityVerdict.model_validate(item)
    except ValidationError:
        return None


class LLMSignificanceJudge:
    """Judges by the model of ``endpoint``, behind ``client``.

    A request contains at most ``batch`` candidates, and no more than ``endpoint.max_tokens`` has
    room for verdicts on. Requests run concurrently; the client limits and caches them. Candidates
    without a usable verdict are sent once more, in requests of half the size.

    The prompt is in English whatever the language of the questions, because all it shows is: names,
    forms, lists and figures.
    """

    def __init__(self, client: JsonClient, endpoint: EndpointConfig, batch: int) -> None:
        self._client = client
        self._model = endpoint.model
        self._batch = fit_batch(endpoint, batch)
        self._prompt = Template(read_prompt("medr_ray.entities", "significance"))
        self._specialties = "\n".join(
            f"  - {name}: {specialty.covers}" for name, specialty in SPECIALTIES.items()
        )

    def judge_candidates(
        self, candidates: Sequence[SeedCandidate], advance: ProgressCallback = _ignore_progress
    ) -> list[SeedJudgement]:
        """One judgement per candidate, in order.

        Raises InfrastructureError when the endpoint stays unreachable, BudgetExceeded when the
        budget is spent.
        """
        return asyncio.run(self._judge_all(candidates, advance))

    async def _judge_all(
        self, candidates: Sequence[SeedCandidate], advance: ProgressCallback
    ) -> list[SeedJudgement]:
        batches = _split_batches(candidates, self._batch)
        judged = await asyncio.gather(*(self._judge_batch(batch, advance) for batch in batches))
        return [judgement for judgements in judged for judgement in judgements]

    async def _judge_batch(
        self, batch: Sequence[SeedCandidate], advance: ProgressCallback
    ) -> list[SeedJudgement]:
        """Judge the candidates of one request, with one retry for those that it left out."""
        verdicts, _ = await self._request_verdicts(batch, "")
        missing = [candidate for candidate in batch if candidate.concept_id not in verdicts]
        problems: dict[str, str] = {}
        # Smaller requests, in case the limit of tokens cut the reply off.
        half = (len(batch) + 1) // 2
        for part in _split_batches(missing, half):
            more_verdicts, problem = await self._request_verdicts(part, _RETRY_PREFACE)
            verdicts |= more_verdicts
            problems |= dict.fromkeys((candidate.concept_id for candidate in part), problem)
        advance(len(batch))
        return [
            self._build_judgement(candidate, verdicts.get(candidate.concept_id), problems)
            for candidate in batch
        ]

    async def _request_verdicts(
        self, batch: Sequence[SeedCandidate], preface: str
    ) -> tuple[dict[str, EntityVerdict], str]:
        """The usable verdicts of one request, and the reason why others are missing."""
        described = "\n\n".join(map(describe_candidate, batch))
        fence = build_fence(described)
        system = self._prompt.substitute(specialties=self._specialties, fence=fence)
        messages = [
            {"role": "system", "content": system},
            {"role": "user", "content": f"{preface}{fence}\n{described}\n{fence}"},
        ]
        try:
            reply = await self._client.complete_json(messages, VerdictsReply)
        except ModelError as error:
            return {}, str(error)
        concept_ids = {candidate.concept_id for candidate in batch}
        return read_verdicts(reply, concept_ids), "the replies left it out"

    def _build_judgement(
        self,
        candidate: SeedCandidate,
        verdict: EntityVerdict | None,
        problems: Mapping[str, str],
    ) -> SeedJudgement:
        if verdict is None:
            reason = f"no usable verdict: {problems[candidate.concept_id]}"
            return SeedJudgement(Significance(False, reason, self._model), candidate.specialty)
        specialty = (verdict.specialty or "").strip().lower()
        if specialty not in SPECIALTIES:
            specialty = candidate.specialty
        significance = Significance(verdict.significant, verdict.reason, self._model)
        contrary = find_contrary_evidence(candidate) if verdict.significant else ""
        if contrary:
            reason = f"{contrary}, against the model's yes: {verdict.reason}"
            significance = Significance(False, reason, self._model)
        return SeedJudgement(significance, specialty)


def fit_batch(endpoint: EndpointConfig, batch: int) -> int:
    """Candidates of a request: at most ``batch``, and as many as a reply has room for."""
    return max(1, min(batch, endpoint.max_tokens // VERDICT_TOKENS))


def _split_batches(
    candidates: Sequence[SeedCandidate], size: int
) -> Iterator[Sequence[SeedCandidate]]:
    return (candidates[start : start + size] for start in range(0, len(candidates), size))


def _describe_listing(listing: RareListing | None) -> str:
    if listing is None:
        return "not on it"
    state = "a single disease"
    if listing.is_group:
        state = "a group of disorders"
    elif listing.not_rare_in:
        state = f"not rare in {listing.not_rare_in.title()}"
    return f"{listing.disorder} in {listing.source}, {state}"


def describe_candidate(candidate: SeedCandidate) -> str:
    """The candidate as the model sees it, one property a line."""
    frequency = candidate.frequency
    shown_forms = candidate.forms[:_MAX_PROMPT_FORMS]
    forms = "; ".join(f"{form} ({count})" for form, count in shown_forms)
    lines = [
        f"id: {frequency.concept_id}",
        f"Name: {frequency.name}",
        f"Type: {frequency.entity_type}",
        f"Specialty: {candidate.specialty}",
        f"Citations: {frequency.documents}",
        f"Mentions by form: {forms}",
        f"HPO facts: {candidate.facts}",
    ]
    if frequency.entity_type == DISEASE:
        lines.append(f"List of rare diseases: {_describe_listing(candidate.listing)}")
        prevalence = candidate.prevalence
        figure = _describe_prevalence(prevalence) if prevalence else "unknown"
        lines.append(f"Prevalence: {figure}")
    lines += [
        f"One letter from a far commoner form: {form} / {other}"
        for form, other in candidate.typo_of
    ]
    return "\n".join(lines)
