"""The losses, as sums over tokens.

The caller divides by the global token count. The gradient then does not depend on how sequences
are spread over micro-batches and workers, and a long rollout's tokens weigh as much as a short
one's (the token-level loss of DAPO, arXiv 2503.14476).

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

# A token counts as clipped when its surrogate is smaller by more than this: inside the bounds both
# products are equal up to rounding.
_CLIPPED_MARGIN = 1e-12


@dataclass(frozen=True)
class PolicyLoss:
    """``loss`` is the sum over tokens; the other fields are sums of per-token diagnostics without
    gradient."""

    loss: "torch.Tensor"
    ratio: "torch.Tensor"
    clipped: "torch.Tensor"
    divergence: "torch.Tensor"


def sft_loss(logprobs: "torch.Tensor") -> "torch.Tensor":
    """Negative log-likelihood of the target tokens, summed (paper section 4.1).

    ``logprobs`` is (N).
    """
    return -logprobs.sum()


def clipped_loss(
    logprobs: "torch.Tensor",
    sampled: "torch.Tensor",
    advantages: "torch.Tensor",
    config: GRPOConfig,
) -> PolicyLoss:
    """Clipped surrogate -min(r A, clip(r, 1 - clip_low, 1 + clip_high) A), summed over tokens.

    All tensors are (N). A is the advantage and r = exp(logprobs - sampled), where ``sampled`` are
    the engine's log-probabilities at sampling time. The form is that of PPO (arXiv 1707.06347) and
    GRPO (DeepSeekMath, arXiv 2402.03300), with an upper bound of its own as in DAPO (arXiv
    2503.14476), which leaves rare tokens room to become likelier. At r = 1 the gradient is the
    paper's (section 4.2): the log-likelihood, weighted by the reward minus its group's mean.

    Unlike GRPO there is no KL term to a reference model. ``divergence`` is a diagnostic: the
    estimator k3 of KL(engine || trainer) that DeepSeekMath uses, exp(d) - 1 - d with d = logprobs -
    sampled.
    """
    import torch

    # The trainer takes one step per update, so r differs from 1 only by what engine and trainer
    # compute differently (bf16 weights, other kernels). That mismatch is what the clip acts on.
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
