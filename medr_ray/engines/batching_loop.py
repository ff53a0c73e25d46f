"""Lets many coroutines share one engine. Their requests run in one batch.

Guaranteed: a request joins the running batch and waits only for its own end. Only one thread uses
the engine. A request that nobody awaits any more ends at its next token. A request that the engine
refuses, or that fails by itself, fails alone. When a step fails, the running requests fail, and the
engine then takes new ones. A step that does not end fails everybody who waits, and who comes while
it lasts. An action, such as a change of weights, runs alone: after the requests that came before
it, and before the requests that come later.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from medr_ray.core.errors import InfrastructureError
from medr_ray.engines.base import BatchEngine, BatchRequest, Generation, Progress, Sampling

# Of one step. The longest is to read some thousand tokens of prompts, which takes a large model on
# a slow CPU minutes.
_STALL_SECONDS = 900.0


# Two requests may have the same content, so they are compared by identity.
@dataclass(eq=False)
class _PendingRequest:
    """A request and the coroutine that waits for it.

    ``news`` is there when the request is streamed: it is set at the end, and after each step from
    the time ``due`` on (of ``time.monotonic``). ``text`` and ``token_count`` are those of the last
    such step.
    """

    prompt: Sequence[int]
    sampling: Sampling
    done: "asyncio.Future[Generation]"
    news: asyncio.Event | None = None
    request: Any = None  # a BatchRequest, with what the engine adds to one
    text: str = ""
    token_count: int = 0
    due: float = 0.0


class EngineLoop:
    """Runs ``engine`` for the coroutines of one event loop.

    A task steps the engine while there are requests or actions, and ends when there are none.
    ``compute_gap`` gives the seconds between two pieces of a stream, while so many streams run;
    without it there is a piece for every step.
    """

    def __init__(
        self,
        engine: BatchEngine,
        stall_seconds: float = _STALL_SECONDS,
        compute_gap: Callable[[int], float] | None = None,
    ) -> None:
        self.engine = engine
        self._stall_seconds = stall_seconds
        self._compute_gap = compute_gap or (lambda streams: 0.0)
        self._streams = 0
        self._is_stalled = False
        self._queued: list[_PendingRequest] = []
        self._actions: deque[tuple[Callable[[], Any], asyncio.Future[Any]]] = deque()
        self._task: asyncio.Task[None] | None = None
        # One thread, because an engine is not safe to use from several. The event loop stays free
        # meanwhile.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")

    async def generate(self, prompt: Sequence[int], sampling: Sampling) -> Generation:
        """One continuation. Raises InfrastructureError when the engine fails."""
        pending = self._queue_request(prompt, sampling)
        try:
            return await pending.done
        finally:
            _abandon_request(pending)

    async def stream(
        self, prompt: Sequence[int], sampling: Sampling
    ) -> AsyncGenerator[Progress | Generation, None]:
        """Pieces of the continuation as they come, then the whole Generation.

        What the engine sampled while the reader was busy, or between two pieces, comes in one
        piece; the first piece and the end wait for nothing. Raises InfrastructureError when the
        engine fails.
        """
        news = asyncio.Event()
        pending = self._queue_request(prompt, sampling, news)
        sent_length = 0
        sent_tokens = 0
        self._streams += 1
        try:
            while True:
                await news.wait()
                news.clear()
                if pending.done.done():
                    break
                if len(pending.text) > sent_length:
                    # The text so far only grows (see ``BatchEngine.text_so_far``), so what is new
                    # is its end.
                    progress = _build_progress(pending, sent_length, sent_tokens)
                    # Counted now: it may have grown when the reader comes back.
                    sent_length += len(progress.text)
                    sent_tokens += len(progress.output_ids)
                    pending.due = time.monotonic() + self._compute_gap(self._streams)
                    yield progress
            generation = await pending.done
            if len(generation.text) > sent_length or len(generation.reports) > sent_tokens:
                yield Progress(
                    generation.text[sent_length:],
                    generation.output_ids[sent_tokens:] if generation.reports else (),
                    generation.reports[sent_tokens:],
                )
            yield generation
        finally:
            self._streams -= 1
            _abandon_request(pending)

    async def run_exclusively(self, action: Callable[[], Any]) -> Any:
        """Run ``action`` in the engine's thread while the engine works on no request.

        Returns what the action returns and raises what it raises.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._actions.append((action, future))
        self._ensure_running()
        return await future

    def close(self) -> None:
        """End the engine's thread. No request may be running."""
        self._thread.shutdown(wait=False)

    def _queue_request(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        news: asyncio.Event | None = None,
    ) -> _PendingRequest:
        pending = _PendingRequest(
            prompt, sampling, asyncio.get_running_loop().create_future(), news
        )
        if self._is_stalled:
            raise InfrastructureError(self._describe_stall())
        self._queued.append(pending)
        self._ensure_running()
        return pending

    def _ensure_running(self) -> None:
        # No lock: only coroutines of one event loop come here.
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        """Step the engine until there is nothing to do; whatever ends this, nobody waits on."""
        running: list[_PendingRequest] = []
        try:
            await self._run_until_idle(running)
        except BaseException as error:
            reason = error if isinstance(error, Exception) else RuntimeError("the loop was ended")
            for pending in (*running, *self._queued):
                _fail_request(pending, reason)
            for _, future in self._actions:
                if not future.done():
                    future.set_exception(reason)
            self._queued = []
            self._actions.clear()
            raise

    async def _run_until_idle(self, running: list[_PendingRequest]) -> None:
        """Step the engine until there is nothing to do. ``running`` holds the batch's requests.

        An action that waits keeps new requests out: the batch runs empty and the action gets its
        turn.
        """
        while running or self._queued or self._actions:
            if self._actions and not running:
                await self._run_action(*self._actions.popleft())
                continue
            if not self._actions:
                running += self._submit_queued()
            running[:] = await self._step_engine(running)

    async def _run_action(self, action: Callable[[], Any], future: "asyncio.Future[Any]") -> None:
        try:
            result = await self._run_in_thread(action)
        except Exception as error:
            if not future.cancelled():
                # The caller may have been cancelled meanwhile: a cancelled future takes no result.
                future.set_exception(error)
        else:
            if not future.cancelled():
                future.set_result(result)

    def _submit_queued(self) -> list[_PendingRequest]:
        """Give the queued requests to the engine, except those that nobody awaits any more."""
        waiting = [pending for pending in self._queued if not pending.done.done()]
        self._queued = []
        submitted = []
        for pending in waiting:
            try:
                pending.request = self.engine.submit(pending.prompt, pending.sampling)
            except Exception as error:
                # The request's own fault: the others have nothing to do with it.
                _fail_request(pending, error)
            else:
                submitted.append(pending)
        return submitted

    async def _step_engine(self, running: list[_PendingRequest]) -> list[_PendingRequest]:
        """Advance the batch by one token and return the requests that are not done."""
        try:
            await self._watch_step(running)
        except Exception as error:
            for pending in running:
                _fail_request(pending, error)
            # The step may have ended anywhere, so the state of the engine's batch and cache is
            # unknown. Should this fail too, the next step fails those who are in it.
            with contextlib.suppress(Exception):
                await self._run_in_thread(self.engine.reset)
            return []
        return [pending for pending in running if not self._try_to_deliver(pending)]

    async def _watch_step(self, running: Sequence[_PendingRequest]) -> None:
        """Advance the engine by one step. When it takes too long, everybody who waits is told; the
        step itself cannot be stopped, and its thread is needed for the next one."""
        step = asyncio.ensure_future(self._run_in_thread(self.engine.step))
        done, _ = await asyncio.wait([step], timeout=self._stall_seconds)
        if not done:
            self._is_stalled = True
            stall = InfrastructureError(self._describe_stall())
            for pending in (*running, *self._queued):
                _fail_request(pending, stall)
            self._queued = []
        try:
            await step
        finally:
            self._is_stalled = False

    def _describe_stall(self) -> str:
        return f"the engine has not finished a step within {self._stall_seconds:g} s"

    def _try_to_deliver(self, pending: _PendingRequest) -> bool:
        """``_deliver_progress``; a request whose text cannot be read fails alone."""
        try:
            return self._deliver_progress(pending)
        except Exception as error:
            _fail_request(pending, error)
            if pending.request is not None:
                pending.request.cancelled = True
            return True

    def _deliver_progress(self, pending: _PendingRequest) -> bool:
        """Pass text and result on to the waiting coroutine; True when the request is done."""
        request: BatchRequest = pending.request
        if request.failure is not None:
            _fail_request(pending, request.failure)
            return True
        if request.generation is not None and not pending.done.done():
            pending.done.set_result(request.generation)
        is_done = request.generation is not None
        if pending.news is not None and (is_done or time.monotonic() >= pending.due):
            # Of one that is done the stream has the whole text.
            if not is_done:
                pending.text = self.engine.text_so_far(request)
                if pending.sampling.top_logprobs is not None:
                    pending.token_count = len(pending.request.reports)
            pending.news.set()
        return is_done

    async def _run_in_thread(self, action: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, action)


def _fail_request(pending: _PendingRequest, error: Exception) -> None:
    if not pending.done.done():
        failure = error
        if not isinstance(error, InfrastructureError):
            failure = InfrastructureError(f"the engine failed: {type(error).__name__}: {error}")
        pending.done.set_exception(failure)
    if pending.news is not None:
        pending.news.set()


def _build_progress(pending: _PendingRequest, sent_length: int, sent_tokens: int) -> Progress:
    """What came of a request since so many characters and tokens."""
    text = pending.text[sent_length:]
    if pending.token_count <= sent_tokens:
        return Progress(text)
    # Up to the last step's: the engine's thread may be adding to the lists.
    new = slice(sent_tokens, pending.token_count)
    return Progress(
        text, tuple(pending.request.output_ids[new]), tuple(pending.request.reports[new])
    )


def _abandon_request(pending: _PendingRequest) -> None:
    """Let the engine drop a request that nobody awaits any more; no effect on a finished one."""
    pending.done.cancel()
    if pending.request is not None:
        # A flag is enough: the engine's thread looks at it after each token.
        pending.request.cancelled = True
