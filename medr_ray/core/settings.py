"""Loading the configuration: YAML < environment (``MEDR_SECTION__KEY``) < ``--set
section.key=value``.

An unknown key is a ConfigError that names the nearest known key. So is a value of the wrong type,
and a name that the room which owns it does not know.
"""

import difflib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import ConfigError

_ENVIRONMENT_PREFIX = "MEDR_"
_PYDANTIC_PREFIX = "Value error, "  # before the message of every ValueError from a validator


@dataclass(frozen=True)
class Setting:
    """One key of a resolved configuration, with its value as JSON."""

    key: str
    value: str
    description: str


def load_config(
    path: str | Path | None = None,
    overrides: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> PipelineConfig:
    """Return the resolved configuration.

    ``overrides`` are ``a.b=c`` texts, their values read as YAML.

    Raises ConfigError for an unreadable file, an unknown key or name, or a bad value.
    """
    # Later sources overwrite earlier ones: file, environment, overrides.
    values = _read_yaml(Path(path)) if path else {}
    variables = os.environ if environment is None else environment
    # In the order of their names, so that the result does not depend on how the shell orders them.
    for key, text in _environment_values(variables):
        _set_dotted_key(values, key, text)
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise ConfigError(f"--set {override!r}: write section.key=value")
        _set_dotted_key(values, key.strip(), text)
    # Before pydantic, whose message for an unknown key names no near one.
    _check_keys(PipelineConfig, values, "")
    try:
        return PipelineConfig.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(map(_describe_problem, _independent_problems(error)))
        raise ConfigError(f"{path or 'configuration'}: {problems}") from None


def dump_yaml(config: PipelineConfig) -> str:
    """Return the configuration as YAML that ``load_config`` reads back."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def list_settings(section: BaseModel, prefix: str = "") -> Iterator[Setting]:
    """Yield every key of a configuration in the order of declaration, also those of nested
    sections."""
    values = section.model_dump(mode="json")
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from list_settings(value, f"{prefix}{name}.")
        else:
            value_text = json.dumps(values[name], ensure_ascii=False)
            yield Setting(f"{prefix}{name}", value_text, field.description or "")


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; give an existing file with -c") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {error}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(
            f"{path}: the top level must be a mapping of sections, not {type(values).__name__}"
        )
    return values


def _environment_values(environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return (key, text) of the variables that set a key.

    A double underscore marks them; other ``MEDR_`` variables, such as keys of services, are not
    configuration.
    """
    return [
        (name.removeprefix(_ENVIRONMENT_PREFIX).lower().replace("__", "."), text)
        for name, text in sorted(environment.items())
        if name.startswith(_ENVIRONMENT_PREFIX) and "__" in name
    ]


def _set_dotted_key(values: dict[str, Any], key: str, text: str) -> None:
    """Set a dotted key in nested mappings; an empty text is null."""
    *section_names, last_name = key.split(".")
    section = values
    for name in section_names:
        child = section.get(name)
        if child is None:
            child = {}
            section[name] = child
        if not isinstance(child, dict):
            raise ConfigError(f"{key}: {name} is a value, not a section")
        section = child
    # Read as YAML, so that numbers, lists and null are written as they are in the file.
    section[last_name] = yaml.safe_load(text) if text else None


def _check_keys(model: type[BaseModel], values: Mapping[str, Any], prefix: str) -> None:
    """Raise ConfigError for an unknown key, with the nearest known one.

    Pydantic refuses unknown keys too, but does not name the nearest one.
    """
    for key, value in values.items():
        if key not in model.model_fields:
            # With a cutoff of 0 there is a nearest key for every text.
            nearest = difflib.get_close_matches(str(key), model.model_fields, n=1, cutoff=0.0)
            raise ConfigError(f"unknown key {prefix}{key}: did you mean {prefix}{nearest[0]}?")
        annotation = model.model_fields[key].annotation
        if not isinstance(value, dict):
            continue
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            _check_keys(annotation, value, f"{prefix}{key}.")


def _independent_problems(error: ValidationError) -> list[ErrorDetails]:
    """The problems of a configuration, without those that only follow from others.

    pydantic calls a list too short as well when its wrong items leave none.
    """
    problems = error.errors()
    locations = [problem["loc"] for problem in problems]

    def has_problem_inside(location: tuple[int | str, ...]) -> bool:
        size = len(location)
        return any(len(other) > size and other[:size] == location for other in locations)

    return [
        problem
        for problem in problems
        if problem["type"] != "too_short" or not has_problem_inside(problem["loc"])
    ]


def _describe_problem(problem: Mapping[str, Any]) -> str:
    """Return ``key: message``; a check over several sections names its keys in the message."""
    key = ".".join(str(part) for part in problem["loc"])
    message = str(problem["msg"]).removeprefix(_PYDANTIC_PREFIX)
    return f"{key}: {message}" if key else message
