"""The models a replica may answer with: prompts rendered for each, engines loaded on first use, few
kept.

What holds: an engine is never put away while a request uses it; those who need a model that must
first make room wait in the order they came, so a busy model cannot keep the others out.
"""

import asyncio
import contextlib
import gc
import json
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

from medr_ray.engines.base import BatchEngine
from medr_ray.engines.batching_loop import EngineLoop
from medr_ray.engines.chat import ChatRenderer


class Prompter:
    """A model directory's tokenizer, chat template and context length (tokens)."""

    def __init__(self, directory: Path, trust_remote_code: bool = False) -> None:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(directory, trust_remote_code=trust_remote_code)
        self._renderer = ChatRenderer(tokenizer)
        settings = json.loads((directory / "config.json").read_text(encoding="utf-8"))
        self.context = int(settings.get("max_position_embeddings") or tokenizer.model_max_length)

    def encode(self, messages: Sequence[tuple[str, str]]) -> list[int]:
        """The prompt's token ids, ending where the assistant speaks. Raises what the chat template
        raises."""
        return self._renderer.encode_prompt(
            [{"role": role, "content": content} for role, content in messages]
        )


class ModelShelf:
    """``directories`` maps served names to model directories; several names may share one."""

    def __init__(
        self,
        directories: Mapping[str, str],
        load: Callable[[Path], BatchEngine],
        keep: int,
        trust_remote_code: bool = False,
    ) -> None:
        self._directories = dict(directories)
        self._load, self._keep = load, keep
        self._loaded: OrderedDict[str, EngineLoop] = OrderedDict()
        self._users: Counter[str] = Counter()
        self._door, self._free = asyncio.Lock(), asyncio.Event()
        self._prompters = {
            one: Prompter(Path(one), trust_remote_code) for one in set(self._directories.values())
        }

    def __contains__(self, name: str) -> bool:
        return name in self._directories

    @property
    def names(self) -> list[str]:
        return list(self._directories)

    @property
    def loaded(self) -> int:
        return len(self._loaded)

    def directory(self, name: str) -> str:
        return self._directories[name]

    def prompter(self, name: str) -> Prompter:
        return self._prompters[self._directories[name]]

    def warm(self, name: str) -> None:
        """Load a model before the first request asks for it; raises what loading raises."""
        directory = self._directories[name]
        self._loaded[directory] = EngineLoop(self._load(Path(directory)))

    @contextlib.asynccontextmanager
    async def engine(self, directory: str) -> AsyncIterator[EngineLoop]:
        """The engine of a model directory, loaded if it is not; it stays while it is used."""
        async with self._door:
            if directory not in self._loaded:
                await self._make_room()
                engine = await asyncio.to_thread(self._load, Path(directory))
                self._loaded[directory] = EngineLoop(engine)
            self._loaded.move_to_end(directory)
            loop = self._loaded[directory]
            self._users[directory] += 1
        try:
            yield loop
        finally:
            self._users[directory] -= 1
            self._free.set()

    async def _make_room(self) -> None:
        """Put away the least recently used engine nobody uses, until there is room; waits for one
        to be free."""
        while len(self._loaded) >= self._keep:
            idle = next((one for one in self._loaded if not self._users[one]), None)
            if idle is None:
                self._free.clear()
                await self._free.wait()
            else:
                self._loaded.pop(idle).close()
                gc.collect()  # its weights must be gone before the next ones come
