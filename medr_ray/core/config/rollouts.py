"""Many agents at once."""

from pydantic import Field

from medr_ray.core.config.section import Section


class RolloutsConfig(Section):
    """How many agents run at once, and what happens when one dies."""

    workers: int = Field(2, ge=1, description="worker actors to start with")
    max_workers: int = Field(2, ge=1, description="worker actors the pool may grow to")
    concurrency: int = Field(16, ge=1, description="rollouts in flight per worker")
    worker_cpus: float = Field(0.5, gt=0)
    retries: int = Field(2, ge=0, description="fresh attempts after an infrastructure failure")
    part_size: int = Field(32, ge=1, description="trajectories per finished part")
