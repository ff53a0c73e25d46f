"""Harder candidates that were not chosen, from which too easy questions are replaced."""

from collections.abc import Callable, Sequence

from medr_ray.core.records import Question, Split
from medr_ray.questions.checks.duplicates import DuplicateFilter
from medr_ray.questions.drafting.candidates import Candidate
from medr_ray.questions.split import QuestionSplit, to_compared_question

AssembleQuestion = Callable[[Candidate, Split], Question]


class ReplacementPool:
    """Replaces questions that were too easy with harder ones.

    A replacement has the same seed, the same side of the split and more hops. It never repeats a
    question that is already chosen.
    """

    def __init__(self, split: QuestionSplit, assemble: AssembleQuestion) -> None:
        self._assemble = assemble
        self._duplicates = DuplicateFilter()
        self._unused_by_seed: dict[str, list[Candidate]] = {}
        for candidate in (*split.heldout, *split.train):
            self._duplicates.add(to_compared_question(candidate))
        # The easiest first, so that a replacement is no harder than it needs to be. The chosen
        # candidates are in here as well: the duplicate filter passes over them.
        for candidate in sorted(split.eligible, key=_difficulty_key):
            self._unused_by_seed.setdefault(candidate.seed, []).append(candidate)

    def find_replacements(self, too_easy: Sequence[tuple[Question, int]]) -> list[Question | None]:
        """A replacement for each pair of a question and the complexity required of it; None where
        no harder candidate is left."""
        return [self._find_replacement(question, complexity) for question, complexity in too_easy]

    def _find_replacement(self, question: Question, complexity: int) -> Question | None:
        unused = self._unused_by_seed.get(question.seed, [])
        longer = [candidate for candidate in unused if candidate.hops >= complexity]
        for candidate in longer:
            # Adding also claims the candidate: a later question cannot get it, nor one like it.
            if self._duplicates.add(to_compared_question(candidate)) is None:
                unused.remove(candidate)
                return self._assemble(candidate, question.split)
        return None


def _difficulty_key(candidate: Candidate) -> tuple[int, str]:
    """The number of hops, then a fixed order."""
    return candidate.hops, candidate.key
