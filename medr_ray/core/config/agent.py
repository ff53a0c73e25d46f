"""The agent, and how many of them run at once."""

from typing import Literal

from pydantic import Field, model_validator

from medr_ray.core.config.base import Operational, Section


class AgentConfig(Section):
    """The reason-act loop's tools, budget and deadlines."""

    tools: tuple[str, ...] = ("search", "medical_search")
    max_tool_calls: int = Field(4, ge=1)
    max_repeats: int = Field(
        2, ge=0, description="identical calls answered again before the answer is asked for"
    )
    max_turn_tokens: int = Field(160, ge=16, description="sampled tokens per turn")
    max_tokens: int = Field(1536, ge=128, description="context, prompt and all turns together")
    ask_after_cut: bool = Field(
        False, description="a reply cut off at max_turn_tokens is asked once for its answer"
    )
    seconds: Operational[float] = Field(300.0, gt=0, description="deadline of one rollout")
    answer_reserve: Operational[float] = Field(
        0.1, ge=0, lt=1, description="share of the seconds kept for the last answer"
    )
    setup_seconds: Operational[float] = Field(
        60.0, gt=0, description="deadline for the policy and the tools to get ready"
    )
    turn_seconds: Operational[float] = Field(
        240.0, gt=0, description="deadline of one reply of the model"
    )
    tool_seconds: Operational[float] = Field(30.0, gt=0, description="deadline of one tool call")
    observation_chars: int = Field(900, ge=100)
    prompt: Literal["short", "full"] = "full"
    recap: bool = Field(
        False, description="the last request for an answer lists the evidence and the candidates"
    )
    tool_calls: Literal["text", "native"] = Field(
        "text", description="how a chat endpoint is shown the tools"
    )
    tool_policy: str | None = Field(
        None, description="a fitted tool policy (JSON), shown as a prior in the prompt"
    )


class RolloutsConfig(Section):
    """How many agents run at once, and what happens when one dies or stands still."""

    workers: Operational[int] = Field(
        2, ge=0, description="worker actors kept even while there is nothing to do"
    )
    max_workers: Operational[int] = Field(
        2, ge=1, description="worker actors the pool grows to while tasks queue up"
    )
    idle_seconds: Operational[float] = Field(
        60.0, ge=0, description="a worker beyond `workers` idle for so long is given back"
    )
    concurrency: Operational[int] = Field(16, ge=1, description="rollouts in flight per worker")
    worker_cpus: Operational[float] = Field(0.5, gt=0)
    retries: Operational[int] = Field(
        2, ge=0, description="fresh attempts after an infrastructure failure"
    )
    retry_failed: Operational[bool] = Field(
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
    stall_seconds: Operational[float] = Field(
        120.0,
        ge=1,
        description="a worker on which nothing moves for so long is reported with its stacks, and "
        "replaced if its event loop is blocked",
    )
    part_size: Operational[int] = Field(32, ge=1, description="trajectories per finished part")

    @model_validator(mode="after")
    def _keeps_no_more_than_it_may_have(self) -> "RolloutsConfig":
        if self.workers > self.max_workers:
            raise ValueError(
                f"workers is {self.workers}, more than max_workers ({self.max_workers}): raise the latter"
            )
        return self
