"""The summary of one concept: its figures in a run, and sentences that name it.

Guaranteed: the summary is made from finished files of the run directory alone and is the same every
time. Only the parts of the corpus that name the concept are read, one at a time. A sentence is
quoted exactly as in the citation, with the position of the mention.
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
from medr_ray.entities.rarity import RarityRule, compute_clopper_pearson
from medr_ray.knowledge.name_normalization import fold_name, normalise

SentenceSplitter = Callable[[str], Sequence[tuple[int, int]]]
_LEXICON_COLUMNS = ["concept_id", "name", "entity_type", "forms", "specialty"]
_FILE_COLUMN = "__filename"  # pyarrow's name for the file a row comes from
_MAX_SUGGESTIONS = 5  # names offered instead of one that is unknown
_SHORTLIST = 200  # forms that are compared closely for that; difflib is too slow for all of them
_MIN_SIMILARITY = 0.6  # of difflib's ratio; a form less alike is unlikely to be meant


@dataclass(frozen=True)
class FormCount:
    """A form that names the concept. ``documents`` is the number of citations in which this form
    names it first."""

    form: str
    documents: int
    mentions: int


@dataclass(frozen=True)
class YearCount:
    """The number of citations of a year; ``year`` is null for citations without one."""

    year: int | None
    documents: int


@dataclass(frozen=True)
class CompanionConcept:
    """Another concept, with the number of citations that name both."""

    concept_id: str
    name: str
    documents: int


@dataclass(frozen=True)
class SampleSentence:
    """A sentence of a citation; its characters [start, end) are the mention."""

    pmid: str
    year: int | None
    sentence: str
    start: int
    end: int


@dataclass(frozen=True)
class ConceptSummary:
    """The summary of a concept.

    ``frequency`` has df, tf and df / N with its interval; N is ``citations``. ``rare`` is decided
    by ``rule``. ``rank`` counts from 1 among ``candidates``. ``aliases`` are the forms of the
    lexicon that no mention has. For a concept that was not a candidate, ``rank``, the verdict
    (``significance``) and the prevalence are null.
    """

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
    """The rarity rule in the stage's manifest.

    Raises DataError when the stage is not finished, or was run by an older version.
    """
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


def find_concepts(names: pl.DataFrame, query: str) -> pl.DataFrame:
    """The rows of ``names`` (see ``read_names``) that ``query`` stands for, in any case.

    These are the concept with that id; where there is none, all concepts with that name or form;
    where there is none either, all with a name or form that ``fold_name`` makes equal.
    """
    normalised = normalise(query)
    by_id = names.filter(pl.col("concept_id").str.to_lowercase() == normalised)
    if not by_id.is_empty():
        return by_id
    preferred_names = names["name"].map_elements(normalise, return_dtype=pl.String)
    forms = names["forms"].list.eval(pl.element().str.to_lowercase())
    named = names.filter((preferred_names == normalised) | forms.list.contains(normalised))
    folded = fold_name(query)
    if not named.is_empty() or not folded:
        return named
    all_names = names.select("concept_id", form=pl.concat_list("name", "forms")).explode("form")
    is_same = all_names["form"].map_elements(fold_name, return_dtype=pl.String) == folded
    owners = all_names.filter(is_same)
    return names.join(owners, on="concept_id", how="semi", maintain_order="left")


def find_nearest_names(names: pl.DataFrame, query: str) -> list[str]:
    """The names of up to five concepts with a name or form that is spelt most like ``query``, best
    first."""
    normalised = normalise(query)
    lower_forms = pl.concat_list("name", "forms").list.eval(pl.element().str.to_lowercase())
    all_forms = names.select("name", form=lower_forms).explode("form").unique(maintain_order=True)
    # A shortlist by the trigrams that a form shares with the query, relative to both lengths:
    # difflib is too slow for a whole lexicon.
    trigrams = sorted({normalised[i : i + 3] for i in range(max(1, len(normalised) - 2))})
    common = pl.sum_horizontal(
        pl.col("form").str.contains(trigram, literal=True) for trigram in trigrams
    )
    score = common / (pl.col("form").str.len_chars() + len(normalised))
    shortlist = (
        all_forms.with_columns(score=score)
        .sort("score", "form", descending=[True, False])
        .head(_SHORTLIST)
    )
    name_by_form = dict(shortlist.select("form", "name").rows())
    close = difflib.get_close_matches(normalised, list(name_by_form), _SHORTLIST, _MIN_SIMILARITY)
    return list(dict.fromkeys(name_by_form[form] for form in close))[:_MAX_SUGGESTIONS]


# --- the summary ----------------------------------------------------------------------


def summarise_concept(
    run: RunDirectory,
    names: pl.DataFrame,
    concept_id: str,
    split: SentenceSplitter,
    companions: int,
    samples: int,
) -> ConceptSummary:
    """The summary of ``concept_id``, which is a row of ``names``.

    ``companions`` and ``samples`` limit the number of companions and of sample sentences. ``split``
    gives the [start, end) of each sentence of a text.
    """
    entities = run.stage("entities")
    rule = read_applied_rule(entities)
    row = names.row(by_predicate=pl.col("concept_id") == concept_id, named=True)
    counts = _read_counts(entities, concept_id)
    files = sorted(set(counts[_FILE_COLUMN]))
    naming = _read_naming_citations(entities, concept_id, files, samples)
    frequency = _read_frequency(entities, row, rule.citations)
    forms = (
        counts.group_by("form")
        .agg(pl.sum("documents"), pl.sum("mentions"))
        .sort(["mentions", "form"], descending=[True, False])
    )
    years = counts.group_by("year").agg(pl.sum("documents")).sort("year", nulls_last=True)
    matched_forms = {form.lower() for form in forms["form"]}
    seed, rank, candidates = _read_seed(entities, concept_id)
    return ConceptSummary(
        frequency,
        seed.specialty if seed else row["specialty"],
        rule.citations,
        rule.is_rare(frequency),
        rule.describe_rule(),
        seed.significance if seed else None,
        rank,
        candidates,
        seed.prevalence if seed else None,
        seed.prevalence_source if seed else "",
        tuple(FormCount(**values) for values in forms.to_dicts()),
        tuple(sorted(form for form in row["forms"] if form.lower() not in matched_forms)),
        tuple(YearCount(**values) for values in years.to_dicts()),
        _find_companions(naming.comentions, names, companions),
        tuple(_sample_sentences(run, concept_id, naming.best, split)),
    )


def _read_counts(entities: Directory, concept_id: str) -> pl.DataFrame:
    """The concept's rows of ``counts/``, each with the name of its file."""
    table = entities.query_table(
        COUNTS,
        ["form", "year", "documents", "mentions", _FILE_COLUMN],
        pads.field("concept_id") == concept_id,
    )
    return pl.DataFrame(table).with_columns(pl.col(_FILE_COLUMN).str.split("/").list.last())


def _read_frequency(entities: Directory, row: dict[str, Any], citations: int) -> EntityFrequency:
    """The frequency as counted, or zero of all citations where no citation names the concept."""
    stored = _read_row(entities, FREQUENCIES.name, pads.field("concept_id") == row["concept_id"])
    if stored is not None:
        return from_row(EntityFrequency, stored)
    # Even a concept that is never named has an upper bound above zero.
    lower, upper = compute_clopper_pearson(np.array([0]), citations)
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


def _read_seed(entities: Directory, concept_id: str) -> tuple[SeedEntity | None, int | None, int]:
    """(the judged candidate, its rank, the number of candidates); None, None where the concept was
    no candidate."""
    stored = _read_row(entities, SEEDS.name, pads.field("frequency", "concept_id") == concept_id)
    column = entities.read_columns(SEEDS, ["frequency.concept_id"]).flatten().column(0)
    if stored is None:
        return None, None, len(column)
    rank = column.to_pylist().index(concept_id) + 1  # the file is in the order of ranks
    return from_row(SeedEntity, stored), rank, len(column)


def _read_row(
    directory: Directory, name: str, where: pads.Expression, columns: list[str] | None = None
) -> dict[str, Any] | None:
    rows = directory.query_table(name, columns, where).to_pylist()
    return dict(rows[0]) if rows else None


# --- the citations that name it -------------------------------------------------------


@dataclass(frozen=True)
class _NamingCitations:
    """The citations that name a concept, from ``postings/``.

    ``comentions`` is the number of these that also name another concept, by its id. ``best`` are
    (mentions, PMID, file) of the citations that name the concept most often; of equal ones, those
    with the highest PMIDs come first.
    """

    comentions: Counter[str]
    best: list[tuple[int, str, str]]


def _read_naming_citations(
    entities: Directory, concept_id: str, files: Sequence[str], max_best: int
) -> _NamingCitations:
    """Read the files of ``postings/`` in which the concept occurs, one after another."""
    comentions: Counter[str] = Counter()
    best: list[tuple[int, str, str]] = []
    for file in files:
        postings = pl.DataFrame(entities.read_table(f"{POSTINGS}/{file}"))
        naming = postings.filter(pl.col("concept_ids").list.contains(concept_id))
        pairs = naming.explode(["concept_ids", "mentions"])
        comentions.update(dict(pairs["concept_ids"].value_counts().iter_rows()))
        own = pairs.filter(pl.col("concept_ids") == concept_id).select("mentions", "pmid")
        best += [(mentions, pmid, file) for mentions, pmid in own.iter_rows()]
        # Cut after every file, so that memory does not grow with the number of citations.
        best = sorted(best, key=lambda entry: (-entry[0], -int(entry[1])))[:max_best]
    del comentions[concept_id]  # every citation counted the concept itself too
    return _NamingCitations(comentions, best)


def _find_companions(
    comentions: Counter[str], names: pl.DataFrame, max_companions: int
) -> tuple[CompanionConcept, ...]:
    """The concepts that are named together with this one in the most citations; equal ones by
    id."""
    ranked = sorted(comentions.items(), key=lambda item: (-item[1], item[0]))[:max_companions]
    is_companion = pl.col("concept_id").is_in([concept_id for concept_id, _ in ranked])
    companion_rows = names.filter(is_companion).select("concept_id", "name").iter_rows()
    name_by_id = dict(companion_rows)
    return tuple(
        CompanionConcept(concept_id, name_by_id.get(concept_id, concept_id), documents)
        for concept_id, documents in ranked
    )


def _sample_sentences(
    run: RunDirectory,
    concept_id: str,
    best: Sequence[tuple[int, str, str]],
    split: SentenceSplitter,
) -> list[SampleSentence]:
    """A sentence from each of the ``best`` citations."""
    if not best:
        return []
    matcher = Matcher.load(run.stage("entities"))
    corpus = run.stage("corpus")
    citations = [_read_citation(corpus, file, pmid) for _, pmid, file in best]
    return [_find_sample(citation, concept_id, matcher, split) for citation in citations]


def _read_citation(corpus: Directory, file: str, pmid: str) -> dict[str, Any]:
    """(pmid, title, abstract, year) of a citation."""
    stored = _read_row(
        corpus,
        f"{CITATIONS.name}/{file}",
        pads.field("pmid") == pmid,
        ["pmid", "title", "abstract", "year"],
    )
    if stored is None:
        raise DataError(
            f"{corpus.uri}/{CITATIONS.name}/{file} has no PMID {pmid}, which {POSTINGS}/{file} of "
            "the entities stage names: run `medr entities run`"
        )
    return stored


def _find_sample(
    citation: dict[str, Any], concept_id: str, matcher: Matcher, split: SentenceSplitter
) -> SampleSentence:
    """The first sentence of the abstract that names the concept, or the title."""
    for text in (citation["abstract"], citation["title"]):
        for mention in matcher.find_mentions(text):
            if mention.concept_id == concept_id:
                start, end = next(
                    span for span in split(text) if span[0] <= mention.start < span[1]
                )
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
