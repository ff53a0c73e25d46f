"""Prior knowledge about each disease, before any finding of a patient is known.

It covers how common a disease is, in how many patients it was reported, whom it affects and at what
age it begins. A disease of unknown prevalence gets the geometric mean of the known prevalences and
is marked. Female sex counts against a disease only if all of its modes of inheritance are X-linked
recessive or Y-linked. Age counts against a disease that begins later and, weakly, against a disease
that begins much earlier.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from medr_ray.diagnosis.knowledge_base import KnowledgeBase
from medr_ray.diagnosis.probability_table import FloatArray
from medr_ray.knowledge.annotations import INHERITANCE, ONSET, Annotation
from medr_ray.knowledge.name_normalization import fold_name
from medr_ray.knowledge.onset import onset_years
from medr_ray.knowledge.prevalence import Prevalence

_DEFAULT_PREVALENCE = 1e-6  # of every disease when no file gives any, so that all are equal
# Terms of inheritance in the HPO.
_X_RECESSIVE = "HP:0001419"
_X_LINKED = "HP:0001417"
_Y_LINKED = "HP:0001450"
_UNEXPECTED_SEX_FACTOR = 0.1  # skewed X inactivation, monosomy X, homozygous females
_TOO_EARLY_FACTOR = 0.1  # ages at onset are annotated from few patients
# (1 + years since the latest onset / 5) ** -0.3: chronic diseases stay, others end.
_LATE_EXPONENT = 0.3
_LATE_YEARS = 5.0

AgeSpan = tuple[float, float]  # earliest and latest age at onset, in years


@dataclass(frozen=True)
class Priors:
    """Arrays with an entry for each disease, and prevalence figures by the disease's number.

    ``prevalence`` is a share of people. ``is_known`` is true where it comes from one of the
    ``figures``. ``most_reported_patients`` is the largest number of patients in which one finding
    of the disease was counted. ``earliest`` and ``latest`` bound the age at onset in years, and are
    NaN where it is unknown.
    """

    prevalence: FloatArray
    is_known: np.ndarray
    figures: Mapping[int, Prevalence]
    most_reported_patients: FloatArray
    earliest: FloatArray
    latest: FloatArray
    spares_females: np.ndarray

    def log_context_factors(self, age: float | None, female: bool | None) -> FloatArray:
        """[diseases] the logarithm of how much less likely each disease is at this age and sex.

        ``age`` is in years. An age or sex of None is unknown and changes nothing.
        """
        log_factors = np.zeros(len(self.prevalence))
        if age is not None:
            with np.errstate(invalid="ignore"):  # comparisons with NaN are false, as they should be
                log_factors += np.where(age < self.earliest, np.log(_TOO_EARLY_FACTOR), 0.0)
                years_late = np.where(age > self.latest, age - self.latest, 0.0)
            log_factors -= _LATE_EXPONENT * np.log1p(years_late / _LATE_YEARS)
        if female:
            log_factors += np.where(self.spares_females, np.log(_UNEXPECTED_SEX_FACTOR), 0.0)
        return log_factors


def build_priors(
    knowledge_base: KnowledgeBase,
    rows: Iterable[Annotation],
    prevalences: Mapping[str, Prevalence],
    onset_ages: Mapping[str, AgeSpan],
) -> Priors:
    """The priors of the diseases of a knowledge base.

    The keys of ``prevalences`` and ``onset_ages`` are Orphanet ids ("ORPHA:<number>").
    """
    prevalence, figures = _match_prevalences(knowledge_base, prevalences)
    is_known = ~np.isnan(prevalence)
    default = _DEFAULT_PREVALENCE
    if is_known.any():
        # The geometric mean: prevalences differ by powers of ten.
        default = float(np.exp(np.log(prevalence[is_known]).mean()))
    onset_spans, modes = _collect_context(knowledge_base, rows, onset_ages)
    earliest = np.full(len(knowledge_base.ids), np.nan)
    latest = np.full(len(knowledge_base.ids), np.nan)
    for disease, spans in onset_spans.items():
        earliest[disease] = min(low for low, _ in spans)
        latest[disease] = max(high for _, high in spans)
    return Priors(
        prevalence=np.where(is_known, prevalence, default),
        is_known=is_known,
        figures=figures,
        most_reported_patients=knowledge_base.finding_table.max_patients(),
        earliest=earliest,
        latest=latest,
        spares_females=_flag_sparing_females(modes, len(knowledge_base.ids)),
    )


def _collect_context(
    knowledge_base: KnowledgeBase, rows: Iterable[Annotation], onset_ages: Mapping[str, AgeSpan]
) -> tuple[dict[int, list[AgeSpan]], dict[int, set[str]]]:
    """(spans of the age at onset, terms of inheritance), by the disease's number."""
    onset_spans: dict[int, list[AgeSpan]] = defaultdict(list)
    modes: dict[int, set[str]] = defaultdict(set)
    for row in rows:
        disease = knowledge_base.numbers.get(row.disease)
        if disease is None or row.negated:
            continue
        if row.aspect == ONSET:
            span = onset_years(row.term)
            if span:  # other clinical courses have the same aspect
                onset_spans[disease].append(span)
        elif row.aspect == INHERITANCE:
            modes[disease].add(row.term)
    for record, span in onset_ages.items():
        if record in knowledge_base.numbers:
            onset_spans[knowledge_base.numbers[record]].append(span)
    return onset_spans, modes


def _flag_sparing_females(modes: Mapping[int, set[str]], disease_count: int) -> np.ndarray:
    """[diseases] whether all modes of inheritance spare females."""
    flags = np.zeros(disease_count, dtype=bool)
    sparing = {_X_RECESSIVE, _X_LINKED, _Y_LINKED}
    for disease, disease_modes in modes.items():
        # "X-linked" alone does not state whether the inheritance is recessive.
        flags[disease] = disease_modes <= sparing and disease_modes != {_X_LINKED}
    return flags


def _match_prevalences(
    knowledge_base: KnowledgeBase, prevalences: Mapping[str, Prevalence]
) -> tuple[FloatArray, dict[int, Prevalence]]:
    """Returns ([diseases] prevalence or NaN, the figure used for each disease by its number).

    A figure belongs to the disease with its record, else to the only disease with its
    name (``fold_name``).
    """
    diseases_by_name: dict[str, list[int]] = defaultdict(list)
    for disease, name in enumerate(knowledge_base.names):
        diseases_by_name[fold_name(name)].append(disease)
    by_id = []
    by_name = []
    for record, prevalence in prevalences.items():
        namesakes = diseases_by_name.get(fold_name(prevalence.name), [])
        if record in knowledge_base.numbers:
            by_id.append((knowledge_base.numbers[record], prevalence))
        elif len(namesakes) == 1:
            by_name.append((namesakes[0], prevalence))
    values = np.full(len(knowledge_base.ids), np.nan)
    figures = {}
    for disease, prevalence in (*by_name, *by_id):  # an id overrules a name
        values[disease] = prevalence.value
        figures[disease] = prevalence
    return values, figures
