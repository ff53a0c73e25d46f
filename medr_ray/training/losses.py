"""The losses, as sums over tokens: the caller divides by the global token count, so that the
gradient does not depend on how sequences are spread over micro-batches and workers.

``POLICY_LOSSES`` lists the losses that ``grpo.loss`` may name. Each gets the whole GRPO section, so
a new option of a loss is one field there and its use here. The module does not import torch:
loading a configuration reads the table.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from medr_ray.core.config import GRPOConfig

if TYPE_CHECKING:
    import torch

_CLIPPED_MARGIN = 1e-12  # a ratio at the bound gives the same surrogate up to rounding


@dataclass(frozen=True)
class PolicyLoss:
    """``loss`` is the sum over tokens; the other fields are sums of per-token diagnostics without
    gradient."""

    loss: "torch.Tensor"
    ratio: "torch.Tensor"
    clipped: "torch.Tensor"
    divergence: "torch.Tensor"


def sft_loss(logprobs: "torch.Tensor") -> "torch.Tensor":
    """Negative log-likelihood of the target tokens, summed (paper section 4.1). ``logprobs``:
    (N)."""
    return -logprobs.sum()


def clipped_loss(
    logprobs: "torch.Tensor",
    sampled: "torch.Tensor",
    advantages: "torch.Tensor",
    config: GRPOConfig,
) -> PolicyLoss:
    """Clipped surrogate -min(r A, clip(r, 1 - clip_low, 1 + clip_high) A), summed over tokens; all
    tensors (N).

    r = exp(logprobs - sampled), where ``sampled`` are the engine's log-probabilities at sampling
    time; at r = 1 the gradient is the paper's (section 4.2) log-likelihood weighted by r(x, y) -
    mean. There is no KL term. ``divergence`` is the k3 estimator of KL(engine || trainer): exp(d) -
    1 - d with d = logprobs - sampled.
    """
    import torch

    difference = logprobs - sampled
    ratio = difference.exp()
    bounded = ratio.clamp(1 - config.clip_low, 1 + config.clip_high)
    surrogate = torch.minimum(ratio * advantages, bounded * advantages)
    with torch.no_grad():
        clipped = (surrogate < ratio * advantages - _CLIPPED_MARGIN).float().sum()
        divergence = (ratio - 1 - difference).sum()
    return PolicyLoss(-surrogate.sum(), ratio.detach().sum(), clipped, divergence)


POLICY_LOSSES: Mapping[
    str, Callable[["torch.Tensor", "torch.Tensor", "torch.Tensor", GRPOConfig], PolicyLoss]
] = {
    "clipped": clipped_loss,
}
