"""MedicallyValid of the paper's section 3.1.2: along which relations, and through which entities, a chain may go.

A relation is walked from its subject to its object, and back only where its predicate has a phrase for that direction:
what cannot be asked is no step of reasoning. So values and findings end a chain. An entity with too many
neighbours is not walked through ("seizure" connects everything and explains nothing), and a relation below
the confidence floor is not walked at all.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from medr_ray.core.records import Relation
from medr_ray.knowledge.predicates import PREDICATES


@dataclass(frozen=True)
class Step:
    """One way to leave an entity: along ``relation_id`` to ``target``."""

    target: str
    relation_id: str


def is_walkable(relation: Relation, start: str) -> bool:
    """Whether the relation may be walked away from ``start``, one of its ends."""
    predicate = PREDICATES[relation.predicate]
    return bool(predicate.phrase if relation.subject == start else predicate.inverse_phrase)


def degrees(relations: Iterable[Relation]) -> dict[str, int]:
    """Number of different neighbours of each entity."""
    neighbours: dict[str, set[str]] = defaultdict(set)
    for one in relations:
        neighbours[one.subject].add(one.object)
        neighbours[one.object].add(one.subject)
    return {entity: len(others) for entity, others in neighbours.items()}


def steps_between(
    relations: Iterable[Relation], degree: Mapping[str, int], seed: str, hub_degree: int, min_confidence: float
) -> dict[str, list[Step]]:
    """The valid steps out of each entity, one per target, those with the most exact qualifier first, then by target.

    Hubs have none, so a chain may end in one but not pass through; the seed is never a hub.
    """
    best: dict[tuple[str, str], tuple[int, str]] = {}
    for one in relations:
        for start, target in ((one.subject, one.object), (one.object, one.subject)):
            passable = start == seed or degree.get(start, 0) <= hub_degree
            if one.confidence >= min_confidence and passable and start != target and is_walkable(one, start):
                rank = (_vagueness_of_step(one, start), one.relation_id)
                best[start, target] = min(best.get((start, target), rank), rank)
    steps: dict[str, list[Step]] = defaultdict(list)
    for (start, target), (_, relation_id) in sorted(best.items(), key=lambda item: (item[1][0], item[0])):
        steps[start].append(Step(target, relation_id))
    return dict(steps)


def vagueness(clinical: str) -> int:
    """0 for "3 of 7 patients", 1 for "45% of patients", 2 for a range or nothing, 3 for "some patients"."""
    first = clinical.partition(" ")[0]
    if first.isdigit():
        return 0
    if first.endswith("%"):
        return 2 if "-" in first else 1
    return 3 if first == "some" else 2


def _vagueness_of_step(relation: Relation, start: str) -> int:
    """A step whose wording needs no qualifier is as exact as can be."""
    printed = PREDICATES[relation.predicate].prints_clinical(relation.subject == start)
    return vagueness(relation.clinical) if printed else 0
