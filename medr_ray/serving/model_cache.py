"""The models a replica may answer with: prompts are rendered for each, engines are loaded on first
use, and only a few are kept.

An engine is never closed while a request uses it. Requests for a model that is loaded go on while
another is loaded. Requests for a model that must first make room wait in the order they came, and
so do new ones for the model that is to make it, so a busy model cannot keep the others out.
"""

import asyncio
import contextlib
import gc
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

from medr_ray.core.json_text import parse_json
from medr_ray.engines.base import BatchEngine
from medr_ray.engines.batching_loop import EngineLoop
from medr_ray.engines.chat import ChatRenderer
from medr_ray.serving.messages import ChatTurn


class PromptEncoder:
    """A model directory's tokenizer, chat template and context length (tokens)."""

    def __init__(self, directory: Path, trust_remote_code: bool = False) -> None:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(directory, trust_remote_code=trust_remote_code)
        self._renderer = ChatRenderer(tokenizer)
        settings = directory / "config.json"
        # Infinity stands in the settings of some architectures.
        model_config = parse_json(settings.read_bytes(), str(settings), finite=False)
        # Not every architecture states it. A tokenizer that has no limit says about 1e30, which
        # then stands for none.
        context = model_config.get("max_position_embeddings") or tokenizer.model_max_length
        self.context = int(context)

    def encode(self, messages: Sequence[ChatTurn]) -> list[int]:
        """The prompt's token ids, ending where the assistant speaks. Raises what the chat template
        raises."""
        return self._renderer.encode_prompt(
            [{"role": turn.role, "content": turn.content} for turn in messages]
        )


class ModelCache:
    """Models by served name, of which at most ``capacity`` are loaded.

    ``directories`` maps served names to model directories; several names may share one, and then
    share its engine. ``load`` makes the engine of a directory.
    """

    def __init__(
        self,
        directories: Mapping[str, str],
        load: Callable[[Path], BatchEngine],
        capacity: int,
        trust_remote_code: bool = False,
    ) -> None:
        self._directories = dict(directories)
        self._load = load
        self._capacity = capacity
        # By directory, the least recently used first.
        self._engines: OrderedDict[str, EngineLoop] = OrderedDict()
        self._users: Counter[str] = Counter()
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

    def model_directory(self, name: str) -> str:
        """The model directory of a served name."""
        return self._directories[name]

    def prompt_encoder(self, name: str) -> PromptEncoder:
        """The prompt encoder of a served name."""
        return self._encoders[self._directories[name]]

    def preload(self, name: str) -> None:
        """Load a model before the first request asks for it; raises what loading raises."""
        directory = self._directories[name]
        # Called while the replica is constructed: no request can be using an engine, so no lock.
        self._engines[directory] = EngineLoop(self._load(Path(directory)))

    @contextlib.asynccontextmanager
    async def use_engine(self, directory: str) -> AsyncIterator[EngineLoop]:
        """The engine of a model directory, loaded if it is not; it stays while it is used."""
        # A lock that is free although somebody waits for it is on its way to the first of them, who
        # has yet to say which engine is to leave. Nobody may overtake that request.
        changes_hands = self._waiting > 0 and not self._load_lock.locked()
        if directory in self._engines and directory != self._leaving and not changes_hands:
            # Without the lock, which is held for as long as another model is loaded.
            engine_loop = self._take_engine(directory)
        else:
            async with self._hold_load_lock():
                if directory not in self._engines:
                    await self._make_room()
                    # In a thread, so that requests to loaded models go on.
                    engine = await asyncio.to_thread(self._load, Path(directory))
                    self._engines[directory] = EngineLoop(engine)
                engine_loop = self._take_engine(directory)
        try:
            yield engine_loop
        finally:
            # Without the lock, which a request that waits for room holds until somebody comes here.
            self._users[directory] -= 1
            self._engine_released.set()

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

    def _take_engine(self, directory: str) -> EngineLoop:
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
                    self._engines.pop(unused[0]).close()
                    # Its weights must be gone before the next ones come.
                    gc.collect()
                    continue
                if self._leaving is None:
                    self._leaving = next(iter(self._engines))
                # Nothing is awaited between the look at the users and this line, so no release is
                # missed.
                self._engine_released.clear()
                await self._engine_released.wait()
        finally:
            self._leaving = None
