"""Counting mentions: one file of citations per task, two small tables out, summed at the end.

What holds: a citation counts once towards a concept's document frequency however often and by
whatever forms it names it; titles and abstracts are both read, and no mention spans the two; the
sums do not depend on who counted what.
"""

from typing import Any, NamedTuple

import polars as pl
import pyarrow as pa

from medr_ray.core.parts import Parts
from medr_ray.core.run import Directory
from medr_ray.corpus.artifacts import CITATIONS
from medr_ray.entities.matching import Matcher

COUNTS, POSTINGS = "counts", "postings"
COUNTS_SCHEMA = pa.schema(
    [
        ("concept_id", pa.string()),
        ("form", pa.string()),
        ("year", pa.int32()),
        ("documents", pa.int64()),
        ("mentions", pa.int64()),
    ]
)
POSTINGS_SCHEMA = pa.schema(
    [
        ("pmid", pa.string()),
        ("concept_ids", pa.list_(pa.string())),
        ("mentions", pa.list_(pa.int32())),
    ]
)
_KEYS = ["concept_id", "form", "year"]
_FEW_ROWS = 2_000_000  # rows of counts held before they are summed: some 200 MB
CITATION_COLUMNS = ("pmid", "title", "abstract", "year")  # of the citations


class CitationCounts(NamedTuple):
    """``counts``: (concept_id, form, year, documents, mentions), sorted; a citation is credited to
    the first form that names a concept in it, so that the documents of a concept's forms and years
    add up to its document frequency. ``postings``: for each citation that names any concept, its
    concepts, sorted, and how often it names each."""

    counts: pa.Table
    postings: pa.Table


def count_citations(matcher: Matcher, citations: pa.Table) -> CitationCounts:
    """Count ``citations`` (pmid, title, abstract, year)."""
    named = pl.concat(
        [_mentions(matcher, citations, "title", 0), _mentions(matcher, citations, "abstract", 1)]
    )
    by_concept = (
        named.sort("document", "field", "start")
        .group_by("document", "concept", maintain_order=True)
        .agg(pl.first("form"), pl.len().alias("mentions"))
    )
    years = pl.Series("year", citations["year"].cast(pa.int32()), dtype=pl.Int32)
    documents = by_concept.group_by("form", year=years.gather(by_concept["document"])).agg(
        pl.len().cast(pl.Int64).alias("documents")
    )
    mentions = named.group_by("form", year=years.gather(named["document"])).agg(
        pl.len().cast(pl.Int64).alias("mentions")
    )
    joined = mentions.join(documents, on=["form", "year"], how="left", nulls_equal=True)
    forms = pl.Series(
        values=matcher.forms.take(pa.array(joined["form"].to_numpy())), dtype=pl.String
    )
    counts = joined.select(
        _concept_ids(matcher, matcher.concepts[joined["form"].to_numpy()]).alias("concept_id"),
        forms.alias("form"),
        "year",
        pl.col("documents").fill_null(0),
        "mentions",
    ).sort("concept_id", "form", "year")
    return CitationCounts(
        counts.to_arrow().cast(COUNTS_SCHEMA), _postings(matcher, citations, by_concept)
    )


def _mentions(matcher: Matcher, citations: pa.Table, field: str, order: int) -> pl.DataFrame:
    """(document, field, start, form, concept): numbers of rows of ``citations``, of forms and of
    concepts."""
    spans = matcher.spans(citations[field])
    return pl.DataFrame(
        {
            "document": spans.text,
            "start": spans.start,
            "form": spans.form,
            "concept": matcher.concepts[spans.form],
        }
    ).with_columns(field=pl.lit(order))


def _concept_ids(matcher: Matcher, numbers: Any) -> pl.Series:
    return pl.Series(values=matcher.concept_ids.take(pa.array(numbers)), dtype=pl.String)


def _postings(matcher: Matcher, citations: pa.Table, by_concept: pl.DataFrame) -> pa.Table:
    rows = by_concept.with_columns(
        _concept_ids(matcher, by_concept["concept"].to_numpy()).alias("concept_id"),
        pl.col("mentions").cast(pl.Int32),
    )
    rows = (
        rows.sort("document", "concept_id")
        .group_by("document", maintain_order=True)
        .agg("concept_id", "mentions")
    )
    pmids = pl.Series("pmid", citations["pmid"], dtype=pl.String)
    return (
        rows.select(
            pmids.gather(rows["document"]).alias("pmid"),
            pl.col("concept_id").alias("concept_ids"),
            "mentions",
        )
        .to_arrow()
        .cast(POSTINGS_SCHEMA)
    )


class CountingWorker:
    """A Ray actor: maps the compiled matcher of ``entities`` once, then counts file by file."""

    def __init__(self, corpus: Directory, entities: Directory) -> None:
        self._corpus, self._entities = corpus, entities
        self._matcher = Matcher.load(entities)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Count the citations ``row["name"]`` into ``counts`` and ``postings``; the marker of
        ``counts`` ends it."""
        name = row["name"]
        table = self._corpus.read_table(f"{CITATIONS.name}/{name}.parquet", list(CITATION_COLUMNS))
        counted = count_citations(self._matcher, table)
        Parts(self._entities, POSTINGS).write(name, row["made_from"], counted.postings)
        Parts(self._entities, COUNTS).write(
            name, row["made_from"], counted.counts, {"citations": table.num_rows}
        )
        return {"name": name, "citations": table.num_rows}


def sum_counts(directory: Directory) -> pl.DataFrame:
    """All of ``counts/`` as one frame (concept_id, form, year, documents, mentions), sorted. A few
    files at a time are in memory beside their sum."""
    total, waiting, rows = pl.DataFrame(COUNTS_SCHEMA.empty_table()), [], 0
    for name in directory.list_files(COUNTS):
        waiting.append(pl.DataFrame(directory.read_table(f"{COUNTS}/{name}")))
        rows += waiting[-1].height
        if rows > _FEW_ROWS:
            total, waiting, rows = _summed([total, *waiting]), [], 0
    return _summed([total, *waiting]).sort(_KEYS)


def _summed(frames: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(frames).group_by(_KEYS).agg(pl.sum("documents"), pl.sum("mentions"))
