"""Loading the configuration: YAML < environment (``MEDR_SECTION__KEY``) < ``--set
section.key=value``.

An unknown key is a ConfigError that names the nearest known one; so is a value of the wrong type.
"""

import difflib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import ConfigError

_PREFIX = "MEDR_"


def load_config(
    path: str | Path | None = None,
    overrides: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> PipelineConfig:
    """The resolved configuration. ``overrides`` are ``a.b=c`` texts, their values read as YAML.

    Raises ConfigError for an unreadable file, an unknown key or a bad value.
    """
    values = _read_yaml(Path(path)) if path else {}
    for dotted, text in _environment_values(os.environ if environment is None else environment):
        _assign(values, dotted, text)
    for override in overrides:
        dotted, equals, text = override.partition("=")
        if not equals:
            raise ConfigError(f"--set {override!r}: write section.key=value")
        _assign(values, dotted.strip(), text)
    _check_keys(PipelineConfig, values, "")
    try:
        return PipelineConfig.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"{path or 'configuration'}: {problems}") from None


def dump_yaml(config: PipelineConfig) -> str:
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


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
    """Variables with a double underscore address a section's key; other MEDR_ variables are not
    configuration."""
    return [
        (name[len(_PREFIX) :].lower().replace("__", "."), text)
        for name, text in sorted(environment.items())
        if name.startswith(_PREFIX) and "__" in name
    ]


def _assign(values: dict[str, Any], dotted: str, text: str) -> None:
    *parents, last = dotted.split(".")
    target = values
    for name in parents:
        child = target.get(name)
        if child is None:
            child = target[name] = {}
        if not isinstance(child, dict):
            raise ConfigError(f"{dotted}: {name} is a value, not a section")
        target = child
    target[last] = yaml.safe_load(text) if text else None


def _check_keys(model: type[BaseModel], values: Mapping[str, Any], where: str) -> None:
    for key, value in values.items():
        if key not in model.model_fields:
            near = difflib.get_close_matches(str(key), model.model_fields, n=1, cutoff=0.0)
            raise ConfigError(f"unknown key {where}{key}: did you mean {where}{near[0]}?")
        annotation = model.model_fields[key].annotation
        if (
            isinstance(value, dict)
            and isinstance(annotation, type)
            and issubclass(annotation, BaseModel)
        ):
            _check_keys(annotation, value, f"{where}{key}.")
