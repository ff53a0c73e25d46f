"""What all requests have in common: null means the default, unknown fields are refused, and the
types of their numbers."""

from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError


def _require_number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")
    return value


# As in JSON, where true and "1" are no numbers, "true" is no truth value, and 1.0 is an integer.
Integer = Annotated[int, BeforeValidator(_require_number)]
Number = Annotated[float, BeforeValidator(_require_number), Field(allow_inf_nan=False)]
Boolean = Annotated[bool, Field(strict=True)]


class FieldProblem(PydanticCustomError):
    """What is wrong with a field, where only several fields together show it."""

    def __new__(cls, field: str, reason: str) -> "FieldProblem":
        """``reason`` is what stands behind the field's name in the message."""
        return super().__new__(cls, "field_problem", "{reason}", {"field": field, "reason": reason})


class RequestModel(BaseModel):
    """A part of a request. A null for an optional field counts as if it were left out."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        required = {name for name, field in cls.model_fields.items() if field.is_required()}
        return {
            name: value for name, value in values.items() if value is not None or name in required
        }

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The schema that is documented, in which optional fields may be null."""
        described = handler.resolve_ref_schema(handler(schema))
        required = described.get("required", [])
        for name, property_schema in described.get("properties", {}).items():
            if name not in required:
                described["properties"][name] = _allow_null(property_schema)
        return described


def _allow_null(schema: dict[str, Any]) -> dict[str, Any]:
    described = {"title", "description", "default"}
    outer = {name: value for name, value in schema.items() if name in described}
    inner = {name: value for name, value in schema.items() if name not in described}
    if not inner:
        return schema  # anything, null included
    return {"anyOf": [inner, {"type": "null"}], **outer}


_HARMLESS = "accepted, without effect"


class HarmlessFields(RequestModel):
    """Fields of OpenAI's that clients send and that change no answer here: labels of the request,
    its price and speed, and how much a model that can be told so is to think or write."""

    metadata: Any = Field(None, description=_HARMLESS)
    prediction: Any = Field(None, description=_HARMLESS)
    prompt_cache_key: Any = Field(None, description=_HARMLESS)
    prompt_cache_retention: Any = Field(None, description=_HARMLESS)
    reasoning_effort: Any = Field(None, description=_HARMLESS)
    safety_identifier: Any = Field(None, description=_HARMLESS)
    service_tier: Any = Field(None, description=_HARMLESS)
    store: Any = Field(None, description=_HARMLESS)
    user: Any = Field(None, description=_HARMLESS)
    verbosity: Any = Field(None, description=_HARMLESS)
