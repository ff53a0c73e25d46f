"""A tool call's arguments against its JSON schema; every failure is a ToolError that names the
argument."""

import difflib
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.exceptions import Unresolvable

from medr_ray.core.errors import ToolError

_NO_OTHERS: Registry[Any] = Registry()  # a schema's references to addresses are never fetched


def check_arguments(tool: str, schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    """Raises ToolError for an unknown argument (with the nearest known one), a missing one, or a
    wrong value."""
    properties = schema.get("properties", {})
    for name in arguments:
        if name not in properties and not schema.get("additionalProperties"):
            raise ToolError(f"{tool} has no argument {name!r}: {_known(name, list(properties))}")
    for name in schema.get("required", ()):
        if name not in arguments:
            raise ToolError(f"{tool} needs the argument {name!r}")
    for where, message in _mistakes(tool, schema, arguments):
        raise ToolError(f"{tool}: the argument {where!r} is wrong: {message[:200]}")


def _mistakes(
    tool: str, schema: Mapping[str, Any], arguments: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """(argument, what is wrong with it), by argument."""
    validator = Draft202012Validator(schema, registry=_NO_OTHERS)
    try:
        errors = [
            ([str(part) for part in error.absolute_path], error.message)
            for error in validator.iter_errors(dict(arguments))
        ]
    except (Unresolvable, RecursionError) as error:
        raise ToolError(
            f"{tool} cannot be called: its schema refers to what it does not hold ({error})"
        ) from error
    return [(".".join(path), message) for path, message in sorted(errors)]


def _known(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"it takes {', '.join(map(repr, known))}" if known else "it takes none"
