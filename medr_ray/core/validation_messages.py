"""What pydantic finds wrong with a value, in plain words and with the value itself."""

import re
from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from medr_ray.core.errors import DataError

M = TypeVar("M", bound=BaseModel)

_VALUE_ERROR_PREFIX = "Value error, "  # before the message of every ValueError from a validator
# pydantic begins its messages with "Input should be" and the like.
_SUBJECT = re.compile(r"^(?:Input|Value|String|List|Tuple|Dictionary|Set|Keys?) should ")
_MAX_VALUE_CHARS = 40
# By the beginning of pydantic's name of the problem; the longest that fits is taken.
_WANTED = {
    "int": "must be a whole number",
    "float": "must be a number",
    "finite_number": "must be a finite number",
    "bool": "must be true or false",
    "string": "must be text",
    "tuple": "must be a list, such as [a, b]",
    "list": "must be a list, such as [a, b]",
    "dict": "must be a section of keys and values",
    "model": "must be a section of keys and values",
    "date": "must be a date, such as 2024-01-31",
    "missing": "is missing: give it",
}
# Problems whose own words say more than those above.
_SAID_BETTER = ("string_too", "string_pattern")


def explain_alternatives(problems: Sequence[ErrorDetails]) -> str:
    """One line about one value: what it must be, by one or several alternatives, and what it is."""
    problem = problems[0]
    # Our own checks say everything, and quote no value that may hold a secret.
    if problem["type"] == "value_error":
        return _one_line(problem["msg"].removeprefix(_VALUE_ERROR_PREFIX))
    first, *others = [_describe_wanted(alternative) for alternative in problems]
    requirement = " or ".join([first, *(other.removeprefix("must be ") for other in others)])
    if problem["type"] == "missing" or problem["type"].startswith("too_"):
        return _one_line(requirement)
    return _one_line(f"{requirement}, not {_describe_input(problem)}")


def _describe_wanted(problem: ErrorDetails) -> str:
    kind = problem["type"]
    beginnings = [name for name in _WANTED if kind.startswith(name)]
    if not beginnings or kind.startswith(_SAID_BETTER):
        return _SUBJECT.sub("must ", problem["msg"]).replace(" after validation", "")
    return _WANTED[max(beginnings, key=len)]


def _describe_input(problem: ErrorDetails) -> str:
    value = problem["input"]
    if isinstance(value, str) and problem["type"].startswith(("model", "dict")):
        return "text"  # which may be a key that was put there
    if problem["type"] == "string_type" and isinstance(value, int | float):
        return f"{describe_value(value)}: put it in quotes"
    return describe_value(value)


def describe_value(value: Any) -> str:
    """A value as it would be written, or what kind it is where it is long."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "keys and values"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(value)
    return text if len(text) <= _MAX_VALUE_CHARS else f"{text[:_MAX_VALUE_CHARS]}..."


def _one_line(text: str) -> str:
    return " ".join(text.split())


def validate_record(model: type[M], value: Any) -> M:
    """The record as an object of the model. DataError names the first field that is wrong."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise DataError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
