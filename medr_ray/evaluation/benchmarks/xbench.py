"""xbench-DeepSearch: questions in Chinese that need many searches. The official scorer is a
language model, asked in Chinese."""

from collections.abc import Sequence

from medr_ray.core.config import PipelineConfig
from medr_ray.core.records import Task
from medr_ray.core.run import RunDirectory
from medr_ray.evaluation.benchmarks.files import (
    ITEM_KEY,
    FileBenchmark,
    get_answer,
    get_text,
    list_metadata,
)
from medr_ray.evaluation.scorers.base import Scorer
from medr_ray.evaluation.scorers.configured import build_official_judge
from medr_ray.evaluation.scorers.rules import RulesScorer
from medr_ray.knowledge.benchmark_files import BenchmarkRow


class XbenchDeepSearch(FileBenchmark):
    """One task a row, in the order of the file."""

    def parse_row(self, row: BenchmarkRow) -> Task:
        return self.build_task(
            get_text(row, "prompt"),
            get_answer(row, "answer"),
            # Also the few questions without a Chinese character are judged in Chinese.
            language="zh",
            metadata=list_metadata(row, {"id": ITEM_KEY}),
        )

    def build_scorers(self, config: PipelineConfig, run: RunDirectory) -> Sequence[Scorer]:
        official = build_official_judge(config, run, self.name, "judge_xbench")
        return [official, RulesScorer()]


BENCHMARK = XbenchDeepSearch("xbench", "xbench-DeepSearch", is_encrypted=True)
