"""The losses, as sums over tokens: the caller divides by the global token count, so that the
gradient does not depend on how sequences are spread over micro-batches and workers."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class PolicyLoss:
    """``loss`` is the sum over tokens; the rest are sums of per-token diagnostics without
    gradient."""

    loss: torch.Tensor
    ratio: torch.Tensor
    clipped: torch.Tensor
    divergence: torch.Tensor


def sft_loss(logprobs: torch.Tensor) -> torch.Tensor:
    """Negative log-likelihood of the target tokens, summed (paper section 4.1). ``logprobs``:
    (N)."""
    return -logprobs.sum()


def grpo_loss(
    logprobs: torch.Tensor,
    sampled: torch.Tensor,
    advantages: torch.Tensor,
    clip_low: float,
    clip_high: float,
) -> PolicyLoss:
    """Clipped surrogate -min(r A, clip(r, 1 - low, 1 + high) A), summed over tokens; all tensors
    (N).

    r = exp(logprobs - sampled), ``sampled`` being the engine's log-probabilities at sampling time;
    at r = 1 the gradient is the paper's (section 4.2) log-likelihood weighted by r(x, y) - mean. No
    KL term. ``divergence`` is the k3 estimator of KL(engine || trainer): exp(d) - 1 - d with d =
    logprobs - sampled.
    """
    difference = logprobs - sampled
    ratio = difference.exp()
    bounded = ratio.clamp(1 - clip_low, 1 + clip_high)
    surrogate = torch.minimum(ratio * advantages, bounded * advantages)
    with torch.no_grad():
        clipped = (surrogate < ratio * advantages - 1e-12).float().sum()
        divergence = (ratio - 1 - difference).sum()
    return PolicyLoss(-surrogate.sum(), ratio.detach().sum(), clipped, divergence)
