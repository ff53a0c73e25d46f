"""The checks that a question must pass; each failure has a reason.

- Unique: the pattern of the text is followed over all facts from every entity that the start may
  mean. It ends in the answer only, and each hop of a plain walk ends in its target only.
- No leak: the text contains no name of the answer, nor all of its distinctive words.
- Hops needed: without any one of its hops the pattern no longer leads to the answer alone. No fact
  connects entities of the path that are not neighbours on it, and no hidden entity is named.
- Cardinality: nothing many-valued identifies a hidden entity or is asked without its source; these
  rules and their reasons are those of ``cardinality``.
- Evidence: every hop and every further fact has a sentence in a document of an accepted source.
- Form: the answer is a few words long and specific, and no two diseases of the path differ only by
  a number or a word.

``split``, where questions are chosen, checks whether a question repeats another one or an item of a
benchmark. ``closed_book`` checks whether a model knows the answer unaided.
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
from medr_ray.questions.answer_matching import canonical_form, normalize_words, occurs_in
from medr_ray.questions.checks.cardinality import CardinalityCheck
from medr_ray.questions.drafting.answer_names import resolve_answer
from medr_ray.questions.drafting.question_paths import QuestionPath
from medr_ray.questions.drafting.question_patterns import (
    CHOICE_CRITERIA,
    find_needless_hops,
    find_possible_answers,
    follow_hops,
)
from medr_ray.questions.wording.writers import Draft
from medr_ray.retrieval.documents import HPO, PUBMED

_MAX_ANSWER_WORDS = 8
# Answers that name no particular entity; the whole answer must match.
_GENERIC_ANSWER = re.compile(
    r"(?i)(?:disease|disorder|syndrome|phenotype|phenotypic abnormality|abnormality|all|tumou?r"
    r"|neoplasm|cancer"
    r"|infection|inflammation|death|pain|injury|toxicity|mode of inheritance|onset|gene|drug"
    r"|finding|sign|symptom"
    r"|abnormality of .*)"
)
# Words that do not identify an entity, so that they neither leak an answer nor tell diseases apart.
_COMMON_WORDS = frozenset(
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
class VerificationResult:
    """The results of the checks, and the reasons to reject the question.

    A question is accepted exactly when there is no reason.
    """

    verification: Verification
    reasons: tuple[str, ...]


class QuestionVerifier:
    """Checks questions against the facts of a run."""

    def __init__(
        self,
        entities: Mapping[str, Entity],
        relations: Mapping[str, Relation],
        facts: FactIndex,
        sources: Collection[str] = (HPO, PUBMED),
    ) -> None:
        self._entities = entities
        self._relations = relations
        self._facts = facts
        self._sources = sources
        self._cardinality = CardinalityCheck(entities, relations, facts)
        # Names may be shared: a name leads to every entity that has it as its name or alias.
        self._ids_by_name: dict[str, set[str]] = defaultdict(set)
        for entity in entities.values():
            for name in (entity.name, *entity.aliases):
                self._ids_by_name[canonical_form(name)].add(entity.entity_id)

    def verify(self, draft: Draft, text: str, allow_other: bool = True) -> VerificationResult:
        """Return the verdict on ``text`` as the wording of ``draft``.

        ``allow_other`` accepts hops of the kind "the other ...".
        """
        path = draft.path
        # Each of these is a list of reasons, which is empty when the check passes.
        unique = self._check_uniqueness(draft)
        leak = self._find_leaks(path, text)
        needless = self._find_needless_hops(draft, text, not unique)
        cardinality = self._cardinality.find_refusals(path, draft.description)
        evidence = self._find_missing_evidence(path)
        form = self._check_form(path, allow_other)
        verification = Verification(not unique, not leak, not needless, not evidence)
        return VerificationResult(
            verification, (*unique, *cardinality, *leak, *needless, *evidence, *form)
        )

    def _check_uniqueness(self, draft: Draft) -> list[str]:
        path = draft.path
        starts = [self._possible_entities(start) for start in path.starts]
        if draft.description is not None:
            starts[0] = draft.description.find_described_entities(self._facts)
        reasons = []
        for start_ids in starts:
            # Entities of one name are accepted when each has a type of its own.
            types = {self._entities[entity_id].entity_type for entity_id in start_ids}
            if len(types) < len(start_ids):
                reasons.append(f"unique: the start may mean {len(start_ids)} entities")
        # The last hop may fit several entities where the second walk or a comparison decides.
        skip_last = bool(path.second) or path.asked in CHOICE_CRITERIA
        reasons += self._find_ambiguous_hops(path.hops, skip_last)
        reasons += self._find_ambiguous_hops(path.second, skip_last=True)
        if reasons:
            return reasons
        possible_answers = find_possible_answers(path, starts, self._facts)
        expected = path.about[0].clinical if path.asked == "share" else path.answer
        if possible_answers == {expected}:
            return []
        return [f"unique: the pattern has {len(possible_answers)} answers"]

    def _possible_entities(self, start: str) -> set[str]:
        """Return the ids of every entity that the start's name may mean."""
        return self._ids_by_name[canonical_form(self._entities[start].name)]

    def _find_ambiguous_hops(self, hops: Sequence[Hop], skip_last: bool) -> list[str]:
        """Return a reason for each hop whose words do not lead to its target alone.

        With ``skip_last`` the last hop is not checked.
        """
        reasons = []
        before = ""
        for number, hop in enumerate(hops[:-1] if skip_last else hops, 1):
            ends = hop.possible_targets(hop.start, before, self._facts)
            if ends != {hop.target}:
                reasons.append(
                    f"unique: hop {number} ({hop.directed_predicate}) has {len(ends)} possible ends"
                )
            before = hop.start
        return reasons

    def _find_leaks(self, path: QuestionPath, text: str) -> list[str]:
        """Return a reason when the text gives the answer away; the first one is enough."""
        answer = resolve_answer(path, self._entities)
        for name in answer.names:
            if occurs_in(name, text):
                return [f'no_leak: the text holds "{name}"']
        # The words of a share ("3 of 7 patients") may stand apart in any question.
        if path.asked == "share":
            return []
        distinctive_words = set(normalize_words(answer.name)) - _COMMON_WORDS
        # Words are compared without their order, so that a reordered name is a leak as well.
        if distinctive_words and distinctive_words <= set(normalize_words(text)):
            return [f'no_leak: the text holds every telling word of "{answer.name}"']
        return []

    def _find_needless_hops(self, draft: Draft, text: str, unique: bool) -> list[str]:
        """Return a reason for each hop that is not needed to find the answer.

        Where the answer is not unique, no hop determines it: then only shortcuts and names are
        checked.
        """
        path = draft.path
        reasons = self._find_hops_to_drop(path) if unique else []
        reasons += self._find_shortcuts(path.hops) + self._find_shortcuts(path.second)
        hidden_ids = list(path.hidden_entities)
        # A described start is hidden as well.
        if draft.description:
            hidden_ids.append(path.start)
        for entity_id in hidden_ids:
            entity = self._entities[entity_id]
            if any(occurs_in(name, text) for name in (entity.name, *entity.aliases)):
                reasons.append(f'hops_needed: the text names the hidden entity "{entity.name}"')
        return reasons

    def _find_hops_to_drop(self, path: QuestionPath) -> list[str]:
        """Return a reason for each hop, or whole walk, without which the answer is determined."""
        reasons = [
            f"hops_needed: the answer is determined without hop {number}"
            for number in find_needless_hops(path, self._facts)
        ]
        if path.second:
            for side, hops in (("first", path.hops), ("second", path.second)):
                if follow_hops(hops, (hops[0].start,), self._facts) == {path.answer}:
                    reasons.append(f"hops_needed: the {side} walk alone leads to the answer")
        return reasons

    def _find_shortcuts(self, hops: Sequence[Hop]) -> list[str]:
        """Return a reason for each pair of entities that a fact links past the path's hops."""
        nodes = [hops[0].start, *(hop.target for hop in hops)] if hops else []
        return [
            f"hops_needed: a fact connects entity {i} and entity {j} of the path directly"
            for i in range(len(nodes))
            # From i + 2: neighbours on the path are connected by their hop.
            for j in range(i + 2, len(nodes))
            if self._facts.are_linked(nodes[i], nodes[j])
        ]

    def _find_missing_evidence(self, path: QuestionPath) -> list[str]:
        """Return a reason for each hop and further fact that no accepted source states."""
        labelled_ids = [
            (f"hop {number}", hop.relation_id)
            for number, hop in enumerate((*path.hops, *path.second), 1)
        ]
        labelled_ids += [("a fact told", clause.relation_id) for clause in path.clauses]
        return [
            f"evidence: {label} has no sentence in a document that counts"
            for label, relation_id in labelled_ids
            if not is_stated_in(self._relations[relation_id], self._sources)
        ]

    def _check_form(self, path: QuestionPath, allow_other: bool) -> list[str]:
        answer = resolve_answer(path, self._entities).name
        reasons = []
        if len(answer.split()) > _MAX_ANSWER_WORDS:
            reasons.append(f"form: the answer is longer than {_MAX_ANSWER_WORDS} words")
        if _GENERIC_ANSWER.fullmatch(answer):
            reasons.append(f'form: the answer "{answer}" is too generic')
        for first, second in self._find_similar_diseases(path):
            reasons.append(f'form: "{first}" and "{second}" may be one disease')
        if not allow_other and any(hop.other for hop in (*path.hops, *path.second)):
            reasons.append('form: needs a hop of the kind "the other …" (questions.other_hops)')
        return reasons

    def _find_similar_diseases(self, path: QuestionPath) -> Iterator[tuple[str, str]]:
        """Yield the names of two diseases on the path where one has all words of the other.

        "Stargardt disease" and "Stargardt disease 1" may be records of several authorities for the
        same disease.
        """
        names = [
            self._entities[entity_id].name
            for entity_id in path.entities
            if self._entities[entity_id].entity_type == DISEASE
        ]
        words = [frozenset(normalize_words(name)) - _COMMON_WORDS for name in names]
        for (first, left), (second, right) in itertools.combinations(
            zip(names, words, strict=True), 2
        ):
            # A name of common words only would be contained in every other name.
            if left and right and (left <= right or right <= left):
                yield first, second
