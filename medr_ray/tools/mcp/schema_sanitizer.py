"""What the agent is shown of a server's tool: its name, its description and the schema of its
arguments.

All of it is untrusted text that ends up in the system prompt.

- Names are letters, digits, ``_`` and ``-``.
- Texts are one line of bounded length without control characters. Nothing in them looks like a tag
  (``<tool_call>``, ``</think>``, ``<|im_end|>``), while "p<0.05" stays.
- A schema keeps only the keywords that describe arguments. It refers to nothing outside itself,
  holds no regular expression (which could run for ever on an argument) and does not multiply by
  references to references.

A tool that cannot be shown like that is a ConfigError that says how to leave it out.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from medr_ray.core.errors import ConfigError
from medr_ray.retrieval import query_text

_MAX_DESCRIPTION_CHARS = 1024  # of a tool
_MAX_NOTE_CHARS = 300  # of an argument's description, a text value or an error
_MAX_KEY_CHARS = 64  # of a key in a value, and of a name in an error
_MAX_SCHEMA_CHARS = 8000  # of a schema as JSON; the agent reads all of it in each episode
# Schemas that one arguments object may be checked against; more would hold up a worker.
_MAX_CHECKS = 10_000
# The bracket that opens <think>, <|im_end|> or [INST].
_TAG_OPENING = re.compile(r"<(?= ?[a-zA-Z/|｜!?])|\[(?=/?[A-Z_]{3,}\])")
_LOOK_ALIKE = {"<": "‹", "[": "⟦"}
_ARGUMENT_NAME = re.compile(r"[A-Za-z0-9_.$-]{1,64}")
# "#" or a path of keys within the same schema; anything else could be an address to fetch.
_LOCAL_REFERENCE = re.compile(r"#(/[A-Za-z0-9_.$-]{1,64})*")
# Keywords with a schema for each name.
_SCHEMAS_BY_NAME = frozenset({"properties", "$defs", "definitions"})
# Keywords with a schema, or a list of them.
_SUBSCHEMAS = frozenset({"items", "additionalProperties", "anyOf", "oneOf", "allOf", "prefixItems"})
# Keywords with a plain value. "pattern" is left out on purpose.
_PLAIN_VALUES = frozenset(
    {
        "type",
        "required",
        "enum",
        "const",
        "default",
        "format",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "uniqueItems",
    }
)


def sanitize_name(server: str, tool: str) -> str:
    """``server__tool`` as OpenAI-compatible endpoints accept it: other characters become ``_``, 64
    at most."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", f"{server}__{tool}")[:64]


def sanitize_text(text: str, chars: int) -> str:
    """The text on one line of at most ``chars`` characters, without invisible characters and
    without anything that looks like a tag."""
    line = query_text.plain_line(text)
    # After hidden characters are gone: they could hide a tag from the pattern.
    line = _TAG_OPENING.sub(lambda match: _LOOK_ALIKE[match.group()], line)
    return line if len(line) <= chars else line[: chars - 1].rstrip() + "…"


def sanitize_description(text: str | None, name: str) -> str:
    """The description, or the tool's name where there is none."""
    return sanitize_text(text or "", _MAX_DESCRIPTION_CHARS) or sanitize_text(name, _MAX_NOTE_CHARS)


def sanitize_parameters(server: str, tool: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of the arguments object. Raises ConfigError for one that cannot be shown."""
    try:
        parameters = {"type": "object", "properties": {}, **_sanitize_schema(schema)}
        size = len(json.dumps(parameters))
        Draft202012Validator.check_schema(parameters)
        checks = _count_checks(parameters, parameters, {})
    except (ValueError, TypeError, RecursionError, SchemaError) as error:
        message = error.message if isinstance(error, SchemaError) else str(error)
        raise _unusable_tool(server, tool, sanitize_text(message, _MAX_NOTE_CHARS)) from None
    if size > _MAX_SCHEMA_CHARS:
        raise _unusable_tool(
            server,
            tool,
            f"its schema is {size:,} characters long, of at most {_MAX_SCHEMA_CHARS:,}",
        )
    if checks > _MAX_CHECKS:
        raise _unusable_tool(server, tool, "the references in its schema multiply without end")
    return parameters


def _count_checks(schema: Any, root: Mapping[str, Any], by_reference: dict[str, int]) -> int:
    """How many schemas a value may be checked against, with references followed. A circle of
    references counts once. ``by_reference`` caches the counts of references."""
    if isinstance(schema, list):
        return sum(_count_checks(subschema, root, by_reference) for subschema in schema)
    if not isinstance(schema, Mapping):
        return 0
    total = 1
    for key in _SUBSCHEMAS & schema.keys():
        total += _count_checks(schema[key], root, by_reference)
    for subschema in schema.get("properties", {}).values():
        total += _count_checks(subschema, root, by_reference)
    reference = schema.get("$ref")
    if reference is None:
        return total
    if reference not in by_reference:
        by_reference[reference] = 0  # what a circle back to here counts
        target = _resolve_reference(reference, root)
        by_reference[reference] = _count_checks(target, root, by_reference)
    return total + by_reference[reference]


def _resolve_reference(reference: str, root: Any) -> Any:
    """The schema that a reference names. None if there is none, which ``check_arguments``
    reports when the tool is called."""
    for part in reference.split("/")[1:]:
        root = root.get(part) if isinstance(root, Mapping) else None
    return root


def _unusable_tool(server: str, tool: str, reason: str) -> ConfigError:
    """The error for a tool that cannot be shown, with its remedy."""
    return ConfigError(
        f"tools.mcp.{server}: the tool {sanitize_text(tool, _MAX_KEY_CHARS)!r} cannot be shown to "
        f"an agent: {reason}; list the "
        f"tools to use in tools.mcp.{server}.tools without it"
    )


def _sanitize_schema(schema: Any) -> Any:
    """A schema with its harmless keywords only. Raises ValueError for a reference or a name that
    cannot be shown."""
    if not isinstance(schema, Mapping):
        return schema if isinstance(schema, bool) else {}
    kept: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _PLAIN_VALUES:
            kept[key] = _sanitize_value(value)
        elif key == "description" and isinstance(value, str):
            kept[key] = sanitize_text(value, _MAX_NOTE_CHARS)
        elif key == "$ref":
            kept[key] = _check_reference(value)
        elif key in _SCHEMAS_BY_NAME and isinstance(value, Mapping):
            kept[key] = {
                _check_argument_name(name): _sanitize_schema(subschema)
                for name, subschema in value.items()
            }
        elif key in _SUBSCHEMAS and isinstance(value, list):
            kept[key] = [_sanitize_schema(subschema) for subschema in value]
        elif key in _SUBSCHEMAS:
            kept[key] = _sanitize_schema(value)
    return kept


def _sanitize_value(value: Any) -> Any:
    if isinstance(value, str):
        return sanitize_text(value, _MAX_NOTE_CHARS)
    if isinstance(value, list):
        return [_sanitize_value(item) for item in value]
    if isinstance(value, Mapping):
        return {
            sanitize_text(str(name), _MAX_KEY_CHARS): _sanitize_value(item)
            for name, item in value.items()
        }
    return value


def _check_reference(value: Any) -> str:
    if not isinstance(value, str) or not _LOCAL_REFERENCE.fullmatch(value):
        raise ValueError(f"its schema refers to {value!r}, which is not within it")
    return value


def _check_argument_name(name: str) -> str:
    if not _ARGUMENT_NAME.fullmatch(name):
        raise ValueError(f"it has an argument named {name[:64]!r}")
    return name
