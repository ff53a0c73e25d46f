"""The transformers engine against the library's own ``generate``: dialogues of two turns, greedy, same tokens wanted.

Prints one JSON object (see README.md here). Needs the embedded weights (``medr models fetch``).
"""

import json
import time
from collections.abc import Callable
from typing import Any

import torch

from medr_ray.core.config import EngineConfig
from medr_ray.engines.base import Sampling
from medr_ray.engines.transformers import TransformersEngine
from medr_ray.engines.weights import model_path

_DIALOGUES, _ROUNDS, _NEW_TOKENS = 24, 3, 48
_OBSERVATION = "The gene associated with Marfan syndrome is FBN1. " * 6
_SYSTEM = "You are a medical research agent. Think, then call a tool or answer. " * 3
Generate = Callable[[list[list[int]]], list[list[int]]]


def main() -> None:
    config = EngineConfig(dtype="float32", device="cpu")
    engine = TransformersEngine(model_path("embedded:smollm2-135m-instruct"), config)

    def ours(prompts: list[list[int]]) -> list[list[int]]:
        return [list(one.output_ids) for one in engine.generate(prompts, Sampling(_NEW_TOKENS, 0.0))]

    def library(prompts: list[list[int]]) -> list[list[int]]:
        return _library(engine, prompts)

    seconds: dict[str, list[float]] = {"ours": [], "library": []}
    tokens: dict[str, Any] = {}
    for _ in range(_ROUNDS):
        for name, generate in (("ours", ours), ("library", library)):
            engine.reset()  # what one round kept must not help the next
            started = time.perf_counter()
            tokens[name] = _two_turns(engine, generate)
            seconds[name].append(time.perf_counter() - started)
    same = sum(a == b for a, b in zip(tokens["ours"], tokens["library"], strict=True))
    count = sum(len(one) for one in tokens["ours"])
    rates = {name: count / sorted(times)[len(times) // 2] for name, times in seconds.items()}
    print(json.dumps({
        "bench": "engine", "dialogues_with_equal_tokens": f"{same} of {len(tokens['ours'])}",
        "rows": [{"measure": "sampled tokens/s", "ours": round(rates["ours"], 1), "peer": round(rates["library"], 1),
                  "peer_name": "transformers generate", "ratio": round(rates["ours"] / rates["library"], 2)}]}))


def _two_turns(engine: TransformersEngine, generate: Generate) -> list[list[int]]:
    """The sampled tokens of every dialogue; questions differ in length, as answers do."""
    questions = [f"Which gene is associated with {'a rare form of ' * (i % 4)}syndrome {i}?" for i in range(_DIALOGUES)]
    prompts = [engine.renderer.start([
        {"role": "system", "content": _SYSTEM}, {"role": "user", "content": one}]) for one in questions]
    first = generate(prompts)
    bridge = engine.renderer.bridge([{"role": "user", "content": _OBSERVATION}])
    end = engine.renderer.end_id
    longer = [prompt + said + ([] if said[-1] == end else [end]) + bridge
              for prompt, said in zip(prompts, first, strict=True)]
    return [a + b for a, b in zip(first, generate(longer), strict=True)]


def _library(engine: TransformersEngine, prompts: list[list[int]]) -> list[list[int]]:
    longest, end = max(map(len, prompts)), engine.renderer.end_id
    ids = torch.tensor([[end] * (longest - len(one)) + one for one in prompts])
    mask = torch.tensor([[0] * (longest - len(one)) + [1] * len(one) for one in prompts])
    with torch.inference_mode():
        out = engine.model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=_NEW_TOKENS, do_sample=False, pad_token_id=end,
            eos_token_id=end)
    rows = out[:, longest:].tolist()
    return [row[:row.index(end) + 1] if end in row else row for row in rows]


if __name__ == "__main__":
    main()
