"""Fitting the tool-selection policy from trajectories, and how well it foretells what agents do.

Logistic regression with an L2 penalty over standardised features: convex, from one start, so the
same runs always give the same weights.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import rankdata

from medr_ray.agent.tool_features import FEATURES, GENERAL, MEDICAL, Choice
from medr_ray.agent.tool_policy import ToolPolicy, standardised
from medr_ray.core.errors import DataError

_FLOOR = 1e-12  # of a probability in a logarithm
_BIAS_PENALTY = 1e-6  # keeps the bias finite where all calls went to one tool


@dataclass(frozen=True)
class ChoiceFit:
    """How well ``calls`` choices are foretold: ``log_likelihood`` of a call (mean, nats) beside
    ``baseline``, that of a constant share; ``auc`` is null where all calls went to one tool."""

    calls: int
    share: float
    log_likelihood: float
    baseline: float
    auc: float | None


def fit_tool_policy(choices: Sequence[Choice], l2: float = 1.0) -> ToolPolicy:
    """The w that maximises the penalised likelihood. Raises DataError when there is nothing to
    learn from."""
    if not choices:
        raise DataError(
            f"no call to {MEDICAL} or {GENERAL}: the tool policy has nothing to be fitted on"
        )
    medical = np.array([one.medical for one in choices])
    features = np.array([one.features for one in choices], float)
    mean, scale = _moments(features)
    weights = _maximised(standardised(features, mean, scale), np.where(medical, 1.0, -1.0), l2)
    return ToolPolicy(
        FEATURES,
        tuple(mean.tolist()),
        tuple(scale.tolist()),
        tuple(weights[:-1].tolist()),
        float(weights[-1]),
        l2,
        len(medical),
        float(medical.mean()),
    )


def _moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of what is known of each feature; 0 and 1 where nothing is, or
    nothing varies."""
    known = ~np.isnan(features)
    counts = np.maximum(known.sum(0), 1)
    mean = np.where(known, features, 0.0).sum(0) / counts
    spread = np.sqrt((np.where(known, features - mean, 0.0) ** 2).sum(0) / counts)
    return mean, np.where(spread > 1e-9 * np.maximum(np.abs(mean), 1.0), spread, 1.0)


def _maximised(z: np.ndarray, sign: np.ndarray, l2: float) -> np.ndarray:
    """Weights and, last, the bias."""
    design = np.hstack([z, np.ones((len(z), 1))])
    penalty = np.array([l2] * z.shape[1] + [_BIAS_PENALTY])

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (design @ w)
        value = np.logaddexp(0.0, -margin).sum() + 0.5 * (penalty * w * w).sum()
        return float(value), -design.T @ (sign * expit(-margin)) + penalty * w

    found = minimize(
        loss, np.zeros(design.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 1000}
    )
    return np.asarray(found.x)


Probabilities = Sequence[float] | np.ndarray


def measure(
    probabilities: Probabilities, medical: Sequence[bool], constant: float | Probabilities
) -> ChoiceFit:
    """How well probabilities foretell which calls went to the medical retriever, beside
    ``constant``."""
    p, taken = np.asarray(probabilities, float), np.asarray(medical, bool)
    baseline = np.broadcast_to(np.asarray(constant, float), p.shape)
    return ChoiceFit(
        len(taken),
        float(taken.mean()),
        _likelihood(p, taken),
        _likelihood(baseline, taken),
        _auc(p, taken),
    )


def _likelihood(p: np.ndarray, taken: np.ndarray) -> float:
    return float(np.log(np.maximum(np.where(taken, p, 1 - p), _FLOOR)).mean())


def _auc(p: np.ndarray, taken: np.ndarray) -> float | None:
    """The probability that a call to the medical retriever was given the higher p than one to the
    general search (Mann-Whitney; ties count half)."""
    yes, no = int(taken.sum()), int((~taken).sum())
    if not yes or not no:
        return None
    return float((rankdata(p)[taken].sum() - yes * (yes + 1) / 2) / (yes * no))


def held_out_fit(choices: Sequence[Choice], l2: float = 1.0, folds: int = 5) -> ChoiceFit | None:
    """How well a policy fitted on the choices of other questions foretells each question's
    (cross-validated by question); null where the choices fall into one fold."""
    fold = [
        int(hashlib.sha256(one.question_id.encode()).hexdigest()[:8], 16) % folds for one in choices
    ]
    if len(set(fold)) < 2:
        return None
    p, share = np.zeros(len(choices)), np.zeros(len(choices))
    for held in sorted(set(fold)):
        policy = fit_tool_policy(
            [one for one, own in zip(choices, fold, strict=True) if own != held], l2
        )
        rows = [index for index, own in enumerate(fold) if own == held]
        p[rows], share[rows] = (
            policy.probabilities([choices[row].features for row in rows]),
            policy.share,
        )
    return measure(p, [one.medical for one in choices], share)
