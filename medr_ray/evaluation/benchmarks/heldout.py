"""The held-out questions of the run itself, which no stage trains on."""

from collections.abc import Sequence
from dataclasses import dataclass

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import DataError
from medr_ray.core.records import HOPS_KEY, Task
from medr_ray.core.run import RunDirectory
from medr_ray.evaluation.scorers.base import Scorer
from medr_ray.evaluation.scorers.configured import build_configured_scorers
from medr_ray.questions.artifacts import QUESTIONS


@dataclass(frozen=True)
class HeldoutQuestions:
    """The tasks of the questions whose split is "heldout", in the order of the file."""

    name: str = "heldout"
    title: str = "Held-out questions"
    slices: tuple[str, ...] = (HOPS_KEY,)

    def load_tasks(self, config: PipelineConfig, run: RunDirectory) -> Sequence[Task]:
        """Raises DataError when the run holds no question out."""
        questions = run.read(QUESTIONS)
        # The order of the file, which `max_questions` cuts.
        tasks = [question.task for question in questions if question.split == "heldout"]
        if not tasks:
            raise DataError("no held-out questions: raise questions.heldout_fraction")
        return tasks

    def build_scorers(self, config: PipelineConfig, run: RunDirectory) -> Sequence[Scorer]:
        return build_configured_scorers(config, run)

    def describe_source(self) -> None:
        """Nothing: the questions stage is upstream, so its fingerprint counts already."""
        return None


BENCHMARK = HeldoutQuestions()
