"""Multiple choice in the forms of MedQA and PubMedQA: the answer is a letter.

A row has ``question`` and its options: an object by letter, a list, or fields A, B, C … (MedQA,
CMB). The right answer is a letter, several letters, or the text of an option, in ``answer_idx``,
``answer`` or ``final_decision``. A row with a ``final_decision`` and without options is PubMedQA's,
whose answers are yes, no and maybe.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from medr_ray.core.config import PipelineConfig
from medr_ray.core.records import Task
from medr_ray.core.run import RunDirectory
from medr_ray.evaluation.benchmarks.files import (
    ITEM_KEY,
    BrokenRow,
    FileBenchmark,
    detect_language,
    get_answer,
    get_text,
    list_metadata,
)
from medr_ray.evaluation.scorers.base import Scorer
from medr_ray.evaluation.scorers.letters import (
    LETTERS,
    LETTERS_SCORER,
    build_options_metadata,
)
from medr_ray.knowledge.benchmark_files import BenchmarkRow

_OPTION_FIELDS = ("options", "option", "choices")
_ANSWER_FIELDS = ("answer_idx", "answer", "final_decision")
_PUBMEDQA_FIELD = "final_decision"
_PUBMEDQA_OPTIONS = {"A": "yes", "B": "no", "C": "maybe"}
_SUBJECT_KEY = "subject"
_REQUESTS = {
    "en": "Answer with the letter of the right option.",
    "zh": "请回答正确选项的字母。",
}


class MultipleChoice(FileBenchmark):
    """One task a row; its text holds the options."""

    def parse_row(self, row: BenchmarkRow) -> Task:
        question = get_text(row, "question").strip()
        options = _read_options(row)
        letters = _find_letters(get_answer(row, *_ANSWER_FIELDS), options)
        lines = "\n".join(f"{letter}. {option}" for letter, option in options.items())
        language = detect_language(question)
        fields = {"id": ITEM_KEY, "meta_info": _SUBJECT_KEY, "subject": _SUBJECT_KEY}
        return self.build_task(
            f"{question}\n\n{lines}\n\n{_REQUESTS[language]}",
            letters,
            language=language,
            answer_type="letter",
            metadata=[build_options_metadata(options), *_drop_repeats(list_metadata(row, fields))],
        )

    def build_scorers(self, config: PipelineConfig, run: RunDirectory) -> Sequence[Scorer]:
        return [LETTERS_SCORER]


def _read_options(row: BenchmarkRow) -> dict[str, str]:
    """The options of a row by letter."""
    for name in _OPTION_FIELDS:
        value = row.fields.get(name)
        if isinstance(value, Mapping) and value:
            return _check_options({str(key).strip().upper(): text for key, text in value.items()})
        if isinstance(value, list) and value:
            return _check_options(dict(zip(LETTERS, value, strict=False)), len(value))
    lettered = {letter: row.fields.get(letter.casefold()) for letter in LETTERS}
    options = {letter: text for letter, text in lettered.items() if text not in (None, "")}
    if options:
        return _check_options(options)
    if _PUBMEDQA_FIELD in row.fields:
        return _PUBMEDQA_OPTIONS
    raise BrokenRow(f"has no options in {' or '.join(map(repr, _OPTION_FIELDS))}, nor in A, B, C")


def _check_options(options: Mapping[str, Any], count: int | None = None) -> dict[str, str]:
    """The options with texts under the letters from A on."""
    expected = LETTERS[: len(options) if count is None else count]
    if "".join(sorted(options)) != expected or len(options) < 2:
        raise BrokenRow(f"has options that are not two to {len(LETTERS)} under A, B, C …")
    if not all(isinstance(text, str) and text.strip() for text in options.values()):
        raise BrokenRow("has an option without text")
    return {letter: str(options[letter]).strip() for letter in sorted(options)}


def _find_letters(answer: str, options: Mapping[str, str]) -> str:
    """The letters of the right options, in order of the alphabet."""
    letters = [letter for letter, option in options.items() if option == answer.strip()]
    if len(letters) == 1:
        return letters[0]
    chosen = "".join(sorted(set(answer.upper()) - set(" ,，、;")))
    if not chosen or not set(chosen) <= set(options):
        raise BrokenRow("has an answer that is neither a letter nor the text of an option")
    return chosen


def _drop_repeats(items: Sequence[Any]) -> list[Any]:
    """The items, the first of each name."""
    return list({item.name: item for item in reversed(items)}.values())


BENCHMARK = MultipleChoice("multiple-choice", "Multiple choice", slices=(_SUBJECT_KEY,))
