"""What reinforcement learning asks of whoever runs its rollouts."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from medr_ray.rollouts.outcomes import GroupOutcome
from medr_ray.rollouts.pool import AddGroups
from medr_ray.rollouts.worker import RolloutRequest


class GroupRunner(Protocol):
    """Runs groups of rollouts, such as ``RolloutPool``."""

    def run_groups(
        self,
        groups: Sequence[Sequence[RolloutRequest]],
        share: float,
        add_groups: AddGroups | None = None,
    ) -> Iterator[GroupOutcome]:
        """Groups as they finish; each is viable with ``share`` of its rollouts. ``add_groups`` is
        called with each, and what it returns runs as well."""
        ...

    def close(self) -> None: ...
