"""The tools that a model may call, and the form that its answer must have."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import jsonschema
from pydantic import ConfigDict, Discriminator, Field, Tag, field_validator

from medr_ray.serving.http.schemas.base import Boolean, FieldProblem, RequestModel

MAX_TOOLS = 128  # OpenAI's
_MAX_NAME_CHARACTERS = 64  # OpenAI's
FunctionName = Annotated[
    str, Field(min_length=1, max_length=_MAX_NAME_CHARACTERS, pattern=r"^[a-zA-Z0-9_-]+$")
]


def _check_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema as it is. Raises ValueError where it is no JSON schema."""
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        place = ".".join(str(part) for part in error.absolute_path)
        reason = error.message[:200]
        raise ValueError(f"no JSON schema: {place}: {reason}" if place else reason) from None
    return schema


class Function(RequestModel):
    """A function. ``strict`` is accepted: arguments are returned as the model wrote them."""

    name: FunctionName
    description: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)
    strict: Boolean = False

    @field_validator("parameters")
    @classmethod
    def _check_parameters(cls, schema: dict[str, Any]) -> dict[str, Any]:
        return _check_schema(schema)


class ToolDefinition(RequestModel):
    """A tool, which is a function."""

    type: Literal["function"]
    function: Function

    def to_schema(self) -> dict[str, Any]:
        """The tool as chat templates read it, with nothing that the client left out."""
        return {"type": "function", "function": self.function.model_dump(exclude_unset=True)}


class _NamedFunction(RequestModel):
    name: FunctionName


class NamedChoice(RequestModel):
    """The function that must be called."""

    type: Literal["function"]
    function: _NamedFunction


def _name_alternative(value: Any) -> str:
    return "<function>" if isinstance(value, dict) else "<word>"


ToolChoice = Annotated[
    Annotated[Literal["auto", "none", "required"], Tag("<word>")]
    | Annotated[NamedChoice, Tag("<function>")],
    Discriminator(_name_alternative),
]


def read_choice(choice: ToolChoice, tools: Sequence[ToolDefinition]) -> str:
    """The choice as a ChatJob has it. Raises FieldProblem for one that the tools do not allow."""
    names = [tool.function.name for tool in tools]
    if isinstance(choice, NamedChoice):
        if choice.function.name not in names:
            raise FieldProblem("tool_choice", f"no tool is called {choice.function.name!r}")
        return choice.function.name
    if choice == "required" and not tools:
        raise FieldProblem("tool_choice", "required needs tools")
    return choice


class JsonSchema(RequestModel):
    """A named schema; ``strict`` changes nothing, because an answer that is given has the form."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    name: FunctionName
    description: str = ""
    json_schema: dict[str, Any] = Field(default_factory=dict, alias="schema")
    strict: Boolean = False

    @field_validator("json_schema")
    @classmethod
    def _check_json_schema(cls, schema: dict[str, Any]) -> dict[str, Any]:
        return _check_schema(schema)


class TextFormat(RequestModel):
    """Any text."""

    type: Literal["text"]


class JsonObjectFormat(RequestModel):
    """A JSON object."""

    type: Literal["json_object"]


class JsonSchemaFormat(RequestModel):
    """JSON that a schema allows."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


def _name_format(value: Any) -> str | None:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return f"<{kind}>" if isinstance(kind, str) else None


ResponseFormat = Annotated[
    Annotated[TextFormat, Tag("<text>")]
    | Annotated[JsonObjectFormat, Tag("<json_object>")]
    | Annotated[JsonSchemaFormat, Tag("<json_schema>")],
    Discriminator(
        _name_format,
        custom_error_type="response_format",
        custom_error_message="type must be text, json_object or json_schema",
    ),
]


def find_schema(response_format: ResponseFormat | None) -> dict[str, Any] | None:
    """The JSON schema that the answer must have, None for any text."""
    if isinstance(response_format, JsonSchemaFormat):
        return response_format.json_schema.json_schema
    if isinstance(response_format, JsonObjectFormat):
        return {"type": "object"}
    return None
