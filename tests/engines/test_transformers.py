"""The transformers engine and chat rendering on a tiny random model: ids, log-probabilities, weights."""

from pathlib import Path

import pytest
import torch
from support.tiny_model import build_tiny_model

from medr_ray.core.config import EngineConfig
from medr_ray.core.errors import InfrastructureError
from medr_ray.engines.base import Sampling
from medr_ray.engines.transformers import TransformersEngine

pytestmark = pytest.mark.slow
DIALOGUE = [
    {"role": "system", "content": "S"}, {"role": "user", "content": "Q"},
    {"role": "assistant", "content": "<think>x</think>\n<tool_call>{}</tool_call>"},
    {"role": "user", "content": "<tool_response>p<0.05</tool_response>"},
    {"role": "assistant", "content": "<answer>y</answer>"}]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> TransformersEngine:
    model = build_tiny_model(tmp_path_factory.mktemp("model"))
    return TransformersEngine(model, EngineConfig(dtype="float32", device="cpu", threads=1, max_batch=4))


def prompts(engine: TransformersEngine) -> list[list[int]]:
    texts = ["Marfan", "what is the inheritance of it", "Marfan", "x", "a much longer question than the others are"]
    return [engine.renderer.start([{"role": "user", "content": text}]) for text in texts]


def test_logprobs_are_those_of_the_sampled_tokens(engine: TransformersEngine) -> None:
    for temperature in (1.0, 0.7):
        for prompt, out in zip(prompts(engine), engine.generate(
                prompts(engine), Sampling(24, temperature, seed=3)), strict=True):
            with torch.inference_mode():
                logits = engine.model(torch.tensor([[*prompt, *out.output_ids]])).logits[0] / temperature
            wanted = logits.log_softmax(-1)[len(prompt) - 1:-1]
            chosen = wanted[range(len(out.output_ids)), list(out.output_ids)]
            assert torch.allclose(chosen, torch.tensor(out.logprobs), atol=1e-4)


def test_greedy_output_does_not_depend_on_the_batch(engine: TransformersEngine) -> None:
    together = engine.generate(prompts(engine), Sampling(16, 0.0))
    alone = [engine.generate([prompt], Sampling(16, 0.0))[0] for prompt in prompts(engine)]
    assert [one.output_ids for one in together] == [one.output_ids for one in alone]


def test_equal_prompts_are_sampled_apart(engine: TransformersEngine) -> None:
    same = [prompts(engine)[1]] * 4
    assert len({one.output_ids for one in engine.generate(same, Sampling(24, 1.0, seed=1))}) > 1


def test_a_stop_text_ends_the_turn_and_is_not_shown(engine: TransformersEngine) -> None:
    out, = engine.generate([prompts(engine)[0]], Sampling(64, 0.0))
    stop = out.text[3:6]
    cut, = engine.generate([prompts(engine)[0]], Sampling(64, 0.0, stop=(stop,)))
    assert cut.text == out.text[:out.text.index(stop)]
    assert cut.finish_reason == "stop"
    assert len(cut.output_ids) < len(out.output_ids)


def test_streamed_text_is_the_generated_text(engine: TransformersEngine) -> None:
    prompt = prompts(engine)[1]
    out, = engine.generate([prompt], Sampling(24, 0.0))
    assert "".join(engine.stream(prompt, Sampling(24, 0.0))) == out.text


def test_new_weights_are_served_whole_or_not_at_all(engine: TransformersEngine, tmp_path: Path) -> None:
    prompt = prompts(engine)[1]
    before = {name: p.detach().clone() for name, p in engine.model.named_parameters()}
    old = engine.generate([prompt], Sampling(16, 0.0))[0].output_ids
    with pytest.raises(InfrastructureError, match="do not match"):
        engine.load_weights({"nobody.weight": torch.zeros(1)}, 7)
    assert engine.version == 0
    engine.load_weights({name: torch.randn_like(p) for name, p in before.items()}, 1)
    changed = engine.generate([prompt], Sampling(16, 0.0))[0]
    assert changed.version == 1
    assert changed.output_ids != old
    engine.load_weights(before, 0)


def test_a_dialogue_is_the_templates_text_and_only_the_assistant_is_learnt(engine: TransformersEngine) -> None:
    ids, mask = engine.renderer.dialogue(DIALOGUE)
    template = engine.tokenizer.apply_chat_template(DIALOGUE, tokenize=False)
    assert engine.tokenizer.decode(ids) == template.rstrip("\n")
    learnt = engine.tokenizer.decode([i for i, on in zip(ids, mask, strict=True) if on])
    assert learnt == "<think>x</think>\n<tool_call>{}</tool_call><|im_end|><answer>y</answer><|im_end|>"


def test_turn_by_turn_ids_equal_the_dialogues_ids(engine: TransformersEngine) -> None:
    first = engine.renderer.start(DIALOGUE[:2])
    said = [*engine.tokenizer(DIALOGUE[2]["content"], add_special_tokens=False)["input_ids"], engine.renderer.end_id]
    last = [*engine.tokenizer(DIALOGUE[4]["content"], add_special_tokens=False)["input_ids"], engine.renderer.end_id]
    assert first + said + engine.renderer.bridge(DIALOGUE[3:4]) + last == engine.renderer.dialogue(DIALOGUE)[0]
