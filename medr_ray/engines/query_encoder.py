"""Embeddings of queries: one after another, or several at once where they come together.

Guaranteed on a CPU: a query has the same vector whoever else is encoded with it. A padded batch
changes vectors in the third decimal, for in bfloat16 attention over padding rounds otherwise. So
the tokens of all queries are joined without padding, every query attends to itself alone, and
everything else is done token by token. Other models than BERT encode their queries one by one.
"""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import AttentionInterface

from medr_ray.engines.encoder import MAX_TOKENS, Encoder, Pooling

_JOINED_MODELS = ("bert",)  # whose positions are given, and whose tokens see all others
_ATTENTION = "medr_each_text"
_MOST_TOGETHER = 16  # queries; more gain nothing on a CPU and make the first of them wait


class QueryEncoder(Encoder):
    """An encoder of queries; see ``Encoder`` for its parameters and errors."""

    def __init__(
        self,
        model: str,
        threads: int = 1,
        *,
        pooling: Pooling = "mean",
        max_tokens: int = MAX_TOKENS,
        prefix: str = "",
    ) -> None:
        super().__init__(
            model, _MOST_TOGETHER, threads, pooling=pooling, max_tokens=max_tokens, prefix=prefix
        )
        self._joins_texts = self._model.config.model_type in _JOINED_MODELS
        if not self._joins_texts:
            self._batch = 1
            return
        self._model.set_attn_implementation(_ATTENTION)
        if self._device == "cpu" and torch.backends.mkldnn.is_available():
            _pack_weights(self._model)

    def _embed_batch(self, texts: list[str]) -> Any:
        if not self._joins_texts:
            return super()._embed_batch(texts)
        rows = self._list_ids(texts)
        lengths = [len(row) for row in rows]
        ids = torch.tensor([[token_id for row in rows for token_id in row]], device=self._device)
        positions = torch.cat([torch.arange(length) for length in lengths]).to(self._device)
        states = self._model(
            input_ids=ids, position_ids=positions.unsqueeze(0), text_lengths=lengths
        ).last_hidden_state
        # Sums over many tokens are taken in float32; bfloat16 has 8 bits of precision.
        pooled = [self._pool_text(text) for text in states[0].float().split(lengths)]
        return torch.nn.functional.normalize(torch.stack(pooled), dim=1).cpu().numpy()

    def _pool_text(self, states: torch.Tensor) -> torch.Tensor:
        """The states of a text, shape (tokens, size), as one vector."""
        mask = torch.ones(1, len(states), dtype=torch.int64, device=states.device)
        pooled: torch.Tensor = self._pool_states(states.unsqueeze(0), mask)[0]
        return pooled


class _PackedLinear(torch.nn.Module):
    """A linear layer whose weights are stored as the multiplication wants them.

    ``torch.nn.Linear`` in bfloat16 rearranges them at every call, a third of the time of a query.
    The result is the same to the last bit.
    """

    def __init__(self, layer: torch.nn.Linear) -> None:
        super().__init__()
        self._weight = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), None)
        self._bias = None if layer.bias is None else layer.bias.detach()

    def forward(self, states: torch.Tensor) -> Any:
        return torch.ops.mkldnn._linear_pointwise(states, self._weight, self._bias, "none", [], "")


def _pack_weights(module: torch.nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, torch.nn.Linear):
            setattr(module, name, _PackedLinear(child))
        else:
            _pack_weights(child)


def _attend_each_text(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    *,
    text_lengths: Sequence[int],
    **options: object,
) -> tuple[torch.Tensor, None]:
    """Attention of joined texts, shape (1, heads, tokens, size), each within itself."""
    states = []
    texts = zip(
        *(tensor.split(list(text_lengths), dim=2) for tensor in (query, key, value)), strict=True
    )
    for text_query, text_key, text_value in texts:
        states.append(
            torch.nn.functional.scaled_dot_product_attention(
                text_query, text_key, text_value, scale=scaling
            )
        )
    return torch.cat(states, dim=2).transpose(1, 2).contiguous(), None


AttentionInterface.register(_ATTENTION, _attend_each_text)
