"""The grammar that English and Chinese questions share. It parses a question's text into plans.

Parsing is a search with backtracking. Entity names may contain any word ("and", "with", "that"), so
a text can often be read in several ways. A ``_parse`` method that is a generator yields all
readings of its text, the likeliest first; ``question_reader`` takes the first plan that fits.

A text consists of some steps, a sentence each, and the question itself as the last sentence. The
sentences of the steps are parsed into walks. The walks and the question together make a plan. The
grammar of a language (``english``, ``chinese``) has its patterns, splits the text into sentences
and joins the walks.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import ClassVar, NamedTuple

from medr_ray.knowledge.predicates import PREDICATES, Predicate
from medr_ray.trajectories.solver.plans import AnswerKind, Condition, Plan, PlanHop, PlanWalk

HopWithStart = tuple[PlanHop, str]  # a hop, and the text of what it starts from


class HopPattern(NamedTuple):
    """The wording of a hop. An ``inverse`` hop goes from the relation's object to its subject."""

    predicate: Predicate
    inverse: bool
    pattern: re.Pattern[str]


class ClausePattern(NamedTuple):
    """The wording of a clause. A ``forward`` clause describes the relation's subject, any other
    clause its object."""

    predicate: Predicate
    forward: bool
    pattern: re.Pattern[str]


class QuestionGrammar(ABC):
    """The grammar of one language.

    The patterns have these groups: ``known`` is the entity that a step or clause starts from, and
    ``qualifier`` is a qualifier. ``other`` matches when a step goes to "the other" entity of its
    kind.
    """

    step_pattern: ClassVar[re.Pattern[str]]  # a sentence before the question
    reference_pattern: ClassVar[re.Pattern[str]]  # "that disease": where a walk has come to
    # A start that two ``facts`` describe, what separates them, and a pattern for each predicate.
    description_pattern: ClassVar[re.Pattern[str]]
    fact_separator: ClassVar[re.Pattern[str]]
    fact_patterns: ClassVar[Mapping[str, re.Pattern[str]]]
    # A ``step`` with ``clauses`` about its target, and what separates them.
    step_with_clauses_pattern: ClassVar[re.Pattern[str]]
    clause_separator: ClassVar[re.Pattern[str]]
    # Which of a ``group`` is the ``superlative``, perhaps by the share of a ``finding``.
    superlative_patterns: ClassVar[Sequence[re.Pattern[str]]]
    superlative_kinds: ClassVar[Mapping[str, AnswerKind]]
    # What two ``steps`` both lead to, and what separates them.
    intersection_pattern: ClassVar[re.Pattern[str]]
    intersection_separator: ClassVar[re.Pattern[str]]
    target_pattern: ClassVar[re.Pattern[str]]  # what a single ``step`` leads to
    # The source and date that a question ends with: they do not change where it leads.
    basis_pattern: ClassVar[re.Pattern[str]]

    def parse(self, text: str) -> Iterator[Plan]:
        """All readings of a question's text."""
        *steps, question = self._split_sentences(self.basis_pattern.sub("", text.strip()))
        for walks in self._parse_steps(steps):
            yield from self._parse_question(question, walks)

    # --- what differs between languages -----------------------------------------------

    @abstractmethod
    def _split_sentences(self, text: str) -> list[str]:
        """The sentences of the steps, and the question as the last."""

    @abstractmethod
    def _extend_walks(
        self, step: re.Match[str], walks: tuple[PlanWalk, ...]
    ) -> Iterator[tuple[PlanWalk, ...]]:
        """The walks after one more step, a match of ``step_pattern``."""

    @abstractmethod
    def _strip_announcement(self, text: str) -> str:
        """A name without its kind in front: "FBN1" of "the gene FBN1"."""

    @property
    @abstractmethod
    def _hop_patterns(self) -> Sequence[HopPattern]:
        """The patterns of all hops."""

    @property
    @abstractmethod
    def _clause_patterns(self) -> Sequence[ClausePattern]:
        """The patterns of all clauses."""

    @abstractmethod
    def _split_report(self, phrase: str) -> tuple[str, str] | None:
        """Split a phrase into (a step, the report that it rests on); None without a report."""

    @abstractmethod
    def _parse_share_question(self, question: str, walks: tuple[PlanWalk, ...]) -> Iterator[Plan]:
        """Readings of "in what share of patients is a finding found"."""

    @abstractmethod
    def _join_walks(
        self, last_hops: tuple[HopWithStart, ...], walks: tuple[PlanWalk, ...]
    ) -> Iterator[Plan]:
        """The plans of two walks that meet, from the last hop of each and the walks of the
        sentences before."""

    def _parse_qualifier(self, match: re.Match[str]) -> str:
        """The qualifier in the words of documents."""
        return match.groupdict().get("qualifier") or ""

    def _singularise_group(self, group: str) -> str:
        """The singular of the words for a group: "the disease ..." for "the diseases ..."."""
        return group

    # --- walks ------------------------------------------------------------------------

    def _parse_steps(self, steps: Sequence[str]) -> Iterator[tuple[PlanWalk, ...]]:
        """The walks that the sentences before the question describe."""
        if not steps:
            yield ()
            return
        match = self.step_pattern.fullmatch(steps[-1])
        if match:
            for walks in self._parse_steps(steps[:-1]):
                yield from self._extend_walks(match, walks)

    def _parse_start(self, text: str) -> Iterator[PlanWalk]:
        """A walk without hops, from a start that is described or, as the last reading, named."""
        for first, second in self._parse_description(text):
            yield PlanWalk.from_description(first, second)
        yield PlanWalk(self._strip_announcement(text))

    def _parse_description(self, text: str) -> Iterator[tuple[Condition, Condition]]:
        match = self.description_pattern.fullmatch(text)
        if match is None:
            return
        facts = match["facts"]
        for separator in self.fact_separator.finditer(facts):
            first = self._parse_fact(facts[: separator.start()])
            second = self._parse_fact(facts[separator.end() :])
            if first is not None and second is not None:
                yield first, second

    def _parse_fact(self, text: str) -> Condition | None:
        for predicate, pattern in self.fact_patterns.items():
            match = pattern.fullmatch(text)
            if match:
                qualifier = self._parse_qualifier(match)
                return Condition(PREDICATES[predicate], True, qualifier, match["known"])
        return None

    def _refers_to_end(self, text: str, walk: PlanWalk) -> bool:
        """Whether a text means the place that a walk has come to."""
        # A walk with a label is referred to by it alone; "that gene" would be ambiguous.
        if walk.label:
            return text == walk.label
        return self.reference_pattern.fullmatch(text) is not None

    def _parse_last_step(self, phrase: str, walks: tuple[PlanWalk, ...]) -> Iterator[PlanWalk]:
        """The walk that ends with the hop of the question itself."""
        for hop, start_text in self._parse_hops(phrase):
            if not walks:
                for walk in self._parse_nested_start(start_text):
                    yield walk.with_hop(hop)
            elif len(walks) == 1 and self._refers_to_end(start_text, walks[0]):
                yield walks[0].with_hop(hop)

    def _parse_nested_start(self, text: str) -> Iterator[PlanWalk]:
        """The start of a question without steps: a description, one more hop ("the disease
        associated with the gene FBN1"), or a name."""
        # A name can be any text, so it is the least likely reading and comes last.
        *described_walks, named_walk = self._parse_start(text)
        yield from described_walks
        for hop, start_text in self._parse_simple_hops(text):
            for walk in self._parse_start(start_text):
                yield walk.with_hop(hop)
        yield named_walk

    # --- steps and clauses ------------------------------------------------------------

    def _parse_hops(self, phrase: str) -> Iterator[HopWithStart]:
        """The hop of "the other disease associated with that gene (the one that ...)", and what it
        starts from."""
        # Brackets may also belong to a name, so the phrase as a whole is the second reading.
        match = self.step_with_clauses_pattern.fullmatch(phrase)
        if match is not None:
            for hop, start_text in self._parse_simple_hops(match["step"]):
                for conditions in self._parse_clauses(match["clauses"], hop.target_type):
                    yield replace(hop, also=conditions), start_text
        yield from self._parse_simple_hops(phrase)

    def _parse_simple_hops(self, phrase: str) -> Iterator[HopWithStart]:
        """As ``_parse_hops``, for a phrase without clauses; it may name a report."""
        step_and_report = self._split_report(phrase)
        if step_and_report is not None:
            step, report = step_and_report
            for hop, start_text in self._parse_simple_hops(step):
                yield replace(hop, clinical=report), start_text
        for predicate, inverse, pattern in self._hop_patterns:
            match = pattern.fullmatch(phrase)
            if match:
                says_other = bool(match.groupdict().get("other"))
                hop = PlanHop(predicate, inverse, self._parse_qualifier(match), says_other)
                yield hop, match["known"]

    def _parse_clauses(self, text: str, target_type: str) -> Iterator[tuple[Condition, ...]]:
        """The conditions of "that is associated with the gene A and whose age of onset is B" on an
        entity of ``target_type``."""
        # A separator may belong to a name, so each one is tried, and last the text as one clause.
        for separator in self.clause_separator.finditer(text):
            for first in self._parse_clause(text[: separator.start()], target_type):
                for rest in self._parse_clauses(text[separator.end() :], target_type):
                    yield (first, *rest)
        for condition in self._parse_clause(text, target_type):
            yield (condition,)

    def _parse_clause(self, text: str, target_type: str) -> Iterator[Condition]:
        for predicate, forward, pattern in self._clause_patterns:
            described_type = predicate.subject_type if forward else predicate.object_type
            if described_type != target_type:
                continue
            match = pattern.fullmatch(text)
            if match:
                other = self._strip_announcement(match["known"])
                yield Condition(predicate, forward, self._parse_qualifier(match), other)

    # --- the question itself ----------------------------------------------------------

    def _parse_question(self, question: str, walks: tuple[PlanWalk, ...]) -> Iterator[Plan]:
        yield from self._parse_share_question(question, walks)
        yield from self._parse_superlative_question(question, walks)
        intersection = self.intersection_pattern.fullmatch(question)
        if intersection:
            yield from self._parse_intersection_question(intersection["steps"], walks)
            return
        target = self.target_pattern.fullmatch(question)
        if target:
            for walk in self._parse_last_step(target["step"], walks):
                yield Plan((walk,))

    def _parse_superlative_question(
        self, question: str, walks: tuple[PlanWalk, ...]
    ) -> Iterator[Plan]:
        for pattern in self.superlative_patterns:
            match = pattern.fullmatch(question)
            if match:
                answer_kind = self.superlative_kinds[match["superlative"]]
                finding = match.groupdict().get("finding") or ""
                for walk in self._parse_last_step(self._singularise_group(match["group"]), walks):
                    yield Plan((walk,), answer_kind, finding)

    def _parse_intersection_question(
        self, steps: str, walks: tuple[PlanWalk, ...]
    ) -> Iterator[Plan]:
        """Readings of "STEP and STEP", the last hops of two walks that meet."""
        for separator in self.intersection_separator.finditer(steps):
            for first in self._parse_hops(steps[: separator.start()]):
                for second in self._parse_hops(steps[separator.end() :]):
                    yield from self._join_walks((first, second), walks)

    def _build_intersection_plans(
        self, last_hops: tuple[HopWithStart, ...], walks: Sequence[PlanWalk | None]
    ) -> Iterator[Plan]:
        """The plans of two walks, each ending with its last hop. A walk that is None has no
        sentences of its own: its last hop is its first."""
        hops = [hop for hop, _ in last_hops]
        start_texts = [start_text for _, start_text in last_hops]
        walk_readings = (
            [walk] if walk is not None else self._parse_start(start_text)
            for walk, start_text in zip(walks, start_texts, strict=True)
        )
        for chosen_walks in product(*walk_readings):
            pairs = zip(chosen_walks, hops, strict=True)
            yield Plan(tuple(walk.with_hop(hop) for walk, hop in pairs))
