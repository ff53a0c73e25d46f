"""Checks a tool call's arguments against the tool's JSON schema. Every failure is a ToolError that
names the argument."""

import difflib
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.exceptions import Unresolvable

from medr_ray.core.errors import ToolError

# An empty registry: a reference to another address is an error and is never fetched.
_NO_REMOTE_SCHEMAS: Registry[Any] = Registry()
_MAX_MESSAGE_CHARS = 200  # the validator's message quotes the whole wrong value


def check_arguments(tool: str, schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    """Raises ToolError for an unknown argument (with the nearest existing name), a missing one, or
    a wrong value."""
    properties = schema.get("properties", {})
    # Before the validator: its message for an unknown argument suggests no name.
    for name in arguments:
        if name not in properties and not schema.get("additionalProperties"):
            suggestion = _suggest_argument(name, list(properties))
            raise ToolError(f"{tool} has no argument {name!r}: {suggestion}")
    for name in schema.get("required", ()):
        if name not in arguments:
            raise ToolError(f"{tool} needs the argument {name!r}")
    for argument, message in _find_schema_errors(tool, schema, arguments):
        message = message[:_MAX_MESSAGE_CHARS]
        raise ToolError(f"{tool}: the argument {argument!r} is wrong: {message}")


def _find_schema_errors(
    tool: str, schema: Mapping[str, Any], arguments: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """(path of the argument, message) of every wrong value, ordered by path."""
    validator = Draft202012Validator(schema, registry=_NO_REMOTE_SCHEMAS)
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


def _suggest_argument(name: str, existing: list[str]) -> str:
    nearest = difflib.get_close_matches(name, existing, n=1)
    if nearest:
        return f"did you mean {nearest[0]!r}?"
    if existing:
        return f"it takes {', '.join(map(repr, existing))}"
    return "it takes none"
