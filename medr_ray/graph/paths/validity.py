"""MedicallyValid of the paper's section 3.1.2: the relations and entities that a chain may use.

A relation is walked from its subject to its object. It is walked back only where its predicate has
a phrase for that direction, because a step that cannot be asked is not a step of reasoning. A chain
does not pass through an entity with too many neighbours: "seizure" connects everything and explains
nothing. A relation below the confidence floor is not walked at all.

A grammar decides which step may follow which. The entity in between must have the type that the
first step ends in and the second starts from. A value ends the chain. ``TURN_LIMITS`` lists the
turns that are allowed once or never. All other turns may be repeated, above all those that explain
a disease: a shared gene, two genes that interact, two drugs that act on one gene product. ``Rules``
adds the rules that the configuration requests.
"""

import functools
import re
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from medr_ray.core.records import Relation
from medr_ray.knowledge.predicates import INVERSE, PREDICATES, TURN_LIMITS, VALUE, directed_name

_OPEN_YEAR = 9999  # no year is later
Years = tuple[int, int]


@dataclass(frozen=True)
class Step:
    """One way to leave an entity: along ``relation_id`` to ``target``.

    ``predicate`` is that of the relation, which is walked from its subject when ``forward``. The
    grammar does not restrict a step without a predicate. ``years`` are the first and the last year
    in which the relation was true, None where they are unknown.
    """

    target: str
    relation_id: str
    predicate: str = ""
    forward: bool = True
    years: Years | None = None

    @property
    def directed_predicate(self) -> str:
        """The predicate's name in walking direction: ``inverse:`` in front when walked from object
        to subject."""
        return directed_name(self.predicate, self.forward) if self.predicate else ""


@dataclass(frozen=True)
class Rules:
    """Rules for a whole chain besides the grammar (see ``core.config.ChainsConfig``).

    ``unique_predicates``: each relation type occurs at most once, in either direction.
    ``temporal_order``: no relation ended before an earlier one of the chain began.
    """

    unique_predicates: bool = False
    temporal_order: bool = False


NO_RULES = Rules()


# Results of ``turn_between`` besides the numbers of ``TURN_LIMITS``.
NEVER = -1
FREE = len(TURN_LIMITS)
_TURN_NUMBER = {
    (into, out): number
    for number, turn in enumerate(TURN_LIMITS)
    for into in turn.into
    for out in turn.out
}


@functools.cache  # there are few pairs of predicates, and every step is checked
def turn_between(into: str, out: str) -> int:
    """The number in ``TURN_LIMITS`` of the turn between two steps (directed predicates).

    NEVER where the second may not follow the first, FREE where the turn may be made any number of
    times.
    """
    if not into or not out:
        return FREE
    reached = _get_end_type(into, arriving=True)
    if reached == VALUE or reached != _get_end_type(out, arriving=False):
        return NEVER
    number = _TURN_NUMBER.get((into, out), FREE)
    return NEVER if number != FREE and not TURN_LIMITS[number].at_most else number


def _get_end_type(directed: str, arriving: bool) -> str:
    """The type of the entity that a step arrives at (``arriving``) or leaves."""
    predicate = PREDICATES[directed.removeprefix(INVERSE)]
    # An inverse step arrives at the subject and leaves the object.
    return (
        predicate.object_type
        if arriving != directed.startswith(INVERSE)
        else predicate.subject_type
    )


def is_walkable(relation: Relation, start: str) -> bool:
    """Whether the relation may be walked away from ``start``, one of its ends."""
    predicate = PREDICATES[relation.predicate]
    return bool(predicate.phrase if relation.subject == start else predicate.inverse_phrase)


# A year, and behind it the s of a decade or the last two digits of a span ("1990-95").
_YEAR = re.compile(r"\b((?:1[5-9]|20)\d\d)(?:(s)|\s?[-–/]\s?(\d\d))?\b")
_OPEN_END = re.compile(r"\b(?:since|after|from)\b", re.IGNORECASE)
_OPEN_START = re.compile(r"\b(?:before|by|until|till|up to)\b", re.IGNORECASE)


def parse_years(temporal: str) -> Years | None:
    """First and last year of words such as "in 1987", "between 1990 and 1995", "since 2001",
    "1990-95", "in the 1990s"; None where they name no year."""
    years = []
    for year, decade, last_two_digits in _YEAR.findall(temporal):
        years.append(int(year))
        if decade:
            years.append(int(year) + 9)
        elif last_two_digits:
            years.append(int(year[:2] + last_two_digits))
    if not years:
        return None
    first = min(years)
    last = max(years)
    # "From" and "by" leave a side open only beside a single year: "from 1990 to 1995" names both.
    if first == last and _OPEN_END.search(temporal):
        return first, _OPEN_YEAR
    if first == last and _OPEN_START.search(temporal):
        return 0, last
    return first, last


def count_neighbours(relations: Iterable[Relation]) -> dict[str, int]:
    """Number of different neighbours of each entity."""
    neighbours: dict[str, set[str]] = defaultdict(set)
    for relation in relations:
        neighbours[relation.subject].add(relation.object)
        neighbours[relation.object].add(relation.subject)
    return {entity: len(others) for entity, others in neighbours.items()}


def build_steps(
    relations: Iterable[Relation],
    degree: Mapping[str, int],
    seed: str,
    hub_degree: int,
    min_confidence: float,
    askable: Container[tuple[str, str]] | None = None,
) -> dict[str, list[Step]]:
    """The valid steps out of each entity, one per target, predicate, direction and years.

    Steps with the most exact qualifier come first, then they are sorted by target. No step leaves a
    hub, so a chain may end in a hub but not pass through it. The ``seed`` is never treated as a hub
    ("" for no seed). With ``askable`` only the steps whose (entity, relation id) it contains are
    taken (see ``graph.facts.disambiguation``).
    """
    # Of parallel relations only the most exact one matters to a chain, by equal exactness the one
    # with the smallest id.
    best: dict[tuple[str, str, str, bool, Years | None], tuple[int, str]] = {}
    for relation in relations:
        if relation.confidence < min_confidence or relation.subject == relation.object:
            continue
        years = parse_years(relation.temporal)
        for start, target in (
            (relation.subject, relation.object),
            (relation.object, relation.subject),
        ):
            is_hub = start != seed and degree.get(start, 0) > hub_degree
            is_askable = askable is None or (start, relation.relation_id) in askable
            if is_hub or not is_askable or not is_walkable(relation, start):
                continue
            key = (start, target, relation.predicate, start == relation.subject, years)
            rank = (_rank_step_vagueness(relation, start), relation.relation_id)
            best[key] = min(best.get(key, rank), rank)

    def by_exactness_and_target(item: tuple[Any, tuple[int, str]]) -> tuple[int, Any, str]:
        (start, target, *_), (step_vagueness, relation_id) = item
        return step_vagueness, (start, target), relation_id

    steps: dict[str, list[Step]] = defaultdict(list)
    for key, (_, relation_id) in sorted(best.items(), key=by_exactness_and_target):
        start, target, predicate, forward, years = key
        steps[start].append(Step(target, relation_id, predicate, forward, years))
    return dict(steps)


def rank_vagueness(clinical: str) -> int:
    """How vague a qualifier is: 0 for "3 of 7 patients", 1 for "45% of patients", 2 for a range or
    no qualifier, 3 for "some patients"."""
    first = clinical.partition(" ")[0]
    if first.isdigit():
        return 0
    if first.endswith("%"):
        return 2 if "-" in first else 1
    return 3 if first == "some" else 2


def _rank_step_vagueness(relation: Relation, start: str) -> int:
    """The vagueness of a step: 0 where its wording prints no qualifier."""
    is_printed = PREDICATES[relation.predicate].prints_clinical(relation.subject == start)
    return rank_vagueness(relation.clinical) if is_printed else 0
