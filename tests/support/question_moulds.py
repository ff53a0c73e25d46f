"""The words that questions are made of, as patterns: what no document may be worded by."""

import re
from collections.abc import Iterator
from functools import cache

from medr_ray.questions.steps import STEP_KINDS

_PLACEHOLDER = re.compile(r"\{\d\}")
_NAME = r"[^;:\n]+?"


def list_forms() -> Iterator[str]:
    """Every English form of every kind of step, with a placeholder for each input."""
    for kind in STEP_KINDS.values():
        yield from kind.english.noun
        yield from kind.english.statement
        yield from kind.english.question


@cache
def _list_moulds() -> tuple[re.Pattern[str], ...]:
    return tuple(_compile(form) for form in dict.fromkeys(list_forms()))


def _compile(form: str) -> re.Pattern[str]:
    fixed = map(re.escape, _PLACEHOLDER.split(form.rstrip(".?")))
    return re.compile(rf"(?<!\w){_NAME.join(fixed)}(?!\w)", re.IGNORECASE)


def find_mould(text: str) -> str | None:
    """The first words of a text that a form could have made; None where there are none."""
    for pattern in _list_moulds():
        match = pattern.search(text)
        if match:
            return match.group()
    return None
