"""Reading with the predicates' wording: a question back into its hops, a statement back into its value.

The rules teacher's eyes. It sees only text: the question as the agent sees it, and tool responses.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from medr_ray.core.records import GuidanceStep
from medr_ray.knowledge.predicates import GENE, INVERSE, PREDICATES, Predicate

_THE_GENE = "the gene "
_CLINICAL = r"(?:\d+ of \d+|[\d-]+%(?: of)?|all|some)(?: of)? patients"
_ASKING = re.compile(r"^(?:what|which) (?:is|are) (?:the )?(.+?)\?$", re.I)


@dataclass(frozen=True)
class Hop:
    """One step of a plan: a predicate, the way it is walked, and the qualifier the question prints."""

    predicate: Predicate
    inverse: bool
    clinical: str

    def wanted(self, entity: str) -> str:
        """What is looked for, in words: "mode of inheritance of Marfan syndrome"."""
        if not self.inverse:
            return self.predicate.name_object(entity, self.clinical)
        known = f"{_THE_GENE}{entity}" if self.predicate.object_type == GENE else entity
        return self.predicate.name_subject(known, self.clinical)

    def find(self, entity: str, text: str, visited: Collection[str] = ()) -> str | None:
        """The first value that ``text`` states for ``entity`` and that was not visited before, or None."""
        found = self._stated(entity, text, self.inverse)
        if self.predicate.symmetric:
            found += self._stated(entity, text, not self.inverse)
        return next((value for value in found if value not in visited), None)

    def _stated(self, entity: str, text: str, inverse: bool) -> list[str]:
        known, unknown = re.escape(entity), r"(.+?)"
        subject, obj = (unknown, known) if inverse else (known, unknown)
        parts = re.split(r"(\{\w+\})", self.predicate.sentence)
        shapes = {"{subject}": subject, "{object}": obj, "{clinical}": re.escape(self.clinical) or ".+?"}
        pattern = "".join(shapes.get(part, re.escape(part)) for part in parts)
        return [match.group(1) for match in re.finditer(f"{pattern}(?=\\s|<|$)", text)]


def plan_of(guidance: Sequence[GuidanceStep]) -> list[Hop]:
    """The hops of the masked guidance, in walking order."""
    return [
        Hop(PREDICATES[step.predicate.removeprefix(INVERSE)], step.predicate.startswith(INVERSE), step.clinical)
        for step in guidance
    ]


def start_of(text: str, plan: Sequence[Hop]) -> str | None:
    """The entity a question starts from, given its plan; None when the text is not worded by the predicates."""
    asked = _ASKING.match(text.strip())
    rest = asked.group(1) if asked else None
    for hop in reversed(plan):
        rest = _peel(rest, hop.predicate, hop.inverse, re.escape(hop.clinical), "rest") if rest else None
    return rest.removeprefix(_THE_GENE) if rest else None


def read_question(text: str) -> tuple[str, list[Hop]] | None:
    """(start entity, plan) read from the question alone; None when its wording is unknown."""
    asked = _ASKING.match(text.strip())
    rest, plan = (asked.group(1) if asked else ""), list[Hop]()
    while (peeled := _peel_any(rest)) is not None:
        hop, rest = peeled
        plan.append(hop)
    return (rest.removeprefix(_THE_GENE), plan[::-1]) if plan else None


def _peel_any(text: str) -> tuple[Hop, str] | None:
    for predicate in PREDICATES.values():
        for inverse in (False, True):
            rest = _peel(text, predicate, inverse, _CLINICAL, "rest")
            if rest:
                return Hop(predicate, inverse, _peel(text, predicate, inverse, _CLINICAL, "clinical") or ""), rest
    return None


def _peel(text: str, predicate: Predicate, inverse: bool, clinical: str, group: str) -> str | None:
    """The named group of "the phrase of REST"; None where the text reads otherwise or the direction has no wording."""
    phrase, joint = (
        (predicate.inverse_phrase, predicate.inverse_of) if inverse else (predicate.phrase, predicate.of))
    if not phrase:
        return None
    head = f"(?P<clinical>{clinical})".join(re.escape(part) for part in phrase.split("{clinical}"))
    match = re.match(f"(?:the )?(?:other )?{head}{' ' + joint if joint else ''} (?P<rest>.+)$", text)
    return match.groupdict().get(group) if match else None
