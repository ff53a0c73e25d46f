"""Exact match and F1 of words, as SQuAD defines them (arXiv 1606.05250, section 6.1) and HotpotQA
takes them over.

Both texts lose case, ASCII punctuation, the articles and further white space. The best of the right
answers counts. HotpotQA, and 2WikiMultihopQA with it, give no part of a point where one of the two
is yes or no and the other is not.
"""

import re
import string
import sys
from collections import Counter
from collections.abc import Sequence

from medr_ray.core.records import Task, Verdict
from medr_ray.evaluation.scorers.base import CORRECT, INCORRECT, PureScorer, Score

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_WHOLE_ANSWERS = frozenset({"yes", "no", "noanswer"})


def normalize_answer(text: str) -> str:
    """The words that are compared, joined by single spaces."""
    text = _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION))
    return " ".join(text.split())


def matches_exactly(prediction: str, answers: Sequence[str]) -> bool:
    """Whether the prediction is one of the answers."""
    words = normalize_answer(prediction)
    return any(words == normalize_answer(answer) for answer in answers)


def compute_f1(prediction: str, answers: Sequence[str], *, whole_yes_no: bool = False) -> float:
    """The best F1 over the answers, in [0, 1]. ``whole_yes_no``: by HotpotQA's rule for yes and
    no."""
    return max((_compute_f1(prediction, answer, whole_yes_no) for answer in answers), default=0.0)


def _compute_f1(prediction: str, answer: str, whole_yes_no: bool) -> float:
    given = normalize_answer(prediction)
    right = normalize_answer(answer)
    if whole_yes_no and given != right and not _WHOLE_ANSWERS.isdisjoint((given, right)):
        return 0.0
    given_words = given.split()
    right_words = right.split()
    if not given_words or not right_words:
        return float(given_words == right_words)
    shared = (Counter(given_words) & Counter(right_words)).total()
    if not shared:
        return 0.0
    precision = shared / len(given_words)
    recall = shared / len(right_words)
    return 2 * precision * recall / (precision + recall)


def build_squad_scorer(*, whole_yes_no: bool) -> PureScorer:
    """A scorer whose verdict is exact match and whose value is F1."""
    name = "hotpotqa" if whole_yes_no else "squad"

    def compare(task: Task, prediction: str) -> Score:
        answers = (task.answer, *task.aliases)
        verdict: Verdict = CORRECT if matches_exactly(prediction, answers) else INCORRECT
        f1 = compute_f1(prediction, answers, whole_yes_no=whole_yes_no)
        return Score(verdict, f1, normalize_answer(prediction), name)

    return PureScorer(name, compare, (sys.modules[__name__],))
