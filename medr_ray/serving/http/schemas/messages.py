"""The messages of a dialogue."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from medr_ray.llm.completions import FunctionCall
from medr_ray.serving.http.schemas.base import FieldProblem, RequestModel
from medr_ray.serving.messages import ChatTurn

# More than any dialogue that fits a context: each takes some tokens of the template alone.
MAX_MESSAGES = 4_096
MAX_CALLS = 128  # of one message; OpenAI's own limit of tools
# The model's own ids may carry the reply that made the call (see ``serving.tool_calls``).
_MAX_ID_CHARACTERS = 2_048
_MAX_NAME_CHARACTERS = 64  # OpenAI's
# Of names and ids, in the place of an error.
_QUOTED_CHARACTERS = 40

Role = Literal["system", "developer", "user", "assistant", "tool"]


class TextPart(RequestModel):
    """A piece of a message given in parts."""

    model_config = ConfigDict(extra="ignore")
    type: Literal["text"]
    text: str

    @field_validator("type", mode="before")
    @classmethod
    def _name_unsupported(cls, value: Any) -> Any:
        if isinstance(value, str) and value != "text":
            kind = value[:_QUOTED_CHARACTERS]
            raise ValueError(f"parts of type {kind!r} are not supported: the model reads text")
        return value


class CalledFunction(RequestModel):
    """The function of a call; ``arguments`` is JSON text, as the model wrote it."""

    model_config = ConfigDict(extra="ignore")
    name: str = Field(min_length=1, max_length=_MAX_NAME_CHARACTERS)
    arguments: str = "{}"


class ToolCall(RequestModel):
    """A call that an assistant's message made."""

    model_config = ConfigDict(extra="ignore")
    id: str = Field(min_length=1, max_length=_MAX_ID_CHARACTERS)
    type: Literal["function"] = "function"
    function: CalledFunction


def _name_alternative(value: Any) -> str:
    return "<parts>" if isinstance(value, list) else "<text>"


Content = Annotated[
    Annotated[str, Tag("<text>")]
    | Annotated[list[TextPart], Tag("<parts>"), Field(max_length=MAX_MESSAGES)],
    Discriminator(_name_alternative),
]


class ChatMessage(RequestModel):
    """One message; ``developer`` is read as ``system``. Content may be null beside calls.

    ``reasoning_content`` (or ``reasoning``) is the thought that a model gave beside its answer.
    Labels such as ``name`` and what answers carry besides (``refusal``, ``annotations``) are
    ignored.
    """

    model_config = ConfigDict(extra="ignore")
    role: Role
    content: Content | None = None
    tool_calls: list[ToolCall] = Field(default_factory=list, max_length=MAX_CALLS)
    tool_call_id: str = Field("", max_length=_MAX_ID_CHARACTERS)
    reasoning_content: str = ""
    reasoning: str = ""
    function_call: None = Field(None, description="not supported: send tool_calls")
    audio: None = Field(None, description="not supported")

    @model_validator(mode="after")
    def _check_role(self) -> "ChatMessage":
        if self.tool_calls and self.role != "assistant":
            raise ValueError(f"a {self.role} message has no tool_calls")
        if self.content is None and not self.tool_calls:
            raise ValueError("content is missing; only an assistant's message with calls has none")
        if self.role == "tool" and not self.tool_call_id:
            raise ValueError("a tool's message names the call it answers: tool_call_id is missing")
        return self

    def to_turn(self) -> ChatTurn:
        """The message as the model replica reads it, with the parts of the content joined."""
        content = self.content or ""
        if not isinstance(content, str):
            content = "".join(part.text for part in content)
        calls = [
            FunctionCall(call.id, call.function.name, call.function.arguments)
            for call in self.tool_calls
        ]
        return ChatTurn(
            role="system" if self.role == "developer" else self.role,
            content=content,
            tool_calls=tuple(calls),
            tool_call_id=self.tool_call_id,
            thought=self.reasoning_content or self.reasoning,
        )


def check_answered_calls(messages: Sequence[ChatMessage]) -> None:
    """Raises FieldProblem for a tool's message that answers no call before it."""
    call_ids: set[str] = set()
    for position, message in enumerate(messages):
        call_ids.update(call.id for call in message.tool_calls)
        if message.role == "tool" and message.tool_call_id not in call_ids:
            call_id = message.tool_call_id[:_QUOTED_CHARACTERS]
            raise FieldProblem(
                f"messages.{position}.tool_call_id", f"no message before made the call {call_id!r}"
            )
