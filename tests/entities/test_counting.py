"""Counts equal a naive reference on random texts and lexicons, whatever the text is made of."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support import naive_matching as naive

from medr_ray.core.parts import Parts
from medr_ray.core.run import Directory
from medr_ray.entities import counting
from medr_ray.entities.counting import (
    COUNTS,
    COUNTS_SCHEMA,
    CitationCounts,
    count_citations,
    sum_counts,
)
from medr_ray.entities.form_patterns import read_common_words
from medr_ray.entities.matching import Matcher
from medr_ray.knowledge.lexicon import Concept
from medr_ray.knowledge.name_normalization import list_name_variants

# Few words, so that forms overlap, nest and differ by a plural, an accent, a hyphen or case only.
WORDS = (
    "ataxia",
    "ataxias",
    "Friedreich",
    "friedreich",
    "Sjögren",
    "sjogren",
    "FBN1",
    "fbn1",
    "α",
    "alpha",
    "TNFα",
    "type",
    "2",
    "stenosis",
    "stenoses",
    "syndrome",
    "syndromes",
    "cardiomyopathies",
    "e\u0301tat",
    "HIV",
    "bus",
)
JOINS = (" ", "-", " - ", "/", ", ", "’s ", "'s", "'", ".", "\u00a0", "\n", "")
phrases = st.lists(
    st.tuples(st.sampled_from(WORDS), st.sampled_from(JOINS)), min_size=1, max_size=4
)
texts = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(JOINS)), max_size=14)


def _join_parts(parts: list[tuple[str, str]]) -> str:
    return "".join(word + join for word, join in parts)


def _owners_by_key(forms: list[str], exact: bool) -> dict[tuple[str, ...], str]:
    """The key of each form -> its concept. A key that several forms share belongs to the
    form that is spelled like it, if there is one."""
    claims: dict[tuple[str, ...], list[tuple[str, int]]] = {}
    for i, form in enumerate(forms):
        claims.setdefault(tuple(word for word, _, _ in naive.tokens(form, exact)), []).append(
            (form, i)
        )
    owners = {}
    for key, claimed in claims.items():
        written = [
            concept
            for concept in claimed
            if not exact and concept[0].lower().replace("-", " ") == " ".join(key)
        ]
        for owner in (claimed, written):
            if len(owner) == 1:
                owners[key] = f"C{owner[0][1]}{'e' if exact else 'f'}"
    # Another way to write a form has a key that no form has.
    variants: dict[tuple[str, ...], set[int]] = {}
    for i, form in enumerate([] if exact else forms):
        for variant in list_name_variants(form):
            key = tuple(word for word, _, _ in naive.tokens(variant))
            if key not in claims:
                variants.setdefault(key, set()).add(i)
    owners |= {key: f"C{min(owner)}f" for key, owner in variants.items() if len(owner) == 1}
    return {key: owner for key, owner in owners.items() if key}


def _matcher(folded: list[str], exact: list[str]) -> Matcher:
    """Folded forms are diseases', exact ones genes'; their names are nobody's form."""
    diseases = [
        Concept(f"C{i}f", f"#{i}#", "disease", (form,), "") for i, form in enumerate(folded)
    ]
    genes = [
        Concept(f"C{i}e", f"#{i}#", "gene", (form,), "", (form,)) for i, form in enumerate(exact)
    ]
    return Matcher.build([*diseases, *genes], min_form_length=1)


def _table(documents: list[tuple[str, str, int | None]]) -> pa.Table:
    titles, abstracts, years = zip(*documents, strict=True)
    return pa.table(
        {
            "pmid": [str(i) for i in range(len(titles))],
            "title": titles,
            "abstract": abstracts,
            "year": pa.array(years, pa.int32()),
        }
    )


def _by_concept(counted: CitationCounts) -> dict[str, tuple[int, int, dict[int | None, int]]]:
    rows = counted.counts.to_pylist()
    counts = {}
    for concept in {row["concept_id"] for row in rows}:
        own = [row for row in rows if row["concept_id"] == concept]
        years: Counter[int | None] = Counter()
        for row in own:
            years[row["year"]] += row["documents"]
        counts[concept] = (
            sum(years.values()),
            sum(row["mentions"] for row in own),
            {year: number for year, number in years.items() if number},
        )
    return counts


@settings(max_examples=300, deadline=None)
@example([[("ataxia", " ")], [("ataxia", "")]], [], [([], [("ataxia", " ")], None)])
@given(
    st.lists(phrases, max_size=6),
    st.lists(
        st.sampled_from(("FBN1", "TNFα", "HIV-2", "Sjögren", "ataxia 2")), max_size=3, unique=True
    ),
    st.lists(st.tuples(texts, texts, st.sampled_from((None, 1999, 2020))), min_size=1, max_size=4),
)
def test_counts_equal_a_naive_reference(
    folded: list[list[tuple[str, str]]],
    exact: list[str],
    drawn: list[tuple[list[tuple[str, str]], ...]],
) -> None:
    forms = [
        form
        for form in map(_join_parts, folded)
        if any(character.isalpha() for character in form)
        and " ".join(word for word, _, _ in naive.tokens(form)) not in read_common_words()
    ]
    documents = [
        (_join_parts(title), _join_parts(abstract), year) for title, abstract, year in drawn
    ]  # type: ignore[misc]
    matcher = _matcher(forms, [form for form in exact if len(form) >= 3])
    exact_keys = _owners_by_key([form for form in exact if len(form) >= 3], exact=True)
    expected = naive.count(_owners_by_key(forms, exact=False), exact_keys, documents)
    counted = count_citations(matcher, _table(documents))
    assert _by_concept(counted) == expected
    for (title, abstract, _), number in zip(documents, range(len(documents)), strict=True):
        named = [
            (mention.start, mention.end, mention.concept_id)
            for text in (title, abstract)
            for mention in matcher.find_mentions(text)
        ]
        assert named == [
            mention
            for text in (title, abstract)
            for mention in naive.find(_owners_by_key(forms, False), exact_keys, text)
        ]
        posted = [row for row in counted.postings.to_pylist() if row["pmid"] == str(number)]
        mentions = Counter(concept for _, _, concept in named)
        assert [(row["concept_ids"], row["mentions"]) for row in posted] == (
            [(sorted(mentions), [mentions[concept_id] for concept_id in sorted(mentions)])]
            if mentions
            else []
        )


def test_a_citation_is_credited_to_the_first_form_that_names_a_concept() -> None:
    lexicon = [Concept("A", "Ataxia", "disease", ("ataxia", "incoordination"), "")]
    counted = count_citations(
        Matcher.build(lexicon, 4),
        _table(
            [
                ("Incoordination", "Ataxia and ataxia.", 2001),
                ("Ataxia", "", 2001),
                ("Nothing", "at all", None),
            ]
        ),
    )
    assert counted.counts.to_pylist() == [
        {"concept_id": "A", "form": "ataxia", "year": 2001, "documents": 1, "mentions": 3},
        {"concept_id": "A", "form": "incoordination", "year": 2001, "documents": 1, "mentions": 1},
    ]
    assert counted.postings.to_pylist() == [
        {"pmid": "0", "concept_ids": ["A"], "mentions": [3]},
        {"pmid": "1", "concept_ids": ["A"], "mentions": [1]},
    ]


def test_the_sum_does_not_depend_on_how_many_files_are_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = Directory(str(tmp_path))
    for number in range(5):
        rows = [
            {"concept_id": concept, "form": "f", "year": year, "documents": 1, "mentions": 2}
            for concept, year in (("A", None), ("B", 2000 + number % 2))
        ]
        Parts(directory, COUNTS).write(
            f"p{number}", "x", pa.Table.from_pylist(rows, schema=COUNTS_SCHEMA)
        )
    at_once = sum_counts(directory)
    monkeypatch.setattr(counting, "_MAX_UNMERGED_ROWS", 3)
    assert sum_counts(directory).equals(at_once)
    assert at_once.rows() == [
        ("A", "f", None, 5, 10),
        ("B", "f", 2000, 3, 6),
        ("B", "f", 2001, 2, 4),
    ]
