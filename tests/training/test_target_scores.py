"""Log-probabilities of targets and their gradients, against the model's own logits."""

from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    CohereConfig,
    Gemma2Config,
    GraniteConfig,
    LlamaConfig,
)

from medr_ray.training.batches import Example, collate
from medr_ray.training.policy import PolicyModule

_SHAPE: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "initializer_range": 0.3,
    "max_position_embeddings": 1024,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_CONFIGS = {
    "llama": LlamaConfig(**_SHAPE),
    "tied": LlamaConfig(**_SHAPE, tie_word_embeddings=True),
    "bounded logits": Gemma2Config(**_SHAPE, final_logit_softcapping=2.0),
    "divided logits": GraniteConfig(**_SHAPE, logits_scaling=4.0),
    "multiplied logits": CohereConfig(**_SHAPE, logit_scale=0.3),
}
_TEMPERATURE = 0.7


def build_model(kind: str) -> Any:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(_CONFIGS[kind]).eval()


def draw_examples() -> list[Example]:
    """More targets than a chunk has, in sequences of different lengths, one without any."""
    generator = torch.Generator().manual_seed(0)
    lengths = [400, 7, 90]
    drawn = [torch.randint(3, 97, (length,), generator=generator).tolist() for length in lengths]
    targets = [tuple(range(5, 400)), (1, 6), ()]
    return [Example(tuple(ids), positions) for ids, positions in zip(drawn, targets, strict=True)]


@pytest.mark.parametrize("kind", list(_CONFIGS))
def test_scores_and_gradients_are_those_of_the_models_logits(kind: str) -> None:
    batch = collate(draw_examples(), pad_id=0, device="cpu")
    weights = torch.linspace(-1, 2, len(batch.target_tokens))
    plain = build_model(kind)
    logits = plain(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
    rows = logits[batch.hidden_rows, batch.hidden_columns] / _TEMPERATURE
    distribution = rows.log_softmax(-1)
    expected = distribution.gather(1, batch.target_tokens[:, None])[:, 0]
    (expected * weights).sum().backward()

    module = PolicyModule(build_model(kind), _TEMPERATURE, torch.float32)
    logprobs, entropies = module(batch)
    (logprobs * weights).sum().backward()

    torch.testing.assert_close(logprobs, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(entropies, -(distribution.exp() * distribution).sum(-1))
    assert not entropies.requires_grad
    for (name, own), reference in zip(
        module.model.named_parameters(), plain.parameters(), strict=True
    ):
        scale = reference.grad.abs().max()
        assert (own.grad - reference.grad).abs().max() <= 1e-5 * scale, name


def test_the_output_layer_is_called_once_for_all_chunks() -> None:
    module = PolicyModule(build_model("llama"), dtype=torch.float32)
    calls = []
    module.model.lm_head.register_forward_hook(lambda *_: calls.append(1))
    module(collate(draw_examples(), pad_id=0, device="cpu"))
    assert len(calls) == 1


def test_an_output_layer_that_is_not_linear_is_refused() -> None:
    model = build_model("llama")
    model.lm_head = torch.nn.Bilinear(2, 2, 2)
    with pytest.raises(ValueError, match="output layer of type Bilinear"):
        PolicyModule(model)
