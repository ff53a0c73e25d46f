"""The losses, as sums over tokens.

The caller divides by the global token count. The gradient then does not depend on how sequences
are spread over micro-batches and workers, and a long rollout's tokens weigh as much as a short
one's (the token-level loss of DAPO, arXiv 2503.14476).

``POLICY_LOSSES`` lists the losses that ``grpo.loss`` may name. Each gets the whole GRPO section, so
a new option of a loss is one field there and its use here. The module does not import torch:
loading a configuration reads the table.

The probability ratio r = exp(logprobs - sampled) compares the trainer's weights with the engine's
probabilities at sampling time. The trainer takes one step an update, so r differs from 1 by what
engine and trainer compute differently (bf16 weights, other kernels) and, with ``grpo.max_staleness:
1``, by one update of the policy. Both losses bound what r may do to a token in both directions.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from medr_ray.core.config import GRPOConfig

if TYPE_CHECKING:
    import torch

# Nats by which the trainer may find a token likelier than the engine did. Every bound of the losses
# holds long before; exp of more than 88 is infinite in float32, and infinity times an advantage of
# zero is no number.
_LARGEST_LOG_RATIO = 20.0


@dataclass(frozen=True)
class PolicyLoss:
    """``loss`` is the sum over tokens. The other fields are diagnostics without gradient: sums over
    tokens, except ``largest_ratio``.

    ``clipped_low`` and ``clipped_high`` count the tokens whose ratio was held at a bound, below and
    above 1; ``mismatched`` those whose ratio is above ``grpo.ratio_cap`` or below its inverse.
    ``divergence`` is the estimator k3 of KL(engine || trainer) that DeepSeekMath uses (arXiv
    2402.03300): exp(d) - 1 - d with d = logprobs - sampled.
    """

    loss: "torch.Tensor"
    ratio: "torch.Tensor"
    clipped_low: "torch.Tensor"
    clipped_high: "torch.Tensor"
    divergence: "torch.Tensor"
    mismatched: "torch.Tensor"
    largest_ratio: "torch.Tensor"


def sft_loss(logprobs: "torch.Tensor", weights: "torch.Tensor") -> "torch.Tensor":
    """Negative log-likelihood of the target tokens, summed (paper section 4.1).

    ``logprobs`` is (N), and so are ``weights``; empty ones are all 1.
    """
    return -(logprobs * weights).sum() if len(weights) else -logprobs.sum()


def clipped_loss(
    logprobs: "torch.Tensor",
    sampled: "torch.Tensor",
    advantages: "torch.Tensor",
    config: GRPOConfig,
) -> PolicyLoss:
    """Clipped surrogate, summed over tokens. All tensors are (N).

    -min(r A, clip(r, 1 - clip_low, 1 + clip_high) A), and for A < 0 at most -dual_clip A. A is the
    advantage. The form is that of PPO (arXiv 1707.06347) and GRPO (DeepSeekMath, arXiv 2402.03300),
    with an upper bound of its own as in DAPO (arXiv 2503.14476), which leaves rare tokens room to
    become likelier. The bound for A < 0 is dual-clip PPO's (arXiv 1912.09729, equation 5), where
    dual_clip is c = 3: without it one token that the engine gave a probability of e^-20 and the
    trainer one near 1 has a gradient 10^8 times that of others. Beyond a bound the gradient is 0.

    At r = 1 the gradient is the paper's (section 4.2): the log-likelihood, weighted by the reward
    minus its group's mean. Unlike GRPO there is no KL term to a reference model.
    """
    import torch

    ratio = _compute_ratio(logprobs, sampled)
    bounded = ratio.clamp(1 - config.clip_low, 1 + config.clip_high)
    surrogate = torch.minimum(ratio * advantages, bounded * advantages)
    falling = advantages < 0
    floor = config.dual_clip * advantages
    surrogate = torch.where(falling, torch.maximum(surrogate, floor), surrogate)
    with torch.no_grad():
        clipped_low = falling & (ratio < 1 - config.clip_low)
        raised_too_far = (advantages > 0) & (ratio > 1 + config.clip_high)
        clipped_high = raised_too_far | (falling & (ratio > config.dual_clip))
    return _describe_loss(
        -surrogate.sum(), clipped_low, clipped_high, ratio, logprobs, sampled, config
    )


def truncated_loss(
    logprobs: "torch.Tensor",
    sampled: "torch.Tensor",
    advantages: "torch.Tensor",
    config: GRPOConfig,
) -> PolicyLoss:
    """Log-likelihood weighted by A and the truncated ratio min(r, ratio_cap), summed over tokens.

    All tensors are (N). The ratio carries no gradient: the loss is -min(r, ratio_cap) A logprobs.
    This is the importance sampling of V-trace (IMPALA, arXiv 1802.01561, section 4) as it is used
    between an engine and a trainer with a cap of 2 (Yao et al. 2025, "Your efficient RL framework
    secretly brings you off-policy RL training"). It is also the decoupled objective (arXiv
    2110.00641, AReaL, arXiv 2505.24298) with the trainer's weights before the step as the proximal
    policy: with one step an update their ratio to themselves is 1, and what remains is the weight
    between proximal and sampling policy. No token's weight leaves [0, ratio_cap], and unlike with
    the clipped surrogate no gradient is cut to zero because of staleness alone.
    """
    ratio = _compute_ratio(logprobs, sampled)
    weights = ratio.detach().clamp(max=config.ratio_cap)
    clipped_high = ratio.detach() > config.ratio_cap
    clipped_low = clipped_high.new_zeros(clipped_high.shape)
    loss = -(weights * advantages * logprobs).sum()
    return _describe_loss(loss, clipped_low, clipped_high, ratio, logprobs, sampled, config)


def _compute_ratio(logprobs: "torch.Tensor", sampled: "torch.Tensor") -> "torch.Tensor":
    return (logprobs - sampled).clamp(max=_LARGEST_LOG_RATIO).exp()


def _describe_loss(
    loss: "torch.Tensor",
    clipped_low: "torch.Tensor",
    clipped_high: "torch.Tensor",
    ratio: "torch.Tensor",
    logprobs: "torch.Tensor",
    sampled: "torch.Tensor",
    config: GRPOConfig,
) -> PolicyLoss:
    ratio = ratio.detach()
    difference = (logprobs.detach() - sampled).clamp(max=_LARGEST_LOG_RATIO)
    return PolicyLoss(
        loss=loss,
        ratio=ratio.sum(),
        clipped_low=clipped_low.sum(),
        clipped_high=clipped_high.sum(),
        divergence=(ratio - 1 - difference).sum(),
        mismatched=(difference.abs() > math.log(config.ratio_cap)).sum(),
        largest_ratio=ratio.max(),
    )


POLICY_LOSSES: Mapping[
    str, Callable[["torch.Tensor", "torch.Tensor", "torch.Tensor", GRPOConfig], PolicyLoss]
] = {
    "clipped": clipped_loss,
    "truncated": truncated_loss,
}
