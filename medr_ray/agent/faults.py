"""Tool failures on purpose, so that trajectories show how to recover (paper section 4.1)."""

import hashlib
from dataclasses import dataclass

SIMULATED = "the service is temporarily unavailable, try again or use another tool"


@dataclass(frozen=True)
class FaultPlan:
    """Which tool calls fail: a pure function of seed, question, rollout and the call's number in
    the episode."""

    rate: float = 0.0
    seed: int = 0

    def fails(self, task_id: str, rollout: int, call: int) -> bool:
        digest = hashlib.sha256(f"{self.seed}/{task_id}/{rollout}/{call}".encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64 < self.rate


NO_FAULTS = FaultPlan()
