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
from medr_ray.knowledge.name_normalization import list_name_variants, normalise
from medr_ray.knowledge.predicates import DISEASE

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
        owned = assign_keys(lexicon, min_form_length, tables)
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

        Its file is mapped into memory where the directory is local, and read otherwise. Raises
        DataError when it is not there or damaged.
        """
        with directory.name_damage(COMPILED):
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


def assign_keys(
    lexicon: Sequence[Concept], min_form_length: int, tables: tokens.FoldingTables
) -> pl.DataFrame:
    """What a matcher looks for: (key, form, concept, exact), the case-folded keys first, each key
    once.

    A key that several concepts claim goes to the only one whose preferred name it is. Where none or
    several have it as their name, it goes to the only one with a form written like the key
    ("amphetamine" before "amphetamines"), then to the only disease whose name it is (a finding may
    have the same name). Otherwise the key is ambiguous and is not matched at all.
    Exact keys are decided in the same way. Two kinds of keys are only taken where nobody else has
    them: variants of forms (British spellings and the like; that of a preferred name also where it
    is no more than a synonym of another concept), and the names, as written, of concepts
    that do not own the key of their name ("Anorectal anomalies", a disease, beside the phenotype
    "Anorectal anomaly").
    """
    patterns = choose_patterns(lexicon, min_form_length)
    concept_names = pa.array([concept.name for concept in lexicon], pa.large_string())
    names = _ConceptNames(
        pl.Series(values=tokens.build_match_keys(concept_names, tables), dtype=pl.String),
        [number for number, concept in enumerate(lexicon) if concept.entity_type == DISEASE],
    )
    # Folded and exact keys are matched apart, so they are also owned apart.
    folded_forms = _pair_forms([pattern.folded for pattern in patterns])
    folded = _settle_folded(folded_forms, names, tables)
    exact_forms = _pair_forms([pattern.exact for pattern in patterns])
    exact_claims = _list_claims(exact_forms, exact_forms, tables, exact=True)
    written_claims = _list_claims(folded_forms, folded_forms, tables, exact=True)
    lost_names = _list_lost_names(lexicon, folded, written_claims, names.keys)
    name_claims = _list_claims(*lost_names, tables, exact=True)
    name_claims = name_claims.join(exact_claims, on="key", how="anti")
    exact = pl.concat([_settle_claims(exact_claims, names), _settle_claims(name_claims, names)])
    return pl.concat(
        [folded.with_columns(exact=pl.lit(False)), exact.with_columns(exact=pl.lit(True))]
    )


class _ConceptNames(NamedTuple):
    """The key of each concept's name, and the numbers of the diseases among the concepts."""

    keys: pl.Series
    diseases: list[int]

    def pair_with_concepts(self) -> pl.DataFrame:
        """(key, concept) of each name."""
        return pl.DataFrame(
            {"key": self.keys, "concept": range(len(self.keys))},
            schema_overrides={"concept": pl.Int64},
        )


_OwnedForm = tuple[str, int]  # a form, and the index of its concept


def _settle_folded(
    forms: Sequence[_OwnedForm], names: _ConceptNames, tables: tokens.FoldingTables
) -> pl.DataFrame:
    """(key, form, concept) of the forms and of their variants, each key once."""
    claims = _list_claims(forms, forms, tables, exact=False)
    # Common words were left out before, but folding may make another one ("emergencies").
    is_common = pl.col("key").is_in(list(read_common_words()))
    claims = claims.filter(~is_common)
    settled = _settle_claims(claims, names)
    # A form that was lost to another concept has no variants either.
    owned_claims = claims.join(settled, on=["key", "concept"], how="semi")
    variant_claims = _list_variant_claims(owned_claims, tables).filter(~is_common)
    # A name in another spelling ("Wilms tumour") comes before a synonym of another concept.
    key_by_name = names.pair_with_concepts()
    owned_names = owned_claims.join(key_by_name, on=["key", "concept"], how="semi")
    variants_of_names = variant_claims.join(owned_names, on=["form", "concept"], how="semi")
    claimed_names = claims.join(key_by_name, on=["key", "concept"], how="semi")
    unclaimed = variant_claims.join(claims, on="key", how="anti")
    variants = pl.concat([unclaimed, variants_of_names.join(claimed_names, on="key", how="anti")])
    settled_variants = _settle_claims(variants.unique(), names)
    return pl.concat([settled.join(settled_variants, on="key", how="anti"), settled_variants])


def _pair_forms(forms_by_concept: Sequence[tuple[str, ...]]) -> list[_OwnedForm]:
    return [(form, concept) for concept, forms in enumerate(forms_by_concept) for form in forms]


def _list_variant_claims(owned_claims: pl.DataFrame, tables: tokens.FoldingTables) -> pl.DataFrame:
    """(key, form, concept) of the variants of the forms, each with the form that it stands for."""
    variants: list[_OwnedForm] = []
    forms: list[_OwnedForm] = []
    for form, concept in owned_claims.select("form", "concept").iter_rows():
        for variant in list_name_variants(form):
            variants.append((variant, concept))
            forms.append((form, concept))
    return _list_claims(variants, forms, tables, exact=False)


def _list_lost_names(
    lexicon: Sequence[Concept], folded: pl.DataFrame, written: pl.DataFrame, names: pl.Series
) -> tuple[list[_OwnedForm], list[_OwnedForm]]:
    """(spellings of the names, the normalised names) of the concepts that do not own the key of
    their name.

    Names that are not searched for are left out, and those that another concept is written like.
    ``written`` are the claims of all forms by their keys as written.
    """
    common_words = read_common_words()
    owner_by_key = dict(folded.select("key", "concept").iter_rows())
    written_alike = written.group_by("key").agg(pl.col("concept").n_unique().alias("concepts"))
    sole = written.join(written_alike.filter(pl.col("concepts") == 1), on="key")
    sole_forms = set(sole.select("form", "concept").iter_rows())
    spellings = []
    forms = []
    for concept, key in enumerate(names):
        name = lexicon[concept].name
        form = normalise(name)
        is_settled = key in common_words or owner_by_key.get(key) == concept
        if is_settled or (form, concept) not in sole_forms:
            continue
        for spelling in dict.fromkeys((name, form, form[:1].upper() + form[1:])):
            spellings.append((spelling, concept))
            forms.append((form, concept))
    return spellings, forms


def _list_claims(
    spellings: Sequence[_OwnedForm],
    forms: Sequence[_OwnedForm],
    tables: tokens.FoldingTables,
    exact: bool,
) -> pl.DataFrame:
    """(key, form, concept) of every spelling that has a key, with the form that it stands for."""
    texts = pa.array([spelling for spelling, _ in spellings], pa.large_string())
    keys = tokens.build_match_keys(texts, tables, exact)
    claims = pl.DataFrame(
        {
            "key": pl.Series(values=keys, dtype=pl.String),
            "form": pl.Series([form for form, _ in forms], dtype=pl.String),
            "concept": pl.Series([concept for _, concept in forms], dtype=pl.Int64),
        }
    )
    return claims.filter(pl.col("key") != "")


def _settle_claims(claims: pl.DataFrame, names: _ConceptNames) -> pl.DataFrame:
    """(key, form, concept), one row for each key that has an owner, sorted by key.

    Of several forms of the owner the shortest is taken.
    """
    claims_by_name = claims.join(names.pair_with_concepts(), on=["key", "concept"], how="semi")
    plain_form = pl.col("form").str.to_lowercase().str.replace_all("-", " ")
    claims_as_written = claims.filter(plain_form == pl.col("key"))
    owners = _select_sole_claims(claims)
    # Each further reason adds owners only for keys that have none yet.
    claims_by_disease = claims_by_name.filter(pl.col("concept").is_in(names.diseases))
    for better_claims in (claims_by_name, claims_as_written, claims_by_disease):
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
