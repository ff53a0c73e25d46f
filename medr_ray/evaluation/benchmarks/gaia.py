"""GAIA (arXiv 2311.12983): questions for general assistants at three levels, some with a file."""

from collections.abc import Sequence

from medr_ray.core.config import PipelineConfig
from medr_ray.core.records import Task
from medr_ray.core.run import RunDirectory
from medr_ray.evaluation.benchmarks.files import (
    ITEM_KEY,
    FileBenchmark,
    get_answer,
    get_text,
    get_texts,
    list_metadata,
)
from medr_ray.evaluation.scorers.base import Scorer
from medr_ray.evaluation.scorers.gaia import GAIA_SCORER
from medr_ray.evaluation.scorers.rules import RulesScorer
from medr_ray.knowledge.benchmark_files import BenchmarkRow

_LEVEL_KEY = "level"
_FILE_KEY = "file"


class Gaia(FileBenchmark):
    """One task a row, in the order of the file."""

    def parse_row(self, row: BenchmarkRow) -> Task:
        question = get_text(row, "question").strip()
        files = get_texts(row, "file_name")
        if files:
            question = f"{question}\n\nThe question comes with this file: {files[0]}"
        fields = {"task_id": ITEM_KEY, "level": _LEVEL_KEY, "file_name": _FILE_KEY}
        return self.build_task(
            question,
            get_answer(row, "final answer", "answer"),
            metadata=list_metadata(row, fields),
        )

    def build_scorers(self, config: PipelineConfig, run: RunDirectory) -> Sequence[Scorer]:
        return [GAIA_SCORER, RulesScorer()]


BENCHMARK = Gaia("gaia", "GAIA", slices=(_LEVEL_KEY,))
