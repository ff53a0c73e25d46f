"""What the service knows about itself without asking anybody: how many requests it answers, whether
its model was ready at the last look, whether it is about to end."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass

# Between two looks at the model and at the file of keys: soon enough for a load balancer, and rare
# enough to cost nothing.
_LOOK_SECONDS = 1.0
# Within which a look must succeed. A look that takes longer says nothing, and the next one decides.
_LOOK_TIMEOUT_SECONDS = 5.0

_logger = logging.getLogger("medr_ray.serving")


@dataclass
class ServiceState:
    """Read by the routes and middlewares of one process, on its event loop.

    ``places_per_replica`` is how many requests a replica of the model works on at a time, and
    ``max_queued`` how many may wait beside them; null for no limit. ``ready_replicas`` is what the
    last look at the model saw.
    """

    places_per_replica: int | None = None
    max_queued: int = 0
    running: int = 0
    ready_replicas: int = 0
    is_draining: bool = False

    @property
    def max_running(self) -> int | None:
        """How many requests to the model may be in progress or wait; null for no limit."""
        if self.places_per_replica is None:
            return None
        # While none is there, as many may wait as the first one will take.
        return max(self.ready_replicas, 1) * self.places_per_replica + self.max_queued

    @property
    def is_ready(self) -> bool:
        """Whether a request would be answered now, or wait for its turn."""
        return self.ready_replicas > 0 and not self.is_draining

    @property
    def is_full(self) -> bool:
        """Whether every place is taken."""
        limit = self.max_running
        return limit is not None and self.running >= limit

    @contextlib.contextmanager
    def count_request(self) -> Iterator[None]:
        """Take a place inside the block."""
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1


@contextlib.asynccontextmanager
async def watch(
    state: ServiceState,
    count_replicas: Callable[[], Awaitable[int]],
    refresh_keys: Callable[[], None],
) -> AsyncIterator[None]:
    """Keep ``state`` and the keys up to date inside the block."""
    task = asyncio.create_task(_look_again_and_again(state, count_replicas, refresh_keys))
    try:
        yield
    finally:
        state.is_draining = True
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _look_again_and_again(
    state: ServiceState,
    count_replicas: Callable[[], Awaitable[int]],
    refresh_keys: Callable[[], None],
) -> None:
    while True:
        await _look_at_model(state, count_replicas)
        try:
            # In a thread: a shared folder may not answer.
            await asyncio.to_thread(refresh_keys)
        except Exception:
            _logger.exception("the keys could not be looked at")
        await asyncio.sleep(_LOOK_SECONDS)


async def _look_at_model(state: ServiceState, count_replicas: Callable[[], Awaitable[int]]) -> None:
    try:
        async with asyncio.timeout(_LOOK_TIMEOUT_SECONDS):
            state.ready_replicas = await count_replicas()
    except Exception as error:  # whatever the model's replica raises
        state.ready_replicas = 0
        _logger.warning("the model is not ready: %s", type(error).__name__)
