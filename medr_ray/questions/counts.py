"""The figures of the questions stage: an upper bound beforehand, and counts for its report."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from medr_ray.core.config import PipelineConfig
from medr_ray.core.records import Question
from medr_ray.core.run import RunDirectory
from medr_ray.entities.artifacts import SEEDS
from medr_ray.questions.checks.text_lints import lint_questions
from medr_ray.questions.drafting.drafter import RejectedDraft


def max_question_count(config: PipelineConfig, run: RunDirectory) -> int | None:
    """An upper bound for the number of questions; None while the run has no seeds."""
    if not run.has(SEEDS):
        return None
    accepted = sum(seed.significance.verdict for seed in run.read(SEEDS))
    limits = [
        config.questions.per_seed * min(accepted, config.graph.max_seeds or accepted),
        config.questions.max_questions,
    ]
    return min(limit for limit in limits if limit is not None)


def count_questions(
    questions: Sequence[Question],
    verified: int,
    rejected: Sequence[RejectedDraft],
    overlapping: int,
) -> dict[str, Any]:
    """The figures of the report.

    ``verified`` is the number of candidates that passed all checks, ``overlapping`` the number of
    train candidates that were dropped for what they share with held-out questions. ``reasons``
    counts rejected candidates by the check they failed, ``lints`` the questions whose text has a
    fault that needs no reader.
    """
    complexities = [question.complexity for question in questions]
    return {
        "accepted": len(questions),
        "candidates_verified": verified,
        "rejected": len(rejected),
        "train": sum(question.split == "train" for question in questions),
        "heldout": sum(question.split == "heldout" for question in questions),
        "overlapping_train_candidates_dropped": overlapping,
        "mean_hops": round(sum(complexities) / max(len(questions), 1), 2),
        "by_hops": _count_values(complexities),
        # The last step of the guidance: its relation leads to the answer.
        "by_predicate": _count_values(question.guidance[-1].predicate for question in questions),
        "by_paradigm": _count_values(question.paradigm for question in questions),
        "by_specialty": _count_values(question.specialty for question in questions),
        "by_obfuscation": _count_values(question.obfuscation for question in questions),
        "reasons": _count_reasons(rejected),
        "lints": lint_questions(questions),
    }


def _count_reasons(rejected: Sequence[RejectedDraft]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for draft in rejected:
        # A reason reads "check: details". A draft counts once for a check, however often it
        # failed it.
        counts.update({reason.split(":")[0] for reason in draft.reasons})
    return dict(sorted(counts.items()))


def _count_values(values: Iterable[Any]) -> dict[str, int]:
    # Sorted before the keys become strings, so that 10 hops come after 9.
    return {str(value): count for value, count in sorted(Counter(values).items())}
