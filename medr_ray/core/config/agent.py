"""The agent: its tools and its budget."""

from typing import Literal

from pydantic import Field

from medr_ray.core.config.section import Section


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
    seconds: float = Field(300.0, gt=0, description="deadline of one rollout")
    answer_reserve: float = Field(
        0.1, ge=0, lt=1, description="share of the seconds kept for the last answer"
    )
    setup_seconds: float = Field(
        60.0, gt=0, description="deadline for the policy and the tools to get ready"
    )
    turn_seconds: float = Field(240.0, gt=0, description="deadline of one reply of the model")
    tool_seconds: float = Field(30.0, gt=0, description="deadline of one tool call")
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
