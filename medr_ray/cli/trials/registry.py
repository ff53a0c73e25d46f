"""The trials of each role, and how many of them a working model passes."""

from collections.abc import Mapping

from medr_ray.cli.trials.dialogues import (
    list_judge_trials,
    list_preference_trials,
    list_quoter_trials,
    list_rewriter_trials,
    list_teacher_trials,
)
from medr_ray.cli.trials.entities import list_significance_trials
from medr_ray.cli.trials.graph import list_extractor_trials
from medr_ray.cli.trials.questions import (
    list_back_reader_trials,
    list_memory_trials,
    list_writer_trials,
)
from medr_ray.cli.trials.trial import ListTrials
from medr_ray.core.config.roles import RoleName

TRIALS: Mapping[RoleName, ListTrials] = {
    "significance": list_significance_trials,
    "extractor": list_extractor_trials,
    "writer": list_writer_trials,
    "back_reader": list_back_reader_trials,
    "closed_book": list_memory_trials,
    "calibration": list_memory_trials,
    "teacher": list_teacher_trials,
    "rewriter": list_rewriter_trials,
    "quoter": list_quoter_trials,
    "preference": list_preference_trials,
    "judge": list_judge_trials,
}
# Of five trials that a role has to pass. Most roles check or repair what a model writes, so that a
# slip costs a retry; verdicts on answers are taken as they are, and those asked here are plain.
_LEAST_PASSED = 4
_ALL_PASSED = 5


def require_passed(role: RoleName) -> int:
    """How many of its trials a role has to pass."""
    return _ALL_PASSED if role == "judge" else _LEAST_PASSED
