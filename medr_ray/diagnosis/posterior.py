"""The posterior over diseases and "none of these", in log space.

For disease D with the findings s_1 .. s_n and context c

    ln P(D | s, c) = t(n) * (w ln prevalence + r ln (1 + reported) + ln context + sum ln ratio_i(D)) - constant
    ratio_i(D) = P(s_i | D) / P(s_i) / (breadth of D / mean breadth) ** _BREADTH

Four things are not in the textbook's formula. Few prevalences are known, and a disease that many
patients were reported with is met more often: ``reported`` is the most patients that one finding of
it was counted in. Findings of one patient are no independent witnesses, so n of them count as t(n)
= _TEMPER * n ** -_DEPENDENCE each. A disease of which much is annotated matches more by chance, so
each match counts less. And a disease may be missing: "none of these" has a prior of its own, and a
disease that is not listed has a finding s _UNLISTED * P(s) ** -_RARITY times as often as diseases
at large: the rarer, the less it is a coincidence.

``_BREADTH`` was chosen by its ranking of all the published cases of ``medr bench diagnosis``. The
four other constants were fitted by maximum likelihood to those of half of the diseases (the SHA-1
of their ids is even), a disease with n cases counting as the root of n, and those that the
annotations of the time do not list as 30 %; that weighting was settled on after the calibration of
both halves had been seen; ``reported`` came later, and left them as they were. So no part of these
cases is untouched by the choices.

What holds: probabilities sum to 1 with "none of these"; the order of findings does not matter; a
finding that another one implies is counted once; a finding observed and excluded counts as
observed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medr_ray.diagnosis.knowledge_base import Finding, KnowledgeBase, Terms
from medr_ray.diagnosis.likelihood import Likelihood
from medr_ray.diagnosis.priors import Priors
from medr_ray.diagnosis.probability_table import Floats

_BREADTH = 0.6
_TEMPER, _DEPENDENCE = 0.96, 0.47
_UNLISTED, _RARITY = 0.122, 0.212

Moved = Mapping[
    int, Sequence[Finding]
]  # the findings of a disease, by its number, as new evidence has them


@dataclass(frozen=True)
class Patient:
    """Term numbers, without what others imply and without contradictions (see ``patient_of``);
    ``age`` in years and ``female`` are None where unknown."""

    observed: tuple[int, ...]
    excluded: tuple[int, ...]
    age: float | None = None
    female: bool | None = None


@dataclass(frozen=True)
class Posterior:
    """``probabilities`` [diseases] and that of "none of these"; ``temper`` is what one finding
    counts."""

    probabilities: Floats
    none: float
    temper: float

    def best(self, count: int) -> list[int]:
        """The likeliest diseases, best first; of equals the one with the smaller number. Impossible
        ones are left out."""
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [int(one) for one in order if self.probabilities[one] > 0]


def patient_of(
    terms: Terms,
    observed: Sequence[int],
    excluded: Sequence[int] = (),
    age: float | None = None,
    female: bool | None = None,
) -> tuple[Patient, tuple[int, ...]]:
    """The patient, and the excluded terms that are dropped since a finding that was observed
    implies them."""
    implied = {above for one in observed for above in terms.above(one) - {one}}
    seen = {above for one in observed for above in terms.above(one)}
    contradicted = tuple(sorted({one for one in excluded if one in seen}))
    absent = {one for one in excluded if one not in seen}
    narrower = {one for one in absent if terms.above(one) - {one} & absent - {one}}
    return (
        Patient(
            tuple(sorted(set(observed) - implied)), tuple(sorted(absent - narrower)), age, female
        ),
        contradicted,
    )


class Diagnosis:
    """Posteriors over one knowledge base. ``prevalence_weight`` is w above, ``reports_weight`` r,
    ``none_share`` the prior of "none of these". Safe to share between threads."""

    def __init__(
        self,
        likelihood: Likelihood,
        priors: Priors,
        *,
        prevalence_weight: float,
        reports_weight: float,
        none_share: float,
    ) -> None:
        self.likelihood, self.priors, self.none_share = likelihood, priors, none_share
        self._common = prevalence_weight * np.log(priors.prevalence) + reports_weight * np.log1p(
            priors.reported
        )
        breadth = likelihood.base.breadth
        self._penalty = _BREADTH * (np.log(breadth) - np.log(breadth).mean())

    @property
    def base(self) -> KnowledgeBase:
        return self.likelihood.base

    def posterior(
        self, patient: Patient, candidates: Sequence[int] | None = None, moved: Moved | None = None
    ) -> Posterior:
        """The posterior over all diseases, or over ``candidates`` alone, which then share the prior
        (the others get 0, and "none of these" speaks of the candidates)."""
        temper = tempered(len(patient.observed))
        prior = temper * self._common
        if candidates is not None:
            prior = np.where(np.isin(np.arange(len(prior)), candidates), prior, -np.inf)
        logits = (
            prior
            - _log_sum(prior)
            + np.log1p(-self.none_share)
            + temper * self.support(patient, moved or {})
        )
        none = (
            np.log(self.none_share) + temper * self._unlisted(patient)
            if self.none_share
            else -np.inf
        )
        whole = np.logaddexp(_log_sum(logits), none)
        return Posterior(np.exp(logits - whole), float(np.exp(none - whole)), temper)

    def _unlisted(self, patient: Patient) -> float:
        """``support`` of a disease that is not listed."""
        rarity = -np.log(self.base.background[list(patient.observed)]).sum()
        return float(len(patient.observed) * np.log(_UNLISTED) + _RARITY * rarity)

    def support(self, patient: Patient, moved: Moved) -> Floats:
        """[diseases] ln of what context and findings say of each."""
        total = self.priors.context(patient.age, patient.female)
        for term in patient.observed:
            total += np.log(self.likelihood.present(term)) - self._penalty
        for term in patient.excluded:
            diseases, ratios = self.likelihood.absent(term)
            total[diseases] += np.log(ratios)
        for disease, findings in moved.items():
            total[disease] = self._support_of(disease, findings, patient)
        return total

    def _support_of(self, disease: int, findings: Sequence[Finding], patient: Patient) -> float:
        """``support`` of one disease with other findings than the knowledge base has."""
        ratios = [
            self.likelihood.explain(disease, findings, term).ratio for term in patient.observed
        ]
        ratios += [
            self.likelihood.explain_absence(findings, term).ratio for term in patient.excluded
        ]
        context = self.priors.context(patient.age, patient.female)[disease]
        return float(
            context + np.log(ratios).sum() - len(patient.observed) * self._penalty[disease]
        )

    def breadth_factor(self, disease: int) -> float:
        """What every observed finding of a disease is divided by."""
        return float(np.exp(self._penalty[disease]))


def tempered(count: int) -> float:
    """What one of ``count`` observed findings counts."""
    return _TEMPER * max(count, 1) ** -_DEPENDENCE


def _log_sum(values: Floats) -> float:
    """ln of the sum of exponentials; -inf when all are."""
    top = float(values.max(initial=-np.inf))
    return top + float(np.log(np.exp(values - top).sum())) if np.isfinite(top) else -np.inf
