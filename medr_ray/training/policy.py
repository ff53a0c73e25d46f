"""The model being trained. It computes the log-probabilities of the target tokens.

Logits (tokens x vocabulary) are the largest tensors of a training step. To save memory, the module
computes them for the target tokens only, in chunks, and computes each chunk again in the backward
pass instead of keeping it.
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from medr_ray.engines.number_format import select_dtype
from medr_ray.training.batches import MicroBatch

# Target tokens whose logits over the whole vocabulary exist at one time: 156 MB in float32 at a
# vocabulary of 152,000.
_CHUNK_TOKENS = 256


class PolicyModule(nn.Module):
    """Wraps a causal language model with float32 weights.

    Matrix products are taken in bf16 for speed and memory, where the hardware computes in it (see
    ``engines.number_format``). The weights stay float32, because bf16 keeps 8 bits of precision: an
    AdamW step of 1e-5 on a weight of 0.01 would be rounded away.

    Logits are divided by ``temperature`` as the engine divides them when it samples; otherwise the
    probability ratio of the policy loss would compare two different distributions.
    """

    def __init__(self, model: Any, temperature: float = 1.0) -> None:
        super().__init__()
        self.model = model
        self.temperature = temperature

    def forward(self, batch: MicroBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns (log-probabilities, entropies) of the N target tokens, both (N) and float32.

        Entropies carry no gradient. A batch with ``attention`` needs a model that takes such a mask
        (the attention implementations "sdpa" and "eager" of transformers).
        """
        device = batch.input_ids.device.type
        dtype = select_dtype(device)
        with torch.autocast(device, dtype=dtype, enabled=dtype != torch.float32):
            hidden = self.model.get_decoder()(
                input_ids=batch.input_ids, use_cache=False, **_attention_arguments(batch, dtype)
            ).last_hidden_state
            target_states = hidden[batch.hidden_rows, batch.hidden_columns]
            logprobs: list[torch.Tensor] = []
            entropies: list[torch.Tensor] = []
            for states, tokens in zip(
                target_states.split(_CHUNK_TOKENS),
                batch.target_tokens.split(_CHUNK_TOKENS),
                strict=True,
            ):
                scores = checkpoint(self._score_tokens, states, tokens, use_reentrant=False)
                logprobs.append(scores[0])
                entropies.append(scores[1])
        return (
            _spread_over_occurrences(torch.cat(logprobs), batch),
            _spread_over_occurrences(torch.cat(entropies), batch),
        )

    def _score_tokens(
        self, hidden: torch.Tensor, tokens: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(log-probabilities, entropies) of ``tokens`` (N), which ``hidden`` (N, size) predict."""
        logits = self.model.get_output_embeddings()(hidden)
        # In float32: softmax sums over the whole vocabulary, and in bf16 the rounding of this sum
        # would be in every log-probability.
        log_distribution = (logits.float() / self.temperature).log_softmax(-1)
        # The entropy is reported and is not part of the loss.
        with torch.no_grad():
            entropy = -(log_distribution.exp() * log_distribution).sum(-1)
        return log_distribution.gather(1, tokens[:, None])[:, 0], entropy


def _attention_arguments(batch: MicroBatch, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The decoder's arguments that say which tokens see which, and where they stand."""
    if batch.attention is None or batch.position_ids is None:
        return {"attention_mask": batch.attention_mask}
    # Added to the attention scores, in the format in which they are computed. A boolean mask would
    # be right for SDPA only ("eager" adds whatever it is given), and SDPA would turn it into this
    # one anew in every layer and keep each for the backward pass.
    bias = torch.zeros(batch.attention.shape, dtype=dtype, device=batch.attention.device)
    bias.masked_fill_(~batch.attention, torch.finfo(dtype).min)
    return {"attention_mask": bias, "position_ids": batch.position_ids}


def _spread_over_occurrences(scores: torch.Tensor, batch: MicroBatch) -> torch.Tensor:
    """The scores of the N target tokens, from those of the M that were scored."""
    return scores if batch.occurrences is None else scores[batch.occurrences]


def load_policy_module(
    model_dir: Path,
    temperature: float = 1.0,
    trust_remote_code: bool = False,
    deepspeed_config: dict[str, Any] | None = None,
) -> PolicyModule:
    """The model of a Hugging Face directory, in float32.

    Dropout is off, because the log-probabilities must match those of the engine. Under ZeRO 3 of
    ``deepspeed_config`` the weights are split over the workers while they are loaded, so no worker
    needs memory for the whole model.
    """
    # Imported here, because transformers is slow to import.
    from transformers import AutoModelForCausalLM

    sharding = None
    if deepspeed_config is not None and deepspeed_config["zero_optimization"]["stage"] == 3:
        from transformers.integrations import HfDeepSpeedConfig

        # ``from_pretrained`` splits the weights as long as this object exists. Transformers holds
        # only a weak reference to it, so it needs a name until the model is loaded.
        sharding = HfDeepSpeedConfig(deepspeed_config)
    model = AutoModelForCausalLM.from_pretrained(
        model_dir, dtype=torch.float32, trust_remote_code=trust_remote_code
    )
    del sharding
    return PolicyModule(model.eval(), temperature)
