"""Many agents at once."""

from pydantic import Field, model_validator

from medr_ray.core.config.section import Section


class RolloutsConfig(Section):
    """How many agents run at once, and what happens when one dies or stands still."""

    workers: int = Field(
        2, ge=0, description="worker actors kept even while there is nothing to do"
    )
    max_workers: int = Field(
        2, ge=1, description="worker actors the pool grows to while tasks queue up"
    )
    idle_seconds: float = Field(
        60.0, ge=0, description="a worker beyond `workers` idle for so long is given back"
    )
    concurrency: int = Field(16, ge=1, description="rollouts in flight per worker")
    worker_cpus: float = Field(0.5, gt=0)
    retries: int = Field(2, ge=0, description="fresh attempts after an infrastructure failure")
    retry_failed: bool = Field(
        True, description="a resumed run tries afresh what an earlier one gave up"
    )
    straggler_factor: float | None = Field(
        4.0,
        gt=1,
        description="in a group that is large enough already, rollouts that take longer than so many times "
        "its median are cut; null: never",
    )
    straggler_seconds: float = Field(
        30.0, ge=0, description="no rollout is cut that has taken less"
    )
    stall_seconds: float = Field(
        120.0,
        ge=1,
        description="a worker on which nothing moves for so long is reported with its stacks, and "
        "replaced if its event loop is blocked",
    )
    part_size: int = Field(32, ge=1, description="trajectories per finished part")

    @model_validator(mode="after")
    def _keeps_no_more_than_it_may_have(self) -> "RolloutsConfig":
        if self.workers > self.max_workers:
            raise ValueError(
                f"workers is {self.workers}, more than max_workers ({self.max_workers}): raise the latter"
            )
        return self
