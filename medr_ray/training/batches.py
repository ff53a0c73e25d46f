"""Which examples go into which step, and how sequences become padded tensors. Pure, seeded, the
same on every rank."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Example:
    """One sequence to learn from. ``targets`` are the positions (>= 1) whose tokens carry the loss;
    ``logprobs`` the sampler's log-probabilities of those tokens and ``advantage`` their weight
    (empty and 1 for SFT)."""

    ids: tuple[int, ...]
    targets: tuple[int, ...]
    logprobs: tuple[float, ...] = ()
    advantage: float = 1.0


@dataclass(frozen=True)
class MicroBatch:
    """Padded on the right. ``rows``/``columns`` (N) address the hidden states that predict
    ``tokens`` (N)."""

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    rows: torch.Tensor
    columns: torch.Tensor
    tokens: torch.Tensor
    logprobs: torch.Tensor
    advantages: torch.Tensor


def plan_steps(
    count: int, batch: int, epochs: int, seed: int, max_steps: int | None
) -> list[list[int]]:
    """Example indices of every step: each epoch a seeded permutation, the last short batch filled
    from its start."""
    steps: list[list[int]] = []
    for epoch in range(epochs):
        order = list(range(count))
        random.Random(f"{seed}/{epoch}").shuffle(order)
        while len(order) % batch:
            order.append(order[len(order) % count])
        steps += [order[i : i + batch] for i in range(0, len(order), batch)]
    return steps[:max_steps]


def group_into_micro_batches(sequences: Sequence[Example], budget: int) -> list[list[Example]]:
    """Groups of similar length whose padded size stays within ``budget`` tokens; a longer sequence
    stands alone."""
    groups: list[list[Example]] = []
    for sequence in sorted(sequences, key=lambda s: len(s.ids)):
        if groups and (len(groups[-1]) + 1) * len(sequence.ids) <= budget:
            groups[-1].append(sequence)
        else:
            groups.append([sequence])
    return groups


def collate(sequences: Sequence[Example], pad_id: int, device: str | torch.device) -> MicroBatch:
    """Tensors of a micro-batch."""
    longest = max(len(sequence.ids) for sequence in sequences)
    rows = [row for row, sequence in enumerate(sequences) for _ in sequence.targets]
    positions = [position for sequence in sequences for position in sequence.targets]
    return MicroBatch(
        input_ids=torch.tensor(
            [[*sequence.ids, *[pad_id] * (longest - len(sequence.ids))] for sequence in sequences],
            device=device,
        ),
        attention_mask=torch.tensor(
            [
                [1] * len(sequence.ids) + [0] * (longest - len(sequence.ids))
                for sequence in sequences
            ],
            device=device,
        ),
        rows=torch.tensor(rows, device=device),
        columns=torch.tensor([position - 1 for position in positions], device=device),
        tokens=torch.tensor(
            [sequences[r].ids[p] for r, p in zip(rows, positions, strict=True)], device=device
        ),
        logprobs=torch.tensor(
            [lp for sequence in sequences for lp in sequence.logprobs], device=device
        ),
        advantages=torch.tensor(
            [sequence.advantage for sequence in sequences for _ in sequence.targets], device=device
        ),
    )
