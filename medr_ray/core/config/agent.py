"""The agent, and how many agents run at once."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from medr_ray.core.config.base import Operational, Section
from medr_ray.core.config.names import registered_in
from medr_ray.core.config.urls import StorageUri

# A name with a colon is an MCP server (mcp:NAME) or a tool of the user (package.module:object).
ToolName = Annotated[str, registered_in("medr_ray.tools.registry:BUILT_IN", unless=":")]


class AgentConfig(Section):
    """Tools, budget and deadlines of the reason-act loop."""

    tools: tuple[ToolName, ...] = Field(
        ("search", "medical_search"),
        description="tools of the agent: built-in names, mcp:NAME or package.module:object",
    )
    max_tool_calls: int = Field(4, ge=1, description="tool calls in one rollout")
    max_repeats: int = Field(
        2, ge=0, description="identical calls answered again before the answer is requested"
    )
    max_turn_tokens: int = Field(160, ge=16, description="sampled tokens per turn")
    max_tokens: int = Field(
        1536, ge=128, description="tokens of the context: the prompt and all turns together"
    )
    ask_after_cut: bool = Field(
        False, description="request the answer once after a reply was cut off at max_turn_tokens"
    )
    max_spent_tokens: int | None = Field(
        None,
        ge=1,
        description="tokens that all replies may read and write; null: no limit",
    )
    max_usd: float | None = Field(
        None,
        gt=0,
        description="USD that all replies may cost, by the endpoint's prices; null: no limit",
    )
    seconds: Operational[float] = Field(
        300.0, gt=0, description="deadline of one rollout in seconds"
    )
    answer_reserve: Operational[float] = Field(
        0.1, ge=0, lt=1, description="share of the deadline reserved for the last answer"
    )
    setup_seconds: Operational[float] = Field(
        60.0, gt=0, description="seconds for the policy and the tools to become ready"
    )
    turn_seconds: Operational[float] = Field(
        240.0, gt=0, description="seconds for one reply of the model"
    )
    tool_seconds: Operational[float] = Field(30.0, gt=0, description="seconds for one tool call")
    observation_chars: int = Field(
        900, ge=100, description="characters of a tool result that the model sees"
    )
    prompt: Literal["short", "full"] = Field(
        "full", description="length of the instructions in the system prompt"
    )
    recap: bool | None = Field(
        None,
        description="repeat evidence and candidates in the last request for an answer, as far as "
        "max_tokens leaves room; null: with the full prompt",
    )
    tool_calls: Literal["text", "native"] = Field(
        "text", description="how tools are presented to a chat endpoint"
    )
    tool_policy: StorageUri | None = Field(
        None, description="path of a fitted tool policy (JSON), given as a prior in the prompt"
    )

    def identity(self) -> dict[str, Any]:
        """As of every section. Limits that are not set are left out: fingerprints of runs from
        before they existed stay the same."""
        identity = super().identity()
        for name in ("max_spent_tokens", "max_usd"):
            if identity[name] is None:
                del identity[name]
        return identity


class RolloutsConfig(Section):
    """How many agents run at once, and what happens when a worker dies or stalls."""

    workers: Operational[int] = Field(
        2, ge=0, description="worker actors kept even while there is nothing to do"
    )
    max_workers: Operational[int] = Field(
        2, ge=1, description="worker actors the pool grows to while tasks are queued"
    )
    idle_seconds: Operational[float] = Field(
        60.0, ge=0, description="idle seconds after which a worker beyond `workers` is released"
    )
    concurrency: Operational[int] = Field(16, ge=1, description="rollouts in flight per worker")
    worker_cpus: Operational[float] = Field(
        0.5, gt=0, description="logical CPUs that a worker reserves"
    )
    retries: Operational[int] = Field(
        2, ge=0, description="new attempts after an infrastructure failure"
    )
    retry_failed: Operational[bool] = Field(
        True, description="a resumed run retries the rollouts that an earlier run gave up"
    )
    straggler_factor: float | None = Field(
        4.0,
        gt=1,
        description="in a group that is viable already, a rollout is cancelled after this many "
        "times the median duration; null: never",
    )
    straggler_seconds: float = Field(
        30.0, ge=0, description="seconds a rollout always gets before it can be cancelled"
    )
    stall_seconds: Operational[float] = Field(
        120.0,
        ge=1,
        description="seconds without progress after which a worker's stacks are reported; it is "
        "replaced if its event loop is blocked",
    )
    part_size: Operational[int] = Field(32, ge=1, description="trajectories per finished part")

    @model_validator(mode="after")
    def _check_worker_counts(self) -> "RolloutsConfig":
        if self.workers > self.max_workers:
            raise ValueError(
                f"workers is {self.workers}, more than max_workers ({self.max_workers}): raise "
                "the latter"
            )
        return self
