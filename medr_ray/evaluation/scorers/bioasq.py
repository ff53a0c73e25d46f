"""BioASQ's measures of exact answers (task b, phase B, since its fifth challenge).

- yes/no: accuracy, and the mean of F1 of "yes" and F1 of "no" (``summarize_bioasq``),
- factoid: up to five candidates in order. Strict: the first is right; lenient: one of them is; MRR:
  the mean of 1 / rank of the first that is right,
- list: precision, recall and F1 of the items, each with its synonyms.

Two names are the same where they are equal in lower case. Of an agent's answer the candidates or
items are its lines, or what stands between semicolons; a list on one line without semicolons is
split at commas. A summary question has no exact answer.
"""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from medr_ray.core.json_text import parse_json
from medr_ray.core.records import MetadataItem, Task, Verdict
from medr_ray.evaluation.scorers.base import (
    CORRECT,
    INCORRECT,
    UNSCORED,
    PureScorer,
    Score,
    build_score,
)

KIND_KEY = "kind"  # of the metadata item that holds "yesno", "factoid" or "list"
ITEMS_KEY = "items"  # of the one that holds a list's items with their synonyms, as JSON
_STRICT = "bioasq"
_LENIENT = "bioasq-lenient"
_MAX_CANDIDATES = 5  # that BioASQ takes for a factoid
# A bullet, or the number of a line: "2. ", "(3) ", "- ".
_BULLET = re.compile(r"^\s*(?:[-*•·]\s+|\(?\d{1,2}[.)]\s+)")
_EDGE_SIGNS = " \t*_`\"'“”.。"
_YES_OR_NO = re.compile(r"\b(?:yes|no)\b")


@dataclass(frozen=True)
class BioasqFigures:
    """The means over the answers of each kind; None where there is no such question."""

    accuracy: float | None
    macro_f1: float | None
    strict_accuracy: float | None
    lenient_accuracy: float | None
    mrr: float | None
    list_precision: float | None
    list_recall: float | None
    list_f1: float | None


def build_items_metadata(items: Sequence[Sequence[str]]) -> MetadataItem:
    """The metadata item with the items of a list question, each with its synonyms."""
    return MetadataItem(ITEMS_KEY, json.dumps(items, ensure_ascii=False))


def read_yes_no(prediction: str) -> str | None:
    """ "yes" or "no": the first word, or the only one of the two in the text; None for neither."""
    words = _YES_OR_NO.findall(prediction.casefold())
    begins = prediction.casefold().lstrip(_EDGE_SIGNS)
    if words and begins.startswith(words[0]):
        return str(words[0])
    return str(words[0]) if len(set(words)) == 1 else None


def split_candidates(prediction: str, *, at_commas: bool = False) -> list[str]:
    """The candidates or items of an answer, in order, each once."""
    parts = re.split(r"[\n;；]", prediction)
    if at_commas and len([part for part in parts if part.strip()]) == 1:
        parts = re.split(r"[,，、]|\band\b", prediction)
    names = (_BULLET.sub("", part).strip(_EDGE_SIGNS) for part in parts)
    return list(dict.fromkeys(name for name in names if name))


def find_rank(prediction: str, answers: Sequence[str]) -> int | None:
    """The rank, from 1, of the first right candidate among the first five; None where none is."""
    right_names = _fold_names(answers)
    for rank, name in enumerate(split_candidates(prediction)[:_MAX_CANDIDATES], 1):
        if name.lower() in right_names:
            return rank
    return None


def measure_list(prediction: str, items: Sequence[Sequence[str]]) -> tuple[float, float, float]:
    """Precision, recall and F1 of a list."""
    given_names = split_candidates(prediction, at_commas=True)
    right_names = [_fold_names(item) for item in items]
    all_right_names = frozenset[str]().union(*right_names)
    hits = sum(name.lower() in all_right_names for name in given_names)
    folded_names = _fold_names(given_names)
    misses = sum(names.isdisjoint(folded_names) for names in right_names)
    if not hits:
        return 0.0, 0.0, 0.0
    precision = hits / len(given_names)
    recall = hits / (hits + misses)
    return precision, recall, 2 * precision * recall / (precision + recall)


def summarize_bioasq(answers: Iterable[tuple[Task, str | None]]) -> BioasqFigures:
    """BioASQ's figures of tasks with their predictions, None for no answer."""
    by_kind: dict[str | None, list[tuple[Task, str]]] = {}
    for task, prediction in answers:
        by_kind.setdefault(task.metadata_value(KIND_KEY), []).append((task, prediction or ""))
    labels = [(task.answer, read_yes_no(text)) for task, text in by_kind.get("yesno", [])]
    ranks = [find_rank(text, _list_answers(task)) for task, text in by_kind.get("factoid", [])]
    lists = [measure_list(text, _read_items(task)) for task, text in by_kind.get("list", [])]
    return BioasqFigures(
        accuracy=_mean([float(given == right) for right, given in labels]),
        macro_f1=_mean([_compute_label_f1(labels, label) for label in ("yes", "no")])
        if labels
        else None,
        strict_accuracy=_mean([float(rank == 1) for rank in ranks]),
        lenient_accuracy=_mean([float(rank is not None) for rank in ranks]),
        mrr=_mean([1 / rank if rank else 0.0 for rank in ranks]),
        list_precision=_mean([precision for precision, _, _ in lists]),
        list_recall=_mean([recall for _, recall, _ in lists]),
        list_f1=_mean([f1 for _, _, f1 in lists]),
    )


def _compare_strictly(task: Task, prediction: str) -> Score:
    """The verdict is strict; the value is 1 / rank of a factoid and F1 of a list."""
    kind = task.metadata_value(KIND_KEY)
    if kind == "yesno":
        given = read_yes_no(prediction)
        return build_score(_STRICT, given == task.answer, given or "")
    if kind == "factoid":
        rank = find_rank(prediction, _list_answers(task))
        verdict: Verdict = CORRECT if rank == 1 else INCORRECT
        extracted = "; ".join(split_candidates(prediction)[:_MAX_CANDIDATES])
        return Score(verdict, 1 / rank if rank else 0.0, extracted, _STRICT)
    if kind == "list":
        _, _, f1 = measure_list(prediction, _read_items(task))
        extracted = "; ".join(split_candidates(prediction, at_commas=True))
        return Score(CORRECT if f1 == 1.0 else INCORRECT, f1, extracted, _STRICT)
    return Score(UNSCORED, scorer=_STRICT, reason="a question without an exact answer")


def _compare_leniently(task: Task, prediction: str) -> Score:
    """As strictly, but a factoid is right where any of its candidates is."""
    score = _compare_strictly(task, prediction)
    is_ranked = task.metadata_value(KIND_KEY) == "factoid" and bool(score.value)
    verdict = CORRECT if is_ranked else score.verdict
    return Score(verdict, score.value, score.extracted, _LENIENT, reason=score.reason)


def _fold_names(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.strip(_EDGE_SIGNS).lower() for name in names)


def _list_answers(task: Task) -> tuple[str, ...]:
    return (task.answer, *task.aliases)


def _read_items(task: Task) -> list[list[str]]:
    items: list[list[str]] = parse_json(task.metadata_value(ITEMS_KEY) or "[]", "the items")
    return items


def _compute_label_f1(labels: Sequence[tuple[str, str | None]], label: str) -> float:
    """F1 of one of the two answers, over (right, given)."""
    hits = sum(right == given == label for right, given in labels)
    given_count = sum(given == label for _, given in labels)
    right_count = sum(right == label for right, _ in labels)
    return 2 * hits / (given_count + right_count) if given_count + right_count else 0.0


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


_MODULES = (sys.modules[__name__],)
BIOASQ_SCORER = PureScorer(_STRICT, _compare_strictly, _MODULES)
BIOASQ_LENIENT_SCORER = PureScorer(_LENIENT, _compare_leniently, _MODULES)
