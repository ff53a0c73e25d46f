"""Counting mentions: one file of citations per task, one small table out, summed at the end.

What holds: a citation counts once towards a concept's document frequency however often and by whatever forms it names
it; titles and abstracts are both read, and no mention spans the two; the sums do not depend on who counted what.
"""

from collections import Counter
from typing import Any

import polars as pl
import pyarrow as pa

from medr_ray.core.run import Directory
from medr_ray.entities.matching import Matcher

COUNTS_SCHEMA = pa.schema([
    ("concept_id", pa.string()), ("form", pa.string()), ("documents", pa.int64()), ("mentions", pa.int64()),
])


def count_citations(matcher: Matcher, titles: list[str], abstracts: list[str]) -> pa.Table:
    """(concept_id, form, documents, mentions), sorted. A citation is credited to the first form that names a concept
    in it, so that the documents of a concept's forms add up to its document frequency."""
    documents: Counter[tuple[str, str]] = Counter()
    mentions: Counter[tuple[str, str]] = Counter()
    for title, abstract in zip(titles, abstracts, strict=True):
        first: dict[str, str] = {}
        for mention in (*matcher.find(title), *matcher.find(abstract)):
            mentions[mention.concept_id, mention.form] += 1
            first.setdefault(mention.concept_id, mention.form)
        documents.update(first.items())
    rows = [{"concept_id": concept_id, "form": form, "documents": documents[concept_id, form], "mentions": count}
            for (concept_id, form), count in sorted(mentions.items())]
    return pa.Table.from_pylist(rows, schema=COUNTS_SCHEMA)


class CountingWorker:
    """A Ray actor: builds the automaton once from ``lexicon.parquet`` of ``entities``, then counts file by file."""

    def __init__(self, corpus: Directory, entities: Directory) -> None:
        self._corpus, self._entities = corpus, entities
        self._matcher = Matcher.load(entities)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Count ``citations/<name>`` into ``counts/<name>``."""
        table = self._corpus.read_table(f"citations/{row['name']}", ["title", "abstract"])
        counts = count_citations(self._matcher, table["title"].to_pylist(), table["abstract"].to_pylist())
        self._entities.write_table(f"counts/{row['name']}", counts)
        return {"name": row["name"], "citations": table.num_rows}


def sum_counts(directory: Directory) -> pl.DataFrame:
    """All of ``counts/`` as one frame (concept_id, form, documents, mentions), sorted by concept and form."""
    frame = pl.DataFrame(directory.read_table("counts"))
    return frame.group_by("concept_id", "form").agg(pl.sum("documents"), pl.sum("mentions")).sort("concept_id", "form")
