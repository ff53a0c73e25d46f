"""Deals the examples of a step to the workers."""

from collections.abc import Sequence

import numpy as np

from medr_ray.training.batches import Example
from medr_ray.training.prefix_tree import measure_shared_prefixes


def deal_examples(
    examples: Sequence[Example], rank: int, world_size: int, tree: bool = False
) -> list[Example]:
    """The examples of worker ``rank``: every example goes to one worker, and all workers get about
    the same number of tokens to compute.

    A worker gets none where there are fewer examples than workers. With ``tree``, examples that
    begin alike go to one worker, and the tokens that they have in common count once. All workers
    deal alike.
    """
    if tree:
        return _deal_neighbours(examples, rank, world_size)
    loads = [0] * world_size
    dealt: list[Example] = []
    # The longest first, each to the worker with the fewest tokens so far (Graham's LPT rule, 1969):
    # no worker then has more than 4/3 of the tokens that the fullest has in the best deal.
    for example in sorted(examples, key=lambda example: len(example.ids), reverse=True):
        receiver = loads.index(min(loads))
        loads[receiver] += len(example.ids)
        if receiver == rank:
            dealt.append(example)
    return dealt


def _deal_neighbours(examples: Sequence[Example], rank: int, world_size: int) -> list[Example]:
    """Cut the examples, ordered by their tokens, into one run for each worker."""
    ordered = sorted(examples, key=lambda example: example.ids)
    lengths = np.array([len(example.ids) for example in ordered])
    distinct = lengths - measure_shared_prefixes([example.ids for example in ordered])
    # An example belongs to the worker in whose share of all distinct tokens its middle lies.
    middles = np.cumsum(distinct) - distinct / 2
    receivers = np.minimum(middles * world_size // max(1, distinct.sum()), world_size - 1)
    return [
        example for example, receiver in zip(ordered, receivers, strict=True) if receiver == rank
    ]
