"""GAIA's quasi-exact match, by the rule of its leaderboard (arXiv 2311.12983, section 3.2).

Whether the right answer is a number, a list or a text decides how both are read: a number by its
value without "$", "%" and ","; a list element by element, split at "," and ";"; a text in lower
case without white space and, outside lists, without ASCII punctuation.
"""

import math
import re
import string
import sys

from medr_ray.core.records import Task
from medr_ray.evaluation.scorers.base import UNSCORED, PureScorer, Score, build_score

_NAME = "gaia"
# What the file of the test set has in place of the answers, which are not published.
HIDDEN_ANSWER = "?"
_NUMBER_SIGNS = str.maketrans("", "", "$%,")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_SEPARATOR = re.compile("[,;]")
_WHITE_SPACE = re.compile(r"\s")


def matches_gaia(prediction: str, answer: str) -> bool:
    """Whether the prediction is the answer by GAIA's rule."""
    if _is_number(answer):
        return _is_same_number(prediction, answer)
    if not _SEPARATOR.search(answer):
        return _fold_text(prediction).translate(_PUNCTUATION) == _fold_text(answer).translate(
            _PUNCTUATION
        )
    given_items = _SEPARATOR.split(prediction)
    right_items = _SEPARATOR.split(answer)
    if len(given_items) != len(right_items):
        return False
    return all(map(_is_same_item, given_items, right_items))


def _is_same_item(given: str, right: str) -> bool:
    if _is_number(right):
        return _is_same_number(given, right)
    return _fold_text(given) == _fold_text(right)


def _is_number(text: str) -> bool:
    return _parse_number(text) is not None


def _is_same_number(given: str, right: str) -> bool:
    value = _parse_number(given.translate(_NUMBER_SIGNS))
    # The published rule reads what is no number as infinity.
    return (math.inf if value is None else value) == _parse_number(right)


def _parse_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _fold_text(text: str) -> str:
    return _WHITE_SPACE.sub("", text).lower()


def _compare(task: Task, prediction: str) -> Score:
    if task.answer == HIDDEN_ANSWER:
        reason = "the answers of this set are not published"
        return Score(UNSCORED, extracted=prediction, scorer=_NAME, reason=reason)
    return build_score(_NAME, matches_gaia(prediction, task.answer), prediction)


GAIA_SCORER = PureScorer(_NAME, _compare, (sys.modules[__name__],))
