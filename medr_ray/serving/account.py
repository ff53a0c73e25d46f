"""What a request used, for its line in the log and the limits of its key: the key's name and the
tokens that were read and written for it. Never any text."""

from collections.abc import AsyncIterator
from contextvars import ContextVar
from dataclasses import dataclass

from medr_ray.serving.messages import (
    ChatBackend,
    ChatJob,
    Completion,
    Refusal,
    StreamItem,
    close_stream,
)


@dataclass
class RequestAccount:
    """The use of one HTTP request, which may ask the model several times."""

    key_name: str = "-"
    prompt_tokens: int = 0
    output_tokens: int = 0

    def add(self, completion: Completion) -> None:
        """Count the tokens of an answer."""
        self.prompt_tokens += completion.prompt_tokens
        self.output_tokens += completion.output_tokens


# Of the HTTP request that is being answered; none outside of requests.
current_account: ContextVar[RequestAccount | None] = ContextVar("account", default=None)


class CountedChat:
    """A chat backend whose tokens count for the request that is being answered."""

    def __init__(self, backend: ChatBackend) -> None:
        self._backend = backend

    async def complete(self, job: ChatJob) -> Completion | Refusal:
        """The whole answer."""
        reply = await self._backend.complete(job)
        if isinstance(reply, Completion):
            _count(reply)
        return reply

    async def stream(self, job: ChatJob) -> AsyncIterator[StreamItem]:
        """A Refusal, or an Opening, Deltas and a Completion."""
        items = self._backend.stream(job)
        try:
            async for item in items:
                if isinstance(item, Completion):
                    _count(item)
                yield item
        finally:
            # A reader that leaves ends the generation at once.
            await close_stream(items)

    async def statistics(self) -> dict[str, int]:
        """Counters since the start."""
        return await self._backend.statistics()


def _count(completion: Completion) -> None:
    account = current_account.get()
    if account is not None:
        account.add(completion)
