"""What a question must pass, each failure with its reason.

Unique: the pattern of the text, walked over all facts from everything the start's words may mean,
ends in the answer only, and so does each hop of a plain walk. No leak: neither the answer's names
nor all its telling words stand in the text. Hops needed: without any one of its hops the pattern no
longer leads to the answer alone, no fact connects entities of the path that are not neighbours on
it, and no hidden entity is named. Evidence: every hop and every fact told has a sentence in a
document of a source that counts. Form: the answer can be said in a few words and means something,
and no two diseases of the path are the same but for a number or a word. Whether a question repeats
another, or an item of a benchmark, is checked where questions are chosen (``split``); whether a
model knows the answer unaided, in ``closed_book``.
"""

import itertools
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from medr_ray.core.records import Entity, Relation, Verification
from medr_ray.graph.facts.fact_index import FactIndex, is_stated_in
from medr_ray.graph.facts.hops import Hop
from medr_ray.knowledge.predicates import DISEASE
from medr_ray.questions.answer_matching import canonical, occurs_in, tokens
from medr_ray.questions.drafting.answer_names import answer_of
from medr_ray.questions.drafting.question_paths import Path
from medr_ray.questions.drafting.question_patterns import CHOICES, answers, needless_hops, walked
from medr_ray.questions.wording.writers import Draft
from medr_ray.retrieval.documents import HPO, PUBMED

_MAX_ANSWER_WORDS = 8
_GENERIC = re.compile(
    r"(?i)(?:disease|disorder|syndrome|phenotype|phenotypic abnormality|abnormality|all|tumou?r|neoplasm|cancer"
    r"|infection|inflammation|death|pain|injury|toxicity|mode of inheritance|onset|gene|drug|finding|sign|symptom"
    r"|abnormality of .*)"
)
_UNTELLING = frozenset(
    (
        "a",
        "an",
        "and",
        "as",
        "at",
        "by",
        "for",
        "from",
        "in",
        "is",
        "of",
        "on",
        "or",
        "the",
        "to",
        "with",
        "disease",
        "syndrome",
        "disorder",
        "inheritance",
        "onset",
        "type",
    )
)


@dataclass(frozen=True)
class Verdict:
    """The four checks, and why a question is rejected; it is accepted exactly when there is no
    reason."""

    verification: Verification
    reasons: tuple[str, ...]


class Verifier:
    """Checks questions against the facts of a run."""

    def __init__(
        self,
        entities: Mapping[str, Entity],
        relations: Mapping[str, Relation],
        facts: FactIndex,
        sources: Collection[str] = (HPO, PUBMED),
    ) -> None:
        self._entities, self._relations, self._facts, self._sources = (
            entities,
            relations,
            facts,
            sources,
        )
        self._named: dict[str, set[str]] = defaultdict(set)
        for entity in entities.values():
            for name in (entity.name, *entity.aliases):
                self._named[canonical(name)].add(entity.entity_id)

    def verify(self, draft: Draft, text: str, allow_other: bool = True) -> Verdict:
        """The verdict on ``text`` as the wording of ``draft``."""
        path = draft.path
        unique, leak = self._uniqueness(draft), self._leaks(path, text)
        needless, evidence = self._needless(draft, text, not unique), self._missing_evidence(path)
        form = self._form(path, allow_other)
        verification = Verification(not unique, not leak, not needless, not evidence)
        return Verdict(verification, (*unique, *leak, *needless, *evidence, *form))

    def _uniqueness(self, draft: Draft) -> list[str]:
        path = draft.path
        starts = [self._meant(one) for one in path.starts]
        if draft.description is not None:
            starts[0] = draft.description.subjects(self._facts)
        reasons = [
            f"unique: the start may mean {len(one)} entities"
            for one in starts
            if len(one) > 1 and len({self._entities[e].entity_type for e in one}) < len(one)
        ]
        reasons += self._open_hops(path.hops, bool(path.second) or path.asked in CHOICES)
        reasons += self._open_hops(path.second, True)
        if reasons:
            return reasons
        found = answers(path, starts, self._facts)
        meant = path.about[0].clinical if path.asked == "share" else path.answer
        return [] if found == {meant} else [f"unique: the pattern has {len(found)} answers"]

    def _meant(self, start: str) -> set[str]:
        """Every entity the start's name may mean."""
        return self._named[canonical(self._entities[start].name)]

    def _open_hops(self, hops: Sequence[Hop], spare_last: bool) -> list[str]:
        """Hops whose words fit more or less than their target; the last one may where
        ``spare_last``."""
        reasons = []
        before = ""
        for number, hop in enumerate(hops[:-1] if spare_last else hops, 1):
            ends = hop.possible_targets(hop.known, before, self._facts)
            if ends != {hop.target}:
                reasons.append(
                    f"unique: hop {number} ({hop.directed_predicate}) has {len(ends)} possible ends"
                )
            before = hop.known
        return reasons

    def _leaks(self, path: Path, text: str) -> list[str]:
        answer = answer_of(path, self._entities)
        for name in answer.names:
            if occurs_in(name, text):
                return [f'no_leak: the text holds "{name}"']
        telling = {word for word in tokens(answer.name) if word not in _UNTELLING}
        if telling and path.asked != "share" and telling <= set(tokens(text)):
            return [f'no_leak: the text holds every telling word of "{answer.name}"']
        return []

    def _needless(self, draft: Draft, text: str, unique: bool) -> list[str]:
        """Without an answer that is determined, no hop determines it: only shortcuts and names are
        looked at."""
        path = draft.path
        reasons = [
            f"hops_needed: the answer is determined without hop {number}"
            for number in (needless_hops(path, self._facts) if unique else ())
        ]
        if path.second and unique:
            for side, hops in (("first", path.hops), ("second", path.second)):
                if walked(hops, (hops[0].known,), self._facts) == {path.answer}:
                    reasons.append(f"hops_needed: the {side} walk alone leads to the answer")
        reasons += self._shortcuts(path.hops) + self._shortcuts(path.second)
        for hidden in (*path.hidden, *((path.start,) if draft.description else ())):
            entity = self._entities[hidden]
            if any(occurs_in(name, text) for name in (entity.name, *entity.aliases)):
                reasons.append(f'hops_needed: the text names the hidden entity "{entity.name}"')
        return reasons

    def _shortcuts(self, hops: Sequence[Hop]) -> list[str]:
        nodes = [hops[0].known, *(hop.target for hop in hops)] if hops else []
        return [
            f"hops_needed: a fact connects entity {i} and entity {j} of the path directly"
            for i in range(len(nodes))
            for j in range(i + 2, len(nodes))
            if self._facts.are_linked(nodes[i], nodes[j])
        ]

    def _missing_evidence(self, path: Path) -> list[str]:
        walked_ids = [hop.relation_id for hop in (*path.hops, *path.second)]
        return [
            f"evidence: {f'hop {number}' if number <= len(walked_ids) else 'a fact told'} has no sentence in a document"
            " that counts"
            for number, one in enumerate(
                (*walked_ids, *(clause.relation_id for clause in path.clauses)), 1
            )
            if not is_stated_in(self._relations[one], self._sources)
        ]

    def _form(self, path: Path, allow_other: bool) -> list[str]:
        answer = answer_of(path, self._entities).name
        reasons = []
        if len(answer.split()) > _MAX_ANSWER_WORDS:
            reasons.append(f"form: the answer is longer than {_MAX_ANSWER_WORDS} words")
        if _GENERIC.fullmatch(answer):
            reasons.append(f'form: the answer "{answer}" is too generic')
        for one, other in self._alike(path):
            reasons.append(f'form: "{one}" and "{other}" may be one disease')
        if not allow_other and any(hop.other for hop in (*path.hops, *path.second)):
            reasons.append('form: needs a hop of the kind "the other …" (questions.other_hops)')
        return reasons

    def _alike(self, path: Path) -> Iterator[tuple[str, str]]:
        """Names of two diseases on the path of which one says no more than the other ("Stargardt
        disease" and "Stargardt disease 1"): records of several authorities for what may be one
        disease."""
        names = [
            self._entities[one].name
            for one in path.entities
            if self._entities[one].entity_type == DISEASE
        ]
        words = [frozenset(tokens(name)) - _UNTELLING for name in names]
        for (one, left), (other, right) in itertools.combinations(
            zip(names, words, strict=True), 2
        ):
            if left and right and (left <= right or right <= left):
                yield one, other
