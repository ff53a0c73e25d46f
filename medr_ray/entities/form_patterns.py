"""Which forms of the lexicon are looked for in text, and how: case folded, or exactly as written.

Names are matched case folded. Gene symbols are matched as written, and forms too short to be told
from other words in capitals only (short by letters: "at 10" is no name). Words of everyday English,
and letters that mean something else to every physician, are not matched at all. A disease is also
found by its adjective ("hypertensive") where nothing else is called so.
"""

import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import pyarrow as pa

from medr_ray.core.prompts import read_package_json
from medr_ray.core.run import Directory
from medr_ray.knowledge.lexicon import Concept
from medr_ray.knowledge.predicates import DISEASE, PHENOTYPE

LEXICON = "lexicon.parquet"
_ADJECTIVES = (
    ("tension", "tensive"),
    ("epsy", "eptic"),
    ("phrenia", "phrenic"),
    ("toxicity", "toxic"),
    ("olism", "olic"),
)
_MIN_EXACT = 3  # characters; two capitals stand for too many things
_SCHEMA = pa.schema(
    [
        ("concept_id", pa.string()),
        ("name", pa.string()),
        ("entity_type", pa.string()),
        ("forms", pa.list_(pa.string())),
        ("specialty", pa.string()),
        ("symbols", pa.list_(pa.string())),
        ("xrefs", pa.list_(pa.string())),
    ]
)


@dataclass(frozen=True)
class FormPatterns:
    """What is looked for on behalf of one concept: ``folded`` in any case, ``exact`` as written."""

    folded: tuple[str, ...]
    exact: tuple[str, ...]


def choose_patterns(concepts: Sequence[Concept], min_form_length: int) -> list[FormPatterns]:
    """Patterns for each concept; ``Matcher.build`` decides who owns a pattern that two concepts
    share."""
    taken = frozenset(form for concept in concepts for form in concept.forms)
    return [_patterns(concept, min_form_length, taken) for concept in concepts]


@functools.cache
def common_words() -> frozenset[str]:
    """Everyday words and abbreviations with another, far more usual meaning, in lower case."""
    words = _words()
    return words["english"] | words["abbreviations"]


def is_common(form: str) -> bool:
    """Whether a form is one of ``common_words``."""
    return form.casefold() in common_words()


def write_lexicon(directory: Directory, concepts: Sequence[Concept]) -> None:
    """``lexicon.parquet``: one row per concept."""
    directory.write_table(
        LEXICON, pa.Table.from_pylist([asdict(one) for one in concepts], schema=_SCHEMA)
    )


def read_lexicon(directory: Directory) -> dict[str, Concept]:
    """The concepts of ``lexicon.parquet`` by id."""
    columns = directory.read_table(LEXICON).to_pydict()
    for name in ("forms", "symbols", "xrefs"):
        columns[name] = map(tuple, columns[name])
    return {
        row[0]: Concept(*row)
        for row in zip(*(columns[name] for name in _SCHEMA.names), strict=True)
    }


def _patterns(concept: Concept, min_form_length: int, taken: frozenset[str]) -> FormPatterns:
    folded: list[str] = []
    exact: list[str] = []
    for form in concept.forms:
        if form in _words()["capitals_only"]:
            exact.append(form.upper())
        elif is_common(form) or not any(character.isalpha() for character in form):
            continue
        elif form in concept.symbols:
            exact.append(form)
        elif sum(map(str.isalpha, form)) < min_form_length:
            exact.append(form.upper())
        else:
            folded.append(form)
            if concept.entity_type in (DISEASE, PHENOTYPE) and " " not in form:
                folded += [adjective for adjective in _adjectives(form) if adjective not in taken]
    return FormPatterns(tuple(folded), tuple(text for text in exact if len(text) >= _MIN_EXACT))


def _adjectives(noun: str) -> list[str]:
    return [
        noun.removesuffix(ending) + adjective
        for ending, adjective in _ADJECTIVES
        if noun.endswith(ending)
    ]


@functools.cache
def _words() -> dict[str, frozenset[str]]:
    lists = read_package_json("medr_ray.entities", "common_words.json")
    return {name: frozenset(words) for name, words in lists.items()}
