"""The model being trained. It computes the log-probabilities of the target tokens."""

from typing import Any

import torch
from torch import nn

from medr_ray.engines.number_format import select_dtype
from medr_ray.training.batches import MicroBatch
from medr_ray.training.target_scores import score_targets_in_head
from medr_ray.training.tree_attention import is_enabled


class PolicyModule(nn.Module):
    """Wraps a causal language model.

    Matrix products are taken in ``dtype``; by default in bf16 for speed and memory, where the
    hardware computes in it (see ``engines.number_format``). What the optimiser steps on stays
    float32, because bf16 keeps 8 bits of precision: an AdamW step of 1e-5 on a weight of 0.01 would
    be rounded away. With ``casts_weights`` the weights are float32 and cast where they are used;
    without it the backend gives the model weights that are in ``dtype`` already.

    Logits are divided by ``temperature`` as the engine divides them when it samples; otherwise the
    probability ratio of the policy loss would compare two different distributions.
    """

    def __init__(
        self,
        model: Any,
        temperature: float = 1.0,
        dtype: torch.dtype | None = None,
        casts_weights: bool = True,
    ) -> None:
        super().__init__()
        self.model = model
        self._dtype = dtype
        self._casts_weights = casts_weights
        score_targets_in_head(model, temperature)

    def forward(self, batch: MicroBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns (log-probabilities, entropies) of the N target tokens, both (N) and float32.

        Entropies carry no gradient. Raises ValueError for a prefix tree when the model was not
        prepared for trees (``tree_attention.enable_tree_attention``).
        """
        if batch.subtree_ends is not None and not is_enabled(self.model):
            raise ValueError("the model was not prepared for prefix trees")
        device = batch.input_ids.device.type
        dtype = self._dtype or select_dtype(device)
        casts = self._casts_weights and dtype != torch.float32
        # No cache of the cast weights: each is used once, and the cache would keep all of them
        # until the end of the pass.
        with torch.autocast(device, dtype=dtype, enabled=casts, cache_enabled=False):
            hidden = self.model.get_decoder()(
                input_ids=batch.input_ids, use_cache=False, **_attention_arguments(batch)
            ).last_hidden_state
            # Normalised in float32 under autocast.
            states = hidden[batch.hidden_rows, batch.hidden_columns].to(dtype)
            logprobs, entropies = self.model.get_output_embeddings()(states, batch.target_tokens)
        return (
            _spread_over_occurrences(logprobs, batch),
            _spread_over_occurrences(entropies, batch),
        )


def _attention_arguments(batch: MicroBatch) -> dict[str, torch.Tensor]:
    """The decoder's arguments that say which tokens see which, and where they stand."""
    if batch.subtree_ends is None or batch.position_ids is None:
        return {"attention_mask": batch.attention_mask}
    # Of four dimensions, because transformers hands such a mask on as it is.
    return {
        "attention_mask": batch.subtree_ends[:, None, None],
        "position_ids": batch.position_ids,
    }


def _spread_over_occurrences(scores: torch.Tensor, batch: MicroBatch) -> torch.Tensor:
    """The scores of the N target tokens, from those of the M that were scored."""
    return scores if batch.occurrences is None else scores[batch.occurrences]
