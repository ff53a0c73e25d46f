"""The micro-batches of an update: which sequences go through the model together, and how.

Sequences that begin alike become prefix trees where that saves work; others are padded rows.

A plan says which, and is cheap. Its tensors are built one micro-batch at a time, when their turn
comes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from medr_ray.training.batches import Example, MicroBatch, collate, group_into_micro_batches
from medr_ray.training.prefix_tree import Numbers, collate_tree, measure_shared_prefixes
from medr_ray.training.tree_attention import attends_by_branch

# The most tokens of a tree that is masked as a whole, whatever a micro-batch may have: the mask has
# the square of them as entries, 134 MB in bf16.
_MAX_MASKED_TOKENS = 8192

# Tokens that attend to so many others cost twice the work of tokens that attend to none: of a
# layer, attention to one token is 4 x width operations, all matrices together about 24 x width x
# width. Of SmolLM2-135M (width 576) it is 3,100 by count and 3,000 to 6,000 on a CPU, of Qwen3-0.6B
# 3,800, of a model of 32B 30,000.
_ATTENTION_TOKENS = 4096

# What one more micro-batch costs, in tokens (0.6 s beside 9.5 ms a token, SmolLM2-135M on a core):
# gradients are added to those of the other micro-batches, and weights are read once more.
_PASS_TOKENS = 64


@dataclass(frozen=True)
class MicroBatchPlan:
    """The sequences of one forward and backward pass: as one prefix tree, or each as a row.

    ``tokens`` are those that the model computes, padding included. ``pairs`` counts the pairs of
    tokens between which it computes attention in each layer.
    """

    examples: tuple[Example, ...]
    tokens: int
    pairs: int
    is_tree: bool = False


def plan_micro_batches(
    examples: Sequence[Example],
    max_tokens: int,
    tree: bool = False,
    device: str | torch.device = "cpu",
    packing: bool = False,
) -> list[MicroBatchPlan]:
    """Put every example into one micro-batch of at most ``max_tokens`` tokens, padding included.

    A longer sequence is a micro-batch of its own. Examples without a target teach nothing and are
    left out, but for the first where no example has one: there is always a micro-batch.

    With ``tree``, sequences that begin alike are packed into prefix trees, unless rows are as
    cheap on ``device``; the model must be prepared for them (see ``tree_attention``). With
    ``packing``, sequences are put behind one another whether or not they begin alike and whatever
    their attention costs, so that nothing is padded.
    """
    taught = [example for example in examples if example.targets] or [examples[0]]
    if packing:
        return _plan_packed(taught, max_tokens, attends_by_branch(device))
    rows = _plan_rows(taught, max_tokens)
    if not tree:
        return rows
    trees = _plan_trees(taught, max_tokens, attends_by_branch(device))
    # Rows that are left beside trees may need more padding than all rows together.
    if sum(plan.tokens for plan in trees) > sum(plan.tokens for plan in rows):
        return rows
    return min(rows, trees, key=_estimate_work)


def build_micro_batch(plan: MicroBatchPlan, pad_id: int, device: str | torch.device) -> MicroBatch:
    """The tensors of a planned micro-batch, on ``device``."""
    if plan.is_tree:
        return collate_tree(plan.examples, device)
    return collate(plan.examples, pad_id, device)


def _plan_rows(examples: Sequence[Example], max_tokens: int) -> list[MicroBatchPlan]:
    plans = []
    for group in group_into_micro_batches(examples, max_tokens):
        longest = max(len(example.ids) for example in group)
        tokens = longest * len(group)
        plans.append(MicroBatchPlan(tuple(group), tokens, tokens * longest))
    return plans


def _plan_trees(
    examples: Sequence[Example], max_tokens: int, by_branch: bool
) -> list[MicroBatchPlan]:
    """Trees of at most ``max_tokens`` tokens; rows of what shares too little with others.

    ``by_branch``: attention is computed branch by branch, and not between all tokens of a tree.
    """
    ordered = sorted(examples, key=lambda example: example.ids)
    lengths = np.array([len(example.ids) for example in ordered])
    shared = measure_shared_prefixes([example.ids for example in ordered])
    sizes = _TreeSizes(lengths, shared, by_branch)
    max_tree_tokens = max_tokens if by_branch else min(max_tokens, _MAX_MASKED_TOKENS)
    trees: list[MicroBatchPlan] = []
    alone: list[Example] = []
    for start, end in _cut_into_trees(sizes, max_tree_tokens):
        if end - start == 1:
            alone.append(ordered[start])
            continue
        tokens = int(sizes.count_tokens(start, end - 1))
        pairs = int(sizes.count_pairs(start, end - 1))
        trees.append(MicroBatchPlan(tuple(ordered[start:end]), tokens, pairs, is_tree=True))
    return trees + _plan_rows(alone, max_tokens)


class _TreeSizes:
    """The sizes of the trees of consecutive sequences, which are in sorted order.

    ``lengths`` are their tokens and ``shared`` those that each has in common with the one before
    it.
    """

    def __init__(self, lengths: Numbers, shared: Numbers, by_branch: bool) -> None:
        self.lengths = lengths
        self._by_branch = by_branch
        added = lengths - shared
        # The first sequence of a tree adds all its tokens, each other one what is not shared.
        self._added = np.cumsum(added)
        self._added_before = self._added - lengths
        # A branch attends to no more than its own sequence.
        self._pairs = np.cumsum(added * lengths)
        self._pairs_before = self._pairs - lengths * lengths

    def find_first_start(self, last: int, max_tokens: int) -> int:
        """The first sequence from which a tree up to ``last`` has at most ``max_tokens`` tokens;
        ``last`` where there is none."""
        # Sorted, because a tree never shrinks when a sequence joins it.
        least = self._added[last] - max_tokens
        first = int(np.searchsorted(self._added_before[: last + 1], least))
        return min(first, last)

    def count_tokens(self, start: int | slice, last: int) -> Any:
        """The tokens of the tree of the sequences from ``start`` to ``last``, or of several."""
        return self._added[last] - self._added_before[start]

    def count_pairs(self, start: int | slice, last: int) -> Any:
        """The pairs of its tokens between which attention is computed."""
        if self._by_branch:
            return self._pairs[last] - self._pairs_before[start]
        return self.count_tokens(start, last) ** 2


def _plan_packed(
    examples: Sequence[Example], max_tokens: int, by_branch: bool
) -> list[MicroBatchPlan]:
    """As few trees as neighbours in the order of their tokens fill; sequences without a common
    beginning are a tree of several roots."""
    ordered = sorted(examples, key=lambda example: example.ids)
    lengths = np.array([len(example.ids) for example in ordered])
    sizes = _TreeSizes(lengths, measure_shared_prefixes([e.ids for e in ordered]), by_branch)
    limit = max_tokens if by_branch else min(max_tokens, _MAX_MASKED_TOKENS)
    plans = []
    start = 0
    for end in range(1, len(ordered) + 1):
        if end < len(ordered) and sizes.count_tokens(start, end) <= limit:
            continue
        tokens = int(sizes.count_tokens(start, end - 1))
        pairs = int(sizes.count_pairs(start, end - 1))
        is_tree = end - start > 1
        plans.append(MicroBatchPlan(tuple(ordered[start:end]), tokens, pairs, is_tree))
        start = end
    return plans


def _cut_into_trees(sizes: _TreeSizes, max_tokens: int) -> list[tuple[int, int]]:
    """The cuts of sorted sequences into trees, as (start, end), that make the least work.

    A cut costs computing the tokens again that the sequences on its two sides share. A tree of
    several sequences has at most ``max_tokens`` tokens.
    """
    lengths = sizes.lengths
    # Least work of the first k sequences, and where their last tree starts.
    least = np.zeros(len(lengths) + 1)
    starts = np.zeros(len(lengths), dtype=np.int64)
    for last in range(len(lengths)):
        first = sizes.find_first_start(last, max_tokens)
        candidates = slice(first, last + 1)
        work = sizes.count_tokens(candidates, last) + _PASS_TOKENS
        work = work + sizes.count_pairs(candidates, last) / _ATTENTION_TOKENS
        # A sequence alone becomes a row among others of its pass.
        work[-1] -= _PASS_TOKENS * max(0.0, 1 - lengths[last] / max_tokens)
        totals = least[candidates] + work
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
    return sum(_PASS_TOKENS + plan.tokens + plan.pairs / _ATTENTION_TOKENS for plan in plans)
