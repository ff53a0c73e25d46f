"""Evaluation runs: who was asked what, what was answered, and how each answer was scored.

A run is a directory of any ``pyarrow.fs`` file system (``store``). Its files are named after what
they are made from, so that more tasks, more rollouts, another model or another judge add files and
replace none. Nothing here deletes.
"""

from medr_ray.evaluation.runs.records import (
    Answer,
    AskedBenchmark,
    Attempt,
    Respondent,
    RunPlan,
    ScorerRecord,
)
from medr_ray.evaluation.runs.store import EvaluationRun

__all__ = [
    "Answer",
    "AskedBenchmark",
    "Attempt",
    "EvaluationRun",
    "Respondent",
    "RunPlan",
    "ScorerRecord",
]
