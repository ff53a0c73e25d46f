"""Questions read back into plans: the search that the languages share.

Reading is a search: each method yields every way to read its text, the likeliest first, for a name
may hold any word ("and", "with", "that"). A language has its patterns, and its own way from one
sentence to the next.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import ClassVar

from medr_ray.knowledge.predicates import PREDICATES, Predicate
from medr_ray.trajectories.solver.plans import Asked, Condition, Hop, Plan, Walk

Wording = Sequence[tuple[Predicate, bool, re.Pattern[str]]]


class Grammar(ABC):
    """The wording of one language. Patterns name what they find: ``known`` the entity a step or
    clause is told from, ``clinical`` a qualifier, ``other`` that a step goes to another entity of
    its kind."""

    step: ClassVar[re.Pattern[str]]  # a sentence before the question
    gene: ClassVar[str]  # what is written before the name of a gene
    that: ClassVar[re.Pattern[str]]  # "that disease": where a walk has come to
    description: ClassVar[re.Pattern[str]]  # a start by two ``facts``, and what joins them
    joint_of_facts: ClassVar[re.Pattern[str]]
    facts: ClassVar[Mapping[str, re.Pattern[str]]]  # by predicate
    # A ``step`` with what is ``told`` of where it leads: clauses, and what joins them.
    told: ClassVar[re.Pattern[str]]
    joint_of_clauses: ClassVar[re.Pattern[str]]
    # What of a ``group`` is ``asked``, perhaps by a ``finding``.
    superlatives: ClassVar[Sequence[re.Pattern[str]]]
    asked: ClassVar[Mapping[str, Asked]]
    both: ClassVar[re.Pattern[str]]  # what two ``steps`` lead to, and what joins them
    joint_of_steps: ClassVar[re.Pattern[str]]
    what: ClassVar[re.Pattern[str]]  # where a ``step`` leads

    def read(self, text: str) -> Iterator[Plan]:
        """Every way to read a question."""
        *steps, question = self._sentences(text.strip())
        for walks in self._walks(steps):
            yield from self._asked(question, walks)

    # --- what a language does its own way ---------------------------------------------

    @abstractmethod
    def _sentences(self, text: str) -> list[str]:
        """The steps, and the question as the last."""

    @abstractmethod
    def _walked(self, read: re.Match[str], walks: tuple[Walk, ...]) -> Iterator[tuple[Walk, ...]]:
        """The walks after one more ``step``."""

    @property
    @abstractmethod
    def _hop_patterns(self) -> Wording:
        """(predicate, whether it is walked against its direction, how a step along it looks)."""

    @property
    @abstractmethod
    def _clause_patterns(self) -> Wording:
        """(predicate, whether what it is told of is its subject, how the clause looks)."""

    @abstractmethod
    def _reported(self, phrase: str) -> tuple[str, str] | None:
        """(a step, the report it rests on, as documents say it)."""

    @abstractmethod
    def _shares(self, question: str, walks: tuple[Walk, ...]) -> Iterator[Plan]:
        """Readings of the question in what share of patients something is found."""

    @abstractmethod
    def _met(self, ends: tuple[tuple[Hop, str], ...], walks: tuple[Walk, ...]) -> Iterator[Plan]:
        """Two walks that meet, from the last hop of each and what the question says it starts
        from."""

    def _qualifier(self, read: re.Match[str]) -> str:
        """The qualifier as documents say it."""
        return read.groupdict().get("clinical") or ""

    def _one_of(self, group: str) -> str:
        """The step to one of a group of diseases."""
        return group

    # --- walks ------------------------------------------------------------------------

    def _walks(self, steps: Sequence[str]) -> Iterator[tuple[Walk, ...]]:
        """The walks that the sentences before the question tell."""
        if not steps:
            yield ()
        elif read := self.step.fullmatch(steps[-1]):
            for walks in self._walks(steps[:-1]):
                yield from self._walked(read, walks)

    def _starts(self, known: str) -> Iterator[Walk]:
        """A walk at its start, which is described or named."""
        yield from (
            Walk.from_described(first, second) for first, second in self._descriptions(known)
        )
        yield Walk(known.removeprefix(self.gene))

    def _descriptions(self, text: str) -> Iterator[tuple[Condition, Condition]]:
        read = self.description.fullmatch(text)
        if read is None:
            return
        facts = read["facts"]
        for joint in self.joint_of_facts.finditer(facts):
            first, second = self._fact(facts[: joint.start()]), self._fact(facts[joint.end() :])
            if first is not None and second is not None:
                yield first, second

    def _fact(self, text: str) -> Condition | None:
        for predicate, pattern in self.facts.items():
            if read := pattern.fullmatch(text):
                return Condition(PREDICATES[predicate], True, self._qualifier(read), read["known"])
        return None

    def _is_where(self, walk: Walk, known: str) -> bool:
        """Whether ``known`` means the place a walk has come to."""
        return known == walk.label if walk.label else self.that.fullmatch(known) is not None

    def _last(self, phrase: str, walks: tuple[Walk, ...]) -> Iterator[Walk]:
        """The walk that ends with the hop of the question itself."""
        for hop, origin in self._hops(phrase):
            if not walks:
                yield from (start.onward(hop) for start in self._nested(origin))
            elif len(walks) == 1 and self._is_where(walks[0], origin):
                yield walks[0].onward(hop)

    def _nested(self, known: str) -> Iterator[Walk]:
        """Where "the finding in ... patients with <known>" starts: from a description, one hop
        further on, or a name."""
        *described, named = self._starts(known)
        yield from described
        for hop, before in self._plain_hops(known):
            yield from (start.onward(hop) for start in self._starts(before))
        yield named

    # --- steps and clauses ------------------------------------------------------------

    def _hops(self, phrase: str) -> Iterator[tuple[Hop, str]]:
        """(hop, what it starts from) of "the other disease associated with that gene (the one that
        ...)"."""
        match = self.told.fullmatch(phrase)
        if match is not None:
            for hop, start in self._plain_hops(match["step"]):
                for also in self._clauses(match["told"], hop.target_type):
                    yield replace(hop, also=also), start
        yield from self._plain_hops(phrase)

    def _plain_hops(self, phrase: str) -> Iterator[tuple[Hop, str]]:
        """As ``_hops``, of which nothing is told but perhaps a report."""
        reported = self._reported(phrase)
        if reported is not None:
            step, report = reported
            for hop, start in self._plain_hops(step):
                yield replace(hop, clinical=report), start
        for predicate, inverse, pattern in self._hop_patterns:
            if read := pattern.fullmatch(phrase):
                other = bool(read.groupdict().get("other"))
                yield Hop(predicate, inverse, self._qualifier(read), other), read["known"]

    def _clauses(self, text: str, target_type: str) -> Iterator[tuple[Condition, ...]]:
        """The clauses of "that is associated with the gene A and whose age of onset is B", of an
        entity of a type."""
        for joint in self.joint_of_clauses.finditer(text):
            for first in self._clause(text[: joint.start()], target_type):
                yield from (
                    (first, *rest) for rest in self._clauses(text[joint.end() :], target_type)
                )
        yield from ((condition,) for condition in self._clause(text, target_type))

    def _clause(self, text: str, target_type: str) -> Iterator[Condition]:
        for predicate, forward, pattern in self._clause_patterns:
            kind = predicate.subject_type if forward else predicate.object_type
            if kind == target_type and (read := pattern.fullmatch(text)):
                yield Condition(
                    predicate, forward, self._qualifier(read), read["known"].removeprefix(self.gene)
                )

    # --- what is asked ----------------------------------------------------------------

    def _asked(self, question: str, walks: tuple[Walk, ...]) -> Iterator[Plan]:
        yield from self._shares(question, walks)
        for pattern in self.superlatives:
            if read := pattern.fullmatch(question):
                for walk in self._last(self._one_of(read["group"]), walks):
                    yield Plan(
                        (walk,), self.asked[read["asked"]], read.groupdict().get("finding") or ""
                    )
        if read := self.both.fullmatch(question):
            yield from self._meetings(read["steps"], walks)
        elif read := self.what.fullmatch(question):
            yield from (Plan((walk,)) for walk in self._last(read["step"], walks))

    def _meetings(self, steps: str, walks: tuple[Walk, ...]) -> Iterator[Plan]:
        """ "<step from A>, and <step from B>": a walk without sentences of its own starts where the
        step does."""
        for joint in self.joint_of_steps.finditer(steps):
            for first in self._hops(steps[: joint.start()]):
                for second in self._hops(steps[joint.end() :]):
                    yield from self._met((first, second), walks)

    def _meeting(
        self, ends: tuple[tuple[Hop, str], ...], come: Sequence[Walk | None]
    ) -> Iterator[Plan]:
        """The plans of two walks, of which some have come to where their last hops start."""
        begun = (
            [walk] if walk is not None else self._starts(start)
            for walk, (_, start) in zip(come, ends, strict=True)
        )
        for walks in product(*begun):
            yield Plan(tuple(walk.onward(hop) for walk, (hop, _) in zip(walks, ends, strict=True)))
