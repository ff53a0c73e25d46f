"""Candidates for seeds: rare entities with the facts that a judge needs, in the order of their
rank.

Candidates are ranked by the upper bound of their frequency, the rarest first. Equal ones are ranked
by prevalence (those with a prevalence first, the least prevalent before others), then by support
(more HPO facts, then more mentions), then by id. Seeds keep this order, so the first N seeds are
the N rarest.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from medr_ray.core.records import EntityFrequency, SeedEntity, Significance
from medr_ray.entities.generality import find_generality_reason
from medr_ray.entities.typos import find_likely_typos
from medr_ray.knowledge.hpo import DiseaseRecord
from medr_ray.knowledge.lexicon import Concept
from medr_ray.knowledge.prevalence import Prevalence
from medr_ray.knowledge.rare_diseases import RareListing


@dataclass(frozen=True)
class SeedCandidate:
    """A rare entity to be judged.

    ``forms`` are (form, mentions) of the forms that name it in the corpus, the most frequent first.
    ``facts`` is the number of HPO annotations about it. ``typo_of`` has (form, intended form) for
    forms that look like misspellings. ``general`` says why the entity is too general, "" when it is
    not. ``listing`` is its entry in a list of rare diseases.
    """

    frequency: EntityFrequency
    specialty: str
    forms: tuple[tuple[str, int], ...]
    facts: int
    typo_of: tuple[tuple[str, str], ...] = ()
    general: str = ""
    prevalence: Prevalence | None = None
    listing: RareListing | None = None

    @property
    def concept_id(self) -> str:
        return self.frequency.concept_id


@dataclass(frozen=True)
class SeedJudgement:
    """A judge's decision on one candidate: its significance, and its specialty, which the judge may
    have corrected."""

    significance: Significance
    specialty: str


def build_candidates(
    rare: Sequence[EntityFrequency],
    concepts: Mapping[str, Concept],
    counts: pl.DataFrame,
    diseases: Mapping[str, DiseaseRecord],
    prevalences: Mapping[str, Prevalence],
    listings: Mapping[str, RareListing],
) -> list[SeedCandidate]:
    """The candidates of ``rare`` in the order of their rank.

    ``counts`` is as ``sum_counts`` returns it. ``diseases`` are the HPO records, ``prevalences``
    the figures of ``match_prevalence``, ``listings`` those of ``find_listings``, by concept id.
    """
    concept_ids = [frequency.concept_id for frequency in rare]
    forms_by_concept = _collect_forms(counts, concept_ids)
    typos = find_likely_typos(counts, concept_ids)
    candidates = []
    for frequency in rare:
        concept_id = frequency.concept_id
        record = diseases.get(concept_id)
        forms = tuple(forms_by_concept[concept_id])
        candidate = SeedCandidate(
            frequency,
            concepts[concept_id].specialty,
            forms,
            len(record.facts) if record else 0,
            tuple((form, typos[form]) for form, _ in forms if form in typos),
            find_generality_reason(concepts[concept_id]),
            prevalences.get(concept_id),
            listings.get(concept_id),
        )
        candidates.append(candidate)
    return sorted(candidates, key=rank_key)


def rank_key(candidate: SeedCandidate) -> tuple[float, bool, float, int, int, str]:
    """The sort key of the rank; see the module's docstring."""
    frequency = candidate.frequency
    prevalence = candidate.prevalence
    return (
        frequency.frequency_upper,
        # False sorts before True: candidates with a prevalence come first.
        prevalence is None,
        prevalence.value if prevalence else 0.0,
        -candidate.facts,
        -frequency.mentions,
        frequency.concept_id,
    )


def build_seed_entities(
    candidates: Iterable[SeedCandidate], judgements: Iterable[SeedJudgement]
) -> list[SeedEntity]:
    """The records of judged candidates, in their order."""
    return [
        SeedEntity(
            candidate.frequency,
            judgement.significance,
            judgement.specialty,
            candidate.prevalence.value if candidate.prevalence else None,
            candidate.prevalence.describe_source() if candidate.prevalence else "",
        )
        for candidate, judgement in zip(candidates, judgements, strict=True)
    ]


def _collect_forms(
    counts: pl.DataFrame, concept_ids: Sequence[str]
) -> Mapping[str, list[tuple[str, int]]]:
    """(form, mentions) of each concept, the commonest form first."""
    totals = (
        counts.filter(pl.col("concept_id").is_in(concept_ids))
        .group_by("concept_id", "form")
        .agg(pl.sum("mentions"))
        .sort(["mentions", "form"], descending=[True, False])
    )
    forms: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for concept_id, form, mentions in totals.iter_rows():
        forms[concept_id].append((form, mentions))
    return forms
