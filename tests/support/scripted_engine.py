"""A batching engine that emits a given text, one token a step, and records each batch."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from medr_ray.engines.base import Generation, Sampling


@dataclass(eq=False)
class ScriptedRequest:
    """``ids`` are all tokens of the answer, ``said`` how many of them were made."""

    sampling: Sampling
    ids: list[int]
    said: int = 0
    cancelled: bool = False
    generation: Generation | None = None
    failure: Exception | None = None


@dataclass(eq=False)
class ScriptedEngine:
    """``say`` makes the text of an answer from its prompt ids; ``together`` has the size of every
    step's batch; ``failing`` is raised by the next step. No token is made before ``gather``
    requests were submitted in all."""

    tokenizer: Any
    say: Callable[[Sequence[int]], str]
    open: list[ScriptedRequest] = field(default_factory=list)
    together: list[int] = field(default_factory=list)
    failing: Exception | None = None
    gather: int = 0
    submitted: int = 0

    def submit(self, prompt: Sequence[int], sampling: Sampling) -> ScriptedRequest:
        request = ScriptedRequest(
            sampling, self.tokenizer(self.say(prompt), add_special_tokens=False)["input_ids"]
        )
        self.open.append(request)
        self.submitted += 1
        return request

    def step(self) -> None:
        if self.failing is not None:
            failing, self.failing = self.failing, None
            raise failing
        if self.submitted < self.gather:
            time.sleep(0.001)  # the engine's thread; requests are submitted between two steps
            return
        self.together.append(len(self.open))
        for request in self.open:
            request.said += 1
            whole = request.said >= len(request.ids)
            if whole or request.cancelled or request.said >= request.sampling.max_tokens:
                kept = request.ids[: request.said]
                request.generation = Generation(
                    tuple(kept),
                    (0.0,) * len(kept),
                    self.tokenizer.decode(kept),
                    "stop" if whole else "length",
                    0,
                )
        self.open = [sequence for sequence in self.open if sequence.generation is None]

    def reset(self) -> None:
        self.open.clear()

    def text_so_far(self, request: ScriptedRequest) -> str:
        return str(self.tokenizer.decode(request.ids[: request.said]))
