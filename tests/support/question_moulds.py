"""The words that questions are made of, as patterns: what no document may be worded by."""

import re
from collections.abc import Iterator
from functools import cache

from medr_ray.knowledge.predicates import PREDICATES, TEXT_PREDICATES, Predicate

_PLACEHOLDER = re.compile(r"\{\w+\}")
_NAME = r"[^;:\n]+?"


@cache
def list_moulds() -> tuple[re.Pattern[str], ...]:
    """Every template of every predicate, with anything in place of its names. The phrases of what
    sentences state count without a name as well; those of registries are names of their fields."""
    templates = [template for name in PREDICATES for template in _list_templates(PREDICATES[name])]
    for predicate in TEXT_PREDICATES.values():
        templates += [predicate.phrase, predicate.inverse_phrase]
    return tuple(_compile(template) for template in dict.fromkeys(templates) if template)


def _list_templates(predicate: Predicate) -> Iterator[str]:
    yield predicate.sentence
    yield predicate.clause
    yield predicate.inverse_clause
    for phrase, preposition in (
        (predicate.phrase, predicate.preposition),
        (predicate.inverse_phrase, predicate.inverse_preposition),
    ):
        if phrase:
            yield " ".join(filter(None, (phrase, preposition, "{name}")))


def _compile(template: str) -> re.Pattern[str]:
    fixed = map(re.escape, _PLACEHOLDER.split(template.rstrip(".")))
    return re.compile(rf"\b{_NAME.join(fixed)}\b", re.IGNORECASE)


def find_mould(text: str) -> str | None:
    """The first words of a text that a template could have made; None where there are none."""
    for pattern in list_moulds():
        match = pattern.search(text)
        if match:
            return match.group()
    return None
