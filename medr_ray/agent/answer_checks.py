"""Search, verify, synthesise (paper section 5): how often an agent checked an answer before it gave
it.

A candidate is stated where a thought names one in so many words (see ``state``), or names what
later is the answer. A call after that, or beside it, is a check of the candidate when it asks for
it together with something the question is about, or when it shows it in a document that had not
shown it before; a call that failed, was malformed, not run, or answered from an earlier identical
one checks nothing. A round is a reply with at least one check: calls side by side are one round. An
answer that is a part of the name of something found on the way ("neonatal X" of "fetal and neonatal
X") is not named by naming that.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from medr_ray.agent.state import CANDIDATE, FINDING, asked, named_in, passages
from medr_ray.agent.transcript import Observed, Step, steps_of
from medr_ray.agent.wording import names_in, telling_words
from medr_ray.core.records import Trajectory

_SHORTEST = 3  # characters; a shorter answer ("5") stands in any text


@dataclass(frozen=True)
class VerificationCount:
    """``rounds`` of verification, the ``checks`` (calls) in them, and the further ``documents``
    that turned out to name a candidate after it was stated."""

    rounds: int
    checks: int
    documents: int


def verification(trajectory: Trajectory) -> VerificationCount:
    """What was checked; a pure function of the dialogue. Rows without document ids per call count
    by queries alone."""
    watch = _Watch(trajectory)
    checks_of = [watch.checks(step) for step in steps_of(trajectory)]
    return VerificationCount(sum(map(bool, checks_of)), sum(checks_of), watch.further)


class _Watch:
    """The candidates stated so far, and the documents that were seen to name each."""

    def __init__(self, trajectory: Trajectory) -> None:
        self._question = trajectory.messages[1].content
        self._topic = telling_words(self._question)
        self._answer = _telling_answer(trajectory.answer, self._question)
        self._shown: list[tuple[str, str]] = []
        self._naming: dict[str, set[str]] = {}
        self._longer: set[str] = set()  # names found on the way of which the answer is a part
        self.further = 0

    def checks(self, step: Step) -> int:
        """The checks among a step's calls."""
        for candidate in self._stated(step.thought):
            if candidate not in self._naming:
                self._naming[candidate] = {
                    one for one, text in self._shown if names_in(text, [candidate])
                }
        return sum([self._is_check(one) for one in step.observed if one.event.status == "ok"])

    def _stated(self, thought: str) -> Iterable[str]:
        named = named_in(thought)
        self._longer |= {
            text for kind, text in named if kind == FINDING and _is_longer(text, self._answer)
        }
        yield from (text for kind, text in named if kind == CANDIDATE)
        yield from names_in(self._plain(thought), self._answer)

    def _plain(self, text: str) -> str:
        """The text without the longer names."""
        for name in sorted(self._longer, key=len, reverse=True):
            text = re.sub(re.escape(name), " ", text, flags=re.IGNORECASE)
        return text

    def _is_check(self, observed: Observed) -> bool:
        shown = passages(observed)
        found = [self._asks_for(candidate, asked(observed)) for candidate in self._naming]
        for candidate, naming in self._naming.items():
            new = {document for document, text in shown if names_in(text, [candidate])} - naming
            naming |= new
            self.further += len(new)
            found.append(bool(new))
        self._shown += shown
        return any(found) and not observed.event.repeated

    def _asks_for(self, candidate: str, query: str) -> bool:
        if not names_in(self._plain(query), [candidate]):
            return False
        return bool(telling_words(query) & self._topic - telling_words(candidate))


def _is_longer(name: str, answer: list[str]) -> bool:
    return bool(names_in(name, answer)) and len(name) > len(answer[0])


def _telling_answer(answer: str | None, question: str) -> list[str]:
    """The answer, unless it stands in the question, where naming it states nothing."""
    text = (answer or "").strip()
    return [text] if len(text) >= _SHORTEST and not names_in(question, [text]) else []
