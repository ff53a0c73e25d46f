"""Training dialogues balanced over clinical specialties (the paper's multi-task sampling, section
4.1).

Specialties differ in size; a sample takes each ``n ** (1 - balance)`` as often as it has dialogues:
with 0 as they are, with 1 all alike. A large specialty is drawn from, a small one repeated, at most
``most_copies`` times. What holds: the same dialogues, settings and seed give the same sample, in
whatever order they come; within a specialty copies differ by at most one.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping


def copies(
    domains: Mapping[str, str], balance: float, most_copies: int, seed: int
) -> dict[str, int]:
    """How often to take each dialogue, by id; ``domains`` names the specialty of each. As many in
    all as there are, or fewer where ``most_copies`` does not allow it."""
    if balance == 0:
        return dict.fromkeys(sorted(domains), 1)
    members: dict[str, list[str]] = defaultdict(list)
    for specialty in sorted(domains, key=lambda domain: (_drawn(seed, domain), domain)):
        members[domains[specialty]].append(specialty)
    taken = quotas({domain: len(ids) for domain, ids in members.items()}, balance, most_copies)
    return {
        identifier: _times(place, taken[domain], len(ids))
        for domain, ids in sorted(members.items())
        for place, identifier in enumerate(ids)
    }


def quotas(sizes: Mapping[str, int], balance: float, most_copies: int) -> dict[str, int]:
    """How many of each specialty: shares by largest remainder; what a small one cannot give, the
    others do."""
    given = dict.fromkeys(sorted(sizes), 0)
    left = sum(sizes.values())
    while left and (
        open_ := [domain for domain in given if given[domain] < most_copies * sizes[domain]]
    ):
        weights = {domain: sizes[domain] ** (1 - balance) for domain in open_}
        whole = sum(weights.values())
        exact = {domain: left * weights[domain] / whole for domain in open_}
        parts = {
            domain: min(int(exact[domain]), most_copies * sizes[domain] - given[domain])
            for domain in open_
        }
        if not any(parts.values()):
            for specialty in sorted(open_, key=lambda domain: (-exact[domain], domain))[:left]:
                parts[specialty] = 1
        for specialty, part in parts.items():
            given[specialty] += part
        left -= sum(parts.values())
    return given


def _times(place: int, taken: int, size: int) -> int:
    """Of ``taken`` copies dealt out to ``size`` dialogues, how many the one at ``place`` gets."""
    return taken // size + (place < taken % size)


def _drawn(seed: int, identifier: str) -> bytes:
    return hashlib.sha256(f"{seed}/{identifier}".encode()).digest()
