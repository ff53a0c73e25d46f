"""Deals the examples of a step to the workers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medr_ray.training.artifacts import ScoredRollout
from medr_ray.training.batches import Example
from medr_ray.training.experience import make_examples
from medr_ray.training.prefix_tree import measure_shared_prefixes


@dataclass(frozen=True)
class DealtExamples:
    """What one worker learns from in an update: its ``own`` examples. ``tokens`` (with a loss),
    ``sequences`` and ``sequence_tokens`` are counts over all workers."""

    own: list[Example]
    tokens: int
    sequences: int
    sequence_tokens: int


def deal_rollouts(
    rollouts: Sequence[ScoredRollout], world_size: int, tree: bool = False
) -> list[DealtExamples]:
    """What each worker learns from the rollouts of an update, by rank."""
    examples: list[Example] = []
    for rollout in rollouts:
        examples += make_examples(rollout)
    tokens = sum(len(example.targets) for example in examples)
    sequence_tokens = sum(len(example.ids) for example in examples)
    return [
        DealtExamples(own, tokens, len(examples), sequence_tokens)
        for own in deal_examples(examples, world_size, tree)
    ]


def deal_examples(
    examples: Sequence[Example], world_size: int, tree: bool = False
) -> list[list[Example]]:
    """The examples of each worker, by rank: every example goes to one worker, and all workers get
    about the same number of tokens to compute.

    A worker gets none where there are fewer examples than workers. With ``tree``, examples that
    begin alike go to one worker, and the tokens that they have in common count once.
    """
    if tree:
        return _deal_neighbours(examples, world_size)
    loads = [0] * world_size
    dealt: list[list[Example]] = [[] for _ in range(world_size)]
    # The longest first, each to the worker with the fewest tokens so far (Graham's LPT rule, 1969):
    # no worker then has more than 4/3 of the tokens that the fullest has in the best deal.
    for example in sorted(examples, key=lambda example: len(example.ids), reverse=True):
        receiver = loads.index(min(loads))
        loads[receiver] += len(example.ids)
        dealt[receiver].append(example)
    return dealt


def _deal_neighbours(examples: Sequence[Example], world_size: int) -> list[list[Example]]:
    """Cut the examples, ordered by their tokens, into one run for each worker."""
    ordered = sorted(examples, key=lambda example: example.ids)
    lengths = np.array([len(example.ids) for example in ordered])
    distinct = lengths - measure_shared_prefixes([example.ids for example in ordered])
    # An example belongs to the worker in whose share of all distinct tokens its middle lies.
    middles = np.cumsum(distinct) - distinct / 2
    receivers = np.minimum(middles * world_size // max(1, distinct.sum()), world_size - 1)
    dealt: list[list[Example]] = [[] for _ in range(world_size)]
    for example, receiver in zip(ordered, receivers, strict=True):
        dealt[int(receiver)].append(example)
    return dealt
