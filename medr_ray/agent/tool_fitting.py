"""Fitting the tool-selection policy from trajectories, and how well it predicts what agents do.

Logistic regression with an L2 penalty over standardised features. The problem is convex and is
solved from one start, so the same runs always give the same weights.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import rankdata

from medr_ray.agent.tool_features import FEATURES, GENERAL, MEDICAL, ToolChoice
from medr_ray.agent.tool_policy import ToolPolicy, standardise
from medr_ray.core.errors import DataError

_PROBABILITY_FLOOR = 1e-12  # of a probability in a logarithm
_BIAS_PENALTY = 1e-6  # keeps the bias finite where all calls went to one tool
_SMALLEST_SPREAD = 1e-9  # relative to the mean; below it a feature does not vary
_MAX_ITERATIONS = 1000


@dataclass(frozen=True)
class ChoiceFit:
    """How well ``calls`` choices are predicted.

    ``share`` is the share that went to the medical retriever. ``log_likelihood`` is that of a call
    (mean, nats), beside ``baseline``, that of a constant share. ``auc`` is null where all calls
    went to one tool.
    """

    calls: int
    share: float
    log_likelihood: float
    baseline: float
    auc: float | None


def fit_tool_policy(choices: Sequence[ToolChoice], l2: float = 1.0) -> ToolPolicy:
    """The w that maximises the penalised likelihood. Raises DataError when there is nothing to
    learn from."""
    if not choices:
        raise DataError(
            f"no call to {MEDICAL} or {GENERAL}: the tool policy has nothing to be fitted on"
        )
    medical = np.array([choice.medical for choice in choices])
    features = np.array([choice.features for choice in choices], float)
    mean, scale = _mean_and_scale(features)
    standardised = standardise(features, mean, scale)
    weights = _maximise_likelihood(standardised, np.where(medical, 1.0, -1.0), l2)
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


def _mean_and_scale(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column over the rows that have it; 0 and 1 where none
    has, a scale of 1 where nothing varies."""
    present = ~np.isnan(features)
    counts = np.maximum(present.sum(0), 1)
    mean = np.where(present, features, 0.0).sum(0) / counts
    deviations = np.where(present, features - mean, 0.0)
    spread = np.sqrt((deviations**2).sum(0) / counts)
    varies = spread > _SMALLEST_SPREAD * np.maximum(np.abs(mean), 1.0)
    return mean, np.where(varies, spread, 1.0)


def _maximise_likelihood(z: np.ndarray, sign: np.ndarray, l2: float) -> np.ndarray:
    """The weights and, last, the bias. ``z`` is (n, features), ``sign`` +1 or -1 for each row."""
    design = np.hstack([z, np.ones((len(z), 1))])
    # The bias is hardly penalised: it stands for how often the tool is used at all.
    penalty = np.array([l2] * z.shape[1] + [_BIAS_PENALTY])

    def loss_and_gradient(w: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (design @ w)
        # log(1 + exp(-margin)) in a form that does not overflow.
        loss = np.logaddexp(0.0, -margin).sum() + 0.5 * (penalty * w * w).sum()
        gradient = -design.T @ (sign * expit(-margin)) + penalty * w
        return float(loss), gradient

    result = minimize(
        loss_and_gradient,
        np.zeros(design.shape[1]),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": _MAX_ITERATIONS},
    )
    return np.asarray(result.x)


Probabilities = Sequence[float] | np.ndarray


def measure_fit(
    probabilities: Probabilities, medical: Sequence[bool], constant: float | Probabilities
) -> ChoiceFit:
    """How well probabilities predict which calls went to the medical retriever, beside
    ``constant``."""
    predicted = np.asarray(probabilities, float)
    taken = np.asarray(medical, bool)
    baseline = np.broadcast_to(np.asarray(constant, float), predicted.shape)
    return ChoiceFit(
        len(taken),
        float(taken.mean()),
        _mean_log_likelihood(predicted, taken),
        _mean_log_likelihood(baseline, taken),
        _area_under_roc(predicted, taken),
    )


def _mean_log_likelihood(predicted: np.ndarray, taken: np.ndarray) -> float:
    of_outcome = np.where(taken, predicted, 1 - predicted)
    return float(np.log(np.maximum(of_outcome, _PROBABILITY_FLOOR)).mean())


def _area_under_roc(predicted: np.ndarray, taken: np.ndarray) -> float | None:
    """The probability that a call to the medical retriever was given the higher value than one to
    the general search (Mann-Whitney; ties count half)."""
    medical_calls = int(taken.sum())
    general_calls = int((~taken).sum())
    if not medical_calls or not general_calls:
        return None
    ranks = rankdata(predicted)[taken].sum()
    # The rank sum less its smallest possible value counts the pairs in the right order.
    wins = ranks - medical_calls * (medical_calls + 1) / 2
    return float(wins / (medical_calls * general_calls))


def cross_validate(
    choices: Sequence[ToolChoice], l2: float = 1.0, folds: int = 5
) -> ChoiceFit | None:
    """How well a policy fitted on the choices of other questions predicts each question's. Null
    where all choices fall into one fold."""
    # By question: calls about one question are alike, and must not be in both sets.
    fold_of = [_fold_number(choice.question_id, folds) for choice in choices]
    if len(set(fold_of)) < 2:
        return None
    predicted = np.zeros(len(choices))
    share = np.zeros(len(choices))
    for fold in sorted(set(fold_of)):
        training = [
            choice
            for choice, choice_fold in zip(choices, fold_of, strict=True)
            if choice_fold != fold
        ]
        policy = fit_tool_policy(training, l2)
        rows = [row for row, row_fold in enumerate(fold_of) if row_fold == fold]
        predicted[rows] = policy.medical_probabilities([choices[row].features for row in rows])
        share[rows] = policy.share
    return measure_fit(predicted, [choice.medical for choice in choices], share)


def _fold_number(question_id: str, folds: int) -> int:
    # By hash: the fold of a question does not depend on the other questions.
    return int(hashlib.sha256(question_id.encode()).hexdigest()[:8], 16) % folds
