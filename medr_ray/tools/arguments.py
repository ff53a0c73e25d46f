"""A tool call's arguments against its JSON schema; every failure is a ToolError that names the argument."""

import difflib
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator

from medr_ray.core.errors import ToolError


def check_arguments(tool: str, schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    """Raises ToolError for an unknown argument (with the nearest known one), a missing one, or a wrong value."""
    properties = schema["properties"]
    for name in arguments:
        if name not in properties:
            raise ToolError(f"{tool} has no argument {name!r}: {_known(name, list(properties))}")
    for name in schema.get("required", ()):
        if name not in arguments:
            raise ToolError(f"{tool} needs the argument {name!r}")
    errors = Draft202012Validator(schema).iter_errors(dict(arguments))
    for error in sorted(errors, key=lambda error: [str(part) for part in error.absolute_path]):
        where = ".".join(str(part) for part in error.absolute_path)
        raise ToolError(f"{tool}: the argument {where!r} is wrong: {error.message[:200]}")


def _known(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(map(repr, known))}"
