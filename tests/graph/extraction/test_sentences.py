"""Lists, other names in brackets and classes, as a sentence's grammar groups them."""

from support.marked_text import parse_marked_text

from medr_ray.graph.extraction.sentences import SentenceItem, build_sentences


def read_items(text: str) -> dict[str, SentenceItem]:
    """The items of a marked sentence by concept; of one named twice the last."""
    plain, mentions, types = parse_marked_text(text)
    (sentence,) = build_sentences(plain, [(0, len(plain))], mentions, types)
    return {item.concept_id: item for item in sentence.items}


def read_extent(text: str, name: str) -> str:
    plain, _, _ = parse_marked_text(text)
    item = read_items(text)[name]
    return plain[item.group_start : item.group_end]


def test_an_item_reaches_over_its_list() -> None:
    text = (
        "Treated with {aspirin:drug} (oral), intravenous {heparin:drug} and/or {zinc:drug} "
        "for {stroke:disease}."
    )
    for name in ("aspirin", "heparin", "zinc"):
        assert read_extent(text, name) == "aspirin (oral), intravenous heparin and/or zinc"
    assert read_extent(text, "stroke") == "stroke"


def test_a_list_is_of_one_kind_and_an_enumeration_of_any() -> None:
    text = (
        "{Fever:phenotype}, {stroke:disease}, and {ataxia:phenotype} in {gout:disease} and "
        "{zinc:drug}."
    )
    items = read_items(text)
    assert read_extent(text, "stroke") == "stroke"
    assert (
        items["fever"].enumeration
        == items["stroke"].enumeration
        == items["ataxia"].enumeration
        >= 0
    )
    assert items["gout"].enumeration == items["zinc"].enumeration == -1


def test_a_name_and_its_abbreviation_are_one() -> None:
    text = "{Gout:disease} (also known as {gout:disease}) is frequent."
    assert read_extent(text, "gout") == "Gout (also known as gout"


def test_a_name_that_comes_again_begins_a_clause() -> None:
    text = "{RET:gene} binds {TSH:gene}, and {TSH:gene} and {RB1:gene} form a complex."
    plain, mentions, types = parse_marked_text(text)
    (sentence,) = build_sentences(plain, [(0, len(plain))], mentions, types)
    assert [plain[item.group_start : item.group_end] for item in sentence.items] == [
        "RET",
        "TSH",
        "TSH and RB1",
        "TSH and RB1",
    ]


def test_a_member_reaches_over_its_class() -> None:
    text = (
        "{Apraxia:disease} (rare) is a progressive {brain disorder:disease} with "
        "{tremor:phenotype}."
    )
    items = read_items(text)
    assert read_extent(text, "apraxia") == "Apraxia (rare) is a progressive brain disorder"
    assert [name for name, item in items.items() if item.is_class] == ["brain disorder"]


def test_a_class_of_something_unnamed_is_a_class_but_no_list_of_causes_is() -> None:
    assert read_items("IIM are rare {muscle diseases:disease} with {weakness:phenotype}.")[
        "muscle diseases"
    ].is_class
    assert not read_items("RET is a cause of {goitre:disease}.")["goitre"].is_class


def test_mentions_are_of_the_sentence_they_begin_in_and_unknown_ones_are_left_out() -> None:
    plain, mentions, types = parse_marked_text(
        "A {fever:phenotype} was seen. Then {gout:disease} and {zinc:drug}."
    )
    first, second = build_sentences(plain, [(0, 17), (18, len(plain))], reversed(mentions), types)
    assert [[item.concept_id for item in sentence.items] for sentence in (first, second)] == [
        ["fever"],
        ["gout", "zinc"],
    ]
    assert second.text[second.items[0].mention.start : second.items[0].mention.end] == "gout"
    del types["zinc"]
    assert [
        item.concept_id
        for item in build_sentences(plain, [(18, len(plain))], mentions, types)[0].items
    ] == ["gout"]
