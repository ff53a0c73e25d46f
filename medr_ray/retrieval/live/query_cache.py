"""A cache that asks equal questions once: rollouts of a group ask the same things, many at the same
time."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class QueryCache(Generic[K, T]):
    """The ``max_entries`` latest answers, and those under way; failures are not kept.

    For use on one event loop.
    """

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        self._answers: dict[K, asyncio.Future[T]] = {}

    async def get(self, question: K, ask: Callable[[K], Awaitable[T]]) -> T:
        """The answer to the question: cached, under way, or asked for now."""
        answer = self._answers.get(question)
        if answer is None:
            # Stored before it is awaited, so that an equal question that comes meanwhile finds it.
            answer = asyncio.ensure_future(ask(question))
            self._answers[question] = answer
            answer.add_done_callback(lambda done: self._drop_failure(question, done))
            if len(self._answers) > self._max_entries:
                del self._answers[next(iter(self._answers))]  # the oldest
        # Shielded: a caller that gives up must not cancel the answer for others.
        return await asyncio.shield(answer)

    def _drop_failure(self, question: K, done: asyncio.Future[T]) -> None:
        has_failed = done.cancelled() or done.exception() is not None
        if has_failed and self._answers.get(question) is done:
            del self._answers[question]
