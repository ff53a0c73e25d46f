"""What is known before any finding: how common and how often reported each disease is, whom and
when it strikes.

What holds: a disease whose prevalence is unknown is given the geometric mean of the known ones, and
says so; sex speaks only against a disease all of whose modes of inheritance are X-linked recessive
(in females) or Y-linked; an age only against one that begins later, or, weakly, that began long
ago.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from medr_ray.diagnosis.knowledge_base import KnowledgeBase
from medr_ray.diagnosis.probability_table import Floats
from medr_ray.knowledge.annotations import INHERITANCE, ONSET, Annotation
from medr_ray.knowledge.name_normalization import normalise
from medr_ray.knowledge.onset import onset_years
from medr_ray.knowledge.prevalence import Prevalence

_ASSUMED = 1e-6  # prevalence of every disease when no file says any; then all are alike
_X_RECESSIVE, _X_LINKED, _Y_LINKED = "HP:0001419", "HP:0001417", "HP:0001450"
_UNEXPECTED_SEX = 0.1  # skewed X inactivation, monosomy X, homozygous females
_TOO_EARLY = 0.1  # ages at onset are annotated from few patients
_LATE_POWER, _LATE_YEARS = (
    0.3,
    5.0,
)  # (1 + years since the latest onset / 5) ** -0.3: chronic diseases stay, others end


@dataclass(frozen=True)
class Priors:
    """By disease: ``prevalence`` (a share of people), whether it is ``known`` and the ``figures``
    it is known by; the most patients that a finding of it was counted in (``reported``); the bounds
    of the age at onset in years (NaN where unknown); whether it spares females."""

    prevalence: Floats
    known: np.ndarray
    figures: Mapping[int, Prevalence]
    reported: Floats
    earliest: Floats
    latest: Floats
    spares_females: np.ndarray

    def context(self, age: float | None, female: bool | None) -> Floats:
        """[diseases] ln of how much less likely each is for somebody of this age (years) and sex;
        None: unknown."""
        factors = np.zeros(len(self.prevalence))
        if age is not None:
            with np.errstate(invalid="ignore"):
                factors += np.where(age < self.earliest, np.log(_TOO_EARLY), 0.0)
                over = np.where(age > self.latest, age - self.latest, 0.0)
            factors -= _LATE_POWER * np.log1p(over / _LATE_YEARS)
        if female:
            factors += np.where(self.spares_females, np.log(_UNEXPECTED_SEX), 0.0)
        return factors


def priors_of(
    base: KnowledgeBase,
    rows: Iterable[Annotation],
    prevalences: Mapping[str, Prevalence],
    onset_ages: Mapping[str, tuple[float, float]],
) -> Priors:
    """The priors of the diseases of a knowledge base; prevalences and ages at onset are by
    "ORPHA:<number>"."""
    prevalence, figures = _prevalences(base, prevalences)
    known = ~np.isnan(prevalence)
    assumed = float(np.exp(np.log(prevalence[known]).mean())) if known.any() else _ASSUMED
    spans: dict[int, list[tuple[float, float]]] = defaultdict(list)
    modes: dict[int, set[str]] = defaultdict(set)
    for one in rows:
        disease = base.numbers.get(one.disease)
        if disease is None or one.negated:
            continue
        if one.aspect == ONSET and (span := onset_years(one.term)):
            spans[disease].append(span)
        elif one.aspect == INHERITANCE:
            modes[disease].add(one.term)
    for record, span in onset_ages.items():
        if record in base.numbers:
            spans[base.numbers[record]].append(span)
    earliest, latest = np.full(len(base.ids), np.nan), np.full(len(base.ids), np.nan)
    for disease, known_spans in spans.items():
        earliest[disease] = min(low for low, _ in known_spans)
        latest[disease] = max(high for _, high in known_spans)
    return Priors(
        np.where(known, prevalence, assumed),
        known,
        figures,
        base.beliefs.patients(),
        earliest,
        latest,
        _sparing_females(modes, len(base.ids)),
    )


def _sparing_females(modes: Mapping[int, set[str]], size: int) -> np.ndarray:
    flags = np.zeros(size, dtype=bool)
    for disease, found in modes.items():
        flags[disease] = found <= {_X_RECESSIVE, _X_LINKED, _Y_LINKED} and found != {_X_LINKED}
    return flags


def _prevalences(
    base: KnowledgeBase, prevalences: Mapping[str, Prevalence]
) -> tuple[Floats, dict[int, Prevalence]]:
    """[diseases] the figure of the record of the same id, else of the one of exactly the same name;
    NaN without."""
    named: dict[str, list[int]] = defaultdict(list)
    for number, name in enumerate(base.names):
        named[normalise(name)].append(number)
    values, figures = np.full(len(base.ids), np.nan), {}
    sure = [
        (base.numbers[record], one) for record, one in prevalences.items() if record in base.numbers
    ]
    by_name = [
        (found[0], one)
        for record, one in prevalences.items()
        if record not in base.numbers and len(found := named.get(normalise(one.name), [])) == 1
    ]
    for disease, one in (*by_name, *sure):  # an id overrules a name
        values[disease], figures[disease] = one.value, one
    return values, figures
