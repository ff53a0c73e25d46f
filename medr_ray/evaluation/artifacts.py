"""What the evaluation stage writes for others."""

from medr_ray.core.artifacts import Artifact
from medr_ray.core.records import EvaluationResult, Trajectory

RESULTS = Artifact("evaluation", "results.parquet", EvaluationResult)
EVALUATION_TRAJECTORIES = Artifact("evaluation", "trajectories.parquet", Trajectory)
