"""Keys and values of many sequences in memory that outlives a request.

A slot is one row of preallocated tensors; what a finished request left there is kept until another
request needs the row, so that the next turn of a dialogue, or another sample of the same prompt,
reads only what is new. Rows in use are always the first ones: a forward pass works on views of
them, never on copies.
"""

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

_GROW = 256  # tokens a slot has room for at first; it grows by at least half


class CacheWindow:
    """The rows and places one forward pass writes to, shared by all layers.

    Rows ``first`` .. ``first + len(starts) - 1``; row i writes ``width`` tokens from place
    ``starts[i]`` on, and reads ``length`` places (the longest row's, what lies behind a row's own
    tokens is masked).
    """

    def __init__(self, first: int, starts: Sequence[int], width: int, device: str) -> None:
        self.rows = slice(first, first + len(starts))
        self.index = torch.arange(first, first + len(starts), device=device)[:, None]
        self.positions = torch.tensor(starts, device=device)[:, None] + torch.arange(
            width, device=device
        )
        self.length = max(starts) + width

    def mask(self, dtype: torch.dtype) -> torch.Tensor:
        """Additive attention mask (rows, 1, width, length): a token sees its own place and those
        before it."""
        places = torch.arange(self.length, device=self.positions.device)
        hidden = places > self.positions[:, None, :, None]
        return torch.zeros(hidden.shape, dtype=dtype, device=hidden.device).masked_fill_(
            hidden, float("-inf")
        )


class _SlotLayer(CacheLayerMixin):
    """One layer's keys and values, each (slots, capacity, heads, head size)."""

    keys: Any
    values: Any

    def __init__(self, slots: int) -> None:
        super().__init__()
        self._slots = slots
        self.window: CacheWindow | None = None

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.keys, self.values = (
            one.new_zeros(self._slots, _GROW, one.shape[1], one.shape[3])
            for one in (key_states, value_states)
        )
        self.is_initialized = True

    def update(
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        *_: Any,
        **__: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        window = self.window
        if window is None:
            raise RuntimeError("look_at says where to write before the forward pass does")
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        if window.length > self.keys.shape[1]:
            self.keys, self.values = (
                _grown(self.keys, window.length),
                _grown(self.values, window.length),
            )
        self.keys[window.index, window.positions] = key_states.transpose(1, 2)
        self.values[window.index, window.positions] = value_states.transpose(1, 2)
        return (
            self.keys[window.rows, : window.length].transpose(1, 2),
            self.values[window.rows, : window.length].transpose(1, 2),
        )

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return (self.window.length if self.window else query_length), 0

    def get_seq_length(self) -> int:
        return self.window.length - self.window.positions.shape[1] if self.window else 0

    def get_max_length(self) -> int:
        return -1


class SlotCache(Cache):
    """The cache a model writes through, with the tokens each slot holds."""

    def __init__(self, layers: int, slots: int) -> None:
        super().__init__(layers=[_SlotLayer(slots) for _ in range(layers)])
        self.tokens: list[list[int]] = [[] for _ in range(slots)]
        self._used = [0] * slots
        self._clock = 0

    def set_window(self, window: CacheWindow) -> None:
        """Direct the next forward pass."""
        for layer in self.layers:
            layer.window = window  # type: ignore[union-attr]

    def clear_tokens(self) -> None:
        """Drop what idle slots hold (after the weights changed)."""
        self.tokens = [[] for _ in self.tokens]

    def mark_used(self, row: int) -> None:
        self._clock += 1
        self._used[row] = self._clock

    def find_prefix_source(self, prompt: Sequence[int]) -> tuple[int, int]:
        """(row, tokens it shares with the prompt's beginning) of the best row."""
        shared = [_common_prefix(tokens, prompt) for tokens in self.tokens]
        best = max(range(len(shared)), key=shared.__getitem__)
        return best, shared[best]

    def find_oldest_row(self, first: int) -> int:
        """The row from ``first`` on that was used longest ago, empty ones before all."""
        return min(
            range(first, len(self.tokens)),
            key=lambda row: (bool(self.tokens[row]), self._used[row]),
        )

    def copy_prefix(self, source: int, target: int, count: int) -> None:
        """Give a row the first ``count`` tokens of another."""
        for layer in self.layers:
            for tensor in _tensors(layer):
                tensor[target, :count] = tensor[source, :count]
        self.tokens[target] = self.tokens[source][:count]

    def swap_rows(self, one: int, two: int) -> None:
        """Exchange two rows."""
        if one == two:
            return
        length = max(len(self.tokens[one]), len(self.tokens[two]))
        for layer in self.layers:
            for tensor in _tensors(layer):
                kept = tensor[one, :length].clone()
                tensor[one, :length] = tensor[two, :length]
                tensor[two, :length] = kept
        self.tokens[one], self.tokens[two] = self.tokens[two], self.tokens[one]
        self._used[one], self._used[two] = self._used[two], self._used[one]


def _tensors(layer: Any) -> tuple[torch.Tensor, ...]:
    return (layer.keys, layer.values) if layer.is_initialized else ()


def _grown(tensor: torch.Tensor, length: int) -> torch.Tensor:
    """A copy with at least ``length`` places; new ones are zero, because a masked place must still
    be finite."""
    slots, capacity, heads, size = tensor.shape
    larger = tensor.new_zeros(
        slots, max(-(-length // _GROW) * _GROW, capacity + capacity // 2), heads, size
    )
    larger[:, :capacity] = tensor
    return larger


def _common_prefix(one: Sequence[int], two: Sequence[int]) -> int:
    for place, (a, b) in enumerate(zip(one, two, strict=False)):
        if a != b:
            return place
    return min(len(one), len(two))
