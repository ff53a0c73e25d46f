"""Log-probabilities of target tokens, without ever holding the logits of all of them.

Logits (tokens x vocabulary) are the largest tensors of a training step. They are computed in chunks
of tokens, and again in the backward pass instead of being kept.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

# Target tokens whose logits over the whole vocabulary exist at one time: 156 MB in float32 at a
# vocabulary of 152,000.
_CHUNK_TOKENS = 256


@dataclass(frozen=True)
class _LogitSettings:
    """How a model and a temperature turn the products of the output layer into logits.

    A product is multiplied by ``scale``, bounded to ``cap`` by a hyperbolic tangent where there is
    one, and divided by ``temperature``.
    """

    temperature: float
    scale: float
    cap: float | None

    def apply(self, products: torch.Tensor) -> torch.Tensor:
        # In float32: softmax sums over the whole vocabulary, and in bf16 the rounding of this sum
        # would be in every log-probability.
        logits = products.float() * self.scale
        if self.cap is not None:
            logits = (logits / self.cap).tanh() * self.cap
        return logits / self.temperature

    def differentiate(self, logits: torch.Tensor) -> torch.Tensor | float:
        """The derivative of ``logits`` by the products they came from."""
        slope = self.scale / self.temperature
        if self.cap is None:
            return slope
        return slope * (1 - (logits * self.temperature / self.cap).square())


def score_targets_in_head(model: Any, temperature: float) -> None:
    """Make the output layer of ``model`` return (log-probabilities, entropies) of target tokens.

    It is then called as ``head(states, tokens)``, with the hidden states (N, size) that predict the
    ``tokens`` (N), and returns float32 tensors (N); entropies carry no gradient.

    One call for all targets of a micro-batch, however many chunks they are: under FSDP and ZeRO 3
    the workers gather the layer's weights around each call, and with a call for each chunk workers
    with fewer targets would leave the others waiting. Raises ValueError for an output layer that is
    not linear.
    """
    head = model.get_output_embeddings()
    if not isinstance(head, nn.Linear):
        raise ValueError(
            f"{type(model).__name__} has an output layer of type {type(head).__name__}; only a "
            "linear one can be trained"
        )
    text_config = model.config.get_text_config()
    # Cohere multiplies by a scale, Granite divides by one, Gemma bounds the logits.
    scale = getattr(text_config, "logit_scale", None) or 1.0
    scale /= getattr(text_config, "logits_scaling", None) or 1.0
    cap = getattr(text_config, "final_logit_softcapping", None)
    settings = _LogitSettings(temperature, scale, cap)
    head.forward = partial(_score_targets, head, settings)  # type: ignore[assignment]


def _score_targets(
    head: nn.Linear, settings: _LogitSettings, states: torch.Tensor, tokens: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    return _TargetScores.apply(states, head.weight, head.bias, tokens, settings)


class _TargetScores(torch.autograd.Function):
    """The scores in chunks. The weight's gradient is summed over the chunks in float32, because in
    bf16 a sum of many would lose the small ones."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        states: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        tokens: torch.Tensor,
        settings: _LogitSettings,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        ctx.settings = settings
        logprobs = torch.empty(len(tokens), dtype=torch.float32, device=states.device)
        entropies = torch.empty_like(logprobs)
        # The format of the states is the one that the model multiplies in.
        products = _HeadProducts(states, weight, bias)
        for start in range(0, len(tokens), _CHUNK_TOKENS):
            chunk = slice(start, start + _CHUNK_TOKENS)
            distribution = settings.apply(products.compute(chunk)).log_softmax(-1)
            logprobs[chunk] = distribution.gather(1, tokens[chunk, None])[:, 0]
            entropies[chunk] = -(distribution.exp() * distribution).sum(-1)
        ctx.save_for_backward(states, weight, bias, tokens)
        ctx.mark_non_differentiable(entropies)
        return logprobs, entropies

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: Any, logprob_gradient: torch.Tensor, _: torch.Tensor
    ) -> tuple[torch.Tensor | None, ...]:
        states, weight, bias, tokens = ctx.saved_tensors
        products = _HeadProducts(states, weight, bias)
        states_gradient = torch.empty_like(states)
        weight_gradient = bias_gradient = None
        if ctx.needs_input_grad[1]:
            weight_gradient = torch.zeros_like(weight, dtype=torch.float32)
        if bias is not None and ctx.needs_input_grad[2]:
            bias_gradient = torch.zeros_like(bias, dtype=torch.float32)
        for start in range(0, len(tokens), _CHUNK_TOKENS):
            chunk = slice(start, start + _CHUNK_TOKENS)
            logits = ctx.settings.apply(products.compute(chunk))
            # The derivative of a log-probability: 1 at the token itself, minus the distribution.
            gradient = -logits.softmax(-1)
            gradient.scatter_add_(1, tokens[chunk, None], gradient.new_ones(len(gradient), 1))
            gradient *= logprob_gradient[chunk, None] * ctx.settings.differentiate(logits)
            if bias_gradient is not None:
                bias_gradient += gradient.sum(0)
            rounded = gradient.to(states.dtype)
            states_gradient[chunk] = rounded @ products.weight
            if weight_gradient is not None:
                weight_gradient += rounded.T @ states[chunk]
        return (
            states_gradient,
            None if weight_gradient is None else weight_gradient.to(weight.dtype),
            None if bias_gradient is None else bias_gradient.to(bias.dtype),
            None,
            None,
        )


class _HeadProducts:
    """The products of hidden states and the output layer's weights."""

    def __init__(
        self, states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
    ) -> None:
        self._states = states
        self.weight = weight.to(states.dtype)
        self._bias = None if bias is None else bias.to(states.dtype)

    def compute(self, chunk: slice) -> torch.Tensor:
        return nn.functional.linear(self._states[chunk], self.weight, self._bias)
