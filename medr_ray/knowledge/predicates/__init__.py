"""The relation types of the pipeline, each declared once: types, wording, cues, ranks and limits on
turns.

The wording says which steps of a chain can be put into words, and words the queries of a growing
graph. No document has it: what is searchable is real text, or a record in the fields of its
registry.

A new predicate is one more declaration in the module of its topic. All tables here and in other
rooms are built from the declarations.
"""

from collections.abc import Iterable

from medr_ray.knowledge.predicates import (
    approvals,
    diseases,
    drugs,
    findings,
    genes,
    induction,
    monographs,
    papers,
    treatment,
    trials,
    values,
)
from medr_ray.knowledge.predicates.declaration import (
    APPLICATION,
    COMPANY,
    DISEASE,
    DRUG,
    GENE,
    INVERSE,
    JOURNAL,
    PAPER,
    PATENT,
    PHENOTYPE,
    PRODUCT,
    TRIAL,
    VALUE,
    Cue,
    Predicate,
    TurnLimit,
)

__all__ = [
    "APPLICATION",
    "COMPANY",
    "DISEASE",
    "DRUG",
    "GENE",
    "INVERSE",
    "JOURNAL",
    "PAPER",
    "PATENT",
    "PHENOTYPE",
    "PREDICATES",
    "PREDICATE_ORDER",
    "PRODUCT",
    "TEXT_PREDICATES",
    "TRIAL",
    "TURN_LIMITS",
    "VALUE",
    "Cue",
    "Predicate",
    "TurnLimit",
    "directed_name",
]

# What sentences of documents state.
_TEXT_DECLARATIONS = (
    *values.PREDICATES,
    *genes.PREDICATES,
    *findings.PREDICATES,
    *treatment.PREDICATES,
    *induction.PREDICATES,
    *diseases.PREDICATES,
    *drugs.PREDICATES,
)
# What only the fields of registries state.
_REGISTRY_DECLARATIONS = (
    *trials.PREDICATES,
    *approvals.PREDICATES,
    *papers.PREDICATES,
    *monographs.PREDICATES,
)


def _name_by_rank(declarations: Iterable[Predicate]) -> dict[str, Predicate]:
    ranked = sorted(declarations, key=lambda predicate: predicate.record_rank)
    return {predicate.name: predicate for predicate in ranked}


TEXT_PREDICATES: dict[str, Predicate] = _name_by_rank(_TEXT_DECLARATIONS)
PREDICATES: dict[str, Predicate] = _name_by_rank((*_TEXT_DECLARATIONS, *_REGISTRY_DECLARATIONS))
PREDICATE_ORDER = {name: rank for rank, name in enumerate(PREDICATES)}  # of facts in a record

# The turns that a chain may make at most once or never. All other turns are free.
TURN_LIMITS: tuple[TurnLimit, ...] = (
    *findings.TURN_LIMITS,
    *treatment.TURN_LIMITS,
    *induction.TURN_LIMITS,
    *diseases.TURN_LIMITS,
)


def directed_name(predicate: str, forward: bool) -> str:
    """A predicate's name with ``INVERSE`` in front for the direction from object to subject; a
    symmetric predicate has one name for both."""
    return predicate if forward or PREDICATES[predicate].symmetric else f"{INVERSE}{predicate}"
