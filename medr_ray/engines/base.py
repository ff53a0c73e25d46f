"""The engine protocol.

An engine takes token ids and returns sampled token ids, their log-probabilities and the version of
the weights that sampled them.
"""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args, runtime_checkable

if TYPE_CHECKING:
    import torch

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
ALL_CAPABILITIES: frozenset[Capability] = frozenset(get_args(Capability))


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


def find_needed_capabilities(sampling: Sampling) -> Iterator[Capability]:
    """What an engine must offer for this sampling."""
    shaping = sampling.shaping or Shaping()
    if shaping.top_p < 1.0:
        yield "top_p"
    if shaping.top_k > 0:
        yield "top_k"
    if shaping.presence_penalty:
        yield "presence_penalty"
    if shaping.frequency_penalty:
        yield "frequency_penalty"
    if shaping.repetition_penalty != 1.0:
        yield "repetition_penalty"
    if shaping.logit_bias:
        yield "logit_bias"
    if shaping.constraint is not None:
        yield "constraint"
    if sampling.top_logprobs is not None:
        yield "logprobs"
    if sampling.prompt_logprobs:
        yield "prompt_logprobs"


def require_offered(capabilities: frozenset[Capability], sampling: Sampling) -> None:
    """Raises ValueError with the names of what an engine of these capabilities does not offer."""
    missing = [name for name in find_needed_capabilities(sampling) if name not in capabilities]
    if missing:
        raise ValueError(f"this engine does not offer {', '.join(missing)}")


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

    def close(self) -> None:
        """Give back what the engine holds. No request may be running."""
        ...


class Engine(SharedEngine, Protocol):
    """An engine whose weights and memory can be changed while it serves: what training needs.

    An answer comes from one version of the weights, whole: what changes them waits until the
    requests in work are done, and those that come meanwhile wait until the change is made. A
    request is one turn of a dialogue, so the wait is as long as the longest turn takes.

    New weights come in buckets: ``begin_weights``, ``add_weights`` as often as needed, then
    ``finish_weights``. When they are not whole, or not what was sent, the engine answers nothing
    (requests raise InfrastructureError) until a whole set has come.
    """

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the engine offers beside plain sampling."""
        ...

    async def generate(
        self, prompt: Sequence[int], sampling: Sampling, dialogue: str = ""
    ) -> Generation:
        """One continuation.

        Requests of the same ``dialogue`` go to the same engine where there are several, which has
        what it read of it. Raises ValueError for a sampling that the engine does not offer, and
        InfrastructureError when the engine fails or cannot read the prompt.
        """
        ...

    async def get_version(self) -> int:
        """The version of the weights that answer; 0 before any were given."""
        ...

    async def pause(self) -> None:
        """Finish the requests in work and let new ones wait; returns when none is in work."""
        ...

    async def resume(self) -> None:
        """Go on with the requests that wait."""
        ...

    async def begin_weights(self, version: int, adapter_scaling: float | None = None) -> None:
        """Begin to take in weights that will answer as ``version``.

        With ``adapter_scaling`` what comes is a LoRA adapter alone, under the names of PEFT's
        files: the weights become those that last came whole, or that the engine was started with,
        plus ``adapter_scaling`` x B @ A. Without it what comes is the whole model.

        Returns when no request is in work; new ones wait from here on. An update that was begun
        before and not finished is dropped. Raises InfrastructureError for an engine that sleeps,
        and for an adapter where the engine takes none.
        """
        ...

    async def add_weights(self, bucket: "Mapping[str, torch.Tensor]") -> None:
        """Take in weights by name, as ``named_parameters`` of the Hugging Face model lists them:
        whole tensors in bfloat16 or float32, each once, in any order.

        Raises InfrastructureError for names and shapes that the model does not have, for a number
        format other than these two, and without ``begin_weights``.
        """
        ...

    async def finish_weights(self, checksum: str) -> int:
        """Answer with the new weights; returns their version. ``checksum`` is the sender's
        (``weight_checksum.WeightChecksum``).

        What the engine read under other weights is forgotten. Raises InfrastructureError when
        weights are missing or the checksum of what came is another.
        """
        ...

    async def checksum(self) -> str:
        """The checksum of the weights that answer.

        Raises InfrastructureError where the engine finds that they are not those it was given.
        """
        ...

    async def reset_cache(self) -> None:
        """Forget what was read: the next requests read their prompts whole."""
        ...

    async def sleep(self, keep_weights: bool = True) -> None:
        """Give back the device's memory, after the requests in work; new ones wait.

        The weights move to the host's memory. Without ``keep_weights`` they are dropped, and after
        ``wake`` requests wait on until new ones have come.
        """
        ...

    async def wake(self) -> None:
        """Take the memory again; requests that wait go on. No effect on an engine that is awake."""
        ...


class BatchRequest(Protocol):
    """A prompt that a batching engine is working on; ``generation`` is set when it is done, or
    ``failure`` when this request alone failed."""

    generation: Generation | None
    failure: Exception | None
    cancelled: bool


@runtime_checkable
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
