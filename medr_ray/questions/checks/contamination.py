"""The check whether a question repeats a benchmark's question.

A question is contaminated when it shares 13 words in a row with a benchmark's question, or all
words of a benchmark's question of 8 to 12 words (the lengths GPT-3 was checked by, arXiv
2005.14165, appendix C), or when the Jaccard similarity of their character 3-shingles is at least
0.6. The similarity also covers short and Chinese questions. It errs towards rejecting: a short
question in the form of a benchmark's question is similar enough. So is one that leads over a trial
whose number a benchmark's question has, whatever it asks.

Encrypted benchmarks stay encrypted: their text appears in no reason, error or file. Those name the
benchmark and the number of the item, counted from 1.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from medr_ray.knowledge.benchmark_files import BenchmarkItem, read_benchmark
from medr_ray.questions.answer_figures import fold_signs
from medr_ray.questions.answer_matching import normalize_words
from medr_ray.questions.checks.duplicates import ShingleIndex, sliding_windows

MIN_SHARED_WORDS = 13  # shared words in a row from which a question is contaminated
MIN_ITEM_WORDS = 8  # words of a whole item; fewer are a phrase that anybody may write
CHARACTERS_PER_SHINGLE = 3
MIN_TEXT_SIMILARITY = 0.6  # Jaccard similarity from which a question is contaminated


_TRIAL_NUMBER = re.compile(r"\bNCT\d{8}\b", re.IGNORECASE)
_TRIAL_PREFIX = "NCT:"


class ContaminationCheck:
    """Compares questions with the items of benchmarks, which are given by name."""

    def __init__(self, benchmarks: Mapping[str, Sequence[BenchmarkItem]]) -> None:
        self._item_by_word_run: dict[tuple[str, ...], str] = {}
        self._item_by_trial: dict[str, str] = {}
        self._shingle_index: ShingleIndex[str] = ShingleIndex(MIN_TEXT_SIMILARITY)
        for name, items in benchmarks.items():
            for item in items:
                self._add_item(f"item {item.number} of {name}", item.question)

    def _add_item(self, item_name: str, question: str) -> None:
        self._shingle_index.add(item_name, _character_shingles(question))
        for number in _TRIAL_NUMBER.findall(question):
            self._item_by_trial.setdefault(_TRIAL_PREFIX + number.upper(), item_name)
        words = normalize_words(question)
        # A short item is one run of all its words; below MIN_ITEM_WORDS it has no run.
        length = min(MIN_SHARED_WORDS, max(MIN_ITEM_WORDS, len(words)))
        for run in _list_word_runs(words, length):
            # The first item with a run keeps it, so that the reason does not depend on later ones.
            self._item_by_word_run.setdefault(run, item_name)

    @classmethod
    def load(cls, paths: Sequence[str]) -> "ContaminationCheck":
        """Read benchmark files and name each benchmark after its file.

        Raises DataError when a file cannot be read or has no question.
        """
        names = _benchmark_names(paths)
        return cls({name: read_benchmark(path) for path, name in zip(paths, names, strict=True)})

    def find_shared_trial(self, values: Iterable[str]) -> str | None:
        """Return the reason to reject a question that leads over these ids; None where no trial
        among them is one of a benchmark's."""
        for value in values:
            if value in self._item_by_trial:
                return f"uncontaminated: shares a trial with {self._item_by_trial[value]}"
        return None

    def find_rejection_reason(self, text: str) -> str | None:
        """Return the reason to reject the question, which names the item that it repeats.

        None when it repeats no item.
        """
        words = normalize_words(text)
        # From the longest run, so that the reason gives the strongest match.
        for length in range(MIN_SHARED_WORDS, MIN_ITEM_WORDS - 1, -1):
            for run in _list_word_runs(words, length):
                if run in self._item_by_word_run:
                    return (
                        f"uncontaminated: shares {length} words in a row with "
                        f"{self._item_by_word_run[run]}"
                    )
        match = self._shingle_index.most_similar(_character_shingles(text))
        if match is None:
            return None
        item_name, similarity = match
        return f"uncontaminated: resembles {item_name} (similarity {similarity:.2f})"


def _list_word_runs(words: Sequence[str], length: int) -> Iterator[tuple[str, ...]]:
    """Return every run of ``length`` words.

    Runs with Chinese characters are left out: each character is a word here, and 13 characters are
    a common phrase.
    """
    return (
        run
        for run in sliding_windows(words, length)
        # A text of fewer words gives one shorter window.
        if len(run) == length and not any(map(_is_ideograph, run))
    )


def _is_ideograph(word: str) -> bool:
    return len(word) == 1 and "\u3040" <= word <= "\u9fff"


def _character_shingles(text: str) -> frozenset[str]:
    # As it is written: a date in one spelling would change with the part of it that is there.
    characters = "".join(filter(str.isalnum, fold_signs(text)))
    return frozenset(
        "".join(window) for window in sliding_windows(characters, CHARACTERS_PER_SHINGLE)
    )


def _benchmark_names(paths: Sequence[str]) -> list[str]:
    """Return the file names, or the whole paths of files that share a name."""
    names = [PurePosixPath(path).name for path in paths]
    return [
        name if names.count(name) == 1 else path for name, path in zip(names, paths, strict=True)
    ]
