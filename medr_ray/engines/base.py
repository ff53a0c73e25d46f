"""The engine protocol: token ids in, sampled token ids with their log-probabilities out, under a
weights version."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Sampling:
    """How to sample. ``temperature`` 0 is greedy. No top-p or top-k: truncation would bias the
    importance ratio."""

    max_tokens: int
    temperature: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None


@dataclass(frozen=True)
class Generation:
    """``output_ids`` includes the end-of-turn token when it was sampled; ``logprobs`` are natural
    logarithms at the sampling temperature (at temperature 1 when greedy), one per output id.
    ``finish_reason`` is stop or length."""

    output_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    text: str
    finish_reason: str
    version: int


class BatchRequest(Protocol):
    """What a batching engine hands out for a prompt."""

    generation: Generation | None
    cancelled: bool


class BatchEngine(Protocol):
    """An engine that is advanced token by token, such as ``TransformersEngine``."""

    def submit(self, prompt: Sequence[int], sampling: Sampling) -> Any:
        """Queue a request and return it (a BatchRequest)."""
        ...

    def step(self) -> None:
        """One more token for every request the engine has room for."""
        ...

    def reset(self) -> None:
        """Forget all requests (after a failure)."""
        ...

    def text_so_far(self, request: Any) -> str:
        """What may be shown of a request; grows by appending."""
        ...
