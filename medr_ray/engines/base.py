"""The engine protocol.

An engine takes token ids and returns sampled token ids, their log-probabilities and the version of
the weights that sampled them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True)
class Sampling:
    """How to sample; ``temperature`` 0 is greedy.

    There is no top-p and no top-k: training compares log-probabilities of the full distribution,
    and a truncated one would bias the importance ratio.
    """

    max_tokens: int
    temperature: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None


@dataclass(frozen=True)
class Generation:
    """The continuation that an engine sampled for one prompt.

    ``output_ids`` includes the end-of-turn token when it was sampled. ``logprobs`` has one natural
    logarithm per output id, at the sampling temperature (at temperature 1 when greedy). ``version``
    is the version of the weights.
    """

    output_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    text: str
    finish_reason: FinishReason
    version: int


class BatchRequest(Protocol):
    """A prompt that a batching engine is working on; ``generation`` is set when it is done."""

    generation: Generation | None
    cancelled: bool


class BatchEngine(Protocol):
    """An engine that is advanced token by token, such as ``TransformersEngine``."""

    def submit(self, prompt: Sequence[int], sampling: Sampling) -> Any:
        """Queue a request and return it (a BatchRequest)."""
        ...

    def step(self) -> None:
        """Sample one more token for every request the engine has room for."""
        ...

    def reset(self) -> None:
        """Forget all requests (after a failure)."""
        ...

    def text_so_far(self, request: Any) -> str:
        """The part of a request's text that is final; later calls only append to it."""
        ...
