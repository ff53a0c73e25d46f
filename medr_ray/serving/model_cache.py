"""The models a replica may answer with: prompts are rendered for each, engines are loaded on first
use, and only a few are kept.

An engine is never closed while a request uses it. Requests for a model that is loaded go on while
another is loaded. Requests for a model that must first make room wait in the order they came, and
so do new ones for the model that is to make it, so a busy model cannot keep the others out. A name
can be given other weights under load: a request keeps the model that it began with to its end, and
none waits for the new one to be read.
"""

import asyncio
import contextlib
import gc
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from medr_ray.core.errors import MedrError
from medr_ray.engines.base import BatchEngine, SharedEngine
from medr_ray.engines.batching_loop import EngineLoop
from medr_ray.serving.prompt_encoder import PromptEncoder
from medr_ray.serving.stream_pace import compute_message_gap


@dataclass(frozen=True)
class ServedModel:
    """What answers under a name at the moment: a model directory and its prompt encoder."""

    directory: str
    encoder: PromptEncoder


class ModelCache:
    """Models by served name, of which at most ``capacity`` are loaded.

    ``directories`` maps served names to model directories; several names may share one, and then
    share its engine. ``load`` makes the engine of a directory. A BatchEngine is run by a loop.
    """

    def __init__(
        self,
        directories: Mapping[str, str],
        load: Callable[[Path], BatchEngine | SharedEngine],
        capacity: int,
        trust_remote_code: bool = False,
    ) -> None:
        self._directories = dict(directories)
        self._load = load
        self._trust_remote_code = trust_remote_code
        self._capacity = capacity
        # By directory, the least recently used first.
        self._engines: OrderedDict[str, SharedEngine] = OrderedDict()
        self._users: Counter[str] = Counter()
        # Requests that began with a directory, whether or not they use its engine yet.
        self._leases: Counter[str] = Counter()
        # Held from the moment room is needed until the engine is loaded. asyncio.Lock is fair, so
        # requests get their engines in the order they came.
        self._load_lock = asyncio.Lock()
        # Requests that wait for the lock.
        self._waiting = 0
        # The engine that takes no new requests, because it is to be closed.
        self._leaving: str | None = None
        self._engine_released = asyncio.Event()
        # Tokenizers are small, and all are kept: a request is checked before its engine is loaded.
        self._encoders = {
            directory: PromptEncoder(Path(directory), trust_remote_code)
            for directory in set(self._directories.values())
        }

    def __contains__(self, name: str) -> bool:
        return name in self._directories

    @property
    def served_names(self) -> list[str]:
        """The served names."""
        return list(self._directories)

    @property
    def loaded_count(self) -> int:
        """How many engines are loaded."""
        return len(self._engines)

    @contextlib.contextmanager
    def lease_model(self, name: str) -> Iterator[ServedModel]:
        """The model of a served name, which can be used until the end of the block whatever is
        loaded meanwhile."""
        directory = self._directories[name]
        self._leases[directory] += 1
        try:
            yield ServedModel(directory, self._encoders[directory])
        finally:
            self._leases[directory] -= 1
            self._close_surplus()

    async def load_directory(self, name: str, directory: str) -> None:
        """Answer under ``name`` with the model of another directory from now on.

        It is read beside the models that are loaded, whatever the capacity, so that nobody waits
        for it; the memory of one more model is needed meanwhile. Raises MedrError for a name that
        is not served, and what loading raises; the name then keeps its model.
        """
        if name not in self._directories:
            raise MedrError(
                f"no model {name!r} is served; there are {', '.join(self._directories)}"
            )
        if self._directories[name] == directory:
            return
        async with self._hold_load_lock():
            encoder = self._encoders.get(directory)
            if encoder is None:
                encoder = await asyncio.to_thread(
                    PromptEncoder, Path(directory), self._trust_remote_code
                )
            if directory not in self._engines:
                engine = await asyncio.to_thread(self._load, Path(directory))
                self._engines[directory] = _share_engine(engine)
            self._encoders[directory] = encoder
            self._engines.move_to_end(directory)
            self._directories[name] = directory
            self._close_surplus()

    def preload(self, name: str) -> None:
        """Load a model before the first request asks for it; raises what loading raises."""
        directory = self._directories[name]
        # Called while the replica is constructed: no request can be using an engine, so no lock.
        self._engines[directory] = _share_engine(self._load(Path(directory)))

    @contextlib.asynccontextmanager
    async def use_engine(self, directory: str) -> AsyncIterator[SharedEngine]:
        """The engine of a model directory, loaded if it is not; it stays while it is used."""
        # A lock that is free although somebody waits for it is on its way to the first of them, who
        # has yet to say which engine is to leave. Nobody may overtake that request.
        changes_hands = self._waiting > 0 and not self._load_lock.locked()
        if directory in self._engines and directory != self._leaving and not changes_hands:
            # Without the lock, which is held for as long as another model is loaded.
            engine = self._take_engine(directory)
        else:
            async with self._hold_load_lock():
                if directory not in self._engines:
                    await self._make_room()
                    # In a thread, so that requests to loaded models go on.
                    loaded = await asyncio.to_thread(self._load, Path(directory))
                    self._engines[directory] = _share_engine(loaded)
                engine = self._take_engine(directory)
        try:
            yield engine
        finally:
            # Without the lock, which a request that waits for room holds until somebody comes here.
            self._users[directory] -= 1
            self._engine_released.set()
            self._close_surplus()

    @contextlib.asynccontextmanager
    async def _hold_load_lock(self) -> AsyncIterator[None]:
        self._waiting += 1
        try:
            await self._load_lock.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._load_lock.release()

    def _take_engine(self, directory: str) -> SharedEngine:
        """Count one more user of a loaded engine; nothing is awaited between the look at it and the
        count, so nobody closes it meanwhile."""
        self._engines.move_to_end(directory)
        self._users[directory] += 1
        return self._engines[directory]

    async def _make_room(self) -> None:
        """Close engines until there is room: first those that nobody uses, the least recently used
        one before others. Where all are used, that one takes no new requests and is waited for."""
        try:
            while len(self._engines) >= self._capacity:
                unused = [directory for directory in self._engines if not self._users[directory]]
                if unused:
                    self._close_engine(unused[0])
                    continue
                if self._leaving is None:
                    self._leaving = next(iter(self._engines))
                # Nothing is awaited between the look at the users and this line, so no release is
                # missed.
                self._engine_released.clear()
                await self._engine_released.wait()
        finally:
            self._leaving = None

    def _close_surplus(self) -> None:
        """Forget what no name is served from any more, and engines beyond the capacity, as far as
        nobody uses them."""
        served = set(self._directories.values())
        for directory in [*self._encoders]:
            if directory not in served and self._is_idle(directory):
                del self._encoders[directory]
                if directory in self._engines:
                    self._close_engine(directory)
        # The others go with their last request.
        kept = [directory for directory in self._engines if directory in served]
        for directory in kept[: max(0, len(kept) - self._capacity)]:
            if self._is_idle(directory):
                self._close_engine(directory)

    def _is_idle(self, directory: str) -> bool:
        return not self._users[directory] and not self._leases[directory]

    def _close_engine(self, directory: str) -> None:
        self._engines.pop(directory).close()
        # Its weights must be gone before the next ones come.
        gc.collect()


def _share_engine(engine: BatchEngine | SharedEngine) -> SharedEngine:
    if isinstance(engine, BatchEngine):
        return EngineLoop(engine, compute_gap=compute_message_gap)
    return engine
