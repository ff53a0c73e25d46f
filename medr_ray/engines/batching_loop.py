"""One engine shared by many coroutines: each request joins the running batch and waits for its own
end only.

What holds: the engine is touched by one thread; a request that is no longer awaited ends at its
next token; an engine that fails fails the requests it had and takes new ones; an action such as a
change of weights runs alone, after the requests before it and before those after it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from medr_ray.core.errors import InfrastructureError
from medr_ray.engines.base import BatchEngine, BatchRequest, Generation, Sampling


@dataclass(eq=False)
class _Watched:
    """A request and who waits for it; ``texts`` gets the text so far at each step when it is
    streamed, None at the end."""

    prompt: Sequence[int]
    sampling: Sampling
    done: "asyncio.Future[Generation]"
    texts: "asyncio.Queue[str | None] | None" = None
    request: BatchRequest | None = None


class EngineLoop:
    """Runs ``engine`` for the coroutines of one event loop."""

    def __init__(self, engine: BatchEngine) -> None:
        self.engine = engine
        self._new: list[_Watched] = []
        self._actions: deque[tuple[Callable[[], Any], asyncio.Future[Any]]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")

    async def generate(self, prompt: Sequence[int], sampling: Sampling) -> Generation:
        """One continuation. Raises InfrastructureError when the engine fails."""
        watched = self._watch(prompt, sampling)
        try:
            return await watched.done
        finally:
            _let_go(watched)

    async def stream(
        self, prompt: Sequence[int], sampling: Sampling
    ) -> AsyncGenerator[str | Generation, None]:
        """Text deltas as they come, at last the whole Generation. Raises InfrastructureError when
        the engine fails."""
        texts: asyncio.Queue[str | None] = asyncio.Queue()
        watched, shown = self._watch(prompt, sampling, texts), 0
        try:
            while (text := await texts.get()) is not None:
                if len(text) > shown:
                    yield text[shown:]
                    shown = len(text)
            yield await watched.done
        finally:
            _let_go(watched)

    async def run_exclusively(self, action: Callable[[], Any]) -> Any:
        """Run ``action`` in the engine's thread while no request is being answered; what it returns
        or raises."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._actions.append((action, future))
        self._wake()
        return await future

    def close(self) -> None:
        """End the engine's thread; nothing may be running."""
        self._thread.shutdown(wait=False)

    def _watch(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        texts: "asyncio.Queue[str | None] | None" = None,
    ) -> _Watched:
        watched = _Watched(prompt, sampling, asyncio.get_running_loop().create_future(), texts)
        self._new.append(watched)
        self._wake()
        return watched

    def _wake(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        """Until nobody waits. A waiting action keeps new requests out, so that its turn comes."""
        running: list[_Watched] = []
        while running or self._new or self._actions:
            if self._actions and not running:
                await self._act(*self._actions.popleft())
                continue
            if not self._actions:
                running += self._take()
            running = await self._step(running)

    async def _act(self, action: Callable[[], Any], future: "asyncio.Future[Any]") -> None:
        try:
            result = await self._in_thread(action)
        except Exception as error:
            if not future.cancelled():
                future.set_exception(error)
        else:
            if not future.cancelled():
                future.set_result(result)

    def _take(self) -> list[_Watched]:
        new, self._new = [one for one in self._new if not one.done.done()], []
        for one in new:
            one.request = self.engine.submit(one.prompt, one.sampling)
        return new

    async def _step(self, running: list[_Watched]) -> list[_Watched]:
        """Advance the batch; the requests that are not done."""
        try:
            await self._in_thread(self.engine.step)
        except Exception as error:
            await self._in_thread(self.engine.reset)
            for one in running:
                _fail(one, error)
            return []
        return [one for one in running if not self._deliver(one)]

    def _deliver(self, watched: _Watched) -> bool:
        """Pass on what is there; whether that was the end."""
        generation = watched.request.generation if watched.request is not None else None
        if watched.texts is not None:
            watched.texts.put_nowait(self.engine.text_so_far(watched.request))
        if generation is None:
            return False
        if not watched.done.done():
            watched.done.set_result(generation)
        if watched.texts is not None:
            watched.texts.put_nowait(None)
        return True

    async def _in_thread(self, action: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, action)


def _fail(watched: _Watched, error: Exception) -> None:
    if not watched.done.done():
        watched.done.set_exception(
            InfrastructureError(f"the engine failed: {type(error).__name__}: {error}")
        )
    if watched.texts is not None:
        watched.texts.put_nowait(None)


def _let_go(watched: _Watched) -> None:
    """Nobody waits any more."""
    watched.done.cancel()
    if watched.request is not None:
        watched.request.cancelled = True
