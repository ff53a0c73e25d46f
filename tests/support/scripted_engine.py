"""An engine that answers with a given text, counts its calls, and can be held up until the test lets it go."""

from collections.abc import Callable, Iterator, Sequence
from threading import Event
from typing import Any

from medr_ray.engines.base import Generation, Sampling


class ScriptedEngine:
    """``say`` makes the text of an answer from its prompt ids; ``calls`` records (prompts, sampling) of each call."""

    def __init__(self, tokenizer: Any, say: Callable[[Sequence[int]], str]) -> None:
        self._tokenizer, self._say = tokenizer, say
        self.calls: list[tuple[list[Sequence[int]], Sampling]] = []
        self.streamed: list[str] = []
        self.cancelled: Event | None = None

    def generate(self, prompts: Sequence[Sequence[int]], sampling: Sampling) -> list[Generation]:
        self.calls.append((list(prompts), sampling))
        return [self._generation(prompt, sampling) for prompt in prompts]

    def _generation(self, prompt: Sequence[int], sampling: Sampling) -> Generation:
        ids = self._tokenizer(self._say(prompt), add_special_tokens=False)["input_ids"]
        kept = ids[:sampling.max_tokens]
        finish = "stop" if len(kept) == len(ids) else "length"
        return Generation(tuple(kept), (0.0,) * len(kept), self._tokenizer.decode(kept), finish, 0)

    def stream(self, prompt: Sequence[int], sampling: Sampling, cancelled: Event | None = None) -> Iterator[str]:
        self.cancelled = cancelled
        for word in self._say(prompt).split(" "):
            if cancelled is not None and cancelled.is_set():
                return
            self.streamed.append(word)
            yield word + " "
