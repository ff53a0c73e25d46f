"""Search, verify, synthesise (paper section 5): how often an agent checked an answer before it gave
it.

- A candidate is stated where a thought names one explicitly (see ``state``), or names what later is
  the answer.
- A call in the same reply or a later one checks the candidate when its query names it together with
  a word of the question, or when it shows it in a document that had not shown it before.
- A call that failed, was malformed, was not run, or was answered from an earlier identical one
  checks nothing.
- A round is a reply with at least one check: calls side by side are one round.
- An answer that is part of a longer name seen on the way ("neonatal X" of "fetal and neonatal X")
  is not named by naming the longer one.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from medr_ray.agent.state import (
    CANDIDATE,
    FINDING,
    document_passages,
    find_hypotheses,
    query_text,
)
from medr_ray.agent.transcript import ReplyTurn, ToolObservation, read_turns
from medr_ray.agent.wording import content_words, find_names
from medr_ray.core.records import Trajectory

_SHORTEST_ANSWER = 3  # characters; a shorter answer ("5") stands in any text


@dataclass(frozen=True)
class VerificationCount:
    """``rounds`` of verification, the ``checks`` (calls) in them, and the further ``documents``
    that named a candidate after it was stated."""

    rounds: int
    checks: int
    documents: int


def count_verification(trajectory: Trajectory) -> VerificationCount:
    """What was checked; a pure function of the dialogue. Rows without document ids per call count
    by queries alone."""
    candidates = _CandidateTracker(trajectory)
    checks = [candidates.count_checks(turn) for turn in read_turns(trajectory)]
    rounds = sum(count > 0 for count in checks)
    return VerificationCount(rounds, sum(checks), candidates.further_documents)


class _CandidateTracker:
    """The candidates stated so far, and the documents that were seen to name each."""

    def __init__(self, trajectory: Trajectory) -> None:
        self._question = trajectory.messages[1].content
        self._topic = content_words(self._question)
        self._answer = _checkable_answer(trajectory.answer, self._question)
        self._shown: list[tuple[str, str]] = []  # (document, text)
        self._documents_naming: dict[str, set[str]] = {}
        self._longer_names: set[str] = set()  # findings with the answer as a part of them
        self.further_documents = 0

    def count_checks(self, turn: ReplyTurn) -> int:
        """The checks among a turn's calls."""
        for candidate in self._stated_candidates(turn.thought):
            if candidate not in self._documents_naming:
                self._documents_naming[candidate] = _documents_with(candidate, self._shown)
        # After the candidates: calls of the same reply may check what its thought has just stated.
        checks = 0
        for observation in turn.observations:
            if observation.event.status == "ok" and self._is_check(observation):
                checks += 1
        return checks

    def _stated_candidates(self, thought: str) -> Iterable[str]:
        stated = find_hypotheses(thought)
        for kind, text in stated:
            if kind == FINDING and _is_longer_name(text, self._answer):
                self._longer_names.add(text)
        yield from (text for kind, text in stated if kind == CANDIDATE)
        yield from find_names(self._without_longer_names(thought), self._answer)

    def _without_longer_names(self, text: str) -> str:
        # Longest first: a shorter name may be a part of a longer one.
        for name in sorted(self._longer_names, key=len, reverse=True):
            text = re.sub(re.escape(name), " ", text, flags=re.IGNORECASE)
        return text

    def _is_check(self, observation: ToolObservation) -> bool:
        passages = document_passages(observation)
        query = query_text(observation)
        is_check = any(self._asks_for(candidate, query) for candidate in self._documents_naming)
        # No early return: every candidate has to learn which documents name it.
        for candidate, naming in self._documents_naming.items():
            new = _documents_with(candidate, passages) - naming
            naming |= new
            self.further_documents += len(new)
            is_check = is_check or bool(new)
        self._shown += passages
        return is_check and not observation.event.repeated

    def _asks_for(self, candidate: str, query: str) -> bool:
        if not find_names(self._without_longer_names(query), [candidate]):
            return False
        # Only words beside the candidate's own: "Krabbe disease" alone asks nothing of it.
        return bool(content_words(query) & self._topic - content_words(candidate))


def _documents_with(name: str, passages: Iterable[tuple[str, str]]) -> set[str]:
    return {document for document, text in passages if find_names(text, [name])}


def _is_longer_name(name: str, answer: list[str]) -> bool:
    return bool(find_names(name, answer)) and len(name) > len(answer[0])


def _checkable_answer(answer: str | None, question: str) -> list[str]:
    """The answer, unless it stands in the question, where naming it states nothing."""
    text = (answer or "").strip()
    if len(text) < _SHORTEST_ANSWER or find_names(question, [text]):
        return []
    return [text]
