"""JSON read from a model's reply.

Thoughts and code fences around the JSON are skipped. Anything else is refused, never guessed.
"""

import json
import re
from typing import Any

from pydantic import ValidationError

from medr_ray.core.errors import ModelError
from medr_ray.llm.roles import ReplyModel

_THOUGHT = re.compile(r"<think>.*?</think>", re.S)
_FENCED = re.compile(r"```(?:json)?\s*(.*?)```", re.S)
_QUOTED_CHARACTERS = 200  # of a bad reply, in an error


def read_reply(text: str, model: type[ReplyModel]) -> ReplyModel:
    """The reply, parsed as ``model``. Raises ModelError with the reason if it cannot be parsed."""
    try:
        return model.model_validate(_find_json(text))
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, problem['loc'])) or 'reply'}: {problem['msg']}"
            for problem in error.errors()
        ]
        raise ModelError(
            f"the reply does not fit {model.__name__}: {'; '.join(problems)}"
        ) from None


def _find_json(text: str) -> Any:
    """The whole reply, else the content of a code fence, else the first object or list in it."""
    body = _THOUGHT.sub("", text)
    for candidate in (body, *_FENCED.findall(body)):
        try:
            return json.loads(candidate)  # noqa: TID251
        except json.JSONDecodeError:
            continue
    decoder = json.JSONDecoder()
    # Every bracket is tried, because the words around the JSON may have some of their own.
    for match in re.finditer(r"[{\[]", body):
        try:
            value, _ = decoder.raw_decode(body, match.start())
        except json.JSONDecodeError:
            continue
        return value
    raise ModelError(f"the reply holds no JSON: {text[:_QUOTED_CHARACTERS]!r}")
