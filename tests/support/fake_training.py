"""A forward and a backward pass of the real code on fake tensors: they have shapes and no memory,
so that models of any size are measured in seconds."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker

from medr_ray.training import tree_attention
from medr_ray.training.batches import MicroBatch
from medr_ray.training.layers import recompute_layers
from medr_ray.training.planner.activations import Compute, MicroBatchSize
from medr_ray.training.policy import PolicyModule


def build_fake_batch(size: MicroBatchSize) -> MicroBatch:
    """A micro-batch whose last tokens of each row are targets."""
    per_row = size.targets // size.rows
    rows = torch.arange(size.rows).repeat_interleave(per_row)
    columns = torch.arange(size.length - 1 - per_row, size.length - 1).repeat(size.rows)
    subtree_ends = position_ids = None
    if size.mask in ("tree", "branches"):
        subtree_ends = torch.full((1, size.length), size.length)
        position_ids = torch.zeros(1, size.length, dtype=torch.long)
    return MicroBatch(
        input_ids=torch.zeros(size.rows, size.length, dtype=torch.long),
        attention_mask=torch.ones(size.rows, size.length, dtype=torch.long),
        hidden_rows=rows,
        hidden_columns=columns,
        target_tokens=torch.zeros(len(rows), dtype=torch.long),
        logprobs=torch.empty(0),
        advantages=torch.ones(len(rows)),
        position_ids=position_ids,
        subtree_ends=subtree_ends,
    )


def list_branches(size: MicroBatchSize) -> list[tuple[int, int, np.ndarray]]:
    """As ``tree_attention._find_branches``: the trunk, and the branches behind it."""
    trunk = np.arange(size.trunk)
    length = (size.length - size.trunk) // size.branches
    starts = range(size.trunk, size.length - length + 1, length)
    stops = [*starts[1:], size.length]
    branches = [(start, stop, trunk) for start, stop in zip(starts, stops, strict=True)]
    return [(0, size.trunk, trunk[:0]), *branches]


@contextmanager
def make_fake_policy(
    config: Mapping[str, Any],
    compute: Compute,
    has_checkpoints: bool,
    size: MicroBatchSize | None = None,
) -> Iterator[PolicyModule]:
    """The policy of a ``config.json`` on fake tensors, in the number format of ``compute``, for
    micro-batches of ``size``; by default for sequences alone."""
    from transformers import AutoConfig, AutoModelForCausalLM, masking_utils

    settings = AutoConfig.for_model(**config)
    dtype = torch.float32 if compute == "float32" else torch.bfloat16
    weights_dtype = torch.bfloat16 if compute == "bfloat16" else torch.float32
    is_skipped = masking_utils._ignore_causal_mask_sdpa
    has_mask = size is not None and size.mask == "rows"
    branching_device = tree_attention._BRANCHING_DEVICE
    find_branches = tree_attention._find_branches
    # transformers looks at the mask's values, which fake tensors have none of, to see whether
    # attention needs it.
    masking_utils._ignore_causal_mask_sdpa = lambda *_, **__: not has_mask
    if size is not None and size.mask == "branches":
        # It would read them from numbers, which fake tensors have none of.
        tree_attention._find_branches = lambda _: list_branches(size)
    else:
        # As on a GPU, where attention to a tree has a mask.
        tree_attention._BRANCHING_DEVICE = "none"
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            model = AutoModelForCausalLM.from_config(settings, dtype=weights_dtype).eval()
            if has_checkpoints:
                recompute_layers(model)
            tree_attention.enable_tree_attention(model)
            yield PolicyModule(model, dtype=dtype, casts_weights=compute == "autocast")
    finally:
        masking_utils._ignore_causal_mask_sdpa = is_skipped
        tree_attention._BRANCHING_DEVICE = branching_device
        tree_attention._find_branches = find_branches


def count_saved_bytes(module: PolicyModule, batch: MicroBatch) -> int:
    """Bytes that autograd saves in the forward pass, weights and copies of them left out."""
    weights = {parameter.untyped_storage()._cdata for parameter in module.parameters()}
    weight_shapes = {tuple(parameter.shape) for parameter in module.parameters()}
    weight_shapes |= {shape[::-1] for shape in weight_shapes}
    saved: dict[int, int] = {}
    # Storages are told apart by their address, which must not come free for another.
    kept = []

    def note(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor)
        storage = tensor.untyped_storage()
        if storage._cdata not in weights and tuple(tensor.shape) not in weight_shapes:
            saved[storage._cdata] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        module(batch)
    return sum(saved.values())


def find_peak_bytes(module: PolicyModule, batch: MicroBatch) -> dict[str, int]:
    """The peak of a forward and backward pass over two micro-batches, as torch's memory tracker
    finds it: in all (``Total``), and of which kind."""
    tracker = MemTracker()
    tracker.track_external(module)
    with tracker:
        for _ in range(2):
            logprobs, _ = module(batch)
            (-logprobs.sum()).backward()
            # Its figures of single modules allow one pass only.
            tracker.reset_mod_stats()
    [peak] = tracker.get_tracker_snapshot("peak").values()
    return {str(getattr(kind, "value", kind)): size for kind, size in peak.items()}
