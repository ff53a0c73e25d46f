"""Sampling: the transformers engine against the library's own ``generate`` and against vLLM,
dialogues of two turns, greedy.

All dialogues run at the same time. The same tokens are wanted of the library.

vLLM runs as in a training run: in an actor with the Python of its own environment, where there is
one. Both engines are actors then, with the same threads and the same number format. Every turn has
the same length: the token that would end it is never drawn. Each engine runs all dialogues once
before it is measured, and the two take turns, because a machine is not the same from minute to
minute. ``quick`` measures a third of the dialogues once. Needs the embedded weights (``medr models
fetch``).
"""

import asyncio
import contextlib
import os
import statistics
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import torch

from medr_ray.core.config import EngineConfig
from medr_ray.core.measurement import Measurement, build_measurement, skip_measurement
from medr_ray.engines.base import Engine, Sampling, Shaping
from medr_ray.engines.factory import ConfiguredEngineFactory, find_engine_problems
from medr_ray.engines.transformers import TransformersEngine
from medr_ray.engines.weights import model_path

_DIALOGUES, _ROUNDS, _NEW_TOKENS = 24, 3, 48
_QUICK_DIALOGUES, _QUICK_ROUNDS = 8, 1
_VLLM_DIALOGUES, _VLLM_ROUNDS, _VLLM_MEASURE = 30, 3, "sampled tokens/s beside vLLM"
_PEER = "transformers generate"
_OBSERVATION = "The gene associated with Marfan syndrome is FBN1. " * 6
_SYSTEM = "You are a medical research agent. Think, then call a tool or answer. " * 3
_NEVER = -100.0  # of the logit of a token that is not to be drawn
# vLLM's processes look for work without sleeping for a second after their last; an engine that
# takes its turn meanwhile would have fewer cores.
_SETTLE_SECONDS = 2.0
_CHECKOUT = str(Path(__file__).resolve().parents[2])  # which vLLM's environment need not have
Generate = Callable[[list[list[int]]], list[list[int]]]


def measure(quick: bool) -> Iterator[Measurement]:
    config = EngineConfig(dtype="float32", device="cpu")
    engine = TransformersEngine(model_path("embedded:smollm2-135m-instruct"), config)
    dialogues, rounds = (_QUICK_DIALOGUES, _QUICK_ROUNDS) if quick else (_DIALOGUES, _ROUNDS)

    def ours(prompts: list[list[int]]) -> list[list[int]]:
        return [
            list(result.output_ids)
            for result in engine.generate(prompts, Sampling(_NEW_TOKENS, 0.0))
        ]

    def library(prompts: list[list[int]]) -> list[list[int]]:
        return _generate_with_library(engine, prompts)

    seconds: dict[str, list[float]] = {"ours": [], "library": []}
    tokens: dict[str, list[list[int]]] = {}
    for _ in range(rounds):
        for name, generate in (("ours", ours), ("library", library)):
            engine.reset()  # what one round kept must not help the next
            started = time.perf_counter()
            tokens[name] = _two_turns(engine, generate, dialogues)
            seconds[name].append(time.perf_counter() - started)
    same = sum(a == b for a, b in zip(tokens["ours"], tokens["library"], strict=True))
    count = sum(len(token_ids) for token_ids in tokens["ours"])
    rates = {name: count / statistics.median(times) for name, times in seconds.items()}
    yield build_measurement(
        "sampled tokens/s", rates["ours"], rates["library"], _PEER, least_ratio=1.0, unit="tokens/s"
    )
    yield build_measurement(
        "dialogues with the library's tokens", same, goal=dialogues, unit=f"of {dialogues}"
    )
    yield from _measure_beside_vllm(engine, quick)


def _measure_beside_vllm(renderer: TransformersEngine, quick: bool) -> Iterator[Measurement]:
    """The two engines behind the same contract, in turns. ``renderer`` knows the model's chats."""
    own = EngineConfig(dtype="float32", device="cpu")
    config = own.model_copy(update={"backend": "vllm"})
    problems = find_engine_problems(config)
    if problems:
        yield skip_measurement(_VLLM_MEASURE, "vllm", "; ".join(problems))
        return
    dialogues = _QUICK_DIALOGUES if quick else _VLLM_DIALOGUES
    rounds = _QUICK_ROUNDS if quick else _VLLM_ROUNDS
    rates: dict[str, list[float]] = {"ours": [], "vllm": []}
    tokens: dict[str, list[list[int]]] = {}
    with asyncio.Runner() as runner, _start_engines({"ours": own, "vllm": config}) as engines:
        generate = {
            name: _share_runner(engine, runner, renderer.renderer.stop_ids)
            for name, engine in engines.items()
        }
        # The first round warms up.
        for number in range(1 + rounds):
            for name, engine in engines.items():
                runner.run(engine.reset_cache())
                time.sleep(_SETTLE_SECONDS)
                started = time.perf_counter()
                tokens[name] = _two_turns(renderer, generate[name], dialogues)
                seconds = time.perf_counter() - started
                if number:
                    rates[name].append(dialogues * 2 * _NEW_TOKENS / seconds)
    assert all(len(ids) == 2 * _NEW_TOKENS for replies in tokens.values() for ids in replies)
    yield build_measurement(
        _VLLM_MEASURE,
        statistics.median(rates["ours"]),
        statistics.median(rates["vllm"]),
        "vllm",
        unit="tokens/s",
        note=f"{dialogues} dialogues, {config.threads} threads each on {os.cpu_count()} cores",
    )
    same = sum(a == b for a, b in zip(tokens["ours"], tokens["vllm"], strict=True))
    yield build_measurement("dialogues with vLLM's tokens", same, unit=f"of {dialogues}")


@contextlib.contextmanager
def _start_engines(configs: dict[str, EngineConfig]) -> Iterator[dict[str, Engine]]:
    """An engine of each configuration, as actors: Ray's processes are nicer to others than this one
    is."""
    import ray

    from medr_ray.engines.remote_engine import start_remote_engine

    model = str(model_path("embedded:smollm2-135m-instruct"))
    environment = {"PYTHONPATH": _CHECKOUT}
    with contextlib.ExitStack() as stack:
        stack.enter_context(
            ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        )
        engines: dict[str, Engine] = {}
        for name, config in configs.items():
            factory = ConfiguredEngineFactory(model, config)
            engines[name] = start_remote_engine(factory, {"CPU": 1}, environment)
            stack.callback(engines[name].close)
        yield engines


def _share_runner(engine: Engine, runner: asyncio.Runner, stop_ids: Collection[int]) -> Generate:
    """Turns of ``_NEW_TOKENS`` tokens of all prompts at the same time; ``stop_ids`` would end one
    earlier."""
    shaping = Shaping(logit_bias=dict.fromkeys(stop_ids, _NEVER))
    sampling = Sampling(_NEW_TOKENS, 0.0, shaping=shaping)

    async def generate_all(prompts: list[list[int]]) -> list[list[int]]:
        answers = await asyncio.gather(*(engine.generate(prompt, sampling) for prompt in prompts))
        return [list(answer.output_ids) for answer in answers]

    return lambda prompts: runner.run(generate_all(prompts))


def _two_turns(engine: TransformersEngine, generate: Generate, dialogues: int) -> list[list[int]]:
    """The sampled tokens of every dialogue; questions differ in length, as answers do."""
    questions = [
        f"Which gene is associated with {'a rare form of ' * (i % 4)}syndrome {i}?"
        for i in range(dialogues)
    ]
    prompts = [
        engine.renderer.encode_prompt(
            [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": question}]
        )
        for question in questions
    ]
    first = generate(prompts)
    bridge = engine.renderer.encode_bridge([{"role": "user", "content": _OBSERVATION}])
    end = engine.renderer.end_id
    longer = [
        prompt + reply + ([] if reply[-1] == end else [end]) + bridge
        for prompt, reply in zip(prompts, first, strict=True)
    ]
    return [a + b for a, b in zip(first, generate(longer), strict=True)]


def _generate_with_library(engine: TransformersEngine, prompts: list[list[int]]) -> list[list[int]]:
    longest, end = max(map(len, prompts)), engine.renderer.end_id
    ids = torch.tensor([[end] * (longest - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    with torch.inference_mode():
        out = engine.model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=_NEW_TOKENS,
            do_sample=False,
            pad_token_id=end,
            eos_token_id=end,
        )
    rows = out[:, longest:].tolist()
    return [row[: row.index(end) + 1] if end in row else row for row in rows]
