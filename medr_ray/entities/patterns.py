"""Which forms of the lexicon are looked for in text, and how: case folded, or exactly as written.

Names are matched case folded. Gene symbols, and forms too short to be told from other words, are matched in capitals
only; words of everyday English and letters that mean something else to every physician are not matched at all.
"""

import functools
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files

import pyarrow as pa

from medr_ray.core.run import Directory
from medr_ray.knowledge.lexicon import Concept
from medr_ray.knowledge.predicates import GENE

LEXICON = "lexicon.parquet"
_MIN_EXACT = 3  # characters; two capitals stand for too many things
_SCHEMA = pa.schema([
    ("concept_id", pa.string()), ("name", pa.string()), ("entity_type", pa.string()), ("forms", pa.list_(pa.string())),
    ("specialty", pa.string()), ("folded", pa.list_(pa.string())), ("exact", pa.list_(pa.string())),
])


@dataclass(frozen=True)
class Patterns:
    """What is looked for on behalf of one concept: ``folded`` in any case, ``exact`` as written."""

    folded: tuple[str, ...]
    exact: tuple[str, ...]


def choose_patterns(concepts: Sequence[Concept], min_form_length: int) -> list[Patterns]:
    """Patterns for each concept. An exact pattern two concepts would share is given to neither."""
    chosen = [_patterns(concept, min_form_length) for concept in concepts]
    uses = Counter(text for one in chosen for text in one.exact)
    return [Patterns(one.folded, tuple(text for text in one.exact if uses[text] == 1)) for one in chosen]


def is_common(form: str) -> bool:
    """True for everyday words and for abbreviations with another, far more usual meaning."""
    words = _words()
    return form.casefold() in words["english"] or form.casefold() in words["abbreviations"]


def write_lexicon(directory: Directory, concepts: Sequence[Concept], min_form_length: int) -> None:
    """``lexicon.parquet``: one row per concept with its forms and the patterns chosen from them."""
    patterns = choose_patterns(concepts, min_form_length)
    rows = [asdict(concept) | asdict(one) for concept, one in zip(concepts, patterns, strict=True)]
    directory.write_table(LEXICON, pa.Table.from_pylist(rows, schema=_SCHEMA))


def read_lexicon(directory: Directory) -> dict[str, Concept]:
    """The concepts of ``lexicon.parquet`` by id."""
    columns = ["concept_id", "name", "entity_type", "forms", "specialty"]
    rows = directory.read_table(LEXICON, columns=columns).to_pylist()
    return {row["concept_id"]: Concept(**{**row, "forms": tuple(row["forms"])}) for row in rows}


def _patterns(concept: Concept, min_form_length: int) -> Patterns:
    folded: list[str] = []
    exact: list[str] = []
    for form in concept.forms:
        if form in _words()["capitals_only"]:
            exact.append(form.upper())
        elif is_common(form) or not any(character.isalpha() for character in form):
            continue
        elif concept.entity_type == GENE:
            exact.append(form)
        elif len(form) < min_form_length:
            exact.append(form.upper())
        else:
            folded.append(form)
    return Patterns(tuple(folded), tuple(text for text in exact if len(text) >= _MIN_EXACT))


@functools.cache
def _words() -> dict[str, frozenset[str]]:
    lists = json.loads(files("medr_ray.entities").joinpath("common_words.json").read_text(encoding="utf-8"))
    return {name: frozenset(words) for name, words in lists.items()}
