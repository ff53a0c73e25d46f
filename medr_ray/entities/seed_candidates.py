"""Rare entities made ready to be judged: what is known of each, in the order of their rank.

The rank of a candidate: the rarer first (by the upper bound of its frequency), among those the ones
whose prevalence is known, the least prevalent first, then the better supported (more HPO facts,
then more mentions), then by id. Seeds keep that order, so a reader of the first N has the N rarest.
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


@dataclass(frozen=True)
class SeedCandidate:
    """A rare entity to be judged. ``forms`` are those it was found by, with their mentions, the
    commonest first; ``facts`` counts what the HPO annotations say of it; ``typo_of`` names, for
    forms that look like a slip of the pen, the form meant; ``general`` says why it is too general,
    "" when it is not."""

    frequency: EntityFrequency
    specialty: str
    forms: tuple[tuple[str, int], ...]
    facts: int
    typo_of: tuple[tuple[str, str], ...] = ()
    general: str = ""
    prevalence: Prevalence | None = None

    @property
    def concept_id(self) -> str:
        return self.frequency.concept_id


@dataclass(frozen=True)
class SeedJudgement:
    """What a judge decided: the significance, and the specialty (corrected, or as it was)."""

    significance: Significance
    specialty: str


def build_candidates(
    rare: Sequence[EntityFrequency],
    concepts: Mapping[str, Concept],
    counts: pl.DataFrame,
    diseases: Mapping[str, DiseaseRecord],
    prevalences: Mapping[str, Prevalence],
) -> list[SeedCandidate]:
    """The candidates of ``rare`` in the order of their rank. ``counts`` as of ``sum_counts``,
    ``diseases`` the HPO records and ``prevalences`` the figures (see ``match_prevalence``), both by
    concept id."""
    ids = [one.concept_id for one in rare]
    forms, typos = _forms(counts, ids), find_likely_typos(counts, ids)
    candidates = []
    for one in rare:
        concept, record = concepts[one.concept_id], diseases.get(one.concept_id)
        found = tuple(forms[one.concept_id])
        candidates.append(
            SeedCandidate(
                one,
                concept.specialty,
                found,
                len(record.facts) if record else 0,
                tuple((form, typos[form]) for form, _ in found if form in typos),
                find_generality_reason(one.concept_id, one.name),
                prevalences.get(one.concept_id),
            )
        )
    return sorted(candidates, key=rank_key)


def rank_key(candidate: SeedCandidate) -> tuple[float, bool, float, int, int, str]:
    """The key that candidates are ordered by; see the module's docstring."""
    one, known = candidate.frequency, candidate.prevalence
    return (
        one.frequency_upper,
        known is None,
        known.value if known else 0.0,
        -candidate.facts,
        -one.mentions,
        one.concept_id,
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
            candidate.prevalence.source() if candidate.prevalence else "",
        )
        for candidate, judgement in zip(candidates, judgements, strict=True)
    ]


def _forms(counts: pl.DataFrame, ids: Sequence[str]) -> Mapping[str, list[tuple[str, int]]]:
    """The forms of each of ``ids`` with their mentions, the commonest first."""
    own = (
        counts.filter(pl.col("concept_id").is_in(ids))
        .group_by("concept_id", "form")
        .agg(pl.sum("mentions"))
    )
    forms: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for concept_id, form, mentions in own.sort(
        ["mentions", "form"], descending=[True, False]
    ).iter_rows():
        forms[concept_id].append((form, mentions))
    return forms
