"""``POST /v1/chat/completions``: the request."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from medr_ray.serving.http.schemas.base import Boolean, FieldProblem, Integer
from medr_ray.serving.http.schemas.generation import MAX_TOP_LOGPROBS, GenerationRequest
from medr_ray.serving.http.schemas.messages import MAX_MESSAGES, ChatMessage, check_answered_calls
from medr_ray.serving.http.schemas.tools import (
    MAX_TOOLS,
    ResponseFormat,
    ToolChoice,
    ToolDefinition,
    find_schema,
    read_choice,
)
from medr_ray.serving.messages import ChatJob

_TokenCount = Annotated[Integer, Field(ge=1)]


class ChatRequest(GenerationRequest):
    """``POST /v1/chat/completions``."""

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)]
    max_tokens: _TokenCount | None = None
    max_completion_tokens: _TokenCount | None = Field(
        None, description="the newer name of max_tokens, which wins where both are sent"
    )
    logprobs: Boolean = False
    top_logprobs: Integer = Field(0, ge=0, le=MAX_TOP_LOGPROBS)
    tools: list[ToolDefinition] = Field(default_factory=list, max_length=MAX_TOOLS)
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: Boolean = True
    response_format: ResponseFormat | None = None
    modalities: list[Literal["text"]] = Field(default_factory=list, max_length=1)

    @model_validator(mode="after")
    def _check_together(self) -> "ChatRequest":
        """What can only be seen of several fields together."""
        if self.top_logprobs and not self.logprobs:
            raise FieldProblem("top_logprobs", "needs logprobs to be true")
        names = [tool.function.name for tool in self.tools]
        if len(set(names)) < len(names):
            raise FieldProblem("tools", "two have the same name")
        read_choice(self.tool_choice, self.tools)
        check_answered_calls(self.messages)
        return self

    def to_job(self) -> ChatJob:
        """What the model replica is asked for."""
        max_tokens = self.max_completion_tokens
        if max_tokens is None:
            max_tokens = self.max_tokens
        return ChatJob(
            messages=tuple(message.to_turn() for message in self.messages),
            max_tokens=max_tokens,
            logprobs=self.logprobs,
            top_logprobs=self.top_logprobs,
            tools=tuple(tool.to_schema() for tool in self.tools),
            tool_choice=read_choice(self.tool_choice, self.tools),
            parallel_tool_calls=self.parallel_tool_calls,
            response_format=find_schema(self.response_format),
            **self.collect_sampling(),
        )
