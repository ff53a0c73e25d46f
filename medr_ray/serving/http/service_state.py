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

    ``max_running`` is how many requests to the model may be in progress or wait; null for no limit.
    """

    max_running: int | None = None
    running: int = 0
    model_is_ready: bool = False
    is_draining: bool = False

    @property
    def is_ready(self) -> bool:
        """Whether a request would be answered now, or wait for its turn."""
        return self.model_is_ready and not self.is_draining

    @property
    def is_full(self) -> bool:
        """Whether every place is taken."""
        return self.max_running is not None and self.running >= self.max_running

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
    is_model_ready: Callable[[], Awaitable[bool]],
    refresh_keys: Callable[[], None],
) -> AsyncIterator[None]:
    """Keep ``state`` and the keys up to date inside the block."""
    task = asyncio.create_task(_look_again_and_again(state, is_model_ready, refresh_keys))
    try:
        yield
    finally:
        state.is_draining = True
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _look_again_and_again(
    state: ServiceState,
    is_model_ready: Callable[[], Awaitable[bool]],
    refresh_keys: Callable[[], None],
) -> None:
    while True:
        await _look_at_model(state, is_model_ready)
        try:
            # In a thread: a shared folder may not answer.
            await asyncio.to_thread(refresh_keys)
        except Exception:
            _logger.exception("the keys could not be looked at")
        await asyncio.sleep(_LOOK_SECONDS)


async def _look_at_model(
    state: ServiceState, is_model_ready: Callable[[], Awaitable[bool]]
) -> None:
    try:
        async with asyncio.timeout(_LOOK_TIMEOUT_SECONDS):
            state.model_is_ready = await is_model_ready()
    except Exception as error:  # whatever the model's replica raises
        state.model_is_ready = False
        _logger.warning("the model is not ready: %s", type(error).__name__)
