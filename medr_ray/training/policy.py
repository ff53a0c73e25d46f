"""The model being trained: log-probabilities of chosen tokens, logits only where they are
needed."""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from medr_ray.training.batches import MicroBatch

# Target tokens whose logits over the whole vocabulary exist at one time; the backward pass makes
# them again.
_CHUNK_TOKENS = 256


class PolicyModule(nn.Module):
    """Wraps a causal language model; float32 weights, bf16 autocast inside ``forward``."""

    def __init__(self, model: Any, temperature: float = 1.0) -> None:
        super().__init__()
        self.model = model
        self.temperature = temperature

    def forward(self, batch: MicroBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """(log-probabilities, entropies) of the target tokens, each (N) float32; entropies carry no
        gradient."""
        with torch.autocast(batch.input_ids.device.type, dtype=torch.bfloat16):
            hidden = self.model.get_decoder()(
                input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False
            ).last_hidden_state
            chosen = hidden[batch.rows, batch.columns]
            parts = [
                checkpoint(self._score_tokens, part, tokens, use_reentrant=False)
                for part, tokens in zip(
                    chosen.split(_CHUNK_TOKENS), batch.tokens.split(_CHUNK_TOKENS), strict=True
                )
            ]
        logprobs, entropies = zip(*parts, strict=True)
        return torch.cat(logprobs), torch.cat(entropies)

    def _score_tokens(
        self, hidden: torch.Tensor, tokens: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        logits = self.model.get_output_embeddings()(hidden)
        distribution = (logits.float() / self.temperature).log_softmax(-1)
        with torch.no_grad():
            entropy = -(distribution.exp() * distribution).sum(-1)
        return distribution.gather(1, tokens[:, None])[:, 0], entropy


def load_policy_module(
    model_dir: Path,
    temperature: float = 1.0,
    trust_remote_code: bool = False,
    deepspeed: dict[str, Any] | None = None,
) -> PolicyModule:
    """The model of a Hugging Face directory, float32, with dropout off (log-probabilities must
    match the engine's).

    ``deepspeed``: its settings where ZeRO 3 shards the weights as they are loaded.
    """
    from transformers import AutoModelForCausalLM

    sharding = None
    if deepspeed is not None and deepspeed["zero_optimization"]["stage"] == 3:
        from transformers.integrations import HfDeepSpeedConfig

        # In force for from_pretrained as long as it is referenced.
        sharding = HfDeepSpeedConfig(deepspeed)
    model = AutoModelForCausalLM.from_pretrained(
        model_dir, dtype=torch.float32, trust_remote_code=trust_remote_code
    )
    del sharding
    return PolicyModule(model.eval(), temperature)
