"""What the questions stage writes for others."""

from medr_ray.core.artifacts import Artifact
from medr_ray.core.records import Question

QUESTIONS = Artifact("questions", "questions.parquet", Question)
