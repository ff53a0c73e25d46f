"""JSON out of a model's reply: thoughts and code fences around it are tolerated, anything else is
not guessed at."""

import json
import re
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from medr_ray.core.errors import ModelError

M = TypeVar("M", bound=BaseModel)
_THOUGHT = re.compile(r"<think>.*?</think>", re.S)
_FENCED = re.compile(r"```(?:json)?\s*(.*?)```", re.S)
_SHOWN = 200  # characters of a bad reply quoted in an error


def read_reply(text: str, model: type[M]) -> M:
    """The reply as ``model``. Raises ModelError that says what is wrong."""
    try:
        return model.model_validate(_json_value(text))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'reply'}: {e['msg']}" for e in error.errors()
        )
        raise ModelError(f"the reply does not fit {model.__name__}: {problems}") from None


def _json_value(text: str) -> Any:
    body = _THOUGHT.sub("", text)
    for candidate in (body, *_FENCED.findall(body)):
        try:
            return json.loads(candidate)
        except json.JSONDecodeError:
            continue
    decoder = json.JSONDecoder()
    for match in re.finditer(r"[{\[]", body):
        try:
            return decoder.raw_decode(body, match.start())[0]
        except json.JSONDecodeError:
            continue
    raise ModelError(f"the reply holds no JSON: {text[:_SHOWN]!r}")
