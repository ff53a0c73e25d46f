"""MuSiQue (arXiv 2108.00573), 2WikiMultihopQA (arXiv 2011.01060) and Bamboogle (arXiv 2210.03350):
questions that join facts of several pages of Wikipedia, scored by exact match and F1."""

from collections.abc import Sequence
from dataclasses import dataclass

from medr_ray.core.config import PipelineConfig
from medr_ray.core.records import Task
from medr_ray.core.run import RunDirectory
from medr_ray.evaluation.benchmarks.files import (
    ITEM_KEY,
    BrokenRow,
    FileBenchmark,
    get_text,
    get_texts,
    list_metadata,
)
from medr_ray.evaluation.scorers.base import Scorer
from medr_ray.evaluation.scorers.rules import RulesScorer
from medr_ray.evaluation.scorers.squad import build_squad_scorer
from medr_ray.knowledge.benchmark_files import BenchmarkRow


@dataclass(frozen=True)
class MultiHop(FileBenchmark):
    """One task a row. ``whole_yes_no``: F1 by HotpotQA's rule for yes and no."""

    whole_yes_no: bool = False

    def parse_row(self, row: BenchmarkRow) -> Task:
        answers = get_texts(row, "answer")
        if not answers:
            raise BrokenRow("has no answer in 'answer'")
        return self.build_task(
            get_text(row, "question").strip(),
            answers[0],
            aliases=[*answers[1:], *get_texts(row, "answer_aliases")],
            metadata=list_metadata(row, {"id": ITEM_KEY}),
        )

    def build_scorers(self, config: PipelineConfig, run: RunDirectory) -> Sequence[Scorer]:
        return [build_squad_scorer(whole_yes_no=self.whole_yes_no), RulesScorer()]


BENCHMARKS = (
    MultiHop("musique", "MuSiQue"),
    MultiHop("2wiki", "2WikiMultihopQA", whole_yes_no=True),
    MultiHop("bamboogle", "Bamboogle"),
)
