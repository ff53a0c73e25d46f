"""Attention over prefix trees, as an attention implementation of transformers.

A model that ``enable_tree_attention`` has prepared takes rows as before, and prefix trees with
their ``ends`` in place of a mask (see ``prefix_tree``).

On a CPU each branch of the tree attends on its own to the tokens above it and to itself. That is
the work that its sequences make as rows, less what they share; a mask of all pairs of tokens would
cost the square of the tree's size. On other devices many small calls cost more than the masked
pairs do, so SDPA is called once, with a mask. FlexAttention, which skips masked blocks on a GPU,
would take the same ends.
"""

import inspect
from typing import Any

import numpy as np
import torch
from torch.utils.weak import WeakTensorKeyDictionary

IMPLEMENTATION = "prefix_tree"
# What a model must have been loaded with: the function that computes the attention itself.
_UNDERLYING = "sdpa"

# Where many small calls cost less than masked pairs of tokens.
_BRANCHING_DEVICE = "cpu"

# The masks of trees that are being learned from, one for all layers.
_MASKS = WeakTensorKeyDictionary()


def find_tree_problem(model: Any) -> str | None:
    """Why a causal language model cannot be trained on prefix trees; None where it can."""
    config = model.config.get_text_config()
    name = type(model).__name__
    layer_types = set(getattr(config, "layer_types", None) or ())
    if config._attn_implementation not in (_UNDERLYING, IMPLEMENTATION):
        return f"its attention implementation is {config._attn_implementation}, not {_UNDERLYING}"
    if "position_ids" not in inspect.signature(model.get_decoder().forward).parameters:
        return f"{name} takes no position_ids"
    if getattr(config, "alibi", False):
        return f"{name} counts distances in the row (ALiBi)"
    if getattr(model, "_is_stateful", False):
        return f"{name} has recurrent layers, which read a row from left to right"
    if layer_types - {"full_attention"}:
        kinds = ", ".join(sorted(layer_types - {"full_attention"}))
        return f"it has layers that mask what they see themselves ({kinds})"
    if not layer_types and getattr(config, "sliding_window", None) is not None:
        return f"its layers see {config.sliding_window} tokens only (sliding_window)"
    return None


def enable_tree_attention(model: Any) -> None:
    """Let the model take prefix trees beside rows; ``find_tree_problem`` must have nothing
    against it."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(IMPLEMENTATION, _attend)
    # Rows have the masks that they have in SDPA.
    AttentionMaskInterface.register(IMPLEMENTATION, sdpa_mask)
    model.set_attn_implementation(IMPLEMENTATION)


def attends_by_branch(device: str | torch.device) -> bool:
    """Whether attention is computed branch by branch there, and not between all tokens of a
    tree."""
    return torch.device(device).type == _BRANCHING_DEVICE


def is_enabled(model: Any) -> bool:
    """Whether ``enable_tree_attention`` has prepared the model."""
    return bool(model.config.get_text_config()._attn_implementation == IMPLEMENTATION)


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **settings: Any,
) -> tuple[torch.Tensor, None]:
    """An attention function of transformers: ``query`` (rows, heads, tokens, size) to output
    (rows, tokens, heads, size). ``attention_mask`` is that of SDPA, or a tree's ends
    (1, 1, 1, tokens), which are integers."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if attention_mask is None or attention_mask.dtype != torch.int64:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **settings)
    # Under autocast positions have made float32 of query and key, which SDPA would undo each time.
    query, key = query.to(value.dtype), key.to(value.dtype)
    if not attends_by_branch(query.device):
        mask = _get_mask(attention_mask, query.dtype)
        return sdpa_attention_forward(module, query, key, value, mask, **settings)
    outputs = []
    for start, stop, above in _find_branches(attention_mask):
        branch_key, branch_value = key[:, :, start:stop], value[:, :, start:stop]
        visible: torch.Tensor | None = None
        if len(above):
            places = torch.from_numpy(above)
            branch_key = torch.cat([key.index_select(2, places), branch_key], 2)
            branch_value = torch.cat([value.index_select(2, places), branch_value], 2)
            visible = _mask_later_tokens(stop - start, len(above), query.dtype)
        output, _ = sdpa_attention_forward(
            module, query[:, :, start:stop], branch_key, branch_value, visible, **settings
        )
        outputs.append(output)
    return torch.cat(outputs, 1), None


def _find_branches(ends: torch.Tensor) -> list[tuple[int, int, np.ndarray]]:
    """The stretches of a tree in which each token is the child of the one before it, as (start,
    stop, places of the tokens above)."""
    numbers = ends.flatten().numpy()
    places = np.arange(len(numbers))
    # A token whose subtree ends at the next place has no child there.
    starts = [0, *(places[1:][numbers[:-1] == places[1:]]).tolist()]
    stops = [*starts[1:], len(numbers)]
    return [
        (start, stop, np.flatnonzero(numbers[:start] > start))
        for start, stop in zip(starts, stops, strict=True)
    ]


def _mask_later_tokens(tokens: int, above: int, dtype: torch.dtype) -> torch.Tensor:
    """(1, 1, tokens, above + tokens), to be added to scores: a token sees what is above its branch,
    and of its branch what is not behind it."""
    mask = torch.full((tokens, above + tokens), torch.finfo(dtype).min, dtype=dtype)
    return mask.triu(above + 1)[None, None]


def _get_mask(ends: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """(1, 1, tokens, tokens), to be added to scores: a token sees itself and those above it."""
    if ends not in _MASKS:
        row = ends.flatten()
        places = torch.arange(len(row), device=ends.device)
        visible = (places[:, None] >= places) & (places[:, None] < row)
        mask = torch.zeros(visible.shape, dtype=dtype, device=ends.device)
        _MASKS[ends] = mask.masked_fill_(~visible, torch.finfo(dtype).min)[None, None]
    return _MASKS[ends]
