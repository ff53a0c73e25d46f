"""Calls of many threads, answered together where they come together.

The first call is answered at once. Those that come meanwhile make the next batch, so that nobody
waits for company. A batch that fails fails for each of its calls.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class CallBatcher(Generic[Item, Answer]):
    """Answers items with ``answer_batch``, which gives an answer for each of at most ``most``."""

    def __init__(
        self, answer_batch: Callable[[Sequence[Item]], Sequence[Answer]], most: int
    ) -> None:
        self._answer_batch = answer_batch
        self._most = most
        self._waiting: list[tuple[Item, Future[Answer]]] = []
        self._is_answering = False
        self._changed = threading.Condition()  # guards the two above

    def answer(self, item: Item) -> Answer:
        """The answer to one item; blocks until it is there."""
        future: Future[Answer] = Future()
        with self._changed:
            self._waiting.append((item, future))
        while True:
            with self._changed:
                self._changed.wait_for(lambda: future.done() or not self._is_answering)
                if future.done():
                    return future.result()
                # This thread answers for all who wait, itself among them or in a later batch.
                self._is_answering = True
                batch = self._waiting[: self._most]
                del self._waiting[: self._most]
            try:
                self._answer_together(batch)
            finally:
                with self._changed:
                    self._is_answering = False
                    self._changed.notify_all()

    def _answer_together(self, batch: Sequence[tuple[Item, Future[Answer]]]) -> None:
        try:
            answers = self._answer_batch([item for item, _ in batch])
            for (_, future), answer in zip(batch, answers, strict=True):
                future.set_result(answer)
        except Exception as error:
            # It is raised where each of the calls waits.
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
