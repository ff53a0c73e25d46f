"""Bytes that a forward and backward pass of a decoder takes, by what autograd keeps for it.

The counts follow transformers' layers (``modeling_qwen3`` and its like) operation by operation:
what each keeps for its gradient, per token. The tests hold them against what autograd saves and
against the peak that torch's memory tracker finds, both on fake tensors of real shapes.
"""

from dataclasses import dataclass
from typing import Literal

from medr_ray.training.planner.shapes import ModelShape

# How attention is told which tokens see which. A sequence alone needs nothing. For padded rows
# transformers makes a mask of truth values, which SDPA turns into numbers anew in every layer. A
# prefix tree has numbers on a GPU, which all layers share. On a CPU each of its branches attends on
# its own, with copies of the keys and values that it sees and a mask of numbers.
MaskKind = Literal["none", "rows", "tree", "branches"]

# What the matrices are multiplied in: float32, bfloat16 weights, or bfloat16 copies that autocast
# makes of float32 weights.
Compute = Literal["float32", "bfloat16", "autocast"]

_FLOAT32 = 4  # bytes of a number
_BFLOAT16 = 2
# float32 numbers for each logit of a chunk that are alive at the same time: the logits, divided by
# the temperature, and the exponentials that the entropy is made of.
_CHUNK_COPIES = 3


@dataclass(frozen=True)
class MicroBatchSize:
    """``rows`` of ``length`` tokens, padding included, with ``targets`` targets in all. A ``mask``
    has rows x length x length entries, but for ``branches``: there the tokens behind the first
    ``trunk`` are as many ``branches`` of equal length, each of which sees the trunk and itself."""

    rows: int
    length: int
    targets: int
    mask: MaskKind = "none"
    trunk: int = 0
    branches: int = 0

    @property
    def tokens(self) -> int:
        return self.rows * self.length


@dataclass(frozen=True)
class ActivationBytes:
    """``kept`` from the forward to the backward pass; ``working`` for the layer that the backward
    pass is in; ``logits`` for a chunk of them. The last two are not alive together."""

    kept: int
    working: int
    logits: int


def count_activations(
    shape: ModelShape,
    batch: MicroBatchSize,
    compute: Compute,
    has_checkpoints: bool,
    chunk_tokens: int,
) -> ActivationBytes:
    """The bytes of one micro-batch. ``has_checkpoints``: each layer keeps its input alone and is
    computed again in the backward pass. ``chunk_tokens`` targets have their logits at a time."""
    width = _number_bytes(compute)
    residual = _BFLOAT16 if compute == "bfloat16" else _FLOAT32
    layer = count_layer_bytes(shape, batch, compute)
    kept_layer = batch.tokens * shape.hidden * residual if has_checkpoints else layer
    # The last norm, the token ids, the angles of the positions, and the states that predict.
    ends = batch.tokens * (_count_norm(shape.hidden, 1, compute) + 8)
    ends += batch.length * 2 * shape.head_width * width
    ends += batch.targets * shape.hidden * width
    if batch.mask == "rows":
        ends += _count_mask_entries(batch)  # truth values, a byte each
    if batch.mask == "tree":
        ends += _count_mask_entries(batch) * width
    # At the MLP's product: three gradients of its width where one of its four kept numbers is free
    # already; and those of its input from two sides.
    gradients = batch.tokens * (2 * width * shape.intermediate + 2 * residual * shape.hidden)
    recomputed = layer if has_checkpoints else 0
    chunk = min(chunk_tokens, batch.targets)
    return ActivationBytes(
        kept=shape.layers * kept_layer + ends,
        working=recomputed + gradients,
        logits=chunk * shape.vocabulary * (width + _CHUNK_COPIES * _FLOAT32),
    )


def count_layer_bytes(shape: ModelShape, batch: MicroBatchSize, compute: Compute) -> int:
    """What autograd keeps of one layer."""
    width = _number_bytes(compute)
    # Both norms, and their outputs: the inputs of the projections and of the MLP. Autocast copies
    # an input for each of the five matrices that it is multiplied by.
    inputs = 5 if compute == "autocast" else 2
    token = 2 * _count_norm(shape.hidden, 1, compute) + inputs * width * shape.hidden
    if shape.has_head_norms:
        head_compute: Compute = "bfloat16" if compute == "autocast" else compute
        token += _count_norm(shape.query_width, shape.heads, head_compute)
        token += _count_norm(shape.key_width, shape.key_heads, head_compute)
    # With a mask, keys and values are copied for every query head.
    has_mask = batch.mask in ("rows", "tree")
    key_width = shape.query_width if has_mask else shape.key_width
    # Queries, keys, values, the output, and a logarithm of each head's sum.
    token += 2 * width * (shape.query_width + key_width) + _FLOAT32 * shape.heads
    # The gate before and after its activation, what it multiplies, and the product.
    token += 4 * width * shape.intermediate
    mask = 0
    if batch.mask == "rows":
        mask = _count_mask_entries(batch) * width
    if batch.mask == "branches":
        mask = _count_branch_numbers(shape, batch) * width
    return batch.tokens * token + mask


def _count_branch_numbers(shape: ModelShape, batch: MicroBatchSize) -> int:
    """Numbers that attention by branch keeps beside those of a sequence alone: keys and values of
    the branches for every query head, their masks, and the outputs, which are put together in a
    copy."""
    behind_trunk = batch.length - batch.trunk
    seen = batch.trunk + behind_trunk // batch.branches  # by a branch
    copies = 2 * shape.query_width * batch.branches * seen
    return copies + behind_trunk * seen + shape.query_width * batch.length


def count_weight_copies(shape: ModelShape, compute: Compute) -> int:
    """Autocast's copies of the layers' matrices, which are kept for the backward pass."""
    return _BFLOAT16 * shape.layers * shape.linear_parameters if compute == "autocast" else 0


def _count_mask_entries(batch: MicroBatchSize) -> int:
    return batch.rows * batch.length**2


def _number_bytes(compute: Compute) -> int:
    return _FLOAT32 if compute == "float32" else _BFLOAT16


def _count_norm(size: int, groups: int, compute: Compute) -> int:
    """Of an RMS norm over ``groups`` parts of ``size`` numbers in all: its input in float32, the
    normalised input, and a root of each part."""
    normalised = _BFLOAT16 if compute == "bfloat16" else _FLOAT32
    return size * (_FLOAT32 + normalised) + _FLOAT32 * groups
