"""Plans which examples each step learns from, and pads sequences into tensors.

The plan is a pure function of its seed: every rank computes the same plan and takes its own part
of it.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Example:
    """One sequence to learn from.

    ``targets`` are the positions whose tokens carry the loss (from 1: nothing predicts the first
    token). ``logprobs`` are the sampler's log-probabilities of those tokens and ``advantages``
    their weights, one a target; for SFT both are empty.
    """

    ids: tuple[int, ...]
    targets: tuple[int, ...]
    logprobs: tuple[float, ...] = ()
    advantages: tuple[float, ...] = ()


@dataclass(frozen=True)
class MicroBatch:
    """Rows of tokens for one forward pass, and the N target tokens of all their sequences.

    A row is one sequence, padded on the right, or the prefix tree of several of them.
    ``input_ids`` and ``attention_mask`` are (rows, longest). ``hidden_rows`` and
    ``hidden_columns`` are the row and the position of the hidden state that predicts each of
    ``target_tokens``: the state of the token before it. All three are (N). ``logprobs`` and
    ``advantages`` are (N), empty for SFT.

    In a tree several sequences may have the same target token behind the same state. Such a token
    is scored once: ``hidden_rows``, ``hidden_columns`` and ``target_tokens`` are then of M <= N
    scored tokens, and ``occurrences`` (N) says which of them each target token is.

    ``position_ids`` and ``subtree_ends``, both (1, longest), are of a tree: the number of a token's
    ancestors, and the place behind its last descendant. They are null for rows of one sequence:
    positions are then counted from the left, and every token attends to those before it.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    hidden_rows: torch.Tensor
    hidden_columns: torch.Tensor
    target_tokens: torch.Tensor
    logprobs: torch.Tensor
    advantages: torch.Tensor
    position_ids: torch.Tensor | None = None
    subtree_ends: torch.Tensor | None = None
    occurrences: torch.Tensor | None = None


def plan_steps(
    count: int, batch: int, epochs: int, seed: int, max_steps: int | None
) -> list[list[int]]:
    """Example indices of every step, ``batch`` in each; at most ``max_steps`` steps.

    Each epoch is a permutation seeded by ``seed`` and its number, so every example is learned from
    once an epoch; the last batch of an epoch may be smaller. The batches are those of all workers
    together: the plan is the same for any number of them.
    """
    steps: list[list[int]] = []
    for epoch in range(epochs):
        order = list(range(count))
        random.Random(f"{seed}/{epoch}").shuffle(order)
        steps += [order[start : start + batch] for start in range(0, count, batch)]
    return steps[:max_steps]


def group_into_micro_batches(sequences: Sequence[Example], budget: int) -> list[list[Example]]:
    """Groups of similar length whose padded size stays within ``budget`` tokens; a longer sequence
    stands alone."""
    groups: list[list[Example]] = []
    # Shortest first: a sequence is then the longest of its group, so its length times the group's
    # size is the padded size.
    for sequence in sorted(sequences, key=lambda sequence: len(sequence.ids)):
        if groups and (len(groups[-1]) + 1) * len(sequence.ids) <= budget:
            groups[-1].append(sequence)
        else:
            groups.append([sequence])
    return groups


def collate(sequences: Sequence[Example], pad_id: int, device: str | torch.device) -> MicroBatch:
    """Tensors of a micro-batch on ``device``. ``pad_id`` may be any token: the mask hides it."""
    longest = max(len(sequence.ids) for sequence in sequences)
    input_ids: list[list[int]] = []
    attention_mask: list[list[int]] = []
    for sequence in sequences:
        length = len(sequence.ids)
        input_ids.append([*sequence.ids, *[pad_id] * (longest - length)])
        attention_mask.append([1] * length + [0] * (longest - length))
    rows = [row for row, sequence in enumerate(sequences) for _ in sequence.targets]
    positions = [position for sequence in sequences for position in sequence.targets]
    tokens = [sequences[row].ids[position] for row, position in zip(rows, positions, strict=True)]
    logprobs, advantages = gather_sampled_values(sequences, device)
    return MicroBatch(
        input_ids=torch.tensor(input_ids, device=device),
        attention_mask=torch.tensor(attention_mask, device=device),
        # The format is said because a list without a number would become float.
        hidden_rows=torch.tensor(rows, dtype=torch.int64, device=device),
        # A token is predicted by the state before it.
        hidden_columns=torch.tensor(
            [position - 1 for position in positions], dtype=torch.int64, device=device
        ),
        target_tokens=torch.tensor(tokens, dtype=torch.int64, device=device),
        logprobs=logprobs,
        advantages=advantages,
    )


def gather_sampled_values(
    sequences: Sequence[Example], device: str | torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """(sampler's log-probabilities, advantages) of all target tokens, sequence by sequence; both
    empty for SFT."""
    logprobs = [logprob for sequence in sequences for logprob in sequence.logprobs]
    advantages = [advantage for sequence in sequences for advantage in sequence.advantages]
    return torch.tensor(logprobs, device=device), torch.tensor(advantages, device=device)
