"""The models a replica may answer with: prompts rendered for each, engines loaded on first use, few kept.

Engines are loaded and used from one thread (the caller's); prompts may be rendered from any.
"""

import gc
import json
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import Protocol

from medr_ray.engines.base import Generation, Sampling
from medr_ray.engines.chat import ChatRenderer


class ServingEngine(Protocol):
    """An engine that can also stream."""

    def generate(self, prompts: Sequence[Sequence[int]], sampling: Sampling) -> list[Generation]:
        """One continuation per prompt, in order."""
        ...

    def stream(self, prompt: Sequence[int], sampling: Sampling, cancelled: Event | None = None) -> Iterator[str]:
        """Text deltas; setting ``cancelled`` ends them at the next token."""
        ...


class Prompter:
    """A model directory's tokenizer, chat template and context length (tokens)."""

    def __init__(self, directory: Path, trust_remote_code: bool = False) -> None:
        from transformers import AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(directory, trust_remote_code=trust_remote_code)
        self._renderer = ChatRenderer(self._tokenizer)
        settings = json.loads((directory / "config.json").read_text(encoding="utf-8"))
        self.context = int(settings.get("max_position_embeddings") or self._tokenizer.model_max_length)

    def encode(self, messages: Sequence[tuple[str, str]]) -> list[int]:
        """The prompt's token ids, ending where the assistant speaks. Raises what the chat template raises."""
        return self._renderer.start([{"role": role, "content": content} for role, content in messages])

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def count(self, text: str) -> int:
        """Tokens of a text."""
        return len(self._tokenizer(text, add_special_tokens=False)["input_ids"])


class ModelShelf:
    """``directories`` maps served names to model directories; several names may share one."""

    def __init__(
        self, directories: Mapping[str, str], load: Callable[[Path], ServingEngine], keep: int,
        trust_remote_code: bool = False,
    ) -> None:
        self._directories = dict(directories)
        self._load, self._keep = load, keep
        self._loaded: OrderedDict[str, ServingEngine] = OrderedDict()
        self._prompters = {one: Prompter(Path(one), trust_remote_code) for one in set(self._directories.values())}

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

    def engine(self, directory: str) -> ServingEngine:
        """The engine of a model directory, loaded if it is not; the least recently used one makes room first."""
        if directory in self._loaded:
            self._loaded.move_to_end(directory)
            return self._loaded[directory]
        while len(self._loaded) >= self._keep:
            self._loaded.popitem(last=False)
            gc.collect()  # the evicted weights must be gone before the next ones come
        self._loaded[directory] = self._load(Path(directory))
        return self._loaded[directory]
