"""BrowseComp (arXiv 2504.12516): short answers that are hard to find. The official scorer is a
language model."""

from collections.abc import Sequence

from medr_ray.core.config import PipelineConfig
from medr_ray.core.records import Task
from medr_ray.core.run import RunDirectory
from medr_ray.evaluation.benchmarks.files import (
    FileBenchmark,
    get_answer,
    get_text,
    list_metadata,
)
from medr_ray.evaluation.scorers.base import Scorer
from medr_ray.evaluation.scorers.configured import build_official_judge
from medr_ray.evaluation.scorers.rules import RulesScorer
from medr_ray.knowledge.benchmark_files import BenchmarkRow

_TOPIC_KEY = "topic"


class BrowseComp(FileBenchmark):
    """One task a row, in the order of the file."""

    def parse_row(self, row: BenchmarkRow) -> Task:
        return self.build_task(
            get_text(row, "problem"),
            get_answer(row, "answer"),
            metadata=list_metadata(row, {"problem_topic": _TOPIC_KEY}),
        )

    def build_scorers(self, config: PipelineConfig, run: RunDirectory) -> Sequence[Scorer]:
        official = build_official_judge(config, run, self.name, "judge_browsecomp")
        return [official, RulesScorer()]


BENCHMARK = BrowseComp("browsecomp", "BrowseComp", slices=(_TOPIC_KEY,), is_encrypted=True)
