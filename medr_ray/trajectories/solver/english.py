"""The grammar of English questions.

It takes the phrases of hops and clauses from ``knowledge.predicates``. The questions are worded
with the same phrases.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import ClassVar

from medr_ray.graph.facts.identification import COMPLETE_SOURCES
from medr_ray.knowledge.predicates import PREDICATES
from medr_ray.knowledge.predicates.kinds import KIND_WORDING, strip_announcement
from medr_ray.knowledge.shares import COMPARISONS
from medr_ray.trajectories.solver.plans import Plan, PlanWalk
from medr_ray.trajectories.solver.question_grammar import (
    ClausePattern,
    HopPattern,
    HopWithStart,
    QuestionGrammar,
)

_SHARE_PATTERN = "|".join(
    (
        r"\d+ of \d+ patients?",
        r"\d+(?:\.\d+)?(?:-\d+)?% of patients",
        "all patients",
        "some patients",
        *map(re.escape, COMPARISONS),
    )
)
_KINDS = "|".join(wording.english for wording in KIND_WORDING.values())
_SOURCES = "|".join(re.escape(source.english) for source in COMPLETE_SOURCES.values())
# Names may contain ". ", so a full stop ends a sentence only before words that begin the next one.
_SENTENCE_BREAK = re.compile(
    r"\. (?=Then take |Next, take |Begin again with |What is |In what share of |Of the )"
)
# "..., as reported in 1977 in Chest": the step holds by this report, and others may differ.
_REPORTED_STEP = re.compile(
    r"(?P<step>.+), as (?P<report>reported (?:in \d{4}|between \d{4} and \d{4})(?: in .+)?)"
)
_SHARE_QUESTION = re.compile(r"In what share of patients with (?P<disease_and_finding>.+) found\?")


class EnglishGrammar(QuestionGrammar):
    """English."""

    step_pattern = re.compile(
        r"(?:(?P<begins>Begin(?: again)? with)|Then take|Next, take) (?P<phrase>.+?)"
        rf"(?:: this is (?P<label>(?:{_KINDS}) [AB]))?"
    )
    reference_pattern = re.compile(rf"that (?:{_KINDS})")
    description_pattern = re.compile("the disease (?P<facts>.+)")
    fact_separator = re.compile(" and ")
    # By predicate, in the wording of ``questions.drafting.obfuscation``.
    fact_patterns: ClassVar = {
        "associated_gene": re.compile(r"associated with the gene (?P<known>.+)"),
        "has_finding": re.compile(rf"with (?P<known>.+) in (?P<qualifier>{_SHARE_PATTERN})"),
        "presents_with": re.compile(r"presenting with (?P<known>.+)"),
        "complicated_by": re.compile(r"complicated by (?P<known>.+)"),
    }
    step_with_clauses_pattern = re.compile(r"(?P<step>.+) \(the one (?P<clauses>.+)\)")
    clause_separator = re.compile(r" and (?=that |whose |in which |of which )")
    superlative_patterns = (
        re.compile(
            r"Of (?P<group>the .+) whose age of onset is stated, which begins "
            r"(?P<superlative>earliest|latest) in life\?"
        ),
        re.compile(
            r"Of (?P<group>the .+) for which the share of patients with (?P<finding>.+) is "
            r"stated, which shows it in the (?P<superlative>largest|smallest) share of patients\?"
        ),
    )
    # The identity: the English words are also the names of the answer kinds.
    superlative_kinds: ClassVar = {
        "earliest": "earliest",
        "latest": "latest",
        "largest": "largest",
        "smallest": "smallest",
    }
    intersection_pattern = re.compile(r"What is both (?P<steps>.+)\?")
    intersection_separator = re.compile(",? and (?=the )")
    target_pattern = re.compile(r"What is (?P<step>.+)\?")
    basis_pattern = re.compile(
        rf"(?:, according to (?:{_SOURCES}))?(?:, as of (?:[\w ]*\d{{4}}))?(?=\?$)"
    )

    def _split_sentences(self, text: str) -> list[str]:
        return _SENTENCE_BREAK.split(text)

    def _strip_announcement(self, text: str) -> str:
        return strip_announcement(text)

    def _extend_walks(
        self, step: re.Match[str], walks: tuple[PlanWalk, ...]
    ) -> Iterator[tuple[PlanWalk, ...]]:
        label = step["label"] or ""
        for hop, start_text in self._parse_hops(step["phrase"]):
            if step["begins"]:
                for start in self._parse_start(start_text):
                    yield (*walks, start.with_hop(hop, label))
            # A walk with a label is complete: only a sentence with "Begin" may follow it.
            elif walks and not walks[-1].label and self._refers_to_end(start_text, walks[-1]):
                yield (*walks[:-1], walks[-1].with_hop(hop, label))

    @cached_property
    def _hop_patterns(self) -> Sequence[HopPattern]:
        patterns = []
        for predicate in PREDICATES.values():
            pattern = _compile_hop_phrase(predicate.phrase, predicate.preposition)
            patterns.append(HopPattern(predicate, inverse=False, pattern=pattern))
            # A symmetric predicate has one phrase for both directions.
            if predicate.inverse_phrase and not predicate.symmetric:
                pattern = _compile_hop_phrase(
                    predicate.inverse_phrase, predicate.inverse_preposition
                )
                patterns.append(HopPattern(predicate, inverse=True, pattern=pattern))
        return patterns

    @cached_property
    def _clause_patterns(self) -> Sequence[ClausePattern]:
        patterns = []
        for predicate in PREDICATES.values():
            if predicate.clause:
                pattern = _compile_clause(predicate.clause)
                patterns.append(ClausePattern(predicate, forward=True, pattern=pattern))
            if predicate.inverse_clause and not predicate.symmetric:
                pattern = _compile_clause(predicate.inverse_clause)
                patterns.append(ClausePattern(predicate, forward=False, pattern=pattern))
        return patterns

    def _split_report(self, phrase: str) -> tuple[str, str] | None:
        match = _REPORTED_STEP.fullmatch(phrase)
        return (match["step"], match["report"]) if match is not None else None

    def _singularise_group(self, group: str) -> str:
        return re.sub(r"^the (other )?diseases", r"the \1disease", group)

    def _parse_share_question(self, question: str, walks: tuple[PlanWalk, ...]) -> Iterator[Plan]:
        match = _SHARE_QUESTION.fullmatch(question)
        if match is None:
            return
        # "DISEASE is FINDING": the disease may contain " is " itself, so try the last one first.
        text = match["disease_and_finding"]
        for separator in reversed(list(re.finditer(",? is ", text))):
            disease = text[: separator.start()]
            finding = text[separator.end() :]
            if walks and self.reference_pattern.fullmatch(disease):
                yield Plan((walks[-1],), "share", finding)
            elif not walks:
                for walk in self._parse_last_step(disease, ()):
                    yield Plan((walk,), "share", finding)

    def _join_walks(
        self, last_hops: tuple[HopWithStart, ...], walks: tuple[PlanWalk, ...]
    ) -> Iterator[Plan]:
        # The question must refer to every walk before it by its label ("gene A"), and every walk
        # must have a label of its own. Otherwise this reading of the text is wrong.
        walks_by_label = {walk.label: walk for walk in walks if walk.label}
        start_texts = [start_text for _, start_text in last_hops]
        if len(walks_by_label) == len(walks) and set(walks_by_label) <= set(start_texts):
            labelled_walks = [walks_by_label.get(start_text) for start_text in start_texts]
            yield from self._build_intersection_plans(last_hops, labelled_walks)


def _compile_hop_phrase(phrase: str, preposition: str) -> re.Pattern[str]:
    ending = f" {preposition}" if preposition else ""
    return re.compile(f"the (?P<other>other )?{_wording_to_pattern(phrase)}{ending} (?P<known>.+)")


def _compile_clause(wording: str) -> re.Pattern[str]:
    head, _, tail = wording.partition("{other}")
    return re.compile(f"{_wording_to_pattern(head)}(?P<known>.+){_wording_to_pattern(tail)}")


def _wording_to_pattern(wording: str) -> str:
    """The wording as a pattern in which ``{clinical}`` matches any share of patients."""
    escaped_parts = (re.escape(part) for part in wording.split("{clinical}"))
    return f"(?P<qualifier>{_SHARE_PATTERN})".join(escaped_parts)
