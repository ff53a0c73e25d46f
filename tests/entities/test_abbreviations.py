"""Abbreviations that a text defines: which definitions count, what becomes of them; the same by a
plain reference."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import naive_matching as naive

from medr_ray.core.run import Directory
from medr_ray.entities.matching import Matcher
from medr_ray.knowledge.lexicon import Concept

CONCEPTS = [
    Concept("D:td", "Tardive dyskinesia", "disease", ("tardive dyskinesia",), ""),
    Concept(
        "D:hit",
        "Heparin-induced thrombocytopenia",
        "disease",
        ("heparin-induced thrombocytopenia",),
        "",
    ),
    Concept("C:no", "Nitric oxide", "drug", ("nitric oxide",), ""),
    Concept("C:ros", "Reactive oxygen species", "drug", ("reactive oxygen species",), ""),
    Concept("G:ros1", "ROS1", "gene", ("ROS", "ROS1"), "", ("ROS", "ROS1")),
    Concept("D:marfan", "Marfan syndrome", "disease", ("marfan syndrome", "ms-like syndrome"), ""),
]


@pytest.fixture(scope="module")
def matcher() -> Matcher:
    return Matcher.build(CONCEPTS, 4)


def _find_concepts(matcher: Matcher, text: str) -> list[tuple[str, str]]:
    return [
        (text[mention.start : mention.end], mention.concept_id)
        for mention in matcher.find_mentions(text)
    ]


@pytest.mark.parametrize(
    ("text", "uses"),
    [
        ("Heparin-induced thrombocytopenia (HIT): HIT.", 2),
        ("Nitric oxide [NO; n = 3]; NO", 2),
        ("Nitric oxide\n( NO, gas) and NO", 2),
        ("Nitric oxide (NO-1) NO-1", 0),
        ("Nitric oxide (no); no", 0),
        ("Nitric oxide (ABC); ABC", 0),
        ("Nitric oxide (O); O", 0),
        ("Nitric oxide (N is given, NO", 0),
        ("Nitric oxide (see the long note on NO and its friends) NO", 0),
        ("Nitric oxide was rare (NO); NO", 0),
        ("Nitric oxide (IO); IO", 0),  # no word begins with i
    ],
)
def test_a_definition_follows_its_long_form_and_is_spelt_by_it(
    matcher: Matcher, text: str, uses: int
) -> None:
    assert len(_find_concepts(matcher, text)) == 1 + uses


@pytest.mark.parametrize(
    "definition",
    [
        "tardive dyskinesia ('TD')",
        "tardive dyskinesia (“TD”)",
        'tardive dyskinesia ( "TD" )',
        "tardive dyskinesia {TD}",
        "tardive dyskinesia （TD）",
        "tardive dyskinesia【TD】",
        "tardive dyskinesia (or TD)",
        "tardive dyskinesia (abbreviated as TD)",
        "tardive dyskinesia (i.e., TD)",
        "tardive dyskinesia (hereafter referred to as TD)",
        "tardive dyskinesia (a movement disorder; TD)",
        "tardive dyskinesia (TD for short)",
        "tardive dyskinesia (TDs)",
        "TD (tardive dyskinesia)",
        "TD [ tardive dyskinesia ]",
        "TD: tardive dyskinesia",
        "TD = tardive dyskinesia",
        "迟发性运动障碍（tardive dyskinesia，TD）",
    ],
)
def test_people_define_an_abbreviation_in_many_ways(matcher: Matcher, definition: str) -> None:
    mentions = matcher.find_mentions(f"{definition}. TD was treated, TDs too; TD患者")
    assert [mention.concept_id for mention in mentions] == ["D:td"] * 5


def test_a_plural_defines_the_singular_and_the_charge_of_an_ion_is_not_spelled() -> None:
    concepts = [
        Concept("D:gist", "Stromal tumors", "disease", ("stromal tumors",), ""),
        Concept("C:ca", "Calcium", "drug", ("calcium",), ""),
        Concept("C:mpp", "Methyl-phenylpyridinium", "drug", ("methyl-phenylpyridinium",), ""),
    ]
    matcher = Matcher.build(concepts, 4)
    text = "Stromal tumors (STs). An ST. Calcium (Ca2+), Ca2+-free. Methyl-phenylpyridinium (MPP+)."
    assert [found for found, _ in _find_concepts(matcher, text)] == [
        "Stromal tumors",
        "STs",
        "ST",
        "Calcium",
        "Ca2+",
        "Ca2+",
        "Methyl-phenylpyridinium",
        "MPP+",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "TD (with tardive dyskinesia) TD",
        "Td (tardive dyskinesia) Td",
        "tardive dyskinesia (TD patients and MS) TD",
        "tardive dyskinesia, TD",
        "tardive dyskinesia (see XY)",
    ],
)
def test_a_remark_in_brackets_defines_nothing(matcher: Matcher, text: str) -> None:
    assert [found for found, _ in _find_concepts(matcher, text)] == ["tardive dyskinesia"]


def test_every_use_is_the_disease_also_before_the_definition_and_in_the_plural(
    matcher: Matcher,
) -> None:
    text = "TD, tardive dyskinesia (TD), is feared. TDs and td; TDX, αTD, TDα, TD–free."
    assert _find_concepts(matcher, text) == [
        ("TD", "D:td"),
        ("tardive dyskinesia", "D:td"),
        ("TD", "D:td"),
        ("TDs", "D:td"),
        ("TD", "D:td"),
    ]
    assert {mention.form for mention in matcher.find_mentions(text)} == {"tardive dyskinesia"}


def test_the_texts_own_definition_wins_over_a_symbol_of_the_lexicon(matcher: Matcher) -> None:
    assert _find_concepts(matcher, "ROS rearrangements") == [("ROS", "G:ros1")]
    text = "Reactive oxygen species (ROS) rose; ROS fell."
    assert [concept for _, concept in _find_concepts(matcher, text)] == ["C:ros"] * 3


def test_an_unknown_long_form_changes_nothing(matcher: Matcher) -> None:
    assert (
        _find_concepts(matcher, "The rate of survival (ROS) was high; ROS.")
        == [("ROS", "G:ros1")] * 2
    )


def test_a_longer_mention_around_an_abbreviation_stays(matcher: Matcher) -> None:
    assert _find_concepts(matcher, "Marfan syndrome (MS) and MS-like syndrome") == [
        ("Marfan syndrome", "D:marfan"),
        ("MS", "D:marfan"),
        ("MS-like syndrome", "D:marfan"),
    ]


def test_a_definition_holds_in_its_own_text_only(matcher: Matcher) -> None:
    import pyarrow as pa

    spans = matcher.find_spans(pa.array(["Tardive dyskinesia (TD)", "TD", "tardive dyskinesia"]))
    assert spans.text.tolist() == [0, 0, 2]


def test_it_can_be_left_out_and_that_is_saved(tmp_path: Path) -> None:
    plain = Matcher.build(CONCEPTS, 4, abbreviations=False)
    plain.save(Directory(str(tmp_path)))
    for matcher in (plain, Matcher.load(Directory(str(tmp_path)))):
        assert _find_concepts(matcher, "Tardive dyskinesia (TD)") == [
            ("Tardive dyskinesia", "D:td")
        ]


PIECES = (
    "tardive dyskinesia",
    "Tardive  dyskinesia",
    "nitric oxide",
    "TD",
    "(TD)",
    "(NO)",
    "[NO; x]",
    "( TD, y)",
    "ROS",
    "(ROS)",
    "reactive oxygen species",
    "TDs",
    "NO",
    "NOs",
    "α",
    "(",
    ")",
    "MS-like syndrome",
    "marfan syndrome",
    "(MS)",
    "MS",
    "(Td)",
    "Td",
    "(tD 1)",
    "é",
    "–",
    "('TD')",
    "{NO}",
    "（TD）",
    "(TDs)",
    "(hereafter TD)",
    "(TD in short)",
    "(NO2+)",
    "NO2+",
    "(nitric oxide)",
    "(tardive dyskinesia, TD)",
    ":",
    "肺",
)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(PIECES), st.sampled_from((" ", " ", "", "\n", ".", ", "))),
        max_size=16,
    )
)
def test_the_same_as_a_plain_reference(pieces: list[tuple[str, str]]) -> None:
    text = "".join(piece + join for piece, join in pieces)
    plain = [
        (mention.start, mention.end, mention.concept_id) for mention in _PLAIN.find_mentions(text)
    ]
    assert [
        (mention.start, mention.end, mention.concept_id) for mention in _WHOLE.find_mentions(text)
    ] == naive.abbreviate(text, plain)


_PLAIN, _WHOLE = Matcher.build(CONCEPTS, 4, abbreviations=False), Matcher.build(CONCEPTS, 4)
