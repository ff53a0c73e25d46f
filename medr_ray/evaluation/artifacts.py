"""What the evaluation stage writes for others."""

from medr_ray.core.artifacts import Artifact, StageFile
from medr_ray.core.records import EvaluationResult, Trajectory
from medr_ray.evaluation.benchmarks.base import BenchmarkTask

EVALUATION_TASKS = Artifact("evaluation", "tasks.parquet", BenchmarkTask)
EVALUATION_RESULTS = Artifact("evaluation", "results.parquet", EvaluationResult)
EVALUATION_TRAJECTORIES = Artifact("evaluation", "trajectories.parquet", Trajectory)
# A list of BenchmarkFigures (see evaluation.figures), one for each benchmark.
EVALUATION_FIGURES = StageFile("evaluation", "figures.json")
# A line for each unscored answer: benchmark, model, task_id, rollout, reason.
UNSCORED_ANSWERS = StageFile("evaluation", "unscored.jsonl")
