"""Sequences that begin alike, packed into one row in which every distinct token stands once.

The rollouts of a question share its prompt, and what they sampled alike; all dialogues share the
system message. As rows, the model computes the shared tokens once for each sequence. As a prefix
tree it computes them once: a token's states depend on nothing but the tokens before it, so they are
the same in all sequences that begin alike, and a token that attends to its ancestors in the tree,
at the position of its depth, gets the states that it has in its own sequence. The gradient is that
of the rows, up to rounding.

The row is the tree in depth-first order. There, the descendants of a token are those that follow
it, up to some end; so one number for each token says who attends to whom.

``tree_attention`` computes the attention.

Others do this too: "Prefix Grouper" (arXiv 2506.05433) for one shared prompt, "Tree Training"
(arXiv 2511.00413) for agents whose rollouts branch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from medr_ray.training.batches import Example, MicroBatch, gather_sampled_values

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PrefixTree:
    """The n distinct tokens of several sequences, depth first.

    ``ids``, ``depths`` and ``ends`` are (n): the token, its number of ancestors, and the place
    behind its last descendant. ``paths`` has, for each sequence in the given order, the places of
    its tokens.
    """

    ids: Numbers
    depths: Numbers
    ends: Numbers
    paths: list[Numbers]


def measure_shared_prefixes(sequences: Sequence[Sequence[int]]) -> Numbers:
    """For each sequence, the number of tokens at its start that the one before it has, too; 0 for
    the first."""
    shared = np.zeros(len(sequences), dtype=np.int64)
    last: Numbers = np.empty(0, dtype=np.int64)
    for index, sequence in enumerate(sequences):
        own = np.asarray(sequence, dtype=np.int64)
        shared[index] = _count_equal_at_start(last, own)
        last = own
    return shared


def _count_equal_at_start(first: Numbers, second: Numbers) -> int:
    length = min(len(first), len(second))
    differences = np.flatnonzero(first[:length] != second[:length])
    return int(differences[0]) if len(differences) else length


def build_prefix_tree(sequences: Sequence[Sequence[int]]) -> PrefixTree:
    """The tree of ``sequences``: one or more, none of them empty."""
    # In this order each sequence shares with the one before it at least what it shares with any
    # earlier one, so what follows the shared part is new to the tree.
    order = sorted(range(len(sequences)), key=lambda index: tuple(sequences[index]))
    shared_prefixes = measure_shared_prefixes([sequences[index] for index in order])
    ids: list[Numbers] = []
    depths: list[Numbers] = []
    ends = np.empty(sum(len(sequence) for sequence in sequences), dtype=np.int64)
    paths: list[Numbers] = [np.empty(0, dtype=np.int64)] * len(sequences)
    path: Numbers = np.empty(0, dtype=np.int64)
    size = 0
    for index, shared in zip(order, shared_prefixes, strict=True):
        own = np.asarray(sequences[index], dtype=np.int64)
        # The branch of the last sequence that this one leaves gets no more descendants.
        ends[path[shared:]] = size
        ids.append(own[shared:])
        depths.append(np.arange(shared, len(own)))
        added = len(own) - int(shared)
        path = np.concatenate([path[:shared], np.arange(size, size + added)])
        paths[index] = path
        size += added
    ends[path] = size
    return PrefixTree(np.concatenate(ids), np.concatenate(depths), ends[:size], paths)


def collate_tree(examples: Sequence[Example], device: str | torch.device) -> MicroBatch:
    """One row on ``device``: the prefix tree of the examples.

    The target tokens are in the order of ``batches.collate``. A token that several sequences have
    behind the same prefix is scored once and has the weight of each of them.
    """
    tree = build_prefix_tree([example.ids for example in examples])
    target_places: list[Numbers] = []
    state_places: list[Numbers] = []
    for example, path in zip(examples, tree.paths, strict=True):
        positions = np.asarray(example.targets, dtype=np.int64)
        target_places.append(path[positions])
        # A token is predicted by the state before it.
        state_places.append(path[positions - 1])
    # A place stands for a token and all tokens before it: equal places are predicted by the same
    # state.
    places, first_seen, occurrences = np.unique(
        np.concatenate(target_places), return_index=True, return_inverse=True
    )
    states = np.concatenate(state_places)[first_seen]
    logprobs, advantages = gather_sampled_values(examples, device)
    return MicroBatch(
        input_ids=torch.tensor(tree.ids, device=device)[None],
        attention_mask=torch.ones(1, len(tree.ids), dtype=torch.int64, device=device),
        hidden_rows=torch.zeros(len(places), dtype=torch.int64, device=device),
        hidden_columns=torch.tensor(states, device=device),
        target_tokens=torch.tensor(tree.ids[places], device=device),
        logprobs=logprobs,
        advantages=advantages,
        position_ids=torch.tensor(tree.depths, device=device)[None],
        subtree_ends=torch.tensor(tree.ends, device=device)[None],
        occurrences=torch.tensor(occurrences, device=device),
    )
