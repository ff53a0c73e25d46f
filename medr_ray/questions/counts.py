"""The figures of the questions stage: an upper bound beforehand, and counts for its report."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from medr_ray.core.config import PipelineConfig
from medr_ray.core.records import Question
from medr_ray.questions.checks.text_lints import lint_questions
from medr_ray.questions.drafting.drafter import list_units


def max_question_count(config: PipelineConfig) -> int:
    """An upper bound for the number of questions."""
    drafts = config.questions.drafts_per_chain * len(list_units(config.questions))
    limit = config.questions.max_questions
    return drafts if limit is None else min(drafts, limit)


def count_questions(
    questions: Sequence[Question],
    verified: int,
    reasons: Mapping[str, int],
    overlapping: int,
) -> dict[str, Any]:
    """The figures of the report.

    ``verified`` is the number of candidates that passed all checks, ``reasons`` how many plans
    failed each check, ``overlapping`` the number of train candidates that were dropped for what
    they share with held-out questions, ``lints`` the questions whose text has a fault that needs
    no reader.
    """
    complexities = [question.complexity for question in questions]
    several = [question for question in questions if question.complexity > 1]
    crossing = sum(len(question.sources) > 1 for question in several)
    return {
        "accepted": len(questions),
        "candidates_verified": verified,
        "train": sum(question.split == "train" for question in questions),
        "heldout": sum(question.split == "heldout" for question in questions),
        "overlapping_train_candidates_dropped": overlapping,
        "mean_hops": round(sum(complexities) / max(len(questions), 1), 2),
        "multi_hop": len(several),
        "multi_hop_across_registries": crossing,
        "by_hops": _count_values(complexities),
        "by_shape": _count_values(question.shape for question in questions),
        "by_source": _count_values(source for question in questions for source in question.sources),
        "by_answer_type": _count_values(question.task.answer_type for question in questions),
        "by_paradigm": _count_values(question.paradigm for question in questions),
        "by_specialty": _count_values(question.specialty for question in questions),
        "reasons": dict(sorted(reasons.items())),
        "lints": lint_questions(questions),
    }


def _count_values(values: Iterable[Any]) -> dict[str, int]:
    # Sorted before the keys become strings, so that 10 hops come after 9.
    return {str(value): count for value, count in sorted(Counter(values).items())}
