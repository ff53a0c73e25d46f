"""The agent: its tools and its budget."""

from typing import Literal

from pydantic import Field

from medr_ray.core.config.section import Section


class AgentConfig(Section):
    """The reason-act loop's budget."""

    tools: tuple[Literal["search", "medical_search"], ...] = ("search", "medical_search")
    max_tool_calls: int = Field(4, ge=1)
    max_turn_tokens: int = Field(160, ge=16, description="sampled tokens per turn")
    max_tokens: int = Field(1536, ge=128, description="context, prompt and all turns together")
    seconds: float = Field(300.0, gt=0, description="deadline of one rollout")
    tool_seconds: float = Field(30.0, gt=0, description="deadline of one tool call")
    observation_chars: int = Field(900, ge=100)
    prompt: Literal["short", "full"] = "full"
