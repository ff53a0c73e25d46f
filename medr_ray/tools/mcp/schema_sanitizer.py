"""What the agent is shown of a foreign tool: its name, its description and the schema of its
arguments.

All of it is a stranger's text that ends up in the system prompt. What holds: names are letters,
digits, ``_`` and ``-``; texts are one line of bounded length without control characters, and
nothing in them looks like a tag (``<tool_call>``, ``</think>``, ``<|im_end|>``), while "p<0.05"
stays; a schema keeps the keywords that describe arguments and no others, refers to nothing outside
itself, holds no regular expression and does not multiply by references to references. What cannot
be shown like that is a ConfigError that says how to leave the tool out.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from medr_ray.core.errors import ConfigError
from medr_ray.retrieval import query_text as texts

_DESCRIPTION, _NOTE = 1024, 300  # characters of a tool's and of an argument's description
_SCHEMA = 8000  # characters of a schema as JSON; the agent reads all of it in each episode
# Schemas that one arguments object may be checked against; more would hold up a worker.
_CHECKS = 10_000
_TAG = re.compile(r"<(?= ?[a-zA-Z/|｜!?])|\[(?=/?[A-Z_]{3,}\])")  # <think>, <|im_end|>, [INST]
_ARGUMENT = re.compile(r"[A-Za-z0-9_.$-]{1,64}")
_NAMED = frozenset({"properties", "$defs", "definitions"})  # keyword: a schema for each name
_NESTED = frozenset({"items", "additionalProperties", "anyOf", "oneOf", "allOf", "prefixItems"})
_VALUES = frozenset(
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


def shown_name(server: str, tool: str) -> str:
    """``server__tool``, as OpenAI-compatible endpoints take it: other characters become ``_``, 64
    at most."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", f"{server}__{tool}")[:64]


def plain(text: str, chars: int) -> str:
    """The text on one line, at most so long, with nothing in it that looks like a tag or cannot be
    seen."""
    line = _TAG.sub(lambda found: {"<": "‹", "[": "⟦"}[found.group()], texts.plain_line(text))
    return line if len(line) <= chars else line[: chars - 1].rstrip() + "…"


def shown_description(text: str | None, name: str) -> str:
    """The description, or the tool's name where there is none."""
    return plain(text or "", _DESCRIPTION) or plain(name, _NOTE)


def shown_parameters(server: str, tool: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of the arguments object. Raises ConfigError for one that cannot be shown."""
    try:
        parameters = {"type": "object", "properties": {}, **_schema(schema)}
        size = len(json.dumps(parameters))
        Draft202012Validator.check_schema(parameters)
        checks = _checks(parameters, parameters, {})
    except (ValueError, TypeError, RecursionError, SchemaError) as error:
        message = error.message if isinstance(error, SchemaError) else str(error)
        raise _refused(server, tool, plain(message, _NOTE)) from None
    if size > _SCHEMA:
        raise _refused(
            server, tool, f"its schema is {size:,} characters long, of at most {_SCHEMA:,}"
        )
    if checks > _CHECKS:
        raise _refused(server, tool, "the references in its schema multiply without end")
    return parameters


def _checks(schema: Any, root: Mapping[str, Any], known: dict[str, int]) -> int:
    """How many schemas a value may be checked against, references followed; a circle counts
    once."""
    if isinstance(schema, list):
        return sum(_checks(subschema, root, known) for subschema in schema)
    if not isinstance(schema, Mapping):
        return 0
    total = 1 + sum(_checks(schema[key], root, known) for key in _NESTED & schema.keys())
    total += sum(
        _checks(subschema, root, known) for subschema in schema.get("properties", {}).values()
    )
    reference = schema.get("$ref")
    if reference is not None and reference not in known:
        known[reference] = 0
        known[reference] = _checks(_referred(reference, root), root, known)
    return total + (known[reference] if reference is not None else 0)


def _referred(reference: str, root: Any) -> Any:
    """What a reference names; None for nothing, which is told when the tool is called."""
    for part in reference.split("/")[1:]:
        root = root.get(part) if isinstance(root, Mapping) else None
    return root


def _refused(server: str, tool: str, why: str) -> ConfigError:
    return ConfigError(
        f"tools.mcp.{server}: the tool {plain(tool, 64)!r} cannot be shown to an "
        f"agent: {why}; list the "
        f"tools to use in tools.mcp.{server}.tools without it"
    )


def _schema(schema: Any) -> Any:
    """A schema in plain words; raises ValueError for what cannot be told."""
    if not isinstance(schema, Mapping):
        return schema if isinstance(schema, bool) else {}
    kept: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _VALUES:
            kept[key] = _value(value)
        elif key == "description" and isinstance(value, str):
            kept[key] = plain(value, _NOTE)
        elif key == "$ref":
            kept[key] = _reference(value)
        elif key in _NAMED and isinstance(value, Mapping):
            kept[key] = {_argument(name): _schema(subschema) for name, subschema in value.items()}
        elif key in _NESTED:
            kept[key] = (
                [_schema(subschema) for subschema in value]
                if isinstance(value, list)
                else _schema(value)
            )
    return kept


def _value(value: Any) -> Any:
    if isinstance(value, str):
        return plain(value, _NOTE)
    if isinstance(value, list):
        return [_value(item) for item in value]
    if isinstance(value, Mapping):
        return {plain(str(name), 64): _value(item) for name, item in value.items()}
    return value


def _reference(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"#(/[A-Za-z0-9_.$-]{1,64})*", value):
        raise ValueError(f"its schema refers to {value!r}, which is not within it")
    return value


def _argument(name: str) -> str:
    if not _ARGUMENT.fullmatch(name):
        raise ValueError(f"it has an argument named {name[:64]!r}")
    return name
