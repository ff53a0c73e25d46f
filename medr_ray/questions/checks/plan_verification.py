"""The checks of a solved and worded plan; every reason for which it fails is reported.

- ``no_leak``: the text has no name of the answer.
- ``hops_needed``: the text names nothing that is to be found on the way, and no fact links what is
  named, or found early, with what is found later past the steps between.
- ``class``: every trial on the way is one.
- ``evidence``: every step has a fact whose record can be searched.
- ``date``: facts that age are of one date, which the text states.
- ``back_reading``: the grammar reads the text as this plan and as no other.
- ``form``: the text is not too long, the answer is short and no general word.

That each step has one value is checked where it is found (``questions.steps``).
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from medr_ray.core.records import Language
from medr_ray.graph.facts.fact_table import FactTable
from medr_ray.questions.answer_matching import normalize_words, occurs_in
from medr_ray.questions.checks.text_lints import describe_excess
from medr_ray.questions.plans import (
    PlanNode,
    SolvedPlan,
    SolvedStep,
    list_places,
    name,
    solve_plan,
)
from medr_ray.questions.steps.kinds import Refusal
from medr_ray.questions.wording.grammar import read_question
from medr_ray.questions.wording.mentions import Mentions
from medr_ray.questions.wording.value_names import word_date

_MAX_ANSWER_WORDS = 12
_GENERIC_ANSWER = re.compile(r"(?:arm|group|cohort|part)s? ?[a-z0-9]{0,2}", re.IGNORECASE)
# Words that a question may have although its answer has them.
_COMMON_WORDS = frozenset(
    [
        "a",
        "an",
        "and",
        "by",
        "disease",
        "disorder",
        "for",
        "group",
        "in",
        "of",
        "on",
        "or",
        "placebo",
        "syndrome",
        "the",
        "to",
        "trial",
        "type",
        "with",
    ]
)
_VALUE_PREFIX = "VALUE:"
_TELLING = 5  # letters of a word of a brand or an acronym that gives it away
_OBSERVATIONAL = "VALUE:category/OBSERVATIONAL"


class PlanVerifier:
    """Checks plans against the facts of a run. ``searchable`` are the sources whose records an
    agent can find."""

    def __init__(
        self, table: FactTable, mentions: Mentions, language: Language, searchable: Collection[str]
    ) -> None:
        self._table = table
        self._mentions = mentions
        self._language = language
        self._searchable = searchable

    def find_refusals(self, solved: SolvedPlan, text: str, as_of: str) -> list[str]:
        """Every reason why the question is not asked."""
        return [
            *self.check_facts(solved),
            *self.check_text(solved, text),
            *self._check_reading(solved, text, as_of),
        ]

    def check_facts(self, solved: SolvedPlan) -> list[str]:
        """The reasons that do not depend on the words."""
        return [
            *self._check_shortcuts(solved),
            *self._check_choices(solved),
            *self._check_alternatives(solved),
            *self._check_trials(solved),
            *self._check_evidence(solved),
        ]

    def check_text(self, solved: SolvedPlan, text: str) -> list[str]:
        """The reasons in the words, apart from what they mean."""
        return [
            *self._check_leaks(solved, text),
            *self._check_hidden(solved, text),
            *self._check_hidden_answer(solved),
            *self._check_length(solved, text),
            *self._check_answer(solved),
        ]

    # --- checks -----------------------------------------------------------------------

    def _check_leaks(self, solved: SolvedPlan, text: str) -> Iterator[str]:
        # A figure or a day may stand in any text; a name may not.
        if not solved.answer or solved.answer.startswith(f"{_VALUE_PREFIX}number"):
            return
        if solved.plan.step_kind.offers_answer:
            return
        answer_names = self._list_names(solved.answer)
        for answer_name in answer_names:
            if occurs_in(answer_name, text):
                yield f'no_leak: the text holds "{answer_name}"'
                return
        # A brand that its company is named after.
        if solved.plan.step_kind.output == "text":
            words = {word for word in normalize_words(answer_names[0]) if len(word) >= _TELLING}
            shared = sorted(words & set(normalize_words(text)))
            if shared:
                yield f'no_leak: the text holds "{shared[0]}" of the answer'
                return
        telling = set(normalize_words(answer_names[0])) - _COMMON_WORDS
        if telling and telling <= set(normalize_words(text)):
            yield f'no_leak: the text holds every telling word of "{answer_names[0]}"'

    def _check_hidden(self, solved: SolvedPlan, text: str) -> Iterator[str]:
        named = [step.value for step in solved.steps if step.node.is_named]
        # A trial that is named by its acronym has the acronym among its names.
        printed = {mention.casefold() for value in named for mention in self._list_names(value)}
        for step in solved.steps[:-1]:
            if step.node.is_named or step.value in named:
                continue
            for hidden_name in self._list_names(step.value):
                if hidden_name.casefold() not in printed and occurs_in(hidden_name, text):
                    yield f'hops_needed: the text names the hidden "{hidden_name}"'
                    break

    def _check_hidden_answer(self, solved: SolvedPlan) -> Iterator[str]:
        """Something on the way that has the answer in its name ends the search too early."""
        if not solved.answer or solved.answer.startswith(f"{_VALUE_PREFIX}number"):
            return
        answer = self._list_names(solved.answer)[0]
        for step in solved.steps[:-1]:
            if not step.node.is_named and occurs_in(answer, self._list_names(step.value)[0]):
                yield "hops_needed: what is found on the way has the answer in its name"
                return

    def _list_names(self, value: str) -> Sequence[str]:
        if value.startswith(_VALUE_PREFIX):
            return (self._mentions.word(value),)
        name, others = self._mentions.answer_names(value)
        return (name, *others)

    def _check_shortcuts(self, solved: SolvedPlan) -> Iterator[str]:
        """Facts that lead past a step, and values that come twice."""
        places = list_places(solved.plan)
        last = len(solved.steps) - 1
        values = [step.value for step in solved.steps]
        entities = [value for value in values if value and not value.startswith(_VALUE_PREFIX)]
        has_choice = any(
            step.node.step_kind.offers_answer for step in solved.steps if not step.node.is_named
        )
        if len(set(entities)) < len(entities) and not has_choice:
            yield "hops_needed: the same entity comes twice"
        for place, step in enumerate(solved.steps):
            if not step.value or step.value.startswith(_VALUE_PREFIX):
                continue
            # Whose facts these are is not known before the choice.
            if _is_chosen(place, solved, places):
                continue
            for later in range(place + 1, last + 1):
                if place in places[later][1] or not values[later]:
                    continue
                if self._table.are_linked(step.value, values[later]):
                    yield f"hops_needed: a fact links steps {place + 1} and {later + 1} directly"

    def _check_choices(self, solved: SolvedPlan) -> Iterator[str]:
        """Where a step chooses one of its inputs, each of them has to lead on, to another answer:
        else the choice is not needed."""
        for step in solved.steps[:-1]:
            inputs = [given for given in step.node.inputs if given.is_named]
            if step.value not in {given.value for given in inputs}:
                continue
            for given in inputs:
                if given.value == step.value:
                    continue
                if self._find_other_answer(solved, step, given.value) is None:
                    yield "hops_needed: only one of those to choose from leads to an answer"
                    return

    def _check_alternatives(self, solved: SolvedPlan) -> Iterator[str]:
        """Where a step chooses the first or the last of several, another choice has to lead to
        another answer: else the choice is not needed."""
        places = list_places(solved.plan)
        for step, (_, inputs) in zip(solved.steps[:-1], places, strict=False):
            if step.node.is_named or step.node.step_kind.alternatives is None:
                continue
            values = [solved.steps[place].value for place in inputs]
            others = set(step.node.step_kind.alternatives(self._table, *values)) - {step.value}
            if others and all(
                self._find_other_answer(solved, step, other) is None for other in sorted(others)
            ):
                yield "hops_needed: what is chosen from leads to no other answer"
                return

    def _find_other_answer(self, solved: SolvedPlan, step: SolvedStep, value: str) -> str | None:
        """The answer where a step found another value; None where it is the same, or there is
        none."""
        other = solve_plan(_put_in_place(solved.plan, step.node, name(value)), self._table)
        if isinstance(other, Refusal) or other.answer == solved.answer:
            return None
        return other.answer

    def _check_trials(self, solved: SolvedPlan) -> Iterator[str]:
        """A registered study that only observes is no trial."""
        for step in solved.steps:
            for fact in self._table.facts_of("study_type", step.value):
                if fact.object == _OBSERVATIONAL:
                    yield "class: an observational study is no trial"

    def _check_evidence(self, solved: SolvedPlan) -> Iterator[str]:
        for step in solved.steps:
            if step.node.is_named:
                continue
            yield from self._check_evidence_of(step)

    def _check_evidence_of(self, step: SolvedStep) -> Iterator[str]:
        if not step.facts:
            yield f"evidence: no fact for {step.node.kind}"
        missing = sorted({fact.source for fact in step.facts} - set(self._searchable))
        if missing:
            yield f"evidence: {missing[0]} is not searchable"

    def _check_reading(self, solved: SolvedPlan, text: str, as_of: str) -> Iterator[str]:
        readings = read_question(text, self._mentions, self._language)
        if len(readings) != 1:
            yield f"back_reading: the text has {len(readings)} meanings"
        elif readings[0].plan != solved.plan:
            yield "back_reading: the text means another plan"
        elif readings[0].as_of != (word_date(as_of, self._language) if as_of else ""):
            yield "back_reading: the text states another date"

    def _check_length(self, solved: SolvedPlan, text: str) -> Iterator[str]:
        excess = describe_excess(text, self._language, solved.plan.hops)
        if excess:
            yield f"form: {excess}"

    def _check_answer(self, solved: SolvedPlan) -> Iterator[str]:
        if not solved.answer:
            return
        answer = self._list_names(solved.answer)[0]
        if len(answer.split()) > _MAX_ANSWER_WORDS:
            yield f"form: the answer is longer than {_MAX_ANSWER_WORDS} words"
        if self._mentions.has_namesake(solved.answer):
            yield "form: several companies go by the answer's name"
        if _GENERIC_ANSWER.fullmatch(answer):
            yield "form: the answer is too generic"


def _is_chosen(
    place: int, solved: SolvedPlan, places: Sequence[tuple[PlanNode, tuple[int, ...]]]
) -> bool:
    """Whether a step is what a later one chooses among its inputs."""
    return any(
        place in inputs
        and solved.steps[later].value == solved.steps[place].value
        and node.step_kind.offers_answer
        for later, (node, inputs) in enumerate(places)
    )


def _put_in_place(plan: PlanNode, place: PlanNode, node: PlanNode) -> PlanNode:
    """The plan with a node in the place of another."""
    if plan == place:
        return node
    return replace(plan, inputs=tuple(_put_in_place(given, place, node) for given in plan.inputs))
