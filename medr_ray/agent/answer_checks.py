"""Count how often an agent checked candidate answers before it gave one.

The counts describe the verification step of search, verify, synthesise (paper section 5):

- A thought states a candidate when it presents one explicitly (see ``state``), or when it names the
  text that the agent later gives as its answer.
- A call checks a candidate if its query names the candidate together with a word of the question,
  if it shows a document that names the candidate and did not do so before, or if it reads in full
  (``read``) a record that names it. Dates are found in any spelling. The call must come in the
  reply that states the candidate, or later.
- A count ("5", "2 applications") stands in no document. A call checks it if its query has a word of
  the question, and it shows a document that was not shown before, or reads a record.
- A call checks nothing if it failed, was malformed, was not run, or got its result from an earlier
  identical call.
- A round is a reply with at least one check. Several checks in one reply are one round.
- Some findings have a longer name with the answer as a part of it ("fetal and neonatal X" for the
  answer "neonatal X"). A text that contains only the longer name does not name the answer.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from medr_ray.agent.state import (
    CANDIDATE,
    FINDING,
    READ,
    document_passages,
    find_hypotheses,
    query_text,
)
from medr_ray.agent.transcript import ReplyTurn, ToolObservation, read_turns
from medr_ray.agent.wording import content_words, find_names
from medr_ray.core.records import Trajectory
from medr_ray.questions.answer_matching import canonical_form

# "5", "2 applications", "3 full years"; dates are one word in the canonical form.
_COUNT = re.compile(r"\d+(?:\.\d+)?(?: [^\W\d]+){0,2}")
_MIN_ANSWER_CHARACTERS = 3  # a shorter answer, such as "5", is found in almost any text


@dataclass(frozen=True)
class VerificationCount:
    """How often a dialogue checked its candidates.

    ``rounds`` is the number of rounds, and ``checks`` the number of calls that check a candidate.
    ``further_documents`` is the number of documents that first named a candidate after it was
    stated, summed over the candidates.
    """

    rounds: int
    checks: int
    further_documents: int


def count_verification(trajectory: Trajectory) -> VerificationCount:
    """Count the checks of a dialogue; a pure function of the dialogue.

    Where the events of calls have no document ids, only queries can count as checks.
    """
    candidates = _CandidateTracker(trajectory)
    checks_per_turn = [len(candidates.process_turn(turn)) for turn in read_turns(trajectory)]
    rounds = sum(count > 0 for count in checks_per_turn)
    return VerificationCount(rounds, sum(checks_per_turn), candidates.further_documents)


def find_checks(trajectory: Trajectory) -> list[frozenset[int]]:
    """For each reply, which of its calls (from 0, in their order) check a candidate."""
    candidates = _CandidateTracker(trajectory)
    return [frozenset(candidates.process_turn(turn)) for turn in read_turns(trajectory)]


def is_count(name: str) -> bool:
    """Whether a name is a number of things, which records are counted for and do not state."""
    return _COUNT.fullmatch(canonical_form(name)) is not None


class _CandidateTracker:
    """The candidates stated so far, and the documents seen so far that name each of them."""

    def __init__(self, trajectory: Trajectory) -> None:
        self._question = trajectory.messages[1].content
        self._question_words = content_words(self._question)
        self._answer_names = _checkable_answer_names(trajectory.answer, self._question)
        self._shown_passages: list[tuple[str, str]] = []  # (document id, text)
        self._documents_by_candidate: dict[str, set[str]] = {}
        self._longer_names: set[str] = set()  # of findings that contain the answer
        self.further_documents = 0

    def process_turn(self, turn: ReplyTurn) -> list[int]:
        """Record a turn; returns the places of its calls that check a candidate."""
        for candidate in self._record_stated_candidates(turn.thought):
            # Documents that were shown before the candidate was stated are not a check of it.
            if candidate not in self._documents_by_candidate:
                self._documents_by_candidate[candidate] = (
                    {document for document, _ in self._shown_passages}
                    if is_count(candidate)
                    else _documents_with(candidate, self._shown_passages)
                )
        # After the candidates: calls of a reply may check what the thought of this reply states.
        checks = []
        for place, observation in enumerate(turn.observations):
            # The status comes first: a call that failed is not recorded, as it checks nothing.
            if observation.event.status == "ok" and self._record_observation(observation):
                checks.append(place)
        return checks

    def _record_stated_candidates(self, thought: str) -> Iterable[str]:
        """Record the longer names in a thought, and yield the candidates that it states."""
        stated = find_hypotheses(thought)
        # The longer names first, because they are removed from the thought below.
        for kind, text in stated:
            if kind == FINDING and _is_longer_name(text, self._answer_names):
                self._longer_names.add(text)
        yield from (text for kind, text in stated if kind == CANDIDATE)
        yield from find_names(self._without_longer_names(thought), self._answer_names)

    def _without_longer_names(self, text: str) -> str:
        # The longest first: a shorter name may be a part of a longer one, whose other words would
        # stay if the shorter name were removed first.
        for name in sorted(self._longer_names, key=len, reverse=True):
            text = re.sub(re.escape(name), " ", text, flags=re.IGNORECASE)
        return text

    def _record_observation(self, observation: ToolObservation) -> bool:
        """Record the documents of a call; returns whether the call checks a candidate."""
        passages = document_passages(observation)
        query = query_text(observation)
        is_check = any(
            self._asks_for(candidate, query) for candidate in self._documents_by_candidate
        )
        is_reading = observation.event.tool == READ
        # No early return: the documents must be recorded for every candidate.
        for candidate, known_documents in self._documents_by_candidate.items():
            documents = self._find_documents(candidate, query, passages)
            new = documents - known_documents
            known_documents |= new
            self.further_documents += len(new)
            is_check = is_check or bool(new) or (is_reading and bool(documents))
        self._shown_passages += passages
        return is_check and not observation.event.repeated

    def _find_documents(
        self, candidate: str, query: str, passages: Iterable[tuple[str, str]]
    ) -> set[str]:
        """The documents of a call that name a candidate; for a count, those that it asks about in
        the question's words."""
        if not is_count(candidate):
            return _documents_with(candidate, passages)
        is_on_topic = bool(content_words(query) & self._question_words)
        return {document for document, _ in passages} if is_on_topic else set()

    def _asks_for(self, candidate: str, query: str) -> bool:
        if not find_names(self._without_longer_names(query), [candidate]):
            return False
        # The candidate's own words do not count: the query "Krabbe disease" asks nothing about
        # Krabbe disease.
        shared_words = content_words(query) & self._question_words
        return bool(shared_words - content_words(candidate))


def _documents_with(name: str, passages: Iterable[tuple[str, str]]) -> set[str]:
    """The ids of the documents whose passages contain the name."""
    return {document for document, text in passages if find_names(text, [name])}


def _is_longer_name(name: str, answer_names: list[str]) -> bool:
    return bool(find_names(name, answer_names)) and len(name) > len(answer_names[0])


def _checkable_answer_names(answer: str | None, question: str) -> list[str]:
    """The answer as a list of names to look for.

    It is empty for an answer that is too short, and for an answer that the question itself names:
    a thought that names it need not mean it as an answer.
    """
    text = (answer or "").strip()
    if len(text) < _MIN_ANSWER_CHARACTERS or find_names(question, [text]):
        return []
    return [text]
