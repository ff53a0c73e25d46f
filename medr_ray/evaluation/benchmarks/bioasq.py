"""BioASQ, task b: biomedical questions with exact answers. Summary questions have none, and are
left out and counted."""

from collections.abc import Sequence
from typing import Any

from medr_ray.core.config import PipelineConfig
from medr_ray.core.records import MetadataItem, Task
from medr_ray.core.run import RunDirectory
from medr_ray.evaluation.benchmarks.files import (
    ITEM_KEY,
    BrokenRow,
    FileBenchmark,
    SkippedRow,
    get_text,
    list_metadata,
)
from medr_ray.evaluation.scorers.base import Scorer
from medr_ray.evaluation.scorers.bioasq import (
    BIOASQ_LENIENT_SCORER,
    BIOASQ_SCORER,
    KIND_KEY,
    build_items_metadata,
    read_yes_no,
)
from medr_ray.evaluation.scorers.rules import RulesScorer
from medr_ray.knowledge.benchmark_files import BenchmarkRow

# What each kind of question asks for.
_REQUESTS = {
    "yesno": "Answer yes or no.",
    "factoid": "Give up to five answers, the most likely first, with semicolons between them.",
    "list": "Give all of them, with semicolons between them.",
}


class BioAsq(FileBenchmark):
    """One task a question, in the order of the files."""

    def parse_row(self, row: BenchmarkRow) -> Task:
        kind = get_text(row, "type").strip().casefold()
        if kind == "summary":
            raise SkippedRow("summary questions, which have no exact answer")
        if kind not in _REQUESTS:
            raise BrokenRow(f"has the type {kind!r}: expected yesno, factoid, list or summary")
        text = f"{get_text(row, 'body').strip()}\n\n{_REQUESTS[kind]}"
        exact_answer = row.fields.get("exact_answer")
        metadata = [MetadataItem(KIND_KEY, kind), *list_metadata(row, {"id": ITEM_KEY})]
        if kind == "yesno":
            return self.build_task(text, _read_yes_no(exact_answer), metadata=metadata)
        groups = _read_groups(exact_answer)
        if kind == "factoid":
            # Several groups are further right answers.
            names = [name for group in groups for name in group]
            return self.build_task(text, names[0], aliases=names[1:], metadata=metadata)
        answer = "; ".join(group[0] for group in groups)
        metadata.append(build_items_metadata(groups))
        return self.build_task(text, answer, metadata=metadata)

    def build_scorers(self, config: PipelineConfig, run: RunDirectory) -> Sequence[Scorer]:
        return [BIOASQ_SCORER, BIOASQ_LENIENT_SCORER, RulesScorer()]


def _read_yes_no(value: Any) -> str:
    # Some files have it in a list of one.
    text = value[0] if isinstance(value, list) and value else value
    answer = read_yes_no(text) if isinstance(text, str) else None
    if answer is None:
        raise BrokenRow("has neither yes nor no in 'exact_answer'")
    return answer


def _read_groups(value: Any) -> list[list[str]]:
    """The names in ``exact_answer``: a list of groups of synonyms, or of names."""
    entries = [value] if isinstance(value, str) else value
    if not isinstance(entries, list):
        raise BrokenRow("has no list in 'exact_answer'")
    groups: list[list[str]] = []
    for entry in entries:
        names = [entry] if isinstance(entry, str) else entry
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise BrokenRow("has something else than names in 'exact_answer'")
        groups.append([name for name in names if name.strip()])
    groups = [group for group in groups if group]
    if not groups:
        raise BrokenRow("has no name in 'exact_answer'")
    return groups


BENCHMARK = BioAsq("bioasq", "BioASQ", slices=(KIND_KEY,))
