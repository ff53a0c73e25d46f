"""A tool out of a typed function: its signature is the JSON schema, its docstring the description.

A user adds a tool in ten lines, in any module that the workers can import::

    from typing import Annotated

    from pydantic import Field

    from medr_ray.tools import tool


    @tool
    def dose(weight: Annotated[float, Field(gt=0, description="kg")], per_kg: float = 15.0) -> str:
        \"\"\"A single dose in mg by body weight.\"\"\"
        return f"{weight * per_kg:g} mg"

and selects it by ``agent.tools: [search, "my_package.tools:dose"]``.

What holds: wrong arguments never reach the function, and the ToolError names the argument; a
function that is not asynchronous runs in a thread, so that other rollouts go on; what it raises is
a ToolError with the type and the message (the traceback is logged), but the errors of
``core.errors`` keep their meaning.
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
from medr_ray.tools.base import TOOL_NAME, ToolResult
from medr_ray.tools.threads import Threads

_LOG = logging.getLogger(__name__)
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class FunctionTool:
    """The tool of a function; made by ``tool`` or ``from_function``. It can still be called as the
    function it was."""

    def __init__(
        self, function: Callable[..., Any], name: str, description: str, model: type[BaseModel]
    ) -> None:
        self._function, self._model, self._threads = function, model, Threads()
        self.name, self.description = name, description
        self.parameters: Mapping[str, Any] = _parameters(model)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)

    async def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        """What the function answers; raises ToolError for wrong arguments and for what the function
        raises."""
        check_arguments(self.name, self.parameters, arguments)
        answer = await self._run(self._values(arguments))
        if isinstance(answer, str):
            return ToolResult(answer)
        if isinstance(answer, ToolResult):
            return answer
        _LOG.error(
            "the tool %s returned %s instead of a str or a ToolResult",
            self.name,
            type(answer).__name__,
        )
        raise ToolError(f"{self.name} has no answer: it returned {type(answer).__name__}, not text")

    def _values(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as the annotated types."""
        try:
            given = self._model.model_validate(arguments)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ToolError(
                f"{self.name}: the argument {where!r} is wrong: {first['msg']}"
            ) from None
        return {name: getattr(given, name) for name in self._model.model_fields}

    async def _run(self, values: dict[str, Any]) -> Any:
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
    """The tool of a typed function with a docstring: str, int, float, bool, Literal, list, Optional
    and what else pydantic reads, defaults, ``Annotated[..., Field(description=, ge=, le=,
    max_length=)]``. It returns a str or a ToolResult.

    Raises ConfigError for a function that does not say enough.
    """
    name = getattr(function, "__name__", "")
    if not re.fullmatch(TOOL_NAME, name):
        raise ConfigError(
            f"{name!r} is no name for a tool: define a function (def) named in A-Z a-z 0-9 _"
        )
    described = inspect.cleandoc(function.__doc__ or "").split("\n\n", 1)[0]
    if not described:
        raise ConfigError(
            f"the tool {name} has no docstring: say in it what the tool is for, the agent reads it"
        )
    return FunctionTool(function, name, " ".join(described.split()), _model(name, function))


tool = from_function  # as a decorator: @tool


def _model(name: str, function: Callable[..., Any]) -> type[BaseModel]:
    """The arguments as a pydantic model."""
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
        if parameter.kind not in _NAMED:
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


def _parameters(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema, without the titles that pydantic derives from the names."""
    try:
        schema = model.model_json_schema()
    except PydanticUserError as error:
        raise ConfigError(
            f"the tool {model.__name__}: an argument has no JSON schema: {error}"
        ) from error
    untitled = _untitled(schema)
    return {"type": "object", "properties": {}, **untitled}


def _untitled(schema: dict[str, Any]) -> dict[str, Any]:
    """Every schema within ``schema`` without its title; what is named title by the user stays."""
    kept = {key: value for key, value in schema.items() if key != "title"}
    for key in ("properties", "$defs"):
        if key in kept:
            kept[key] = {name: _untitled(subschema) for name, subschema in kept[key].items()}
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        if key in kept:
            kept[key] = [_untitled(subschema) for subschema in kept[key]]
    return kept | {
        key: _untitled(kept[key]) for key in ("items",) if isinstance(kept.get(key), dict)
    }
