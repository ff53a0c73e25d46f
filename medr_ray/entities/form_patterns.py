"""Chooses the forms of the lexicon that are searched for in text, case folded or as written.

Names are matched case folded, gene symbols as written. Forms with few letters could be other words,
so they are matched in capitals only (digits do not count: "at 10" is not a name; a character of a
script without spaces, such as Chinese, counts as two letters). Everyday English
words, and abbreviations with another and more common meaning in medicine, are not matched at all. A
disease is also matched by its adjective ("hypertensive"), unless that is a form of another concept.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from medr_ray.core.prompts import read_package_json
from medr_ray.core.run import Directory
from medr_ray.knowledge.lexicon import Concept
from medr_ray.knowledge.name_normalization import is_unspaced
from medr_ray.knowledge.predicates import DISEASE, PHENOTYPE

LEXICON = "lexicon.parquet"
# Endings of nouns and of the adjectives that belong to them.
_ADJECTIVE_ENDINGS = (
    ("tension", "tensive"),
    ("epsy", "eptic"),
    ("phrenia", "phrenic"),
    ("toxicity", "toxic"),
    ("olism", "olic"),
)
_MIN_EXACT_LENGTH = 3  # characters; two capitals may abbreviate too many different names
_LEXICON_SCHEMA = pa.schema(
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
    """The forms of one concept to search for: ``folded`` in any case, ``exact`` as written."""

    folded: tuple[str, ...]
    exact: tuple[str, ...]


def choose_patterns(concepts: Sequence[Concept], min_form_length: int) -> list[FormPatterns]:
    """The patterns of each concept, in order.

    Several concepts may have the same pattern; ``Matcher.build`` decides which of them owns it.
    """
    taken = frozenset(form for concept in concepts for form in concept.forms)
    return [_choose_concept_patterns(concept, min_form_length, taken) for concept in concepts]


@functools.cache
def read_common_words() -> frozenset[str]:
    """Everyday words and abbreviations with another, far more usual meaning, in lower case."""
    word_lists = _read_word_lists()
    return word_lists["english"] | word_lists["abbreviations"]


def is_common(form: str) -> bool:
    """Whether a form is one of ``read_common_words``."""
    return form.casefold() in read_common_words()


def write_lexicon(directory: Directory, concepts: Sequence[Concept]) -> None:
    """``lexicon.parquet``: one row per concept."""
    columns = {
        name: [getattr(concept, name) for concept in concepts] for name in _LEXICON_SCHEMA.names
    }
    directory.write_table(LEXICON, pa.Table.from_pydict(columns, schema=_LEXICON_SCHEMA))


def read_lexicon(directory: Directory) -> dict[str, Concept]:
    """The concepts of ``lexicon.parquet`` by id."""
    columns = directory.read_table(LEXICON).to_pydict()
    for name in ("forms", "symbols", "xrefs"):
        columns[name] = map(tuple, columns[name])
    # Concept declares its fields in the order of the schema.
    concepts = map(Concept, *(columns[name] for name in _LEXICON_SCHEMA.names))
    return {concept.concept_id: concept for concept in concepts}


def _choose_concept_patterns(
    concept: Concept, min_form_length: int, taken: frozenset[str]
) -> FormPatterns:
    folded: list[str] = []
    exact: list[str] = []
    for form in concept.forms:
        # Tested first: these forms are ordinary words unless they are written in capitals (AIDS).
        if form in _read_word_lists()["capitals_only"]:
            exact.append(form.upper())
        elif is_common(form) or not any(character.isalpha() for character in form):
            continue
        elif form in concept.symbols:
            exact.append(form)
        elif _count_letters(form) < min_form_length:
            exact.append(form.upper())
        else:
            folded.append(form)
            if concept.entity_type in (DISEASE, PHENOTYPE) and " " not in form:
                adjectives = _derive_adjectives(form)
                folded += [adjective for adjective in adjectives if adjective not in taken]
    long_enough = [form for form in exact if len(form) >= _MIN_EXACT_LENGTH]
    return FormPatterns(tuple(folded), tuple(long_enough))


def _count_letters(form: str) -> int:
    letters = list(filter(str.isalpha, form))
    if form.isascii():  # as most forms are
        return len(letters)
    return len(letters) + sum(map(is_unspaced, letters))


def _derive_adjectives(noun: str) -> list[str]:
    return [
        noun.removesuffix(ending) + adjective
        for ending, adjective in _ADJECTIVE_ENDINGS
        if noun.endswith(ending)
    ]


@functools.cache
def _read_word_lists() -> dict[str, frozenset[str]]:
    lists = read_package_json("medr_ray.entities", "common_words.json")
    return {name: frozenset(words) for name, words in lists.items()}
