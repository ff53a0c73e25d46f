"""The relation types of the pipeline, each declared once: types, wording, cues, ranks and turns.

The same wording is used where a disease record is rendered for the index, where a sentence is read
back into a relation, where a hop becomes part of a question, and where the teacher names what it
looks for. So a question asks in the words of the documents.

A new predicate is one more declaration in the module of its subject; all tables here and in other
rooms are made from the declarations.
"""

from collections.abc import Iterator

from medr_ray.knowledge.predicates import (
    diseases,
    drugs,
    findings,
    genes,
    induction,
    treatment,
    values,
)
from medr_ray.knowledge.predicates.declaration import (
    DISEASE,
    DRUG,
    GENE,
    INVERSE,
    PHENOTYPE,
    VALUE,
    ChineseWording,
    Cue,
    Predicate,
    TurnLimit,
)

__all__ = [
    "CHINESE_WORDING",
    "DIRECTED_NAMES",
    "DISEASE",
    "DRUG",
    "GENE",
    "INVERSE",
    "PHENOTYPE",
    "PREDICATES",
    "PREDICATE_ORDER",
    "TURN_LIMITS",
    "VALUE",
    "ChineseWording",
    "Cue",
    "Predicate",
    "TurnLimit",
    "directed_name",
]

_DECLARATIONS = (
    *values.PREDICATES,
    *genes.PREDICATES,
    *findings.PREDICATES,
    *treatment.PREDICATES,
    *induction.PREDICATES,
    *diseases.PREDICATES,
    *drugs.PREDICATES,
)

PREDICATES: dict[str, Predicate] = {
    predicate.name: predicate
    for predicate in sorted(_DECLARATIONS, key=lambda predicate: predicate.record_rank)
}
PREDICATE_ORDER = {name: rank for rank, name in enumerate(PREDICATES)}  # of facts in a record
DIRECTED_NAMES = (*PREDICATES, *(f"{INVERSE}{name}" for name in PREDICATES))

# The turns that a chain may make once or never; all other turns are free.
TURN_LIMITS: tuple[TurnLimit, ...] = (
    *findings.TURN_LIMITS,
    *treatment.TURN_LIMITS,
    *induction.TURN_LIMITS,
    *diseases.TURN_LIMITS,
)


def directed_name(predicate: str, forward: bool) -> str:
    """A predicate's name in walking direction, with ``INVERSE`` in front when walked from object to
    subject; a symmetric one reads the same from both ends."""
    return predicate if forward or PREDICATES[predicate].symmetric else f"{INVERSE}{predicate}"


def _chinese_phrases() -> Iterator[tuple[str, str]]:
    """(key, wording): the keys are directed names, with ``clause:`` in front for clauses. First all
    phrases, then all clauses."""
    for name, predicate in PREDICATES.items():
        yield name, predicate.chinese.phrase
        yield f"{INVERSE}{name}", predicate.chinese.inverse_phrase
    for name, predicate in PREDICATES.items():
        yield f"clause:{name}", predicate.chinese.clause
        yield f"clause:{INVERSE}{name}", predicate.chinese.inverse_clause


CHINESE_WORDING = {key: wording for key, wording in _chinese_phrases() if wording}
