"""What counts as right: strict spans, concepts once a document, composites by each id; and whose
ids ours become."""

import pytest
from support.gold import GoldDocument, GoldMention
from support.gold_ids import GoldIds
from support.plain_dictionary import PlainDictionary
from support.scoring import FoundMention, Score, attainable_recall, concept_score, mention_score

from medr_ray.knowledge.lexicon import Concept

TEXT = "liver and renal failure, renal failure, pain"
DOCUMENT = GoldDocument(
    "1",
    TEXT,
    (
        GoldMention("0", "Disease", ((0, 23),), "liver and renal failure", ("D1", "D2")),
        GoldMention("1", "Disease", ((10, 23),), "renal failure", ("D2",), inside_composite=True),
        GoldMention("2", "Disease", ((25, 38),), "renal failure", ("D2",)),
        GoldMention("3", "Disease", ((40, 44),), "pain", ()),
        GoldMention("4", "Chemical", ((0, 5),), "liver", ("D9",)),
    ),
    (),
)


def _make_mention(start: int, end: int, *ids: str, kind: str = "disease") -> FoundMention:
    return FoundMention(start, end, kind, frozenset(ids))


def test_a_concept_counts_once_a_document_and_each_id_of_a_composite_counts() -> None:
    mentions = [
        _make_mention(10, 23, "D2"),
        _make_mention(25, 38, "D2"),
        _make_mention(40, 44, "D7"),
    ]
    score = concept_score([(DOCUMENT, mentions)], "disease", ("Disease",))
    assert score == Score(right=1, predicted=2, reached=1, gold=2)
    assert (score.precision, score.recall, score.f1) == (0.5, 0.5, 0.5)


def test_a_concept_of_several_ids_is_right_by_any_of_them_and_is_one_prediction() -> None:
    score = concept_score([(DOCUMENT, [_make_mention(0, 5, "D1", "D8")])], "disease", ("Disease",))
    assert score == Score(right=1, predicted=1, reached=1, gold=2)


def test_mentions_are_strict_and_a_composite_is_one_whole_span() -> None:
    mentions = [
        _make_mention(0, 23, "D1"),
        _make_mention(26, 38, "D2"),
        _make_mention(40, 44, "x"),
        _make_mention(0, 5, "D9", kind="chemical"),
    ]
    assert mention_score([(DOCUMENT, mentions)], "disease", ("Disease",)) == Score(2, 3, 2, 3)


def test_scores_add_up_and_nothing_is_zero() -> None:
    assert Score(1, 2, 1, 4) + Score(1, 1, 1, 1) == Score(2, 3, 2, 5)
    assert (Score().precision, Score().recall, Score().f1) == (0.0, 0.0, 0.0)
    assert Score(1, 2, 1, 4).f1 == pytest.approx(1 / 3)


def test_what_no_vocabulary_has_cannot_be_found() -> None:
    assert attainable_recall([DOCUMENT], ("Disease",), {"D1"}) == 0.5


def test_ids_come_from_references_from_broader_diseases_or_stay_our_own() -> None:
    broad = Concept("MESH:D005198", "Fanconi Syndrome", "disease", (), "", xrefs=("MONDO:1",))
    narrow = Concept("OMIM:1", "Fanconi syndrome 9", "disease", (), "", xrefs=("MONDO:3",))
    gene = Concept("GENE:FBN1", "FBN1", "gene", (), "", xrefs=("HGNC:3603", "NCBIGENE:2200"))
    alone = Concept("ORPHA:7", "Rare thing", "disease", (), "")
    ids = GoldIds(
        [broad, narrow, gene, alone],
        {"MONDO:1": [], "MONDO:2": ["MONDO:1"], "MONDO:3": ["MONDO:2"]},
        {},
    )
    first_ids = [next(iter(ids.ids_of(concept))) for concept in (broad, narrow, gene, alone)]
    assert first_ids == ["D005198", "D005198", "2200", "ORPHA:7"]
    assert ids.known_ids == {"D005198", "2200"}


def test_a_concept_of_the_embedded_lexicon_is_known_by_its_name() -> None:
    ids = GoldIds([Concept("MESH:D012640", "Seizures", "disease", (), "")], {}, {})
    assert ids.ids_of(Concept("MESH:seizures", "Seizures", "disease", (), "")) == {"D012640"}


def test_the_plain_dictionary_has_no_guards_but_finds_whole_words() -> None:
    forms = [
        Concept("A", "Ataxia", "disease", ("ataxia",), ""),
        Concept("B", "CAT", "gene", ("CAT",), ""),
        Concept("C", "AT", "disease", ("ataxia telangiectasia",), ""),
    ]
    text = "A cat with Ataxia telangiectasia, ataxias; İ ATAXIA"
    mentions = [
        (text[mention.start : mention.end], mention.concept_id)
        for mention in PlainDictionary(forms, [text]).find(text)
    ]
    assert mentions == [("cat", "B"), ("Ataxia telangiectasia", "C"), ("ATAXIA", "A")]
