"""A file of your own questions, in JSON Lines, JSON or CSV.

A row has ``question`` and ``answer``. It may have ``aliases`` (further names of the answer: a list,
or a text with semicolons between them), ``language`` ("en" or "zh"; else the question tells),
``answer_type`` and ``id``. What else the results are to be split by is named in ``slices``.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from medr_ray.core.config import PipelineConfig
from medr_ray.core.records import HOPS_KEY, Language, MetadataItem, Task
from medr_ray.core.run import RunDirectory
from medr_ray.evaluation.benchmarks.files import (
    ITEM_KEY,
    BrokenRow,
    FileBenchmark,
    get_answer,
    get_text,
    get_texts,
    list_metadata,
)
from medr_ray.evaluation.scorers.base import Scorer
from medr_ray.evaluation.scorers.configured import build_configured_scorers
from medr_ray.knowledge.benchmark_files import BenchmarkRow

_QUESTION_FIELDS = ("question", "prompt", "body", "problem")
_ANSWER_FIELDS = ("answer", "gold", "final answer")
# What a file is split by where nobody says it.
_USUAL_SLICES = ("category", "level", "task", "type", "specialty", HOPS_KEY)


@dataclass(frozen=True)
class OwnFile(FileBenchmark):
    """One task a row. ``language`` is that of rows that do not say theirs; None: the question tells
    it."""

    slices: tuple[str, ...] = _USUAL_SLICES
    language: Language | None = None

    def parse_row(self, row: BenchmarkRow) -> Task:
        fields = {name.casefold(): name for name in self.slices}
        metadata = [*list_metadata(row, {"id": ITEM_KEY}), *list_metadata(row, fields)]
        return self.build_task(
            get_text(row, *_QUESTION_FIELDS),
            get_answer(row, *_ANSWER_FIELDS),
            aliases=_read_aliases(row),
            language=_read_language(row) or self.language,
            answer_type=str(row.fields.get("answer_type") or ""),
            metadata=list(map(_check_metadata, metadata)),
        )

    def build_scorers(self, config: PipelineConfig, run: RunDirectory) -> Sequence[Scorer]:
        return build_configured_scorers(config, run)


def _read_aliases(row: BenchmarkRow) -> list[str]:
    value = row.fields.get("aliases")
    if isinstance(value, str):
        return [name.strip() for name in re.split("[;；]", value) if name.strip()]
    return get_texts(row, "aliases")


def _read_language(row: BenchmarkRow) -> Language | None:
    value = row.fields.get("language")
    if value in (None, ""):
        return None
    for language in get_args(Language):
        if value == language:
            return language  # type: ignore[no-any-return]
    raise BrokenRow(f"has the language {value!r}: expected en or zh")


def _check_metadata(item: MetadataItem) -> MetadataItem:
    if item.name == HOPS_KEY and not item.value.isdecimal():
        raise BrokenRow(f"has {item.value!r} in 'hops': expected a whole number")
    return item
