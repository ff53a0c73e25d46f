"""Balances training dialogues over clinical specialties (multi-task sampling, section 4.1 of the
paper).

Specialties differ in size. A specialty with ``n`` dialogues is taken in proportion to
``n ** (1 - balance)``: with balance 0 as it is, with 1 all specialties equally. A large specialty
loses dialogues, a small one repeats them, each at most ``most_copies`` times.

Equal dialogues, settings and seed give the same sample in whatever order the dialogues come. Within
a specialty the numbers of copies differ by at most one.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping


def sample_copies(
    specialties: Mapping[str, str], balance: float, most_copies: int, seed: int
) -> dict[str, int]:
    """How often to take each dialogue, by id.

    ``specialties`` maps dialogue ids to specialties. The copies sum up to the number of dialogues,
    or to less where ``most_copies`` does not allow it.
    """
    if balance == 0:
        return dict.fromkeys(sorted(specialties), 1)
    # The hash shuffles dialogues with the seed, independent of the order in which they come.
    shuffled = sorted(
        specialties, key=lambda dialogue_id: (_hash_with_seed(seed, dialogue_id), dialogue_id)
    )
    ids_by_specialty: dict[str, list[str]] = defaultdict(list)
    for dialogue_id in shuffled:
        ids_by_specialty[specialties[dialogue_id]].append(dialogue_id)
    sizes = {specialty: len(ids) for specialty, ids in ids_by_specialty.items()}
    quotas = allocate_quotas(sizes, balance, most_copies)
    copies = {}
    for specialty, ids in sorted(ids_by_specialty.items()):
        copies_each, remainder = divmod(quotas[specialty], len(ids))
        for index, dialogue_id in enumerate(ids):
            copies[dialogue_id] = copies_each + (1 if index < remainder else 0)
    return copies


def allocate_quotas(sizes: Mapping[str, int], balance: float, most_copies: int) -> dict[str, int]:
    """How many dialogues to take of each specialty, by the method of largest remainders. What a
    specialty at its limit cannot give is shared out among the others."""
    quotas = dict.fromkeys(sorted(sizes), 0)
    limits = {specialty: most_copies * size for specialty, size in sizes.items()}
    remaining = sum(sizes.values())
    while remaining:
        # Each round shares out what is left among the specialties below their limits.
        unfilled = [specialty for specialty in quotas if quotas[specialty] < limits[specialty]]
        if not unfilled:
            break
        weights = {specialty: sizes[specialty] ** (1 - balance) for specialty in unfilled}
        total_weight = sum(weights.values())
        exact_parts = {
            specialty: remaining * weights[specialty] / total_weight for specialty in unfilled
        }
        parts = {
            specialty: min(int(exact_parts[specialty]), limits[specialty] - quotas[specialty])
            for specialty in unfilled
        }
        if not any(parts.values()):
            # Less than one for each: one more to the largest parts, ties by name.
            by_part = sorted(unfilled, key=lambda specialty: (-exact_parts[specialty], specialty))
            parts = dict.fromkeys(by_part[:remaining], 1)
        for specialty, part in parts.items():
            quotas[specialty] += part
        remaining -= sum(parts.values())
    return quotas


def _hash_with_seed(seed: int, dialogue_id: str) -> bytes:
    return hashlib.sha256(f"{seed}/{dialogue_id}".encode()).digest()
