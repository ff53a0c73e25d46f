"""Builds a tool from a typed function: the signature becomes the JSON schema, the docstring the
description.

A user adds a tool in ten lines, in any module that the workers can import::

    from typing import Annotated

    from pydantic import Field

    from medr_ray.tools import tool


    @tool
    def dose(weight: Annotated[float, Field(gt=0, description="kg")], per_kg: float = 15.0) -> str:
        \"\"\"A single dose in mg by body weight.\"\"\"
        return f"{weight * per_kg:g} mg"

and selects it by ``agent.tools: [search, "my_package.tools:dose"]``.

- Wrong arguments never reach the function, and the ToolError names the argument.
- A function that is not asynchronous runs in a thread, so that other rollouts go on.
- What it raises becomes a ToolError with the type and the message, and the traceback is logged. The
  errors of ``core.errors`` pass as they are.
"""

import functools
import inspect
import logging
import re
import typing
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic.errors import PydanticUserError

from medr_ray.core.errors import ConfigError, MedrError, ToolError
from medr_ray.tools.arguments import check_arguments
from medr_ray.tools.base import TOOL_NAME_PATTERN, ToolResult
from medr_ray.tools.threads import DaemonThreads

_LOG = logging.getLogger(__name__)
# Parameters that can be passed by name, as a call's arguments are.
_NAMED_PARAMETERS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class FunctionTool:
    """The tool of a function, made by ``tool`` or ``from_function``. It can still be called as the
    plain function."""

    def __init__(
        self, function: Callable[..., Any], name: str, description: str, model: type[BaseModel]
    ) -> None:
        self._function = function
        self._model = model
        self._threads = DaemonThreads()
        self.name = name
        self.description = description
        self.parameters: Mapping[str, Any] = _build_json_schema(model)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)

    async def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        """What the function returns; raises ToolError for wrong arguments and for what the function
        raises."""
        check_arguments(self.name, self.parameters, arguments)
        returned = await self._run_function(self._parse_arguments(arguments))
        if isinstance(returned, str):
            return ToolResult(returned)
        if isinstance(returned, ToolResult):
            return returned
        type_name = type(returned).__name__
        _LOG.error("the tool %s returned %s instead of a str or a ToolResult", self.name, type_name)
        raise ToolError(f"{self.name} has no answer: it returned {type_name}, not text")

    def _parse_arguments(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as the annotated types. Raises ToolError for what the JSON schema cannot
        express, such as a validator of the user's own."""
        try:
            parsed = self._model.model_validate(arguments)
        except ValidationError as error:
            first = error.errors()[0]
            path = ".".join(map(str, first["loc"]))
            problem = f"the argument {path!r} is wrong: {first['msg']}"
            raise ToolError(f"{self.name}: {problem}") from None
        # Not model_dump, which would turn nested models into dicts.
        return {name: getattr(parsed, name) for name in self._model.model_fields}

    async def _run_function(self, values: dict[str, Any]) -> Any:
        try:
            if inspect.iscoroutinefunction(self._function):
                return await self._function(**values)
            return await self._threads.run(functools.partial(self._function, **values))
        except MedrError:
            raise
        except (Exception, SystemExit) as error:  # sys.exit() is not to end a worker
            _LOG.exception("the tool %s failed", self.name)
            raise ToolError(f"{self.name} failed: {type(error).__name__}: {error}") from error


def from_function(function: Callable[..., Any]) -> FunctionTool:
    """The tool of a typed function with a docstring, which returns a str or a ToolResult.

    Arguments may be str, int, float, bool, Literal, list, Optional or any type that pydantic reads,
    with defaults and ``Annotated[..., Field(description=, ge=, le=, max_length=)]``. Only the first
    paragraph of the docstring is shown to the agent.

    Raises ConfigError for a function without a usable name, a docstring or types.
    """
    name = getattr(function, "__name__", "")
    if not re.fullmatch(TOOL_NAME_PATTERN, name):
        raise ConfigError(
            f"{name!r} is no name for a tool: define a function (def) named in A-Z a-z 0-9 _"
        )
    description = inspect.cleandoc(function.__doc__ or "").split("\n\n", 1)[0]
    if not description:
        raise ConfigError(
            f"the tool {name} has no docstring: say in it what the tool is for, the agent reads it"
        )
    model = _build_arguments_model(name, function)
    return FunctionTool(function, name, " ".join(description.split()), model)


tool = from_function  # as a decorator: @tool


def _build_arguments_model(name: str, function: Callable[..., Any]) -> type[BaseModel]:
    """A pydantic model of the function's arguments. Raises ConfigError."""
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise ConfigError(
            f"the tool {name}: {error}: its types must be known where it is defined"
        ) from error
    if hints.pop("return", str) not in (str, ToolResult):
        raise ConfigError(f"the tool {name} must return str or ToolResult")
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in _NAMED_PARAMETERS:
            raise ConfigError(
                f"the tool {name}: {parameter} has no name to call it by: list the "
                f"arguments one by one"
            )
        if parameter.name not in hints:
            raise ConfigError(f"the tool {name}: the argument {parameter.name!r} has no type")
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], default)
    try:
        return create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
    except (PydanticUserError, NameError) as error:
        raise ConfigError(f"the tool {name}: {error}") from error


def _build_json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a model, without the titles that pydantic derives from the names: they
    would only cost tokens."""
    try:
        schema = model.model_json_schema()
    except PydanticUserError as error:
        raise ConfigError(
            f"the tool {model.__name__}: an argument has no JSON schema: {error}"
        ) from error
    return {"type": "object", "properties": {}, **_drop_titles(schema)}


def _drop_titles(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema and all schemas within it without their titles. An argument that is named title
    stays."""
    kept = {key: value for key, value in schema.items() if key != "title"}
    # Keys of these are names of the user, so only their values are schemas.
    for key in ("properties", "$defs"):
        if key in kept:
            kept[key] = {name: _drop_titles(subschema) for name, subschema in kept[key].items()}
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        if key in kept:
            kept[key] = [_drop_titles(subschema) for subschema in kept[key]]
    if isinstance(kept.get("items"), dict):
        kept["items"] = _drop_titles(kept["items"])
    return kept
