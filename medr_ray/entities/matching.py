"""Finds the lexicon's forms in text.

Guaranteed: a mention starts and ends at a word boundary. Of overlapping mentions the leftmost wins,
then the longest, then a form that is matched exactly as written (a gene symbol) before a
case-folded one. ``tokens`` defines which words count as equal. Offsets are characters of the text
as given. An abbreviation that the text itself defines behind a mention is a mention of the same
concept (see ``abbreviations``).

A matcher is compiled once from the lexicon and saved beside it. All workers of a node map the same
file into memory.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.fs as pafs

from medr_ray.core.run import Directory
from medr_ray.entities import tokens, trie
from medr_ray.entities.abbreviations import resolve_abbreviations
from medr_ray.entities.form_patterns import choose_patterns, read_common_words
from medr_ray.knowledge.lexicon import Concept

COMPILED = "matcher.arrow"


class Mention(NamedTuple):
    """Characters [start, end) of a text name ``concept_id`` by ``form``, a form of the lexicon."""

    start: int
    end: int
    concept_id: str
    form: str


class Matcher:
    """Finds mentions of concepts in texts.

    Form i is ``forms[i]`` and names the concept ``concept_ids[concepts[i]]``. ``abbreviations``
    says whether abbreviations that a text defines are resolved.
    """

    def __init__(
        self,
        compiled: trie.Trie,
        tables: tokens.FoldingTables,
        forms: pa.Array,
        concepts: np.ndarray,
        concept_ids: pa.Array,
        abbreviations: bool,
    ) -> None:
        self._trie = compiled
        self._tables = tables
        self._abbreviations = abbreviations
        self.forms = forms
        self.concepts = concepts
        self.concept_ids = concept_ids

    @classmethod
    def build(
        cls, lexicon: Sequence[Concept], min_form_length: int, abbreviations: bool = True
    ) -> "Matcher":
        """A matcher compiled from concepts."""
        tables = tokens.build_folding_tables()
        owned = _assign_patterns(lexicon, min_form_length, tables)
        # The compiled code reads 64-bit offsets, whatever string type polars exports.
        keys = owned["key"].to_arrow().cast(pa.large_string())
        folded_count = len(keys) - owned["exact"].sum()
        compiled = trie.build_trie(keys[:folded_count], keys[folded_count:])
        return cls(
            compiled,
            tables,
            owned["form"].to_arrow().cast(pa.large_string()),
            owned["concept"].cast(pl.Int32).to_numpy(),
            pa.array([concept.concept_id for concept in lexicon], pa.large_string()),
            abbreviations,
        )

    def save(self, directory: Directory) -> None:
        """Write ``matcher.arrow``: one row, an array in each column."""
        columns = trie.to_columns(self._trie, self._tables) | {
            "concepts": self.concepts,
            "abbreviations": np.array([self._abbreviations], np.uint8),
        }
        for name in ("forms", "concept_ids"):
            columns[f"{name}_data"], columns[f"{name}_offsets"] = tokens.view_text_buffers(
                getattr(self, name)
            )
        batch = pa.record_batch({name: _wrap_as_row(array) for name, array in columns.items()})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, batch.schema) as writer:
            writer.write_batch(batch)
        directory.write_bytes(COMPILED, sink.getvalue())

    @classmethod
    def load(cls, directory: Directory) -> "Matcher":
        """The matcher of an ``entities`` directory.

        Its file is mapped into memory where the directory is local, and read otherwise.
        """
        # Only a local file can be mapped; the arrays below are views of the map without a copy.
        if isinstance(directory.fs, pafs.LocalFileSystem):
            source: pa.NativeFile = pa.memory_map(f"{directory.path}/{COMPILED}")
        else:
            source = pa.BufferReader(directory.read_bytes(COMPILED))
        batch = pa.ipc.open_file(source).get_batch(0)
        arrays = {name: batch.column(name).values.to_numpy() for name in batch.schema.names}
        compiled, tables = trie.from_columns(arrays)
        return cls(
            compiled,
            tables,
            _read_strings(arrays, "forms"),
            arrays["concepts"],
            _read_strings(arrays, "concept_ids"),
            bool(arrays["abbreviations"][0]),
        )

    def find_mentions(self, text: str) -> list[Mention]:
        """The mentions of ``text``, in order, not overlapping."""
        spans = self.find_spans(pa.array([text], pa.large_string()))
        starts = spans.start
        ends = spans.end
        if len(starts) and not text.isascii():
            # From bytes to characters: every byte but UTF-8's continuation bytes begins one.
            data = np.frombuffer(text.encode("utf-8"), np.uint8)
            characters = np.concatenate([[0], np.cumsum((data & 0xC0) != 0x80)])
            starts = characters[starts]
            ends = characters[ends]
        return [
            Mention(
                start, end, self.concept_ids[self.concepts[form]].as_py(), self.forms[form].as_py()
            )
            for start, end, form in zip(
                starts.tolist(), ends.tolist(), spans.form.tolist(), strict=True
            )
        ]

    def find_spans(self, texts: pa.Array | pa.ChunkedArray) -> trie.Spans:
        """The mentions in many texts, in bytes; see ``trie.Spans``."""
        data, offsets = tokens.view_text_buffers(texts)
        spans = trie.find_spans(self._trie, self._tables, data, offsets)
        return (
            resolve_abbreviations(spans, self._tables, data, offsets)
            if self._abbreviations
            else spans
        )


def _assign_patterns(
    lexicon: Sequence[Concept], min_form_length: int, tables: tokens.FoldingTables
) -> pl.DataFrame:
    """(key, form, concept, exact), the case-folded keys first, each key once.

    A key that several concepts claim goes to the only one whose preferred name it is. Where none or
    several have it as their name, it goes to the only one with a form written like the key
    ("amphetamine" before "amphetamines"). Otherwise the key is ambiguous and is not matched at all.
    Exact keys are decided in the same way.
    """
    patterns = choose_patterns(lexicon, min_form_length)
    concept_names = pa.array([concept.name for concept in lexicon], pa.large_string())
    names = pl.Series(values=tokens.build_match_keys(concept_names, tables), dtype=pl.String)
    # Folded and exact keys are matched apart, so they are also owned apart.
    folded_claims = _list_claims([pattern.folded for pattern in patterns], tables, exact=False)
    # Common words were left out before, but folding may make another one ("emergencies").
    folded_claims = folded_claims.filter(~pl.col("key").is_in(list(read_common_words())))
    exact_claims = _list_claims([pattern.exact for pattern in patterns], tables, exact=True)
    folded = _settle_claims(folded_claims, names).with_columns(exact=pl.lit(False))
    exact = _settle_claims(exact_claims, names).with_columns(exact=pl.lit(True))
    return pl.concat([folded, exact])


def _list_claims(
    forms_by_concept: Sequence[tuple[str, ...]], tables: tokens.FoldingTables, exact: bool
) -> pl.DataFrame:
    """(key, form, concept) of every form that has a key; ``concept`` is the index of its
    concept."""
    forms: list[str] = []
    concepts: list[int] = []
    for concept, concept_forms in enumerate(forms_by_concept):
        forms += concept_forms
        concepts += [concept] * len(concept_forms)
    keys = tokens.build_match_keys(pa.array(forms, pa.large_string()), tables, exact)
    claims = pl.DataFrame(
        {
            "key": pl.Series(values=keys, dtype=pl.String),
            "form": pl.Series(forms, dtype=pl.String),
            "concept": pl.Series(concepts, dtype=pl.Int64),
        }
    )
    return claims.filter(pl.col("key") != "")


def _settle_claims(claims: pl.DataFrame, names: pl.Series) -> pl.DataFrame:
    """(key, form, concept), one row for each key that has an owner, sorted by key.

    ``names`` are the keys of the concepts' names. Of several forms of the owner the shortest is
    taken.
    """
    key_by_name = pl.DataFrame(
        {"key": names, "concept": range(len(names))}, schema_overrides={"concept": pl.Int64}
    )
    claims_by_name = claims.join(key_by_name, on=["key", "concept"], how="semi")
    plain_form = pl.col("form").str.to_lowercase().str.replace_all("-", " ")
    claims_as_written = claims.filter(plain_form == pl.col("key"))
    owners = _select_sole_claims(claims)
    # Each further reason adds owners only for keys that have none yet.
    for better_claims in (claims_by_name, claims_as_written):
        new_owners = _select_sole_claims(better_claims).join(owners, on="key", how="anti")
        owners = pl.concat([owners, new_owners])
    owned = claims.join(owners, on=["key", "concept"])
    return (
        owned.with_columns(length=pl.col("form").str.len_chars())
        .sort("key", "length", "form")
        .unique("key", keep="first", maintain_order=True)
        .select("key", "form", "concept")
    )


def _select_sole_claims(claims: pl.DataFrame) -> pl.DataFrame:
    """(key, concept) of the keys that only one concept claims."""
    pairs = claims.select("key", "concept").unique()
    return (
        pairs.group_by("key")
        .agg(pl.first("concept"), pl.len())
        .filter(pl.col("len") == 1)
        .drop("len")
    )


def _wrap_as_row(array: np.ndarray) -> pa.Array:
    """The array as the only row of a column."""
    values = pa.array(np.ascontiguousarray(array))
    return pa.LargeListArray.from_arrays(pa.array([0, len(values)], pa.int64()), values)


def _read_strings(arrays: dict[str, np.ndarray], name: str) -> pa.Array:
    offsets = arrays[f"{name}_offsets"]
    data = arrays[f"{name}_data"]
    return pa.Array.from_buffers(
        pa.large_string(), len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    )
