"""The wording of English questions, as ``knowledge.predicates`` gives relations words."""

import re
from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

from medr_ray.knowledge.predicates import PREDICATES
from medr_ray.knowledge.shares import COMPARISONS
from medr_ray.trajectories.solver.plans import Hop, Plan, Walk
from medr_ray.trajectories.solver.question_grammar import Grammar, Wording

SHARES = "|".join(
    (
        r"\d+ of \d+ patients?",
        r"\d+(?:\.\d+)?(?:-\d+)?% of patients",
        "all patients",
        "some patients",
        *map(re.escape, COMPARISONS),
    )
)
_NEXT = re.compile(
    r"\. (?=Then take |Next, take |Begin again with |What is |In what share of |Of the )"
)
_REPORTED = re.compile(
    r"(?P<step>.+), as (?P<report>reported (?:in \d{4}|between \d{4} and \d{4})(?: in .+)?)"
)
_SHARE = re.compile(r"In what share of patients with (?P<whole>.+) found\?")


class English(Grammar):
    """English."""

    step = re.compile(
        r"(?:(?P<begins>Begin(?: again)? with)|Then take|Next, take) (?P<phrase>.+?)"
        r"(?:: this is (?P<label>(?:disease|gene|finding|drug) [AB]))?"
    )
    gene = "the gene "
    that = re.compile(r"that (?:disease|gene|finding|drug)")
    description = re.compile("the disease (?P<facts>.+)")
    joint_of_facts = re.compile(" and ")
    facts: ClassVar = {
        "associated_gene": re.compile(r"associated with the gene (?P<known>.+)"),
        "has_finding": re.compile(rf"with (?P<known>.+) in (?P<clinical>{SHARES})"),
        "presents_with": re.compile(r"presenting with (?P<known>.+)"),
        "complicated_by": re.compile(r"complicated by (?P<known>.+)"),
    }
    told = re.compile(r"(?P<step>.+) \(the one (?P<told>.+)\)")
    joint_of_clauses = re.compile(r" and (?=that |whose |in which |of which )")
    superlatives = (
        re.compile(
            r"Of (?P<group>the .+) whose age of onset is stated, which begins "
            r"(?P<asked>earliest|latest) in "
            r"life\?"
        ),
        re.compile(
            r"Of (?P<group>the .+) for which the share of patients with "
            r"(?P<finding>.+) is stated, which shows "
            r"it in the (?P<asked>largest|smallest) share of patients\?"
        ),
    )
    asked: ClassVar = {
        "earliest": "earliest",
        "latest": "latest",
        "largest": "largest",
        "smallest": "smallest",
    }
    both = re.compile(r"What is both (?P<steps>.+)\?")
    joint_of_steps = re.compile(",? and (?=the )")
    what = re.compile(r"What is (?P<step>.+)\?")

    def _sentences(self, text: str) -> list[str]:
        return _NEXT.split(text)

    def _walked(self, read: re.Match[str], walks: tuple[Walk, ...]) -> Iterator[tuple[Walk, ...]]:
        label = read["label"] or ""
        for hop, origin in self._hops(read["phrase"]):
            if read["begins"]:
                yield from ((*walks, start.onward(hop, label)) for start in self._starts(origin))
            elif walks and not walks[-1].label and self._is_where(walks[-1], origin):
                yield (*walks[:-1], walks[-1].onward(hop, label))

    @cached_property
    def _hop_patterns(self) -> Wording:
        patterns = []
        for predicate in PREDICATES.values():
            patterns.append(
                (predicate, False, _hop_pattern(predicate.phrase, predicate.preposition))
            )
            if predicate.inverse_phrase and not predicate.symmetric:
                patterns.append(
                    (
                        predicate,
                        True,
                        _hop_pattern(predicate.inverse_phrase, predicate.inverse_preposition),
                    )
                )
        return patterns

    @cached_property
    def _clause_patterns(self) -> Wording:
        patterns = []
        for predicate in PREDICATES.values():
            for forward, wording in ((True, predicate.clause), (False, predicate.inverse_clause)):
                if wording and not (predicate.symmetric and not forward):
                    head, _, tail = wording.partition("{other}")
                    patterns.append(
                        (
                            predicate,
                            forward,
                            re.compile(
                                f"{_with_clinical(head)}(?P<known>.+){_with_clinical(tail)}"
                            ),
                        )
                    )
        return patterns

    def _reported(self, phrase: str) -> tuple[str, str] | None:
        read = _REPORTED.fullmatch(phrase)
        return (read["step"], read["report"]) if read is not None else None

    def _one_of(self, group: str) -> str:
        return re.sub(r"^the (other )?diseases", r"the \1disease", group)

    def _shares(self, question: str, walks: tuple[Walk, ...]) -> Iterator[Plan]:
        """ "In what share of patients with <of> is <finding> found?"; what comes before may hold "
        is " as well."""
        read = _SHARE.fullmatch(question)
        whole = read["whole"] if read is not None else ""
        for joint in reversed(list(re.finditer(",? is ", whole))):
            of, finding = whole[: joint.start()], whole[joint.end() :]
            if walks and self.that.fullmatch(of):
                yield Plan((walks[-1],), "share", finding)
            elif not walks:
                yield from (Plan((walk,), "share", finding) for walk in self._last(of, ()))

    def _met(self, ends: tuple[tuple[Hop, str], ...], walks: tuple[Walk, ...]) -> Iterator[Plan]:
        labelled = {walk.label: walk for walk in walks if walk.label}
        starts = [start for _, start in ends]
        if len(labelled) == len(walks) and set(labelled) <= set(starts):
            yield from self._meeting(ends, [labelled.get(start) for start in starts])


def _hop_pattern(phrase: str, joint: str) -> re.Pattern[str]:
    head = _with_clinical(phrase)
    return re.compile(f"the (?P<other>other )?{head}{' ' + joint if joint else ''} (?P<known>.+)")


def _with_clinical(wording: str) -> str:
    return f"(?P<clinical>{SHARES})".join(re.escape(part) for part in wording.split("{clinical}"))
