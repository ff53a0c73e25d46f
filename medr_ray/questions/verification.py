"""What a question must pass, each failure with its reason.

Unique: the pattern of the text, walked over all facts from everything the start's words may mean, ends in the answer
only. No leak: neither the answer's names nor all its telling words stand in the text. Hops needed: no fact
connects entities of the path that are not neighbours on it, and no hidden entity is named. Evidence: every
hop has a sentence in a document.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medr_ray.core.records import Entity, Relation, Verification
from medr_ray.questions.facts import FactIndex
from medr_ray.questions.matching import occurs_in, tokens
from medr_ray.questions.paths import Path
from medr_ray.questions.writing import Draft

_MAX_ANSWER_WORDS = 8
_GENERIC = re.compile(
    r"(?i)(?:disease|disorder|syndrome|phenotype|phenotypic abnormality|abnormality|all|tumou?r|neoplasm|cancer"
    r"|infection|inflammation|death|pain|injury|toxicity|mode of inheritance|onset|gene|drug|finding|sign|symptom"
    r"|abnormality of .*)")
_UNTELLING = frozenset((
    "a", "an", "and", "as", "at", "by", "for", "from", "in", "is", "of", "on", "or", "the", "to", "with",
    "disease", "syndrome", "disorder", "inheritance", "onset", "type",
))


@dataclass(frozen=True)
class Verdict:
    """The four checks, and why a question is rejected; it is accepted exactly when there is no reason."""

    verification: Verification
    reasons: tuple[str, ...]


class Verifier:
    """Checks questions against the facts of a run."""

    def __init__(self, entities: Mapping[str, Entity], relations: Mapping[str, Relation], facts: FactIndex) -> None:
        self._entities, self._relations, self._facts = entities, relations, facts

    def verify(self, draft: Draft, text: str, allow_other: bool = True) -> Verdict:
        """The verdict on ``text`` as the wording of ``draft``."""
        path = draft.path
        unique, leak = self._uniqueness(draft), self._leaks(path, text)
        shortcut, evidence = self._shortcuts(path, text), self._missing_evidence(path)
        other = self._form(path, allow_other)
        verification = Verification(not unique, not leak, not shortcut, not evidence)
        return Verdict(verification, (*unique, *leak, *shortcut, *evidence, *other))

    def _uniqueness(self, draft: Draft) -> list[str]:
        path = draft.path
        if draft.description is not None:
            starts = draft.description.subjects(self._facts)
        else:
            starts = self._facts.named(self._entities[path.start].name)
        reasons = []
        if len(starts) > 1 and len({self._entities[one].entity_type for one in starts}) < len(starts):
            reasons.append(f"unique: the start may mean {len(starts)} entities")
        for number, hop in enumerate(path.hops, 1):
            ends = self._facts.ends(hop.known, hop.predicate, hop.forward, hop.clinical)
            ends = ends - {path.entities[number - 2]} if hop.other else ends
            if ends != {hop.target}:
                reasons.append(f"unique: hop {number} ({hop.directed_predicate}) has {len(ends)} possible ends")
        answers = self.answers(path, starts)
        if not reasons and answers != {path.answer}:
            reasons.append(f"unique: the pattern has {len(answers)} answers")
        return reasons

    def answers(self, path: Path, starts: set[str]) -> set[str]:
        """Every entity the path's pattern leads to from ``starts``."""
        frontier: set[tuple[str, str]] = {("", start) for start in starts}
        for hop in path.hops:
            frontier = {
                (known, end) for before, known in frontier
                for end in self._facts.ends(known, hop.predicate, hop.forward, hop.clinical)
                if not (hop.other and end == before)
            }
        return {end for _, end in frontier}

    def _leaks(self, path: Path, text: str) -> list[str]:
        answer = self._entities[path.answer]
        for name in answer_names(answer):
            if occurs_in(name, text):
                return [f'no_leak: the text holds "{name}"']
        telling = {word for word in tokens(answer.name) if word not in _UNTELLING}
        if telling and telling <= set(tokens(text)):
            return [f'no_leak: the text holds every telling word of "{answer.name}"']
        return []

    def _shortcuts(self, path: Path, text: str) -> list[str]:
        reasons = []
        nodes = path.entities
        for i in range(len(nodes)):
            for j in range(i + 2, len(nodes)):
                if self._facts.linked(nodes[i], nodes[j]):
                    reasons.append(f"hops_needed: a fact connects entity {i} and entity {j} of the path directly")
        for hidden in nodes[1:-1]:
            entity = self._entities[hidden]
            if any(occurs_in(name, text) for name in (entity.name, *entity.aliases)):
                reasons.append(f'hops_needed: the text names the hidden entity "{entity.name}"')
        return reasons

    def _missing_evidence(self, path: Path) -> list[str]:
        return [
            f"evidence: hop {number} has no sentence in a document"
            for number, one in enumerate(path.relations, 1)
            if not any(e.sentence and e.document_id for e in self._relations[one].evidence)
        ]

    def _form(self, path: Path, allow_other: bool) -> list[str]:
        answer = self._entities[path.answer].name
        reasons = []
        if len(answer.split()) > _MAX_ANSWER_WORDS:
            reasons.append(f"form: the answer is longer than {_MAX_ANSWER_WORDS} words")
        if _GENERIC.fullmatch(answer):
            reasons.append(f'form: the answer "{answer}" is too generic')
        if not allow_other and any(hop.other for hop in path.hops):
            reasons.append('form: needs a hop of the kind "the other …" (questions.other_hops)')
        return reasons


def answer_names(answer: Entity) -> tuple[str, ...]:
    """The answer's name and aliases; a mode of inheritance also without the word "inheritance"."""
    names: Sequence[str] = (answer.name, *answer.aliases)
    short = [name.removesuffix(" inheritance") for name in names if name.endswith(" inheritance")]
    return tuple(dict.fromkeys((*names, *short)))
