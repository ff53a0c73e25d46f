"""A key-value cache of many sequences that keeps the states of finished requests.

A slot is one row of preallocated tensors. The states of a finished request stay in its row until
another request needs the row. So the next turn of a dialogue, or another sample of the same prompt,
needs to read only its new tokens. The rows in use are always the first ones: a forward pass works
on views of the tensors and never copies them.
"""

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

_INITIAL_CAPACITY = 256  # tokens a slot has room for at first; capacities are multiples of it


class CacheWindow:
    """The rows and positions that one forward pass writes to, the same for all layers.

    The rows are ``first`` to ``first + len(starts) - 1``. Row i writes ``width`` tokens from
    position ``starts[i]`` on. All rows read ``length`` positions, as many as the longest has; the
    mask hides those behind a row's own tokens.
    """

    def __init__(self, first: int, starts: Sequence[int], width: int, device: str) -> None:
        self.rows = slice(first, first + len(starts))
        # A column: together with the positions it addresses every place that is written.
        self.index = torch.arange(first, first + len(starts), device=device)[:, None]
        self.positions = torch.tensor(starts, device=device)[:, None] + torch.arange(
            width, device=device
        )
        self.length = max(starts) + width

    def build_mask(self, dtype: torch.dtype) -> torch.Tensor:
        """Additive attention mask of shape (rows, 1, width, length): a token sees its own position
        and those before it."""
        columns = torch.arange(self.length, device=self.positions.device)
        # New tokens are padded on the right. Padding needs no mask of its own: it lies behind the
        # row's real tokens, which cannot see it, and its states are overwritten when the row goes
        # on.
        hidden = columns > self.positions[:, None, :, None]
        return torch.zeros(hidden.shape, dtype=dtype, device=hidden.device).masked_fill_(
            hidden, float("-inf")
        )


class _SlotLayer(CacheLayerMixin):
    """One layer's keys and values, each of shape (slots, capacity, heads, head size).

    Positions come before heads, unlike in transformers' own caches: a row's first positions are
    then one block of memory. The methods are those that transformers calls.
    """

    keys: Any
    values: Any

    def __init__(self, slots: int) -> None:
        super().__init__()
        self._slots = slots
        self.window: CacheWindow | None = None

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.keys = self._allocate_tensor(key_states)
        self.values = self._allocate_tensor(value_states)
        self.is_initialized = True

    def _allocate_tensor(self, states: torch.Tensor) -> torch.Tensor:
        """Room for states of shape (rows, heads, tokens, head size)."""
        _, heads, _, head_size = states.shape
        return states.new_zeros(self._slots, _INITIAL_CAPACITY, heads, head_size)

    def update(
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        *_: Any,
        **__: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        window = self.window
        if window is None:
            raise RuntimeError("set_window has to come before the forward pass")
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        if window.length > self.keys.shape[1]:
            # Both before either is kept: without memory for the second the two would differ.
            keys = _grow_tensor(self.keys, window.length)
            values = _grow_tensor(self.values, window.length)
            self.keys, self.values = keys, values
        # In place: a row keeps its memory from token to token, and nothing is concatenated.
        self.keys[window.index, window.positions] = key_states.transpose(1, 2)
        self.values[window.index, window.positions] = value_states.transpose(1, 2)
        return (
            self.keys[window.rows, : window.length].transpose(1, 2),
            self.values[window.rows, : window.length].transpose(1, 2),
        )

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return (self.window.length if self.window else query_length), 0

    def get_seq_length(self) -> int:
        # What the longest row had before this pass.
        return self.window.length - self.window.positions.shape[1] if self.window else 0

    def get_max_length(self) -> int:
        return -1  # no limit


class SlotCache(Cache):
    """The cache that a model writes to. Row i has the states of ``row_token_ids[i]``."""

    def __init__(self, layers: int, slots: int) -> None:
        super().__init__(layers=[_SlotLayer(slots) for _ in range(layers)])
        self.row_token_ids: list[list[int]] = [[] for _ in range(slots)]
        self._last_used = [0] * slots
        self._uses = 0

    def set_window(self, window: CacheWindow) -> None:
        """Set the rows and positions that the next forward pass writes."""
        for layer in self.layers:
            layer.window = window  # type: ignore[union-attr]

    def clear_tokens(self) -> None:
        """Forget the tokens of all rows: after a change of weights their states are wrong."""
        # The tensors stay allocated: without tokens their states are not used as a prefix.
        self.row_token_ids = [[] for _ in self.row_token_ids]

    def erase_row(self, row: int) -> None:
        """Forget a row's tokens and their states, which may not be finite: a masked position of the
        row's next request must be."""
        self.row_token_ids[row] = []
        for layer in self.layers:
            for tensor in _layer_tensors(layer):
                tensor[row] = 0

    def mark_used(self, row: int) -> None:
        """Mark the row as the most recently used one."""
        self._uses += 1
        self._last_used[row] = self._uses

    def find_prefix_source(self, prompt: Sequence[int]) -> tuple[int, int]:
        """(row, length) of the longest beginning that the prompt has in common with a row."""
        lengths = [_common_prefix_length(tokens, prompt) for tokens in self.row_token_ids]
        best_row = max(range(len(lengths)), key=lengths.__getitem__)
        return best_row, lengths[best_row]

    def find_oldest_row(self, first: int) -> int:
        """The row from ``first`` on that was used longest ago; an empty row before any other."""
        return min(
            range(first, len(self.row_token_ids)),
            key=lambda row: (bool(self.row_token_ids[row]), self._last_used[row]),
        )

    def copy_prefix(self, source: int, target: int, count: int) -> None:
        """Copy the first ``count`` tokens of row ``source`` to row ``target``."""
        for layer in self.layers:
            for tensor in _layer_tensors(layer):
                tensor[target, :count] = tensor[source, :count]
        self.row_token_ids[target] = self.row_token_ids[source][:count]

    def swap_rows(self, first: int, second: int) -> None:
        """Exchange the content of two rows."""
        if first == second:
            return
        # Positions behind the tokens of both rows have no meaning and need not be moved.
        length = max(len(self.row_token_ids[first]), len(self.row_token_ids[second]))
        for layer in self.layers:
            for tensor in _layer_tensors(layer):
                saved = tensor[first, :length].clone()
                tensor[first, :length] = tensor[second, :length]
                tensor[second, :length] = saved
        self.row_token_ids[first], self.row_token_ids[second] = (
            self.row_token_ids[second],
            self.row_token_ids[first],
        )
        self._last_used[first], self._last_used[second] = (
            self._last_used[second],
            self._last_used[first],
        )


def _layer_tensors(layer: Any) -> tuple[torch.Tensor, ...]:
    return (layer.keys, layer.values) if layer.is_initialized else ()


def _grow_tensor(tensor: torch.Tensor, length: int) -> torch.Tensor:
    """A copy with room for at least ``length`` positions, and at least half more than before.

    New positions are zero: a masked position must still be finite, or the sum becomes NaN.
    """
    slots, capacity, heads, head_size = tensor.shape
    needed = -(-length // _INITIAL_CAPACITY) * _INITIAL_CAPACITY
    new_capacity = max(needed, capacity + capacity // 2)
    larger = tensor.new_zeros(slots, new_capacity, heads, head_size)
    larger[:, :capacity] = tensor
    return larger


def _common_prefix_length(first: Sequence[int], second: Sequence[int]) -> int:
    for position, (first_id, second_id) in enumerate(zip(first, second, strict=False)):
        if first_id != second_id:
            return position
    return min(len(first), len(second))
