"""How much a question hides: numbers as comparisons, years as spans, journals as fields, the start
by facts.

Levels: 0 names the start and prints shares of patients and reports as stated; 1 tells shares as
comparisons ("more than three quarters of patients") and the years of reports as spans of five; 2
describes the start by two facts that together fit it and no other entity, and journals by the field
they serve ("a journal of cardiology"); 3 does both. Only facts are used that the question does not
ask about, so that a description gives nothing away.
"""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from medr_ray.core.records import Entity
from medr_ray.graph.facts.fact_index import FactIndex, IndexedFact
from medr_ray.graph.facts.hops import Hop
from medr_ray.knowledge import qualifiers
from medr_ray.knowledge.published_reports import is_report, with_field
from medr_ray.knowledge.shares import tells_share
from medr_ray.questions.drafting.question_paths import Path

LEVELS = (0, 1, 2, 3)
_COMPARED, _DESCRIBED = (1, 3), (2, 3)

_ENGLISH = {
    "associated_gene": "associated with the gene {object}",
    "has_finding": "with {object} in {clinical}",
    "presents_with": "presenting with {object}",
    "complicated_by": "complicated by {object}",
}
_CHINESE = {
    "associated_gene": "与基因{object}相关",
    "has_finding": "在{clinical}中出现{object}",
    "presents_with": "表现为{object}",
    "complicated_by": "并发{object}",
}
_FACTS = 2  # a pair is a riddle; one fact would only be another hop
_CONSIDERED = (
    12  # facts looked at, so that a disease with hundreds costs no more than one with a dozen
)


@dataclass(frozen=True)
class Description:
    """A set of facts with one common subject."""

    statements: tuple[IndexedFact, ...]

    def english(self, entities: Mapping[str, Entity]) -> str:
        """ "the disease with A in 3 of 7 patients and associated with the gene B"."""
        return "the disease " + " and ".join(
            _ENGLISH[s.predicate].format(object=entities[s.object].name, clinical=s.clinical)
            for s in self.statements
        )

    def chinese(self, entities: Mapping[str, Entity], share: Callable[[str], str]) -> str:
        """ "在7名患者中3名中出现A且与基因B相关的疾病"; ``share`` words the qualifier."""
        return (
            "且".join(
                _CHINESE[s.predicate].format(
                    object=entities[s.object].name, clinical=share(s.clinical)
                )
                for s in self.statements
            )
            + "的疾病"
        )

    def subjects(self, facts: FactIndex) -> set[str]:
        """Every entity all the facts hold of."""
        sets = [
            {
                end
                for end in facts.targets(s.object, s.predicate, False, "")
                if s.object in facts.targets(end, s.predicate, True, s.clinical)
            }
            for s in self.statements
        ]
        return set.intersection(*sets)


def compares(level: int) -> bool:
    """Whether a level tells shares as comparisons."""
    return level in _COMPARED


def describes(level: int) -> bool:
    """Whether a level describes the start."""
    return level in _DESCRIBED


def compared(hops: tuple[Hop, ...]) -> tuple[Hop, ...] | None:
    """The hops with their shares told as comparisons and years as spans; None when one cannot
    be."""
    told = [told for hop in hops if (told := compared_hop(hop)) is not None]
    return tuple(told) if len(told) == len(hops) else None


def compared_hop(hop: Hop) -> Hop | None:
    """The hop with its share told as a comparison or its year as a span; None when it cannot be."""
    words = qualifiers.compared(hop.clinical) if hop.clinical else ""
    return None if words is None else replace(hop, clinical=words)


def with_fields(hops: tuple[Hop, ...]) -> tuple[Hop, ...]:
    """The hops with journals told as the fields they serve."""
    return tuple(
        replace(hop, clinical=with_field(hop.clinical)) if is_report(hop.clinical) else hop
        for hop in hops
    )


def describe_start(path: Path, facts: FactIndex) -> Description | None:
    """The first pair of facts, in a fixed order, that fits the start alone; None when there is
    none."""
    taken = {*path.entities, *(clause.other for clause in path.clauses)} - {path.start}
    usable = [
        s
        for s in facts.facts_about(path.start)
        if s.predicate in _ENGLISH
        and s.object in facts.entities
        and s.object not in taken
        and (s.predicate != "has_finding" or tells_share(s.clinical))
    ]
    for pair in itertools.combinations(usable[:_CONSIDERED], _FACTS):
        description = Description(pair)
        if pair[0].object != pair[1].object and description.subjects(facts) == {path.start}:
            return description
    return None
