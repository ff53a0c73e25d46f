"""The engine protocol.

An engine takes token ids and returns sampled token ids, their log-probabilities and the version of
the weights that sampled them.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args

FinishReason = Literal["stop", "length"]
# What an engine may offer beside plain sampling, by the names of the fields that ask for it.
Capability = Literal[
    "top_p",
    "top_k",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "logit_bias",
    "logprobs",
    "prompt_logprobs",
    "constraint",
]
ALL_CAPABILITIES: frozenset[str] = frozenset(get_args(Capability))


class TokenConstraint(Protocol):
    """Says token by token what an answer may go on with, such as a JSON schema does. It belongs to
    one answer."""

    def allowed_tokens(self) -> Any:
        """A boolean tensor over the vocabulary: what the next token may be."""
        ...

    def accept_token(self, token: int) -> None:
        """Go on behind ``token``, the one that was drawn."""
        ...


@dataclass(frozen=True)
class Shaping:
    """Changes of the distribution that tokens are drawn from, in the order in which they are made.

    ``constraint`` leaves out tokens. ``repetition_penalty`` divides the positive logits of tokens
    that stand in the prompt or the answer, and multiplies the negative ones (Keskar et al. 2019,
    CTRL). ``frequency_penalty`` is taken off a logit for every time the token stands in the answer,
    ``presence_penalty`` once if it does (OpenAI). ``logit_bias`` is added by token id. Then the
    temperature is applied, ``top_k`` keeps as many tokens (0: all), and ``top_p`` keeps the fewest
    likeliest ones that have this much of the probability together.
    """

    top_p: float = 1.0
    top_k: int = 0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    constraint: TokenConstraint | None = None


@dataclass(frozen=True)
class Sampling:
    """How to sample; ``temperature`` 0 is greedy.

    ``shaping`` and the reports are for serving. Training compares log-probabilities of the full
    distribution, and a truncated one would bias the importance ratio: see
    ``require_full_distribution``. ``top_logprobs`` asks for a report of every token with as many
    alternatives, ``prompt_logprobs`` for reports of the prompt's tokens as well.
    """

    max_tokens: int
    temperature: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None
    shaping: Shaping | None = None
    top_logprobs: int | None = None
    prompt_logprobs: bool = False


def require_full_distribution(sampling: Sampling) -> None:
    """Raises ValueError for a sampling whose log-probabilities training must not use."""
    if sampling.shaping is not None:
        raise ValueError(
            "training samples from the full distribution: top_p, top_k, penalties, logit_bias and "
            "constraints would bias the importance ratio of its log-probabilities"
        )


@dataclass(frozen=True)
class TokenReport:
    """The natural log-probability of a token and of the likeliest ones at its place, as (id,
    log-probability), the likeliest first.

    They are the model's own: of the distribution at temperature 1, before any ``Shaping``.
    """

    logprob: float
    alternatives: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Generation:
    """The continuation that an engine sampled for one prompt.

    ``output_ids`` includes the end-of-turn token when it was sampled. ``logprobs`` has one natural
    logarithm per output id, under the distribution that the token was drawn from: at the sampling
    temperature (at temperature 1 when greedy), and with its ``Shaping`` if there was one.
    ``version`` is the version of the weights. ``reports`` has one per output id where they were
    asked for, ``prompt_reports`` one per token of the prompt but its first, before which there is
    nothing.
    """

    output_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    text: str
    finish_reason: FinishReason
    version: int
    reports: tuple[TokenReport, ...] = ()
    prompt_reports: tuple[TokenReport, ...] = ()


@dataclass(frozen=True)
class Progress:
    """What came of a streamed continuation since the last piece: text that is final, and the tokens
    sampled meanwhile with their reports, where reports were asked for."""

    text: str
    output_ids: tuple[int, ...] = ()
    reports: tuple[TokenReport, ...] = ()


class SharedEngine(Protocol):
    """An engine that many coroutines of one event loop use at the same time: what serving needs of
    one, such as ``EngineLoop`` over a BatchEngine, or a server library that batches by itself."""

    async def generate(self, prompt: Sequence[int], sampling: Sampling) -> Generation:
        """One continuation. Raises InfrastructureError when the engine fails."""
        ...

    def stream(
        self, prompt: Sequence[int], sampling: Sampling
    ) -> AsyncGenerator[Progress | Generation, None]:
        """Pieces of the continuation as they come, then the whole Generation. Closing the generator
        ends the request."""
        ...

    async def run_exclusively(self, action: Callable[[], Any]) -> Any:
        """Run ``action`` while the engine works on no request."""
        ...

    def close(self) -> None:
        """Give back what the engine holds. No request may be running."""
        ...


class BatchRequest(Protocol):
    """A prompt that a batching engine is working on; ``generation`` is set when it is done, or
    ``failure`` when this request alone failed."""

    generation: Generation | None
    failure: Exception | None
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
