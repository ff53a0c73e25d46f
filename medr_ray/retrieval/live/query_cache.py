"""Equal questions are asked once: rollouts of a group ask the same things, many at the same
time."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Memory(Generic[K, T]):
    """The ``most`` latest answers, and those under way; failures are forgotten. For use on one
    event loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._asked: dict[K, asyncio.Future[T]] = {}

    async def get(self, question: K, ask: Callable[[K], Awaitable[T]]) -> T:
        """The answer to the question: known, on its way, or asked for now. Whoever gives up does
        not end it for others."""
        answer = self._asked.get(question)
        if answer is None:
            answer = self._asked[question] = asyncio.ensure_future(ask(question))
            answer.add_done_callback(lambda done: self._forget_failure(question, done))
            if len(self._asked) > self._most:
                del self._asked[next(iter(self._asked))]
        return await asyncio.shield(answer)

    def _forget_failure(self, question: K, done: asyncio.Future[T]) -> None:
        failed = done.cancelled() or done.exception() is not None
        if failed and self._asked.get(question) is done:
            del self._asked[question]
