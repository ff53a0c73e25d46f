"""The micro-batches of an update: which sequences go through the model together, and how.

Sequences that begin alike become prefix trees where that saves work; others are padded rows.

A plan says which, and is cheap. Its tensors are built one micro-batch at a time, when their turn
comes, because the attention mask of a tree is large.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from medr_ray.training.batches import Example, MicroBatch, collate, group_into_micro_batches
from medr_ray.training.prefix_tree import Numbers, collate_tree, measure_shared_prefixes

# The most tokens of a tree, whatever a micro-batch may have: its mask has the square of them as
# entries, 134 MB in bf16.
_MAX_TREE_TOKENS = 8192

# Tokens that attend to so many others cost twice the work of tokens that attend to none: of a
# layer, attention to one token is 4 x width operations, all matrices together about 24 x width x
# width. Of SmolLM2-135M (width 576) it is 3,100, of Qwen3-0.6B 3,800, of a model of 32B 30,000.
_ATTENTION_TOKENS = 3072

# What one more micro-batch costs, in tokens: gradients are added to those of the other
# micro-batches, and weights are read once more.
_PASS_TOKENS = 32


@dataclass(frozen=True)
class MicroBatchPlan:
    """The sequences of one forward and backward pass: as one prefix tree, or each as a row.

    ``row_tokens`` is the length of a row with its padding, or the size of the tree.
    """

    examples: tuple[Example, ...]
    row_tokens: int
    is_tree: bool = False

    @property
    def tokens(self) -> int:
        """The tokens that the model computes, padding included."""
        return self.row_tokens if self.is_tree else self.row_tokens * len(self.examples)


def plan_micro_batches(
    examples: Sequence[Example], max_tokens: int, tree: bool = False
) -> list[MicroBatchPlan]:
    """Put every example into one micro-batch of at most ``max_tokens`` tokens, padding included.

    A longer sequence is a micro-batch of its own. Examples without a target teach nothing and are
    left out, but for the first where no example has one: there is always a micro-batch.

    With ``tree``, sequences that begin alike are packed into prefix trees, unless rows are as
    cheap; the model must be one that ``prefix_tree.find_tree_problem`` has nothing against.
    """
    taught = [example for example in examples if example.targets] or [examples[0]]
    rows = _plan_rows(taught, max_tokens)
    if not tree:
        return rows
    return min(rows, _plan_trees(taught, max_tokens), key=_estimate_work)


def build_micro_batch(plan: MicroBatchPlan, pad_id: int, device: str | torch.device) -> MicroBatch:
    """The tensors of a planned micro-batch, on ``device``."""
    if plan.is_tree:
        return collate_tree(plan.examples, device)
    return collate(plan.examples, pad_id, device)


def _plan_rows(examples: Sequence[Example], max_tokens: int) -> list[MicroBatchPlan]:
    groups = group_into_micro_batches(examples, max_tokens)
    return [
        MicroBatchPlan(tuple(group), max(len(example.ids) for example in group)) for group in groups
    ]


def _plan_trees(examples: Sequence[Example], max_tokens: int) -> list[MicroBatchPlan]:
    """Trees of at most ``max_tokens`` tokens; rows of what shares too little with others."""
    ordered = sorted(examples, key=lambda example: example.ids)
    lengths = np.array([len(example.ids) for example in ordered])
    shared = measure_shared_prefixes([example.ids for example in ordered])
    trees: list[MicroBatchPlan] = []
    alone: list[Example] = []
    for start, end in _cut_into_trees(lengths, shared, min(max_tokens, _MAX_TREE_TOKENS)):
        if end - start == 1:
            alone.append(ordered[start])
            continue
        size = int(lengths[start:end].sum() - shared[start + 1 : end].sum())
        trees.append(MicroBatchPlan(tuple(ordered[start:end]), size, is_tree=True))
    return trees + _plan_rows(alone, max_tokens)


def _cut_into_trees(lengths: Numbers, shared: Numbers, max_tokens: int) -> list[tuple[int, int]]:
    """The cuts of sorted sequences into trees, as (start, end), that make the least work.

    ``shared`` are the tokens that a sequence has in common with the one before it, so a cut there
    costs computing them again; without a cut, attention is over a larger tree. A tree of several
    sequences has at most ``max_tokens`` tokens.
    """
    # The tree of the sequences from ``start`` to ``last`` has ``grown[last] - before[start]``
    # tokens.
    grown = np.cumsum(lengths - shared)
    before = grown - lengths
    # Least work of the first k sequences, and where their last tree starts.
    least = np.zeros(len(lengths) + 1)
    starts = np.zeros(len(lengths), dtype=np.int64)
    for last in range(len(lengths)):
        first = np.searchsorted(before[: last + 1], grown[last] - max_tokens)
        first = min(int(first), last)
        sizes = grown[last] - before[first : last + 1]
        work = sizes * (1 + sizes / _ATTENTION_TOKENS) + _PASS_TOKENS
        # A sequence alone becomes a row among others of its pass.
        work[-1] -= _PASS_TOKENS * max(0.0, 1 - lengths[last] / max_tokens)
        totals = least[first : last + 1] + work
        best = int(np.argmin(totals))
        starts[last] = first + best
        least[last + 1] = totals[best]
    cuts: list[tuple[int, int]] = []
    end = len(lengths)
    while end:
        start = int(starts[end - 1])
        cuts.append((start, end))
        end = start
    return cuts[::-1]


def _estimate_work(plans: Sequence[MicroBatchPlan]) -> float:
    """The work of the plans in tokens, each counted as it would be without attention."""
    work = 0.0
    for plan in plans:
        work += _PASS_TOKENS + plan.tokens * (1 + plan.row_tokens / _ATTENTION_TOKENS)
    return work
