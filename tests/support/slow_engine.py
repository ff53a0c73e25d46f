"""An engine whose answers take longer.

Every engine's actor loads this module, so it imports little.
"""

import asyncio
from collections.abc import Callable, Sequence

from medr_ray.engines.base import Engine, Generation, Sampling


class SlowEngineFactory:
    """Makes an engine of ``make_engine`` whose answers take ``pause`` seconds longer."""

    def __init__(self, make_engine: Callable[[], Engine], pause: float) -> None:
        self._make_engine = make_engine
        self._pause = pause

    def __call__(self) -> Engine:
        engine = self._make_engine()
        generate = engine.generate

        async def wait_and_generate(
            prompt: Sequence[int], sampling: Sampling, dialogue: str = ""
        ) -> Generation:
            await asyncio.sleep(self._pause)
            return await generate(prompt, sampling, dialogue)

        engine.generate = wait_and_generate  # type: ignore[method-assign]
        return engine
