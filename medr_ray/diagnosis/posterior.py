"""The posterior over diseases and "none of these", computed in log space.

For disease D, the n findings s_1 .. s_n and the context c (age and sex):

    ln P(D | s, c) = t(n) * (w ln prevalence + r ln (1 + patients) + ln context
                             + sum ln ratio_i(D)) - constant
    ratio_i(D) = P(s_i | D) / P(s_i) / (breadth of D / mean breadth) ** _BREADTH_EXPONENT

The breadth of a disease is the number of findings that its patients are expected to have, by its
annotations. The mean is the geometric mean. The textbook's formula lacks four parts of this one:

- ``patients``: prevalence is known for few diseases, and doctors meet a disease more often if many
  patients were reported with it. The figure is the largest number of patients in which a study
  counted one finding of the disease.
- t(n) = _WEIGHT_SCALE * n ** -_WEIGHT_DECAY: the findings of one patient are not independent, so
  each of n findings counts less than a single one.
- The breadth: a disease with many annotations matches more findings by chance, so each match counts
  less.
- "None of these": the right disease may be missing from the list, so this hypothesis has a prior of
  its own. An unlisted disease shows finding s _UNLISTED_RATIO * P(s) ** -_UNLISTED_RARITY times as
  often as diseases at large: the rarer the finding, the less likely it is a coincidence.

``_BREADTH_EXPONENT`` ranked all published cases of ``medr bench diagnosis`` best. The four other
constants were fitted by maximum likelihood to the cases of half of the diseases, those whose id has
an even SHA-1. A disease with n cases counted as the root of n. Diseases that the annotations did
not list at that time counted as 30 %. This weighting was chosen after the calibration on both
halves had been seen. ``patients`` was added later, and the constants were left unchanged. So none
of these cases is independent of the choices.

Guaranteed: the probabilities of all diseases and of "none of these" sum to 1. The order of findings
does not matter. A finding that another finding implies is not counted again. A finding that is both
observed and excluded counts as observed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medr_ray.diagnosis.knowledge_base import AnnotatedFinding, FindingTerms, KnowledgeBase
from medr_ray.diagnosis.likelihood import Likelihood
from medr_ray.diagnosis.priors import Priors
from medr_ray.diagnosis.probability_table import FloatArray

# The module docstring says how these constants were chosen.
_BREADTH_EXPONENT = 0.6  # how strongly a disease pays for its breadth; 0 would be not at all
_WEIGHT_SCALE = 0.96  # the weight of a finding that is the only one
_WEIGHT_DECAY = 0.47  # how fast the weight of each finding falls with their number
_UNLISTED_RATIO = 0.122  # likelihood ratio of a finding that all patients have, if unlisted
_UNLISTED_RARITY = 0.212  # how fast that ratio grows as the finding becomes rarer

# The number of a disease -> its findings, after retrieved evidence has updated them.
UpdatedFindings = Mapping[int, Sequence[AnnotatedFinding]]


@dataclass(frozen=True)
class Patient:
    """The numbers of the terms that a patient has (``observed``) or lacks (``excluded``).

    No finding implies another, and none is in both lists: ``build_patient`` ensures this. ``age``
    is in years. ``age`` and ``female`` are None where unknown.
    """

    observed: tuple[int, ...]
    excluded: tuple[int, ...]
    age: float | None = None
    female: bool | None = None


@dataclass(frozen=True)
class Posterior:
    """``probabilities`` [diseases] and ``none_probability``, that of "none of these"; sum 1.

    ``finding_weight`` is the exponent of one finding's ratio: t(n) of the module docstring.
    """

    probabilities: FloatArray
    none_probability: float
    finding_weight: float

    def most_likely(self, count: int) -> list[int]:
        """The numbers of the likeliest diseases, best first, at most ``count``.

        Equally likely diseases come in the order of their numbers; impossible ones are left out.
        """
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [int(disease) for disease in order if self.probabilities[disease] > 0]


def build_patient(
    terms: FindingTerms,
    observed: Sequence[int],
    excluded: Sequence[int] = (),
    age: float | None = None,
    female: bool | None = None,
) -> tuple[Patient, tuple[int, ...]]:
    """Returns (the patient, the contradicted terms).

    A term is contradicted if it is excluded although an observed finding is or implies it. It is
    then dropped from the excluded terms.
    """
    present: set[int] = set()
    implied: set[int] = set()
    for term in observed:
        ancestors = terms.with_ancestors(term)
        present |= ancestors
        implied |= ancestors - {term}
    contradicted = tuple(sorted(set(excluded) & present))
    absent = set(excluded) - present
    # Where a general finding is excluded, excluding a more specific one adds nothing.
    redundant = {term for term in absent if (terms.with_ancestors(term) & absent) - {term}}
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
        self._log_prior = log_prevalence + reports_weight * np.log1p(priors.most_reported_patients)
        log_breadth = np.log(likelihood.knowledge_base.expected_findings)
        # Minus the mean, so that on average the penalty is 0: it changes how diseases rank among
        # each other, but does not favour "none of these" over all of them.
        self._log_breadth_penalty = _BREADTH_EXPONENT * (log_breadth - log_breadth.mean())

    @property
    def knowledge_base(self) -> KnowledgeBase:
        return self.likelihood.knowledge_base

    def compute_posterior(
        self,
        patient: Patient,
        candidates: Sequence[int] | None = None,
        updated_findings: UpdatedFindings | None = None,
    ) -> Posterior:
        """The posterior over all diseases, or over ``candidates`` alone.

        Candidates share the whole prior of listed diseases. All other diseases get probability 0,
        and "none of these" then means none of the candidates.
        """
        # The weight applies to the prior as well, and the prior is normalised after that: see the
        # formula of the module docstring.
        weight = weight_per_finding(len(patient.observed))
        log_prior = weight * self._log_prior
        if candidates is not None:
            is_candidate = np.isin(np.arange(len(log_prior)), candidates)
            log_prior = np.where(is_candidate, log_prior, -np.inf)
        support = weight * self.log_support(patient, updated_findings or {})
        # "None of these" has the prior ``none_share``; the listed diseases share the rest of 1.
        logits = log_prior - _log_sum_exp(log_prior) + np.log1p(-self.none_share) + support
        none_logit = -np.inf
        if self.none_share:  # the logarithm of 0 would raise a warning
            none_logit = np.log(self.none_share) + weight * self._log_support_of_unlisted(patient)
        log_total = np.logaddexp(_log_sum_exp(logits), none_logit)
        return Posterior(np.exp(logits - log_total), float(np.exp(none_logit - log_total)), weight)

    def _log_support_of_unlisted(self, patient: Patient) -> float:
        """The same as ``log_support``, for a disease that is not listed."""
        rarity = -np.log(self.knowledge_base.background_shares[list(patient.observed)]).sum()
        return float(len(patient.observed) * np.log(_UNLISTED_RATIO) + _UNLISTED_RARITY * rarity)

    def log_support(self, patient: Patient, updated_findings: UpdatedFindings) -> FloatArray:
        """[diseases] the sum of the logarithms of context factor and likelihood ratios."""
        support = self.priors.log_context_factors(patient.age, patient.female)
        for term in patient.observed:
            support += np.log(self.likelihood.present_ratios(term)) - self._log_breadth_penalty
        # No breadth penalty here: more annotations make more matches by chance, not fewer.
        for term in patient.excluded:
            diseases, ratios = self.likelihood.absent_ratios(term)
            support[diseases] += np.log(ratios)
        for disease, findings in updated_findings.items():
            support[disease] = self._log_support_of_disease(disease, findings, patient)
        return support

    def _log_support_of_disease(
        self, disease: int, findings: Sequence[AnnotatedFinding], patient: Patient
    ) -> float:
        """The entry of ``log_support`` for one disease, computed from the given findings.

        They replace the findings that the knowledge base has for it.
        """
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

    def breadth_divisor(self, disease: int) -> float:
        """The number that divides the ratio of every observed finding of the disease."""
        return float(np.exp(self._log_breadth_penalty[disease]))


def weight_per_finding(count: int) -> float:
    """The weight t(n) of each of ``count`` observed findings (see the module docstring)."""
    return _WEIGHT_SCALE * max(count, 1) ** -_WEIGHT_DECAY


def _log_sum_exp(values: FloatArray) -> float:
    """The logarithm of the sum of exponentials; -inf when all values are -inf."""
    largest = float(values.max(initial=-np.inf))
    if not np.isfinite(largest):  # -inf minus -inf would be NaN
        return -np.inf
    return largest + float(np.log(np.exp(values - largest).sum()))
