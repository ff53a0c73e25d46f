"""Counts mentions: every file of citations gives two small tables, which are summed at the end.

Guaranteed: a citation counts once towards a concept's document frequency, however often and by
however many forms it names the concept. Titles and abstracts are both read, and no mention spans
the two. The sums do not depend on which worker counted which file.
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
_KEY_COLUMNS = ["concept_id", "form", "year"]
_MAX_UNMERGED_ROWS = 2_000_000  # rows in memory before equal ones are summed: some 200 MB
CITATION_COLUMNS = ("pmid", "title", "abstract", "year")  # that are read of a file of citations


class CitationCounts(NamedTuple):
    """The counts of one file of citations.

    ``counts`` has the columns concept_id, form, year, documents and mentions, sorted. A citation is
    credited to the first form that names a concept in it, so that the documents of a concept's
    forms and years add up to its document frequency. ``postings`` has a row for each citation that
    names any concept: its concepts, sorted, and how often it names each.
    """

    counts: pa.Table
    postings: pa.Table


def count_citations(matcher: Matcher, citations: pa.Table) -> CitationCounts:
    """Count the mentions in ``citations`` (pmid, title, abstract, year)."""
    # Title and abstract are matched apart, so that no mention spans the two.
    titles = _find_mentions(matcher, citations, "title", 0)
    abstracts = _find_mentions(matcher, citations, "abstract", 1)
    mentions = pl.concat([titles, abstracts])
    # Sorted by place, so that the first form of a group is the first one in the citation.
    by_concept = (
        mentions.sort("document", "field", "start")
        .group_by("document", "concept", maintain_order=True)
        .agg(pl.first("form"), pl.len().alias("mentions"))
    )
    years = pl.Series("year", citations["year"].cast(pa.int32()), dtype=pl.Int32)
    counts = _count_forms(matcher, mentions, by_concept, years)
    postings = _build_postings(matcher, citations, by_concept)
    return CitationCounts(counts, postings)


def _find_mentions(
    matcher: Matcher, citations: pa.Table, field: str, field_order: int
) -> pl.DataFrame:
    """(document, start, form, concept, field): ``document`` is a row of ``citations``, ``form`` and
    ``concept`` are the matcher's numbers."""
    spans = matcher.find_spans(citations[field])
    return pl.DataFrame(
        {
            "document": spans.text,
            "start": spans.start,
            "form": spans.form,
            "concept": matcher.concepts[spans.form],
        }
    ).with_columns(field=pl.lit(field_order))


def _count_forms(
    matcher: Matcher, mentions: pl.DataFrame, by_concept: pl.DataFrame, years: pl.Series
) -> pa.Table:
    """``counts`` of CitationCounts; ``years`` are those of the documents."""
    documents = by_concept.group_by("form", year=years.gather(by_concept["document"])).agg(
        pl.len().cast(pl.Int64).alias("documents")
    )
    totals = mentions.group_by("form", year=years.gather(mentions["document"])).agg(
        pl.len().cast(pl.Int64).alias("mentions")
    )
    # A left join, because a form may only occur in citations that are all credited to other forms.
    # Citations without a year belong together, but polars does not join nulls by default.
    rows = totals.join(documents, on=["form", "year"], how="left", nulls_equal=True)
    form_numbers = rows["form"].to_numpy()
    form_texts = matcher.forms.take(pa.array(form_numbers))
    counts = rows.select(
        _to_concept_ids(matcher, matcher.concepts[form_numbers]).alias("concept_id"),
        pl.Series("form", values=form_texts, dtype=pl.String),
        "year",
        pl.col("documents").fill_null(0),
        "mentions",
    )
    # Several forms of the matcher may be one text, and rows of one key have no order among them.
    sums = counts.group_by(_KEY_COLUMNS).agg(pl.col("documents").sum(), pl.col("mentions").sum())
    return sums.sort(_KEY_COLUMNS).to_arrow().cast(COUNTS_SCHEMA)


def _to_concept_ids(matcher: Matcher, numbers: Any) -> pl.Series:
    return pl.Series(values=matcher.concept_ids.take(pa.array(numbers)), dtype=pl.String)


def _build_postings(matcher: Matcher, citations: pa.Table, by_concept: pl.DataFrame) -> pa.Table:
    concept_ids = _to_concept_ids(matcher, by_concept["concept"].to_numpy())
    by_document = (
        by_concept.with_columns(concept_ids.alias("concept_id"), pl.col("mentions").cast(pl.Int32))
        .sort("document", "concept_id")
        .group_by("document", maintain_order=True)
        .agg("concept_id", "mentions")
    )
    pmids = pl.Series("pmid", citations["pmid"], dtype=pl.String)
    postings = by_document.select(
        pmids.gather(by_document["document"]).alias("pmid"),
        pl.col("concept_id").alias("concept_ids"),
        "mentions",
    )
    return postings.to_arrow().cast(POSTINGS_SCHEMA)


class CountingWorker:
    """A Ray actor that maps the compiled matcher of ``entities`` into memory once and then counts
    one file per call."""

    def __init__(self, corpus: Directory, entities: Directory) -> None:
        self._corpus = corpus
        self._entities = entities
        self._matcher = Matcher.load(entities)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Count the file of citations ``row["name"]`` into a part of ``counts`` and of
        ``postings``."""
        name = row["name"]
        table = self._corpus.read_table(f"{CITATIONS.name}/{name}.parquet", list(CITATION_COLUMNS))
        counted = count_citations(self._matcher, table)
        # Counts are written last: a part whose counts have a marker then has its postings too.
        Parts(self._entities, POSTINGS).write(name, row["made_from"], counted.postings)
        Parts(self._entities, COUNTS).write(
            name, row["made_from"], counted.counts, {"citations": table.num_rows}
        )
        return {"name": name, "citations": table.num_rows}


def sum_counts(directory: Directory) -> pl.DataFrame:
    """All files of ``counts/`` as one frame (concept_id, form, year, documents, mentions), sorted.

    Only a few files are in memory at a time, beside their sum.
    """
    total = pl.DataFrame(COUNTS_SCHEMA.empty_table())
    unmerged: list[pl.DataFrame] = []
    for name in directory.list_files(COUNTS):
        unmerged.append(pl.DataFrame(directory.read_table(f"{COUNTS}/{name}")))
        # Merging after every file would sum the total again and again.
        if sum(frame.height for frame in unmerged) > _MAX_UNMERGED_ROWS:
            total = _sum_frames([total, *unmerged])
            unmerged = []
    return _sum_frames([total, *unmerged]).sort(_KEY_COLUMNS)


def _sum_frames(frames: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(frames).group_by(_KEY_COLUMNS).agg(pl.sum("documents"), pl.sum("mentions"))
