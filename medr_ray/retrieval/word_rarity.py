"""How informative a word is: its inverse document frequency in the index.

Only the frequencies of common words are stored. A word in fewer than one of ``_FLOOR`` documents
counts as rare without further distinction, so the table stays at some thousand words however many
documents there are.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.snippets import split_words

_FLOOR = 1000  # documents for each one that a common word must be in
_SCHEMA = pa.schema([("word", pa.string()), ("documents", pa.int64())])


def count_words(documents: Iterable[Document]) -> pa.Table:
    """In how many of the documents each word occurs: columns ``word`` and ``documents``, sorted by
    word."""
    counts: Counter[str] = Counter()
    for document in documents:
        # A set: a word counts once for each document.
        counts.update(set(split_words(document.text)))
    if not counts:
        return _SCHEMA.empty_table()
    columns = zip(*sorted(counts.items()), strict=True)
    return pa.Table.from_arrays([pa.array(column) for column in columns], schema=_SCHEMA)


def select_common_words(counts: Iterable[pa.Table], documents: int) -> pa.Table:
    """The sum of ``count_words`` tables, without the rare words."""
    # The empty table keeps the schema where there are no counts.
    tables = pa.concat_tables([_SCHEMA.empty_table(), *counts])
    total = tables.group_by("word").aggregate([("documents", "sum")])
    total = total.rename_columns({"word": "word", "documents_sum": "documents"}).sort_by("word")
    return total.filter(pc.greater(total["documents"], documents // _FLOOR))


class WordRarity:
    """Weights of words over ``documents`` documents, from the frequencies of the common ones."""

    def __init__(self, documents: int, common: Mapping[str, int]) -> None:
        self._documents = documents
        self._common = common

    def weight(self, word: str) -> float:
        """log((N + 1) / (df + 1)); a word that is not common has the highest df of a rare one."""
        frequency = self._common.get(word, self._documents // _FLOOR)
        # is added on both sides, so that a word of no document has a finite weight and one of all
        # has 0.
        return math.log((self._documents + 1) / (frequency + 1))
