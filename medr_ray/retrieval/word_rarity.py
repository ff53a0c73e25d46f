"""How much a word says: its inverse document frequency in the index, from a table of the common
words only.

A word that is in fewer than one of ``_FLOOR`` documents is simply rare, so the table stays at some
thousand words however many documents there are.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.snippets import words

_FLOOR = 1000
_SCHEMA = pa.schema([("word", pa.string()), ("documents", pa.int64())])


def count_words(documents: Iterable[Document]) -> pa.Table:
    """Columns ``word``, ``documents``: in how many of the documents each word occurs; sorted by
    word."""
    counts: Counter[str] = Counter()
    for document in documents:
        counts.update(set(words(document.text)))
    return (
        pa.Table.from_arrays(
            [pa.array(column) for column in zip(*sorted(counts.items()), strict=True)],
            schema=_SCHEMA,
        )
        if counts
        else _SCHEMA.empty_table()
    )


def common_words(counts: Iterable[pa.Table], documents: int) -> pa.Table:
    """The sum of ``count_words`` tables, without the words too rare to tell apart."""
    total = (
        pa.concat_tables([_SCHEMA.empty_table(), *counts])
        .group_by("word")
        .aggregate([("documents", "sum")])
    )
    total = total.rename_columns({"word": "word", "documents_sum": "documents"}).sort_by("word")
    return total.filter(pc.greater(total["documents"], documents // _FLOOR))


class Rarity:
    """Weights of words over ``documents`` documents, given the frequencies of the common ones."""

    def __init__(self, documents: int, common: Mapping[str, int]) -> None:
        self._documents, self._common = documents, common

    def weight(self, word: str) -> float:
        """log((N + 1) / (df + 1))."""
        return math.log(
            (self._documents + 1) / (self._common.get(word, self._documents // _FLOOR) + 1)
        )
