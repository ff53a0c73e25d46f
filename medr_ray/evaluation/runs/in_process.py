"""Many attempts at once in this process, on an event loop of a thread of its own.

Most of an attempt is waiting for an endpoint, so that one process has hundreds under way. Each
comes back once: with its trajectory, or with why infrastructure left it without one after
``rollouts.retries`` fresh attempts. Failures in a row of one cause end the work.
"""

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Generator, Sequence

from medr_ray.core.errors import InfrastructureError
from medr_ray.core.failure_streak import FailureStreak
from medr_ray.core.records import Trajectory
from medr_ray.rollouts.failure_kinds import MODEL
from medr_ray.rollouts.outcomes import RolloutOutcome
from medr_ray.rollouts.worker import RolloutRequest

Ask = Callable[[RolloutRequest], Awaitable[Trajectory]]
_JOIN_SECONDS = 10.0  # for attempts to end once they are cancelled


def run_in_process(
    ask: Ask, requests: Sequence[RolloutRequest], concurrency: int, retries: int
) -> Generator[RolloutOutcome, None, None]:
    """Outcomes as they finish. A consumer that stops early cancels the rest.

    Raises what ``ask`` raises beside InfrastructureError (a refused key, a spent budget, a defect),
    and InfrastructureError where failures in a row have one cause.
    """
    finished: queue.SimpleQueue[RolloutOutcome | BaseException | None] = queue.SimpleQueue()
    loop = asyncio.new_event_loop()
    work = loop.create_task(_run_all(ask, requests, concurrency, retries, finished.put))
    thread = threading.Thread(
        target=_run_loop, args=(loop, work, finished.put), name="attempts", daemon=True
    )
    thread.start()
    streak = FailureStreak("questions")
    try:
        while (outcome := finished.get()) is not None:
            if isinstance(outcome, BaseException):
                raise outcome
            if outcome.trajectory is None:
                streak.record_failure(outcome.failure)
            else:
                streak.record_success()
            yield outcome
            streak.require_hope()
    finally:
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            loop.call_soon_threadsafe(work.cancel)
        thread.join(_JOIN_SECONDS)


def _run_loop(
    loop: asyncio.AbstractEventLoop,
    work: "asyncio.Task[None]",
    put: Callable[[BaseException | None], None],
) -> None:
    """Run the work to its end, which ``put`` is given: None, or what it raised."""
    try:
        loop.run_until_complete(work)
    except asyncio.CancelledError:
        put(None)
    except BaseException as error:
        put(error)
    else:
        put(None)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _run_all(
    ask: Ask,
    requests: Sequence[RolloutRequest],
    concurrency: int,
    retries: int,
    put: Callable[[RolloutOutcome], None],
) -> None:
    waiting = iter(requests)

    async def take_turns() -> None:
        # The next one in order, whoever is free first.
        for request in waiting:
            put(await _try_request(ask, request, retries))

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(concurrency, len(requests))):
                group.create_task(take_turns())
    except BaseExceptionGroup as failures:
        # The first is why the others were cancelled.
        raise failures.exceptions[0] from None


async def _try_request(ask: Ask, request: RolloutRequest, retries: int) -> RolloutOutcome:
    """The outcome of a request after as many attempts as it needs."""
    failure = ""
    for attempt in range(1, retries + 2):
        started = time.monotonic()
        try:
            trajectory = await ask(request)
        except InfrastructureError as error:
            failure = str(error)
        else:
            seconds = time.monotonic() - started
            return RolloutOutcome(request, trajectory, seconds=seconds, attempts=attempt)
    return RolloutOutcome(request, None, failure, kind=MODEL, attempts=retries + 1)
