"""What counts as a pair of an annotated corpus, and what the measurement makes of it."""

from pathlib import Path

import pytest
from support.gold import GoldDocument, GoldMention, GoldRelation, read_brat
from support.gold_relations import (
    DISEASE_DRUG,
    DISEASE_SIGN,
    RELATED_KINDS,
    pairs_from_bioc,
    pairs_from_raredis,
    pairs_in_documents,
    pairs_in_sentences,
    replace_entities,
)
from support.measured_relations import (
    is_related,
    measure_relations,
    pair_sides,
    read_stated_pairs,
    score,
    score_kept,
)
from support.scoring import Score

from medr_ray.graph.extraction.sentences import SentenceMention

TEXT = "Aspirin in gout. RET and the c.1A>T variant were seen. Gout and RET."
DOCUMENT = GoldDocument(
    "1",
    TEXT,
    (
        GoldMention("0", "ChemicalEntity", ((0, 7),), "Aspirin", ("C1",)),
        GoldMention("1", "DiseaseOrPhenotypicFeature", ((11, 15),), "gout", ("D1", "D2")),
        GoldMention("2", "GeneOrGeneProduct", ((17, 20),), "RET", ("G1",)),
        GoldMention("3", "SequenceVariant", ((29, 35),), "c.1A>T", ("V1",)),
        GoldMention("4", "DiseaseOrPhenotypicFeature", ((55, 59),), "Gout", ("D1",)),
        GoldMention("5", "GeneOrGeneProduct", ((64, 67),), "RET", ("G1",)),
    ),
    (
        GoldRelation("R1", "Association", (("entity1", "C1"), ("entity2", "D1"))),
        GoldRelation("R2", "Association", (("entity1", "G1"), ("entity2", "D1"))),
        GoldRelation("R3", "Association", (("entity1", "V1"), ("entity2", "D1"))),
        GoldRelation("R4", "Association", (("entity1", "D1"), ("entity2", "D2"))),
    ),
)


def pair(first: str, second: str) -> frozenset[str]:
    return frozenset((first, second))


def test_pairs_with_variants_and_between_diseases_are_left_out() -> None:
    document = pairs_from_bioc(DOCUMENT, RELATED_KINDS)
    assert document.related == {pair("C1", "D1"), pair("G1", "D1")}
    assert pairs_from_bioc(DOCUMENT, [DISEASE_DRUG]).related == {pair("C1", "D1")}


def test_co_occurrence_in_a_document_and_in_a_sentence() -> None:
    document = pairs_from_bioc(DOCUMENT, RELATED_KINDS)
    assert pairs_in_documents(document, RELATED_KINDS) == {
        pair("C1", "D1"),
        pair("C1", "D2"),
        pair("G1", "D1"),
        pair("G1", "D2"),
        pair("C1", "G1"),
    }
    assert pairs_in_sentences(document, RELATED_KINDS) == {
        pair("C1", "D1"),
        pair("C1", "D2"),
        pair("G1", "D1"),
    }


def test_a_found_entity_is_right_by_any_of_its_ids_and_reaches_each() -> None:
    entities = {
        "x": ("drug", frozenset({"C1", "C9"})),
        "y": ("phenotype", frozenset({"D1"})),
        "z": ("value", frozenset({"?"})),
    }
    places = [SentenceMention(0, 7, "x"), SentenceMention(11, 15, "y"), SentenceMention(0, 2, "z")]
    document = replace_entities(pairs_from_bioc(DOCUMENT, RELATED_KINDS), places, entities)
    assert document.types == {"x": "drug", "y": "disease"}
    both = [pair_sides(document, RELATED_KINDS, is_related)]
    assert score(both, lambda sides: sides.by_sentence, RELATED_KINDS) == Score(1, 1, 1, 2)
    assert score(both, lambda sides: sides.by_sentence, [DISEASE_DRUG]) == Score(1, 1, 1, 1)


def raredis(*relations: tuple[str, str, str]) -> GoldDocument:
    text = "Gout (GT) causes pain and fever. Flu is bad."
    mentions = (
        GoldMention("T1", "RAREDISEASE", ((0, 4),), "Gout"),
        GoldMention("T2", "RAREDISEASE", ((6, 8),), "GT"),
        GoldMention("T3", "SIGN", ((17, 21),), "pain"),
        GoldMention("T4", "SYMPTOM", ((26, 31),), "fever"),
        GoldMention("T5", "DISEASE", ((33, 36),), "Flu"),
    )
    return GoldDocument(
        "1",
        text,
        mentions,
        tuple(
            GoldRelation("R1", kind, (("Arg1", first), ("Arg2", second)))
            for kind, first, second in relations
        ),
    )


def test_raredis_folds_acronyms_and_keeps_pairs_of_one_sentence() -> None:
    relations = ("Is_acron", "T2", "T1"), ("Produces", "T1", "T3"), ("Produces", "T5", "T4")
    document = pairs_from_raredis(raredis(*relations))
    assert document is not None
    gout, pain = (
        next(place.concept_id for place in document.mentions if place.start == start)
        for start in (0, 17)
    )
    assert len(document.types) == 4
    assert document.related == {pair(gout, pain)}
    assert len(pairs_in_sentences(document, [DISEASE_SIGN])) == 2


@pytest.mark.parametrize(
    "relation",
    [
        ("Produces", "T1", "T9"),
        ("Produces", "T3", "T1"),
        ("Is_synon", "T1", "T3"),
        ("Anaphora", "T1", "T2"),
    ],
)
def test_raredis_relations_that_do_not_fit_rule_out_their_document(
    relation: tuple[str, str, str],
) -> None:
    assert pairs_from_raredis(raredis(("Produces", "T1", "T3"), relation)) is None


@pytest.mark.slow
def test_rules_beat_co_occurrence_on_every_annotated_set(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDR_SHARED_DATA", str(shared_data))
    measured = list(measure_relations(quick=True))
    pairs = [row for row in measured if "kept relations" not in row.measure]
    assert len(pairs) == 8
    assert [row.measure for row in pairs if not row.met] == []
    assert all(
        "precision" in row.note and "co-occurrence in a document" in row.note for row in pairs
    )
    # Precision, recall, F1 and the five points of the curve.
    assert len(measured) == 16
    fitting = [
        document
        for document in read_brat(shared_data / "raredis" / "corpus_train.zip")
        if pairs_from_raredis(document)
    ]
    assert f"{len(fitting)} of 729 documents" in measured[-1].note


def test_a_kept_relation_is_right_by_a_type_its_predicate_means() -> None:
    text = "Aspirin-induced gout. Colchicine for gout."
    document = pairs_from_bioc(
        GoldDocument(
            "1",
            text,
            (
                GoldMention("0", "ChemicalEntity", ((0, 7),), "Aspirin", ("C1",)),
                GoldMention("1", "DiseaseOrPhenotypicFeature", ((16, 20),), "gout", ("D1",)),
                GoldMention("2", "ChemicalEntity", ((22, 32),), "Colchicine", ("C2",)),
                GoldMention("3", "DiseaseOrPhenotypicFeature", ((37, 41),), "gout", ("D1",)),
            ),
            (
                GoldRelation("R1", "Positive_Correlation", (("entity1", "C1"), ("entity2", "D1"))),
                GoldRelation("R2", "Positive_Correlation", (("entity1", "C2"), ("entity2", "D1"))),
            ),
        ),
        RELATED_KINDS,
    )
    stated_pairs = read_stated_pairs([document])
    # Aspirin induces gout. That colchicine treats it is wrong by the annotators' type.
    assert score_kept(stated_pairs, 0.0, gold=2) == Score(1, 2, 1, 2)
    assert score_kept(stated_pairs, 1.0, gold=2) == Score(0, 0, 0, 2)
