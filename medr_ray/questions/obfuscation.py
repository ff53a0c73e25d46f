"""The start entity by description: facts about it that, together, fit it and no other entity.

Only facts are used that the question does not ask about, so that the description gives nothing away.
"""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from medr_ray.core.records import Entity
from medr_ray.questions.facts import FactIndex, Statement
from medr_ray.questions.paths import Path

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
_CONSIDERED = 12  # facts looked at, so that a disease with hundreds costs no more than one with a dozen


@dataclass(frozen=True)
class Description:
    """A set of facts with one common subject."""

    statements: tuple[Statement, ...]

    def english(self, entities: Mapping[str, Entity]) -> str:
        """ "the disease with A in 3 of 7 patients and associated with the gene B"."""
        return "the disease " + " and ".join(
            _ENGLISH[s.predicate].format(object=entities[s.object].name, clinical=s.clinical) for s in self.statements)

    def chinese(self, entities: Mapping[str, Entity], share: Callable[[str], str]) -> str:
        """ "在7名患者中3名中出现A且与基因B相关的疾病"; ``share`` words the qualifier."""
        return "且".join(
            _CHINESE[s.predicate].format(object=entities[s.object].name, clinical=share(s.clinical))
            for s in self.statements) + "的疾病"

    def subjects(self, facts: FactIndex) -> set[str]:
        """Every entity all the facts hold of."""
        sets = [
            {end for end in facts.ends(s.object, s.predicate, False, "")
             if s.object in facts.ends(end, s.predicate, True, s.clinical)}
            for s in self.statements
        ]
        return set.intersection(*sets)


def describe_start(path: Path, facts: FactIndex) -> Description | None:
    """The first pair of facts, in a fixed order, that fits the start alone; None when there is none."""
    asked = {path.hops[0].target, path.answer}
    usable = [
        s for s in facts.about(path.start)
        if s.predicate in _ENGLISH and s.object in facts.entities and s.object not in asked
        and (s.predicate != "has_finding" or s.clinical != "some patients")
    ]
    for pair in itertools.combinations(usable[:_CONSIDERED], _FACTS):
        description = Description(pair)
        if pair[0].object != pair[1].object and description.subjects(facts) == {path.start}:
            return description
    return None
