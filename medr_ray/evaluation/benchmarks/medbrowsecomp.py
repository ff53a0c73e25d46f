"""MedBrowseComp (arXiv 2505.14963): medical facts over several registries.

The sets of 50 and 605 questions are CSV files of the same encoding; the third column names the
task. "NA" is a right answer: the registries have none. The official scorer is a language model.
"""

from collections.abc import Sequence

from medr_ray.core.config import PipelineConfig
from medr_ray.core.json_text import InvalidJson, parse_json
from medr_ray.core.records import MetadataItem, Task
from medr_ray.core.run import RunDirectory
from medr_ray.evaluation.benchmarks.files import FileBenchmark, get_text
from medr_ray.evaluation.scorers.base import Scorer
from medr_ray.evaluation.scorers.configured import build_official_judge
from medr_ray.evaluation.scorers.medbrowsecomp import MEDBROWSECOMP_SCORER, TASK_KEY
from medr_ray.evaluation.scorers.rules import RulesScorer
from medr_ray.knowledge.benchmark_files import BenchmarkRow

_QUESTION, _ANSWER = "prompt", "gold"


class MedBrowseComp(FileBenchmark):
    """One task a row, in the order of the file."""

    def parse_row(self, row: BenchmarkRow) -> Task:
        question = _unquote(get_text(row, _QUESTION))
        answer = get_text(row, _ANSWER).strip()
        # The column of the task's name has another name in every file.
        others = [name for name in row.fields if name not in (_QUESTION, _ANSWER)]
        task_name = get_text(row, *others).strip() if others else ""
        return self.build_task(question, answer, metadata=[MetadataItem(TASK_KEY, task_name)])

    def build_scorers(self, config: PipelineConfig, run: RunDirectory) -> Sequence[Scorer]:
        official = build_official_judge(config, run, self.name, "judge_medbrowsecomp")
        return [official, MEDBROWSECOMP_SCORER, RulesScorer()]


def _unquote(text: str) -> str:
    """The question without the quotes and escapes that some cells of the file have."""
    if not (text.startswith('"') and text.endswith('"')):
        return text
    try:
        unquoted = parse_json(text, "the question")
    except InvalidJson:
        return text
    return unquoted if isinstance(unquoted, str) else text


# Encoded and not encrypted: its authors publish the plain questions too.
BENCHMARK = MedBrowseComp("medbrowsecomp", "MedBrowseComp", slices=(TASK_KEY,))
