"""The engine protocol: token ids in, sampled token ids with their log-probabilities out, under a weights version."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Sampling:
    """How to sample. ``temperature`` 0 is greedy. No top-p or top-k: truncation would bias the importance ratio."""

    max_tokens: int
    temperature: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None


@dataclass(frozen=True)
class Generation:
    """``output_ids`` includes the end-of-turn token when it was sampled; ``logprobs`` are natural logarithms at the
    sampling temperature (at temperature 1 when greedy), one per output id. ``finish_reason`` is stop or length."""

    output_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    text: str
    finish_reason: str
    version: int


class Engine(Protocol):
    """A loaded language model."""

    version: int

    def generate(self, prompts: Sequence[Sequence[int]], sampling: Sampling) -> list[Generation]:
        """Sample one continuation per prompt, in order."""
        ...

    def load_weights(self, weights: Mapping[str, Any], version: int) -> None:
        """Replace the weights (parameter name -> tensor)."""
        ...
