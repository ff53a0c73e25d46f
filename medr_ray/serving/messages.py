"""The messages between the gateway and a model replica: a chat job, and its completion or refusal.

Refusals are values, not exceptions, so that a wrong request never counts as a failing replica.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class ChatJob:
    """One request. ``messages`` are (role, content); ``max_tokens`` None means as many as allowed;
    ``temperature`` 0 is greedy."""

    model: str
    messages: tuple[tuple[str, str], ...]
    max_tokens: int | None = None
    temperature: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None


@dataclass(frozen=True)
class Completion:
    """The answer and its token counts; ends a stream with ``text`` "". ``finish_reason`` is stop or
    length."""

    text: str
    prompt_tokens: int
    output_tokens: int
    finish_reason: str


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
class Delta:
    """A piece of streamed text."""

    text: str


StreamItem = Refusal | Opening | Delta | Completion


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
