"""``medr`` that notes which rollouts of the trajectories stage begin: ``noting_medr.py NOTES
ARGUMENTS``.

The worker that begins a rollout appends its key, a line, to the file NOTES.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import medr_ray.rollouts.pool as pool_module
from medr_ray.agent.faults import FaultPlan
from medr_ray.agent.policies import Policy
from medr_ray.agent.tool_features import Rarity
from medr_ray.cli.main import main
from medr_ray.core.config import PipelineConfig
from medr_ray.rollouts.pool import RolloutPool
from medr_ray.rollouts.worker import PolicyFactory, RolloutRequest


@dataclass(frozen=True)
class NotingFactory:
    """Makes the policies of another factory, one for each rollout that begins."""

    notes: str
    make_policy: PolicyFactory

    def __call__(self, request: RolloutRequest) -> Policy:
        with open(self.notes, "a", encoding="utf-8") as notes:
            notes.write(f"{request.key}\n")
        return self.make_policy(request)


@dataclass(frozen=True)
class NotingMaker:
    """Called in a worker as the stage's own maker is."""

    notes: str
    make_factory: Callable[[Rarity | None], PolicyFactory]

    def __call__(self, rarity: Rarity | None) -> PolicyFactory:
        return NotingFactory(self.notes, self.make_factory(rarity))


def _patch_pool(notes: str) -> None:
    def open_pool(
        config: PipelineConfig,
        index_uri: str,
        make_factory: Callable[[Rarity | None], PolicyFactory],
        faults: FaultPlan,
    ) -> RolloutPool:
        return RolloutPool(config, index_uri, NotingMaker(notes, make_factory), faults)

    # The stage imports the pool by this name when it begins to play.
    pool_module.RolloutPool = open_pool  # type: ignore[misc,assignment]


if __name__ == "__main__":
    _patch_pool(sys.argv[1])
    main(sys.argv[2:])
