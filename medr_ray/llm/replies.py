"""JSON read from a model's reply.

Thoughts, code fences and words around the JSON are skipped. What fits the expected form is taken,
not the first bracket. Anything else is refused, never guessed.
"""

import re
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from medr_ray.core.errors import ModelError
from medr_ray.core.json_text import InvalidJson, find_json_values, parse_json
from medr_ray.llm.roles import ReplyModel
from medr_ray.llm.thoughts import split_thought

_FENCE = "```"
_LANGUAGE = re.compile(r"\A[\w+-]*[ \t]*\n?")  # of a code fence
_QUOTED_CHARACTERS = 200  # of a bad reply, in an error


def read_reply(text: str, model: type[ReplyModel]) -> ReplyModel:
    """The reply, parsed as ``model``.

    The whole reply comes first, then the content of its code fences, then the objects that stand
    among its words. Raises ModelError with the reason where nothing fits, and where several objects
    fit that say different things.
    """
    misfit: ValidationError | None = None
    for candidates in _list_candidates(text):
        fitting = []
        for value in candidates:
            try:
                fitting.append(model.model_validate(value))
            except ValidationError as error:
                # The last one: an example or a reference stands in front of the reply.
                misfit = error
        if fitting and any(other != fitting[0] for other in fitting[1:]):
            raise ModelError(f"the reply holds {len(fitting)} different {model.__name__} objects")
        if fitting:
            return fitting[0]
    if misfit is not None:
        raise ModelError(f"the reply does not fit {model.__name__}: {_list_problems(misfit)}")
    raise ModelError(f"the reply holds no JSON: {text[:_QUOTED_CHARACTERS]!r}")


def _list_problems(error: ValidationError) -> str:
    problems = [
        f"{'.'.join(map(str, problem['loc'])) or 'reply'}: {problem['msg']}"
        for problem in error.errors()
    ]
    return "; ".join(problems)


def _list_candidates(text: str) -> Iterator[list[Any]]:
    """The JSON values of a reply, in groups of which an earlier one is to be preferred."""
    # Before a thought is looked for: the strings of the reply may speak of its tags.
    yield list(_parse_texts([text]))
    reply = split_thought(text)
    if not reply.is_closed and not reply.rest.strip():
        raise ModelError("the reply is a thought that never ends: it holds no JSON")
    body = reply.rest
    yield list(_parse_texts([body]))
    yield list(_parse_texts(_find_fenced_texts(body)))
    try:
        yield list(find_json_values(body))
    except InvalidJson as error:
        raise ModelError(str(error)) from None


def _parse_texts(texts: list[str]) -> Iterator[Any]:
    for text in texts:
        try:
            # A number that is none is its field's fault, and not that of what stands beside it.
            value = parse_json(text, "the reply", finite=False, trailing_commas=True)
            # Some models write the JSON as a JSON text.
            yield parse_json(value, "the reply") if isinstance(value, str) else value
        except InvalidJson:
            continue


def _find_fenced_texts(body: str) -> list[str]:
    """The contents of the code fences, without the name of their language."""
    parts = body.split(_FENCE)
    # Every second part is inside; a last fence that nobody closed counts too.
    return [_LANGUAGE.sub("", part, count=1) for part in parts[1::2]]
