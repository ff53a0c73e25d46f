"""The messages between the gateway and a model replica: a chat job, and its completion or refusal.

Refusals are values, not exceptions, so that a wrong request never counts as a failing replica. What
a model cannot do is refused by the name of the parameter, never left out in silence.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from medr_ray.llm.completions import FunctionCall

FinishReason = Literal["stop", "length", "tool_calls"]
# ``tool_choice`` that names no function.
AUTO, NO_TOOL, ANY_TOOL = "auto", "none", "required"


@dataclass(frozen=True)
class ChatTurn:
    """One message of a dialogue.

    ``role`` is system, user, assistant or tool. ``thought`` is what an assistant's message had in
    ``reasoning_content``; ``tool_call_id`` names the call that a tool's message answers.
    """

    role: str
    content: str
    tool_calls: tuple[FunctionCall, ...] = ()
    tool_call_id: str = ""
    thought: str = ""


@dataclass(frozen=True)
class ChatJob:
    """One request.

    ``messages`` is the dialogue to continue, or ``prompt`` the text or token ids to continue
    without a chat template; the other of the two is empty. ``max_tokens`` None means as many as
    allowed; 0 is taken with ``echo`` only. ``temperature`` 0 is greedy; ``top_p`` 1, ``top_k`` 0
    and the penalties' defaults are off. ``logit_bias`` is by token id. ``logprobs`` asks for the
    log-probability of every token, ``top_logprobs`` for that of as many of the most likely ones.

    ``tools`` are functions in OpenAI's form (``{"type": "function", "function": {...}}``);
    ``tool_choice`` is auto, none, required, or the name of the function that must be called.
    ``response_format`` is the JSON schema that the answer must have. ``echo`` puts the prompt in
    front of the answer, with its log-probabilities where they are asked for.
    """

    model: str
    messages: tuple[ChatTurn, ...]
    max_tokens: int | None = None
    temperature: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None
    prompt: str | tuple[int, ...] | None = None
    n: int = 1
    top_p: float = 1.0
    top_k: int = 0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    logprobs: bool = False
    top_logprobs: int = 0
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: str = AUTO
    parallel_tool_calls: bool = True
    response_format: Mapping[str, Any] | None = None
    echo: bool = False


@dataclass(frozen=True)
class TokenLogprob:
    """A token and its natural log-probability, null for the first token of an echoed prompt.

    ``content`` is the token's own bytes, which need not be whole characters; ``text`` is what they
    spell, with replacement characters where they are none. ``alternatives`` are the most likely
    tokens at this place, the likeliest first; they have none of their own.
    """

    text: str
    content: bytes
    token_id: int
    logprob: float | None
    alternatives: tuple["TokenLogprob", ...] = ()


@dataclass(frozen=True)
class Choice:
    """One of the ``n`` answers of a request. ``logprobs`` are null where none were asked for."""

    index: int
    text: str
    finish_reason: FinishReason
    thought: str = ""
    tool_calls: tuple[FunctionCall, ...] = ()
    logprobs: tuple[TokenLogprob, ...] | None = None


@dataclass(frozen=True)
class Completion:
    """The answers and their token counts, ``output_tokens`` of all answers together.

    It ends a stream; its choices then have nothing but their index and ``finish_reason``.
    """

    choices: tuple[Choice, ...]
    prompt_tokens: int
    output_tokens: int


@dataclass(frozen=True)
class Refusal:
    """Why a request cannot be answered: HTTP status, OpenAI error code, message, and the parameter
    at fault."""

    status: int
    code: str
    message: str
    param: str | None = None


@dataclass(frozen=True)
class Opening:
    """First item of a stream that was accepted."""

    prompt_tokens: int


@dataclass(frozen=True)
class CallDelta:
    """A piece of the streamed call number ``index`` of a choice. The first piece of a call has its
    id and name, the others only more of the text of its arguments."""

    index: int
    arguments: str
    id: str = ""
    name: str = ""


@dataclass(frozen=True)
class Delta:
    """What came of choice number ``index`` since its last delta: text, thought, pieces of calls,
    and the log-probabilities of its tokens where they were asked for."""

    text: str
    index: int = 0
    thought: str = ""
    tool_calls: tuple[CallDelta, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()


StreamItem = Refusal | Opening | Delta | Completion


async def close_stream(items: AsyncIterator[Any]) -> None:
    """Let what makes the items know that nobody reads them any more, so that it ends at once; one
    that has ended, or that cannot be told, is left alone."""
    close = getattr(items, "aclose", None)
    if close is not None:
        await close()


class ChatBackend(Protocol):
    """What answers chat jobs: a replica behind a Serve handle, or the server itself."""

    async def complete(self, job: ChatJob) -> Completion | Refusal:
        """The whole answer."""
        ...

    def stream(self, job: ChatJob) -> AsyncIterator[StreamItem]:
        """A Refusal, or an Opening, Deltas and a Completion."""
        ...

    async def statistics(self) -> dict[str, int]:
        """Counters since the start: requests, running, most_running, models_loaded."""
        ...
