"""A portrait of one concept: everything a run has found out about it, with sentences that name it.

What holds: it is made from finished files of the run directory alone, reads only the parts of the
corpus that name the concept, one at a time, and is the same every time. A sentence is quoted as it
stands, with the place of the mention.
"""

import difflib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow.dataset as pads

from medr_ray.core.errors import DataError
from medr_ray.core.records import EntityFrequency, SeedEntity, Significance, from_row
from medr_ray.core.run import Directory, RunDirectory, StageDirectory
from medr_ray.corpus.artifacts import CITATIONS
from medr_ray.entities.artifacts import FREQUENCIES, SEEDS
from medr_ray.entities.counting import COUNTS, POSTINGS
from medr_ray.entities.form_patterns import LEXICON
from medr_ray.entities.matching import Matcher
from medr_ray.entities.rarity import RarityRule, clopper_pearson
from medr_ray.knowledge.name_normalization import normalise

SentenceSplitter = Callable[[str], Sequence[tuple[int, int]]]
_LEXICON_COLUMNS = ["concept_id", "name", "entity_type", "forms", "specialty"]
_FILE = "__filename"  # pyarrow's name for the file a row comes from
_SUGGESTED, _SHORTLIST = (
    5,
    200,
)  # names offered for one that is unknown, and looked at closely for that
_SIMILAR = 0.6  # of difflib's ratio; less is no likely slip


@dataclass(frozen=True)
class FormCount:
    """A form the concept was found by. ``documents`` counts the citations where it came first."""

    form: str
    documents: int
    mentions: int


@dataclass(frozen=True)
class YearCount:
    """Citations of a year of publication; null where the year is not known."""

    year: int | None
    documents: int


@dataclass(frozen=True)
class CompanionConcept:
    """Another concept, and the number of citations that name both."""

    concept_id: str
    name: str
    documents: int


@dataclass(frozen=True)
class SampleSentence:
    """A sentence of a citation; characters [start, end) of it are the mention."""

    pmid: str
    year: int | None
    sentence: str
    start: int
    end: int


@dataclass(frozen=True)
class ConceptSummary:
    """What a run knows of a concept. ``frequency`` holds df, tf and df / N with its interval over
    ``citations``; ``aliases`` are the forms of the lexicon that no mention was credited to;
    ``rare`` is by ``rule``; ``rank`` counts from 1 among ``candidates``. Of a concept that was no
    candidate, ``rank``, the verdict (``significance``) and the prevalence are null."""

    frequency: EntityFrequency
    specialty: str
    citations: int
    rare: bool
    rule: str
    significance: Significance | None
    rank: int | None
    candidates: int
    prevalence: float | None
    prevalence_source: str
    forms: tuple[FormCount, ...]
    aliases: tuple[str, ...]
    years: tuple[YearCount, ...]
    companions: tuple[CompanionConcept, ...]
    samples: tuple[SampleSentence, ...]


def read_applied_rule(entities: StageDirectory) -> RarityRule:
    """The rule of rarity in the stage's manifest. DataError when the stage is not finished, or of
    an older kind."""
    manifest = entities.manifest()
    if manifest is None or "rarity" not in manifest["counts"]:
        raise DataError(
            f"{entities.uri} has no finished results of this version: run `medr entities run`"
        )
    return RarityRule(**manifest["counts"]["rarity"])


# --- finding the concept --------------------------------------------------------------


def read_names(entities: Directory) -> pl.DataFrame:
    """(concept_id, name, entity_type, forms, specialty) of every concept."""
    return pl.DataFrame(entities.read_table(LEXICON, _LEXICON_COLUMNS))


def find_concepts(names: pl.DataFrame, asked: str) -> pl.DataFrame:
    """The rows of ``names`` (see ``read_names``) whose id, else whose name or a form of which, is
    ``asked`` whatever the case; none, one or several."""
    wanted = normalise(asked)
    by_id = names.filter(pl.col("concept_id").str.to_lowercase() == wanted)
    if not by_id.is_empty():
        return by_id
    preferred = names["name"].map_elements(normalise, return_dtype=pl.String)
    lower = names["forms"].list.eval(pl.element().str.to_lowercase())
    return names.filter((preferred == wanted) | lower.list.contains(wanted))


def nearest_names(names: pl.DataFrame, asked: str) -> list[str]:
    """Names of up to five concepts whose name or a form of which is written most like ``asked``,
    best first."""
    wanted = normalise(asked)
    every = names.select(
        "name", form=pl.concat_list("name", "forms").list.eval(pl.element().str.to_lowercase())
    )
    texts = every.explode("form").unique(maintain_order=True)
    pieces = sorted({wanted[i : i + 3] for i in range(max(1, len(wanted) - 2))})
    shared = pl.sum_horizontal(pl.col("form").str.contains(piece, literal=True) for piece in pieces)
    likely = texts.with_columns(score=shared / (pl.col("form").str.len_chars() + len(wanted)))
    called = dict(
        likely.sort("score", "form", descending=[True, False])
        .head(_SHORTLIST)
        .select("form", "name")
        .rows()
    )
    close = difflib.get_close_matches(wanted, list(called), _SHORTLIST, _SIMILAR)
    return list(dict.fromkeys(called[form] for form in close))[:_SUGGESTED]


# --- the portrait ---------------------------------------------------------------------


def summarise_concept(
    run: RunDirectory,
    names: pl.DataFrame,
    concept_id: str,
    split: SentenceSplitter,
    companions: int,
    samples: int,
) -> ConceptSummary:
    """The portrait of ``concept_id``, a row of ``names``, with so many companions and sample
    sentences at most. ``split`` gives the [start, end) of a text's sentences."""
    entities = run.stage("entities")
    rule = read_applied_rule(entities)
    row = names.row(by_predicate=pl.col("concept_id") == concept_id, named=True)
    counts = _counts(entities, concept_id)
    named = _citations(entities, concept_id, sorted(set(counts[_FILE])), samples)
    frequency = _frequency(entities, row, rule.citations)
    forms = (
        counts.group_by("form")
        .agg(pl.sum("documents"), pl.sum("mentions"))
        .sort(["mentions", "form"], descending=[True, False])
    )
    years = counts.group_by("year").agg(pl.sum("documents")).sort("year", nulls_last=True)
    seed, rank, candidates = _seed(entities, concept_id)
    found = {form.lower() for form in forms["form"]}
    return ConceptSummary(
        frequency,
        seed.specialty if seed else row["specialty"],
        rule.citations,
        rule.is_rare(frequency),
        rule.describe(),
        seed.significance if seed else None,
        rank,
        candidates,
        seed.prevalence if seed else None,
        seed.prevalence_source if seed else "",
        tuple(FormCount(**one) for one in forms.to_dicts()),
        tuple(sorted(form for form in row["forms"] if form.lower() not in found)),
        tuple(YearCount(**one) for one in years.to_dicts()),
        _companions(named.together, names, companions),
        tuple(_samples(run, concept_id, named.best, split)),
    )


def _counts(entities: Directory, concept_id: str) -> pl.DataFrame:
    """The concept's rows of ``counts/``, each with the file it is from."""
    data = pads.dataset(f"{entities.path}/{COUNTS}", filesystem=entities.fs, format="parquet")
    table = data.to_table(
        columns=["form", "year", "documents", "mentions", _FILE],
        filter=pads.field("concept_id") == concept_id,
    )
    return pl.DataFrame(table).with_columns(pl.col(_FILE).str.split("/").list.last())


def _frequency(entities: Directory, row: dict[str, Any], citations: int) -> EntityFrequency:
    """As counted, or zero of N."""
    stored = _row(entities, FREQUENCIES.name, pads.field("concept_id") == row["concept_id"])
    if stored is not None:
        return from_row(EntityFrequency, stored)
    lower, upper = clopper_pearson(np.array([0]), citations)
    return EntityFrequency(
        row["concept_id"],
        row["name"],
        row["entity_type"],
        0,
        0,
        0.0,
        float(lower[0]),
        float(upper[0]),
    )


def _seed(entities: Directory, concept_id: str) -> tuple[SeedEntity | None, int | None, int]:
    """The concept as a candidate, its rank (the file is in the order of ranks), and the number of
    candidates."""
    stored = _row(entities, SEEDS.name, pads.field("frequency", "concept_id") == concept_id)
    column = entities.read_columns(SEEDS, ["frequency.concept_id"]).flatten().column(0)
    if stored is None:
        return None, None, len(column)
    return from_row(SeedEntity, stored), column.to_pylist().index(concept_id) + 1, len(column)


def _row(
    directory: Directory, name: str, where: pads.Expression, columns: list[str] | None = None
) -> dict[str, Any] | None:
    data = pads.dataset(f"{directory.path}/{name}", filesystem=directory.fs, format="parquet")
    rows = data.to_table(columns=columns, filter=where).to_pylist()
    return dict(rows[0]) if rows else None


# --- the citations that name it -------------------------------------------------------


@dataclass(frozen=True)
class _Citations:
    """What ``postings/`` says of the citations that name a concept: how many of them name each
    other concept, and (mentions, PMID, file) of those that name it most often, of equals those of
    the highest PMIDs."""

    together: Counter[str]
    best: list[tuple[int, str, str]]


def _citations(entities: Directory, concept_id: str, files: Sequence[str], most: int) -> _Citations:
    """Read from ``files``, those that hold the concept, one after another; the best are ``most`` at
    most."""
    together: Counter[str] = Counter()
    best: list[tuple[int, str, str]] = []
    for file in files:
        every = pl.DataFrame(entities.read_table(f"{POSTINGS}/{file}"))
        named = every.filter(pl.col("concept_ids").list.contains(concept_id))
        flat = named.explode(["concept_ids", "mentions"])
        together.update(dict(flat["concept_ids"].value_counts().iter_rows()))
        own = flat.filter(pl.col("concept_ids") == concept_id).select("mentions", "pmid")
        found = [(mentions, pmid, file) for mentions, pmid in own.iter_rows()]
        best = sorted([*best, *found], key=lambda one: (-one[0], -int(one[1])))[:most]
    del together[concept_id]
    return _Citations(together, best)


def _companions(
    together: Counter[str], names: pl.DataFrame, most: int
) -> tuple[CompanionConcept, ...]:
    """The concepts named in most of the same citations; of equals the first by id."""
    best = sorted(together.items(), key=lambda one: (-one[1], one[0]))[:most]
    chosen = names.filter(pl.col("concept_id").is_in([concept_id for concept_id, _ in best]))
    called = dict(chosen.select("concept_id", "name").iter_rows())
    return tuple(CompanionConcept(one, called.get(one, one), documents) for one, documents in best)


def _samples(
    run: RunDirectory,
    concept_id: str,
    best: Sequence[tuple[int, str, str]],
    split: SentenceSplitter,
) -> list[SampleSentence]:
    """A sentence from each of the ``best`` citations."""
    if not best:
        return []
    matcher = Matcher.load(run.stage("entities"))
    return [
        _sample(_citation(run.stage("corpus"), file, pmid), concept_id, matcher, split)
        for _, pmid, file in best
    ]


def _citation(corpus: Directory, file: str, pmid: str) -> dict[str, Any]:
    """(pmid, title, abstract, year) of a citation."""
    stored = _row(
        corpus,
        f"{CITATIONS.name}/{file}",
        pads.field("pmid") == pmid,
        ["pmid", "title", "abstract", "year"],
    )
    if stored is None:
        raise DataError(
            f"{corpus.uri}/{CITATIONS.name}/{file} has no PMID {pmid}, which {POSTINGS}/{file} of the entities "
            "stage names: run `medr entities run`"
        )
    return stored


def _sample(
    citation: dict[str, Any], concept_id: str, matcher: Matcher, split: SentenceSplitter
) -> SampleSentence:
    """The first sentence of the abstract that names the concept, or the title."""
    for text in (citation["abstract"], citation["title"]):
        for mention in matcher.find(text):
            if mention.concept_id == concept_id:
                start, end = next(one for one in split(text) if one[0] <= mention.start < one[1])
                return SampleSentence(
                    citation["pmid"],
                    citation["year"],
                    text[start:end],
                    mention.start - start,
                    min(mention.end, end) - start,
                )
    raise DataError(
        f"PMID {citation['pmid']} no longer names {concept_id}: run `medr entities run` again"
    )
