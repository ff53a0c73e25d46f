"""Loading the configuration: YAML < environment (``MEDR_SECTION__KEY``) < ``--set
section.key=value``.

An unknown key is a ConfigError that names the nearest known key. So is a value of the wrong type,
a name that the room which owns it does not know, and an unknown variable. Each error begins with
where the value is from: the line of the file, the variable or the ``--set``.
"""

import difflib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import ConfigError
from medr_ray.core.validation_messages import describe_value, explain_alternatives
from medr_ray.core.variables import check_variables, list_key_variables
from medr_ray.core.yaml_text import Location, decode_yaml, format_yaml, parse_yaml


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

    Raises ConfigError for an unreadable file, an unknown key, name or variable, or a bad value. It
    names the line of the file, the variable or the ``--set`` that is at fault.
    """
    # Later sources overwrite earlier ones: file, environment, overrides.
    settings = _LayeredSettings()
    if path:
        settings.read_file(Path(path))
    variables = os.environ if environment is None else environment
    for name, key in list_key_variables(variables):
        settings.set_key(key, variables[name], name)
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {override!r}: write section.key=value")
        settings.set_key(key.strip(), text, f"--set {key.strip()}")
    # Before pydantic, whose message for an unknown key names no near one.
    settings.check_keys(PipelineConfig, settings.values, ())
    try:
        config = PipelineConfig.model_validate(settings.values)
    except ValidationError as error:
        raise ConfigError(settings.describe_problems(_independent_problems(error))) from None
    # After all else: the configuration itself names the variables that hold its keys.
    check_variables(variables, config)
    return config


def dump_yaml(config: PipelineConfig) -> str:
    """Return the configuration as YAML that ``load_config`` reads back."""
    return format_yaml(config.model_dump(mode="json"))


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


class _LayeredSettings:
    """Values from several sources, the later over the earlier, and where each of them is from."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        # What to name in an error about a location, such as "run.yaml line 3" or "--set run.name".
        self._origins: dict[Location, str] = {}

    def read_file(self, path: Path) -> None:
        """Take over a YAML file. Raises ConfigError."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}; give an existing file with -c") from None
        document = parse_yaml(decode_yaml(content, str(path)), str(path))
        if not isinstance(document.value, dict | None):
            raise ConfigError(
                f"{path}: the top level must be a mapping of sections, not "
                f"{describe_value(document.value)}"
            )
        self.values = document.value or {}
        self._origins = {
            location: f"{path} line {line}" for location, line in document.lines.items()
        }

    def set_key(self, key: str, text: str, origin: str) -> None:
        """Set a dotted key to a value read as YAML; an empty text is null. Raises ConfigError."""
        location = tuple(key.split("."))
        section = self.values
        for name in location[:-1]:
            child = section.get(name)
            if child is None:
                child = {}
                section[name] = child
            if not isinstance(child, dict):
                raise ConfigError(f"{origin}: {name} is a value, not a section")
            section = child
        # Read as YAML, so that numbers, lists and null are written as they are in the file.
        section[location[-1]] = parse_yaml(text, origin).value
        depth = len(location)
        # What stood there before is gone.
        self._origins = {
            other: name for other, name in self._origins.items() if other[:depth] != location
        }
        self._origins[location] = origin

    def check_keys(
        self, section: type[BaseModel], values: Mapping[Any, Any], location: Location
    ) -> None:
        """Raise ConfigError for an unknown key, with the nearest known one.

        Pydantic refuses unknown keys too, but does not name the nearest one.
        """
        for key, value in values.items():
            place = (*location, key)
            if key not in section.model_fields:
                # With a cutoff of 0 there is a nearest key for every text.
                (nearest,) = difflib.get_close_matches(
                    str(key), section.model_fields, n=1, cutoff=0.0
                )
                raise ConfigError(
                    f"{', '.join(self._list_origins(place))}: unknown key {_join(place)}: "
                    f"did you mean {_join((*location, nearest))}?"
                )
            annotation = section.model_fields[key].annotation
            for inner_place, inner_section, inner_values in _list_sections(
                place, annotation, value
            ):
                self.check_keys(inner_section, inner_values, inner_place)

    def describe_problems(self, problems: Sequence[ErrorDetails]) -> str:
        """Return ``origin: key: message`` of each problem, joined by semicolons."""
        # The alternatives of a union are tried one by one, each with its own problem.
        by_location: dict[Location, list[ErrorDetails]] = {}
        for problem in problems:
            by_location.setdefault(self._find_location(problem), []).append(problem)
        lines = []
        for location, alternatives in by_location.items():
            message = explain_alternatives(alternatives)
            origins = ", ".join(self._list_origins(location, message))
            text = ": ".join(filter(None, [_join(location), message]))
            repeated = f"{origins.removeprefix('--set ')}: "
            lines.append(f"{origins}: {text.removeprefix(repeated)}")
        return "; ".join(lines)

    def _find_location(self, problem: ErrorDetails) -> Location:
        """The problem's location, without what pydantic adds for alternatives and for keys."""
        value: Any = self.values
        location: list[int | str] = []
        for part in problem["loc"]:
            if isinstance(value, dict):
                # pydantic turns the keys of mappings into text.
                matches = [key for key in value if str(key) == str(part)]
            else:
                matches = [part] if isinstance(value, list) and isinstance(part, int) else []
            if matches:
                value = value[matches[0]]
            elif problem["type"] != "missing":
                continue
            location.append(part)
        return tuple(location)

    def _list_origins(self, location: Location, message: str = "") -> list[str]:
        """Where the value at a location is from.

        A message over several keys names them; then it is their origins. Without any the origin of
        what surrounds the value is returned.
        """
        depth = len(location)
        below = {
            place: self._origins[place] for place in self._origins if place[:depth] == location
        }
        named = {
            origin
            for place, origin in below.items()
            if len(place) > depth and re.search(rf"\b{re.escape(str(place[-1]))}\b", message)
        }
        if named:
            return sorted(named)
        if location in below:
            return [below[location]]
        if below:
            return sorted(set(below.values()))
        for length in range(depth - 1, 0, -1):
            if location[:length] in self._origins:
                return [self._origins[location[:length]]]
        return ["configuration"]


def _join(location: Location) -> str:
    """The dotted key of a location."""
    return ".".join(map(str, location))


def _list_sections(
    location: Location, annotation: Any, value: Any
) -> Iterator[tuple[Location, type[BaseModel], Mapping[Any, Any]]]:
    """Yield the sections in a value of an annotated field: itself, or those in a list or a mapping
    of sections."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if isinstance(value, dict):
            yield location, annotation, value
        return
    arguments = get_args(annotation)
    if not arguments:
        return
    container = get_origin(annotation)
    if container is tuple and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _list_sections((*location, index), arguments[0], item)
    elif container is dict and isinstance(value, dict):
        for key, item in value.items():
            yield from _list_sections((*location, key), arguments[1], item)
    elif container not in (tuple, dict):
        # A union with null, or an annotated type.
        for argument in arguments:
            yield from _list_sections(location, argument, value)


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
