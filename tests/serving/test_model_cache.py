"""Which requests wait while a model is loaded, and which do not."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from pathlib import Path

from support.scripted_engine import ScriptedEngine

from medr_ray.engines.base import BatchEngine
from medr_ray.serving.model_cache import ModelCache


class SlowLoading:
    """Loads models by name at once, except "slow", which waits until it is let."""

    def __init__(self, model: Path, folder: Path, capacity: int) -> None:
        from transformers import AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(model)
        self.loaded: list[str] = []
        self.is_loading = threading.Event()
        self.may_finish = threading.Event()
        self.places = {}
        for name in ("first", "second", "slow"):
            place = folder / name
            place.symlink_to(model)
            self.places[name] = str(place)
        self.cache = ModelCache(self.places, self._load, capacity)

    def _load(self, directory: Path) -> BatchEngine:
        self.loaded.append(directory.name)
        if directory.name == "slow":
            self.is_loading.set()
            assert self.may_finish.wait(60)
        return ScriptedEngine(self._tokenizer, lambda prompt: "text")

    @contextlib.asynccontextmanager
    async def use(self, name: str) -> AsyncIterator[None]:
        async with asyncio.timeout(60), self.cache.use_engine(self.places[name]):
            yield

    async def use_once(self, name: str) -> None:
        async with self.use(name):
            pass


def test_requests_to_a_loaded_model_go_on_while_another_is_loaded(
    tiny_model: Path, tmp_path: Path
) -> None:
    models = SlowLoading(tiny_model, tmp_path, capacity=2)

    async def ask() -> None:
        await models.use_once("first")
        waiting = asyncio.create_task(models.use_once("slow"))
        await asyncio.to_thread(models.is_loading.wait, 60)
        await models.use_once("first")
        assert not waiting.done()
        models.may_finish.set()
        await waiting

    asyncio.run(ask())
    assert models.loaded == ["first", "slow"]


def test_only_the_model_that_makes_room_takes_no_new_requests(
    tiny_model: Path, tmp_path: Path
) -> None:
    models = SlowLoading(tiny_model, tmp_path, capacity=2)
    models.may_finish.set()
    order: list[str] = []

    async def use_and_note(name: str, note: str) -> None:
        async with models.use(name):
            order.append(note)

    async def ask() -> None:
        async with models.use("second"):
            async with models.use("first"):
                # "second" was used least recently, and both are in use.
                slow = asyncio.create_task(use_and_note("slow", "slow"))
                await asyncio.sleep(0)
                again = asyncio.create_task(use_and_note("second", "second again"))
                await asyncio.sleep(0)
                await use_and_note("first", "first again")
            # Nobody uses "first" any more: it makes room.
            await slow
        await again

    asyncio.run(ask())
    assert order == ["first again", "slow", "second again"]


def test_a_request_that_gives_up_waiting_for_room_leaves_the_others_as_they_were(
    tiny_model: Path, tmp_path: Path
) -> None:
    models = SlowLoading(tiny_model, tmp_path, capacity=1)

    async def ask() -> None:
        async with models.use("first"):
            waiting = asyncio.create_task(models.use_once("slow"))
            await asyncio.sleep(0)
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await waiting
            await models.use_once("first")

    asyncio.run(ask())
    assert models.loaded == ["first"]


def test_nobody_overtakes_a_request_that_is_about_to_get_the_lock(
    tiny_model: Path, tmp_path: Path
) -> None:
    models = SlowLoading(tiny_model, tmp_path, capacity=1)

    async def load_slow_and_ask_again() -> bool:
        async with models.use("slow"):
            # The lock has just been let go, and the request that waits for it has yet to run.
            entering = models.cache.use_engine(models.places["slow"]).__aenter__()
            try:
                entering.send(None)
            except StopIteration:
                return False
            entering.close()
            return True

    async def ask() -> None:
        loading = asyncio.create_task(load_slow_and_ask_again())
        await asyncio.to_thread(models.is_loading.wait, 60)
        waiting = asyncio.create_task(models.use_once("first"))
        await asyncio.sleep(0)
        models.may_finish.set()
        assert await loading, "a later request got its engine at once"
        await waiting
        assert models.loaded == ["slow", "first"]

    asyncio.run(ask())
