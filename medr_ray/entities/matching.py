"""Finding the lexicon's forms in text.

What holds: a mention starts and ends at a word boundary; of overlapping mentions the leftmost wins,
of those the longest, and of equals the one written exactly as the form (a gene symbol) over the
folded one. What counts as the same word is said in ``tokens``; offsets are characters of the text
as given. An abbreviation that the text itself defines behind a mention is a mention too (see
``abbreviations``), by the form it stands for.

A matcher is compiled once from the lexicon and saved beside it; workers map the same file into
memory.
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
from medr_ray.entities.form_patterns import choose_patterns, common_words
from medr_ray.knowledge.lexicon import Concept

COMPILED = "matcher.arrow"


class Mention(NamedTuple):
    """Characters [start, end) of a text name ``concept_id``, by ``form`` (as the lexicon writes
    it)."""

    start: int
    end: int
    concept_id: str
    form: str


class Matcher:
    """Finds mentions. Form i is ``forms[i]`` and names ``concept_ids[concepts[i]]``;
    ``abbreviations`` says whether those that a text defines are resolved."""

    def __init__(
        self,
        compiled: trie.Trie,
        tables: tokens.FoldingTables,
        forms: pa.Array,
        concepts: np.ndarray,
        concept_ids: pa.Array,
        abbreviations: bool,
    ) -> None:
        self._trie, self._tables, self._abbreviations = compiled, tables, abbreviations
        self.forms, self.concepts, self.concept_ids = forms, concepts, concept_ids

    @classmethod
    def build(
        cls, lexicon: Sequence[Concept], min_form_length: int, abbreviations: bool = True
    ) -> "Matcher":
        """A matcher straight from concepts, without a file."""
        tables = tokens.folding_tables()
        owned = _owned(lexicon, min_form_length, tables)
        split = owned["exact"].sum()
        keys = owned["key"].to_arrow().cast(pa.large_string())
        compiled = trie.build_trie(keys[: len(keys) - split], keys[len(keys) - split :])
        return cls(
            compiled,
            tables,
            owned["form"].to_arrow().cast(pa.large_string()),
            owned["concept"].cast(pl.Int32).to_numpy(),
            pa.array([one.concept_id for one in lexicon], pa.large_string()),
            abbreviations,
        )

    def save(self, directory: Directory) -> None:
        """Write ``matcher.arrow``: one row, an array in each column."""
        columns = trie.to_columns(self._trie, self._tables) | {
            "concepts": self.concepts,
            "abbreviations": np.array([self._abbreviations], np.uint8),
        }
        for name in ("forms", "concept_ids"):
            columns[f"{name}_data"], columns[f"{name}_offsets"] = tokens.text_buffers(
                getattr(self, name)
            )
        batch = pa.record_batch({name: _one_list(array) for name, array in columns.items()})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, batch.schema) as writer:
            writer.write_batch(batch)
        directory.write_bytes(COMPILED, sink.getvalue())

    @classmethod
    def load(cls, directory: Directory) -> "Matcher":
        """The matcher of an ``entities`` directory: mapped where the directory is local, else read
        into memory."""
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
            _strings(arrays, "forms"),
            arrays["concepts"],
            _strings(arrays, "concept_ids"),
            bool(arrays["abbreviations"][0]),
        )

    def find(self, text: str) -> list[Mention]:
        """The mentions of ``text``, in order, not overlapping."""
        found = self.spans(pa.array([text], pa.large_string()))
        starts, ends = found.start, found.end
        if len(starts) and not text.isascii():
            data = np.frombuffer(text.encode("utf-8"), np.uint8)
            characters = np.concatenate([[0], np.cumsum((data & 0xC0) != 0x80)])
            starts, ends = characters[starts], characters[ends]
        return [
            Mention(
                start, end, self.concept_ids[self.concepts[form]].as_py(), self.forms[form].as_py()
            )
            for start, end, form in zip(
                starts.tolist(), ends.tolist(), found.form.tolist(), strict=True
            )
        ]

    def spans(self, texts: pa.Array | pa.ChunkedArray) -> trie.Spans:
        """Every mention in many texts: numbers of text and form, and bytes of the text."""
        data, offsets = tokens.text_buffers(texts)
        spans = trie.find_spans(self._trie, self._tables, data, offsets)
        return (
            resolve_abbreviations(spans, self._tables, data, offsets)
            if self._abbreviations
            else spans
        )


def _owned(
    lexicon: Sequence[Concept], min_form_length: int, tables: tokens.FoldingTables
) -> pl.DataFrame:
    """(key, exact, form, concept), folded ones first, each key once. A key that several concepts
    claim goes to the one whose name it is; where that is none or several, to the one with a form
    written like the key ("amphetamine" before "amphetamines"); else it is ambiguous and goes to
    nobody, as is an exact key of two."""
    patterns = choose_patterns(lexicon, min_form_length)
    names = tokens.match_keys(pa.array([one.name for one in lexicon], pa.large_string()), tables)
    kinds = []
    for exact in (False, True):
        pairs = [
            (form, i)
            for i, one in enumerate(patterns)
            for form in (one.exact if exact else one.folded)
        ]
        forms = pa.array([form for form, _ in pairs], pa.large_string())
        claims = pl.DataFrame(
            {
                "key": pl.Series(values=tokens.match_keys(forms, tables, exact), dtype=pl.String),
                "form": pl.Series([form for form, _ in pairs], dtype=pl.String),
                "concept": pl.Series([i for _, i in pairs], dtype=pl.Int64),
            }
        ).filter(pl.col("key") != "")
        if not exact:  # "emergencies" too
            claims = claims.filter(~pl.col("key").is_in(list(common_words())))
        kinds.append(
            _settle(claims, pl.Series(values=names, dtype=pl.String)).with_columns(
                exact=pl.lit(exact)
            )
        )
    return pl.concat(kinds)


def _settle(claims: pl.DataFrame, names: pl.Series) -> pl.DataFrame:
    """One row (key, form, concept) for each key that has an owner, sorted; of its forms the
    shortest."""
    by_name = pl.DataFrame(
        {"key": names, "concept": range(len(names))}, schema_overrides={"concept": pl.Int64}
    )
    named = claims.join(by_name, on=["key", "concept"], how="semi")
    written = claims.filter(
        pl.col("form").str.to_lowercase().str.replace_all("-", " ") == pl.col("key")
    )
    owners = _single(claims)
    for surer in (named, written):
        owners = pl.concat([owners, _single(surer).join(owners, on="key", how="anti")])
    chosen = claims.join(owners, on=["key", "concept"]).with_columns(
        length=pl.col("form").str.len_chars()
    )
    return (
        chosen.sort("key", "length", "form")
        .unique("key", keep="first", maintain_order=True)
        .select("key", "form", "concept")
    )


def _single(claims: pl.DataFrame) -> pl.DataFrame:
    """(key, concept) of the keys that one concept alone claims."""
    pairs = claims.select("key", "concept").unique()
    return (
        pairs.group_by("key")
        .agg(pl.first("concept"), pl.len())
        .filter(pl.col("len") == 1)
        .drop("len")
    )


def _one_list(array: np.ndarray) -> pa.Array:
    """The array as the only row of a column."""
    values = pa.array(np.ascontiguousarray(array))
    return pa.LargeListArray.from_arrays(pa.array([0, len(values)], pa.int64()), values)


def _strings(arrays: dict[str, np.ndarray], name: str) -> pa.Array:
    offsets, data = arrays[f"{name}_offsets"], arrays[f"{name}_data"]
    return pa.Array.from_buffers(
        pa.large_string(), len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    )
