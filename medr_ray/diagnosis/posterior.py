"""The posterior over diseases and "none of these", in log space.

For disease D with the findings s_1 .. s_n and context c

    ln P(D | s, c) = t(n) * (w ln prevalence + r ln (1 + reported) + ln context
                             + sum ln ratio_i(D)) - constant
    ratio_i(D) = P(s_i | D) / P(s_i) / (breadth of D / mean breadth) ** _BREADTH_EXPONENT

Four parts are not in the textbook's formula:

- Few prevalences are known, and a disease that many patients were reported with is met more often.
  ``reported`` is the largest number of patients that one finding of it was counted in.
- Findings of one patient are not independent, so each of n findings counts as
  t(n) = _WEIGHT_SCALE * n ** -_WEIGHT_DECAY.
- A disease with many annotations matches more by chance, so each match counts less.
- The right disease may be missing, so "none of these" has its own prior. A disease that is not
  listed has a finding s _UNLISTED_RATIO * P(s) ** -_UNLISTED_RARITY times as often as diseases at
  large: the rarer the finding, the less it is a coincidence.

``_BREADTH_EXPONENT`` was chosen by its ranking of all published cases of ``medr bench diagnosis``.
The four other constants were fitted by maximum likelihood to the cases of half of the diseases
(those whose id has an even SHA-1). A disease with n cases counted as the root of n, and diseases
that the annotations of the time do not list as 30 %. That weighting was chosen after the
calibration of both halves had been seen. ``reported`` was added later and left the constants
unchanged. So no part of these cases is independent of the choices.

Probabilities and that of "none of these" sum to 1. The order of findings does not matter. A finding
that another one implies is counted once. A finding both observed and excluded counts as observed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medr_ray.diagnosis.knowledge_base import AnnotatedFinding, FindingTerms, KnowledgeBase
from medr_ray.diagnosis.likelihood import Likelihood
from medr_ray.diagnosis.priors import Priors
from medr_ray.diagnosis.probability_table import Floats

# The module docstring describes the choice of these constants.
_BREADTH_EXPONENT = 0.6
_WEIGHT_SCALE = 0.96
_WEIGHT_DECAY = 0.47
_UNLISTED_RATIO = 0.122
_UNLISTED_RARITY = 0.212

# The findings of diseases, by the disease's number, as retrieved evidence has updated them.
UpdatedFindings = Mapping[int, Sequence[AnnotatedFinding]]


@dataclass(frozen=True)
class Patient:
    """Term numbers, without what others imply and without contradictions (see ``build_patient``);
    ``age`` in years and ``female`` are None where unknown."""

    observed: tuple[int, ...]
    excluded: tuple[int, ...]
    age: float | None = None
    female: bool | None = None


@dataclass(frozen=True)
class Posterior:
    """``probabilities`` [diseases], and ``none``, that of "none of these".

    ``finding_weight`` is the exponent of one finding's ratio: t(n) of the module docstring.
    """

    probabilities: Floats
    none: float
    finding_weight: float

    def most_likely(self, count: int) -> list[int]:
        """The likeliest diseases, best first; of equally likely ones the smaller number first.
        Impossible ones are left out."""
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [int(disease) for disease in order if self.probabilities[disease] > 0]


def build_patient(
    terms: FindingTerms,
    observed: Sequence[int],
    excluded: Sequence[int] = (),
    age: float | None = None,
    female: bool | None = None,
) -> tuple[Patient, tuple[int, ...]]:
    """(the patient, the excluded terms that are dropped because an observed finding implies
    them)."""
    present: set[int] = set()
    implied: set[int] = set()
    for term in observed:
        ancestors = terms.with_ancestors(term)
        present |= ancestors
        implied |= ancestors - {term}
    contradicted = tuple(sorted(set(excluded) & present))
    absent = set(excluded) - present
    # Where a general finding is excluded, excluding a more specific one adds nothing.
    redundant = {term for term in absent if terms.with_ancestors(term) & absent - {term}}
    patient = Patient(
        tuple(sorted(set(observed) - implied)), tuple(sorted(absent - redundant)), age, female
    )
    return patient, contradicted


class DiagnosisModel:
    """Posteriors over one knowledge base. Safe to share between threads.

    ``prevalence_weight`` is w of the module docstring, ``reports_weight`` r, and ``none_share`` the
    prior of "none of these".
    """

    def __init__(
        self,
        likelihood: Likelihood,
        priors: Priors,
        *,
        prevalence_weight: float,
        reports_weight: float,
        none_share: float,
    ) -> None:
        self.likelihood = likelihood
        self.priors = priors
        self.none_share = none_share
        log_prevalence = prevalence_weight * np.log(priors.prevalence)
        self._log_prior = log_prevalence + reports_weight * np.log1p(priors.reported)
        log_breadth = np.log(likelihood.base.expected_findings)
        # The mean is subtracted, so that the penalty moves diseases among each other and not
        # against "none of these".
        self._log_breadth_penalty = _BREADTH_EXPONENT * (log_breadth - log_breadth.mean())

    @property
    def base(self) -> KnowledgeBase:
        return self.likelihood.base

    def compute_posterior(
        self,
        patient: Patient,
        candidates: Sequence[int] | None = None,
        updated_findings: UpdatedFindings | None = None,
    ) -> Posterior:
        """The posterior over all diseases, or over ``candidates`` alone.

        Candidates share the whole prior; all other diseases get 0, and "none of these" means none
        of the candidates.
        """
        weight = weight_per_finding(len(patient.observed))
        log_prior = weight * self._log_prior
        if candidates is not None:
            is_candidate = np.isin(np.arange(len(log_prior)), candidates)
            log_prior = np.where(is_candidate, log_prior, -np.inf)
        support = weight * self.log_support(patient, updated_findings or {})
        # The listed diseases share what "none of these" leaves of the prior.
        logits = log_prior - _log_sum_exp(log_prior) + np.log1p(-self.none_share) + support
        none_logit = -np.inf
        if self.none_share:
            none_logit = np.log(self.none_share) + weight * self._log_support_of_unlisted(patient)
        log_total = np.logaddexp(_log_sum_exp(logits), none_logit)
        return Posterior(np.exp(logits - log_total), float(np.exp(none_logit - log_total)), weight)

    def _log_support_of_unlisted(self, patient: Patient) -> float:
        """``log_support`` of a disease that is not listed."""
        rarity = -np.log(self.base.background_shares[list(patient.observed)]).sum()
        return float(len(patient.observed) * np.log(_UNLISTED_RATIO) + _UNLISTED_RARITY * rarity)

    def log_support(self, patient: Patient, updated_findings: UpdatedFindings) -> Floats:
        """[diseases] ln of the product of context factors and likelihood ratios of each."""
        support = self.priors.log_context_factors(patient.age, patient.female)
        for term in patient.observed:
            support += np.log(self.likelihood.present_ratios(term)) - self._log_breadth_penalty
        # No breadth penalty here: more annotations make more matches by chance, not fewer.
        for term in patient.excluded:
            diseases, ratios = self.likelihood.absent_ratios(term)
            support[diseases] += np.log(ratios)
        for disease, findings in updated_findings.items():
            support[disease] = self._log_support_of(disease, findings, patient)
        return support

    def _log_support_of(
        self, disease: int, findings: Sequence[AnnotatedFinding], patient: Patient
    ) -> float:
        """``log_support`` of one disease with findings that differ from the knowledge base's."""
        explanations = [
            self.likelihood.explain_presence(disease, findings, term) for term in patient.observed
        ]
        explanations += [
            self.likelihood.explain_absence(findings, term) for term in patient.excluded
        ]
        log_ratios = np.log([explanation.ratio for explanation in explanations])
        context = self.priors.log_context_factors(patient.age, patient.female)[disease]
        penalty = len(patient.observed) * self._log_breadth_penalty[disease]
        return float(context + log_ratios.sum() - penalty)

    def breadth_factor(self, disease: int) -> float:
        """The divisor of the ratio of every observed finding of a disease."""
        return float(np.exp(self._log_breadth_penalty[disease]))


def weight_per_finding(count: int) -> float:
    """The weight of each of ``count`` observed findings: t(n) of the module docstring."""
    return _WEIGHT_SCALE * max(count, 1) ** -_WEIGHT_DECAY


def _log_sum_exp(values: Floats) -> float:
    """ln of the sum of exponentials; -inf when all values are."""
    largest = float(values.max(initial=-np.inf))
    if not np.isfinite(largest):  # -inf minus -inf would be NaN
        return -np.inf
    return largest + float(np.log(np.exp(values - largest).sum()))
