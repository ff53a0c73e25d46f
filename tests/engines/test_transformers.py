"""The transformers engine and chat rendering on a tiny random model: ids, log-probabilities,
weights."""

import asyncio
import math
from pathlib import Path

import pytest
import torch
from support.tiny_model import build_tiny_model

from medr_ray.core.config import EngineConfig
from medr_ray.core.errors import InfrastructureError
from medr_ray.engines.base import Generation, Progress, Sampling
from medr_ray.engines.batching_loop import EngineLoop
from medr_ray.engines.transformers import TransformersEngine

pytestmark = pytest.mark.slow
DIALOGUE = [
    {"role": "system", "content": "S"},
    {"role": "user", "content": "Q"},
    {"role": "assistant", "content": "<think>x</think>\n<tool_call>{}</tool_call>"},
    {"role": "user", "content": "<tool_response>p<0.05</tool_response>"},
    {"role": "assistant", "content": "<answer>y</answer>"},
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> TransformersEngine:
    model = build_tiny_model(tmp_path_factory.mktemp("model"))
    return TransformersEngine(
        model, EngineConfig(dtype="float32", device="cpu", threads=1, max_batch=4)
    )


def prompts(engine: TransformersEngine) -> list[list[int]]:
    texts = [
        "Marfan",
        "what is the inheritance of it",
        "Marfan",
        "x",
        "a much longer question than the others are",
    ]
    return [engine.renderer.encode_prompt([{"role": "user", "content": text}]) for text in texts]


def test_logprobs_are_those_of_the_sampled_tokens(engine: TransformersEngine) -> None:
    for temperature in (1.0, 0.7):
        for prompt, out in zip(
            prompts(engine),
            engine.generate(prompts(engine), Sampling(24, temperature, seed=3)),
            strict=True,
        ):
            with torch.inference_mode():
                logits = (
                    engine.model(torch.tensor([[*prompt, *out.output_ids]])).logits[0] / temperature
                )
            log_probabilities = logits.log_softmax(-1)[len(prompt) - 1 : -1]
            chosen = log_probabilities[range(len(out.output_ids)), list(out.output_ids)]
            assert torch.allclose(chosen, torch.tensor(out.logprobs), atol=1e-4)


def test_greedy_output_does_not_depend_on_the_batch(engine: TransformersEngine) -> None:
    together = engine.generate(prompts(engine), Sampling(16, 0.0))
    alone = [engine.generate([prompt], Sampling(16, 0.0))[0] for prompt in prompts(engine)]
    assert [result.output_ids for result in together] == [result.output_ids for result in alone]


def test_equal_prompts_are_sampled_apart(engine: TransformersEngine) -> None:
    equal_prompts = [prompts(engine)[1]] * 4
    assert (
        len(
            {
                result.output_ids
                for result in engine.generate(equal_prompts, Sampling(24, 1.0, seed=1))
            }
        )
        > 1
    )


def test_a_seeded_answer_is_the_same_alone_and_in_company(engine: TransformersEngine) -> None:
    (alone,) = engine.generate([prompts(engine)[1]], Sampling(24, 1.0, seed=5))
    engine.submit(prompts(engine)[4], Sampling(30, 1.0))
    engine.step()
    (company,) = engine.generate([prompts(engine)[1]], Sampling(24, 1.0, seed=5))
    assert company.output_ids == alone.output_ids


def test_a_dialogue_continued_in_its_slot_is_answered_as_if_read_afresh(
    engine: TransformersEngine,
    tmp_path: Path,
) -> None:
    """Turns of several dialogues, interleaved, more of them than slots: what a slot kept never
    shows."""
    fresh = TransformersEngine(
        build_tiny_model(tmp_path),
        EngineConfig(dtype="float32", device="cpu", threads=1, max_batch=1),
    )
    dialogues = prompts(engine)
    for turn in range(3):
        answers = engine.generate(dialogues, Sampling(8 + turn, 0.0))
        for prompt, answer in zip(dialogues, answers, strict=True):
            fresh.reset()  # nothing kept
            assert (
                answer.output_ids == fresh.generate([prompt], Sampling(8 + turn, 0.0))[0].output_ids
            )
        bridge = engine.renderer.encode_bridge([{"role": "user", "content": f"observation {turn}"}])
        dialogues = [
            [*prompt, *answer.output_ids, *bridge]
            for prompt, answer in zip(dialogues, answers, strict=True)
        ]


def tokens_read(engine: TransformersEngine, dialogues: list[list[int]]) -> list[tuple[int, ...]]:
    """Shapes (rows, tokens) of the forward passes that the first token of each dialogue takes."""
    read: list[tuple[int, ...]] = []
    watch = engine.model.get_decoder().register_forward_pre_hook(
        lambda _, __, given: read.append(tuple(given["input_ids"].shape)), with_kwargs=True
    )
    engine.generate(dialogues, Sampling(1, 0.0))
    watch.remove()
    return read


def test_a_continued_dialogue_reads_only_what_is_new(engine: TransformersEngine) -> None:
    engine.reset()
    first = prompts(engine)[4]
    (answer,) = engine.generate([first], Sampling(12, 0.0))
    bridge = engine.renderer.encode_bridge([{"role": "user", "content": "more"}])
    # the last sampled token was never read
    assert tokens_read(engine, [[*first, *answer.output_ids, *bridge]]) == [(1, len(bridge) + 1)]


def test_a_group_s_prompt_is_read_once(engine: TransformersEngine) -> None:
    engine.reset()
    prompt = prompts(engine)[4]
    assert tokens_read(engine, [prompt] * 4) == [(1, len(prompt)), (3, 1)]


def test_a_cancelled_request_ends_with_what_it_has(engine: TransformersEngine) -> None:
    request = engine.submit(prompts(engine)[0], Sampling(64, 0.0))
    for _ in range(3):
        engine.step()
    request.cancelled = True
    engine.step()
    assert request.generation is not None
    assert len(request.generation.output_ids) <= 5


def test_a_stop_text_ends_the_turn_and_is_not_shown(engine: TransformersEngine) -> None:
    (out,) = engine.generate([prompts(engine)[0]], Sampling(64, 0.0))
    stop = out.text[3:6]
    (cut,) = engine.generate([prompts(engine)[0]], Sampling(64, 0.0, stop=(stop,)))
    assert cut.text == out.text[: out.text.index(stop)]
    assert cut.finish_reason == "stop"
    assert len(cut.output_ids) < len(out.output_ids)


def streamed(engine: TransformersEngine, prompt: list[int], sampling: Sampling) -> str:
    async def collect() -> list[Progress | Generation]:
        loop = EngineLoop(engine)
        items = [item async for item in loop.stream(prompt, sampling)]
        loop.close()
        return items

    return "".join(item.text for item in asyncio.run(collect()) if isinstance(item, Progress))


def test_streamed_text_is_the_generated_text_and_never_shows_a_stop_text(
    engine: TransformersEngine,
) -> None:
    prompt = prompts(engine)[1]
    (out,) = engine.generate([prompt], Sampling(24, 0.0))
    assert streamed(engine, prompt, Sampling(24, 0.0)) == out.text
    for start in range(4, len(out.text) - 4):
        stop = out.text[start : start + 4]
        text = streamed(engine, prompt, Sampling(24, 0.0, stop=(stop,)))
        assert text == out.text[: out.text.index(stop)]


def test_new_weights_are_served_whole_or_not_at_all(
    engine: TransformersEngine, tmp_path: Path
) -> None:
    prompt = prompts(engine)[1]
    before = {name: p.detach().clone() for name, p in engine.model.named_parameters()}
    old = engine.generate([prompt], Sampling(16, 0.0))[0].output_ids
    with pytest.raises(InfrastructureError, match="do not match"):
        engine.load_weights({"nobody.weight": torch.zeros(1)}, 7)
    assert engine.version == 0
    running = engine.submit(prompt, Sampling(4, 0.0))
    engine.step()
    with pytest.raises(InfrastructureError, match="1 running requests"):
        engine.load_weights(before, 1)
    while running.generation is None:
        engine.step()
    engine.load_weights({name: torch.randn_like(p) for name, p in before.items()}, 1)
    changed = engine.generate([prompt], Sampling(16, 0.0))[0]
    assert changed.version == 1
    assert changed.output_ids != old
    engine.load_weights(before, 0)


def test_a_dialogue_is_the_templates_text_and_only_the_assistant_is_learnt(
    engine: TransformersEngine,
) -> None:
    ids, mask = engine.renderer.encode_dialogue(DIALOGUE)
    template = engine.tokenizer.apply_chat_template(DIALOGUE, tokenize=False)
    assert engine.tokenizer.decode(ids) == template.rstrip("\n")
    learnt = engine.tokenizer.decode([i for i, on in zip(ids, mask, strict=True) if on])
    assert (
        learnt
        == "<think>x</think>\n<tool_call>{}</tool_call><|im_end|><answer>y</answer><|im_end|>"
    )
    same_ids, mask = engine.renderer.encode_dialogue(DIALOGUE, without_loss={2})
    assert same_ids == ids
    learnt = engine.tokenizer.decode([i for i, on in zip(ids, mask, strict=True) if on])
    assert learnt == "<answer>y</answer><|im_end|>"


def test_turn_by_turn_ids_equal_the_dialogues_ids(engine: TransformersEngine) -> None:
    first = engine.renderer.encode_prompt(DIALOGUE[:2])
    reply = [
        *engine.tokenizer(DIALOGUE[2]["content"], add_special_tokens=False)["input_ids"],
        engine.renderer.end_id,
    ]
    last = [
        *engine.tokenizer(DIALOGUE[4]["content"], add_special_tokens=False)["input_ids"],
        engine.renderer.end_id,
    ]
    assert (
        first + reply + engine.renderer.encode_bridge(DIALOGUE[3:4]) + last
        == engine.renderer.encode_dialogue(DIALOGUE)[0]
    )


@pytest.mark.parametrize("seed", [2**64, 2**64 + 5, 2**70, -(2**63) - 1, 2**63])
def test_a_seed_of_any_size_is_a_seed(engine: TransformersEngine, seed: int) -> None:
    prompt = prompts(engine)[:1]
    first = engine.generate(prompt, Sampling(4, temperature=1.0, seed=seed))
    assert first == engine.generate(prompt, Sampling(4, temperature=1.0, seed=seed))


@pytest.mark.parametrize("temperature", [1e-40, 1e-38, 1e-6])
def test_a_temperature_as_good_as_zero_is_greedy(
    engine: TransformersEngine, temperature: float
) -> None:
    prompt = prompts(engine)[:1]
    (greedy,) = engine.generate(prompt, Sampling(4, temperature=0.0))
    (near,) = engine.generate(prompt, Sampling(4, temperature=temperature, seed=1))
    assert near.output_ids == greedy.output_ids
    assert all(math.isfinite(logprob) for logprob in near.logprobs)
