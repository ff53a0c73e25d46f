"""Simulated tool failures, so that trajectories show how to recover (paper section 4.1)."""

import hashlib
from dataclasses import dataclass

SIMULATED = "the service is temporarily unavailable, try again or use another tool"


@dataclass(frozen=True)
class FaultPlan:
    """Which tool calls fail: ``rate`` of them, in [0, 1].

    A pure function of the seed, the task, the rollout and the call's number in the episode, so that
    an episode that is run again fails at the same calls.
    """

    rate: float = 0.0
    seed: int = 0

    def should_fail(self, task_id: str, rollout: int, call: int) -> bool:
        """Whether call number ``call`` (from 0) of this episode fails."""
        # A hash and not a random generator: calls run concurrently, in no fixed order.
        digest = hashlib.sha256(f"{self.seed}/{task_id}/{rollout}/{call}".encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64 < self.rate


NO_FAULTS = FaultPlan()
