"""The annotated corpora as published: their counts, spans, composite ids and relations."""

import gzip
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from support.gold import GoldDocument, GoldRelation, read_bioc, read_brat, split_ids

from medr_ray.core.errors import DataError


def _count_annotations(documents: list[GoldDocument]) -> tuple[int, int, int]:
    return (
        len(documents),
        sum(len(document.mentions) for document in documents),
        sum(len(document.relations) for document in documents),
    )


def _count_misplaced(documents: list[GoldDocument]) -> int:
    """Mentions whose pieces are not the characters their offsets say."""
    return sum(
        " ".join(document.text[start:end] for start, end in mention.spans) != mention.text
        for document in documents
        for mention in document.mentions
    )


@pytest.mark.parametrize(
    ("file", "counts"), [("Train", (400, 13351, 4178)), ("Dev", (100, 3533, 1162))]
)
def test_biored(shared_data: Path, file: str, counts: tuple[int, int, int]) -> None:
    documents = read_bioc(shared_data / "biored" / f"{file}.BioC.XML.gz")
    assert _count_annotations(documents) == counts
    assert _count_misplaced(documents) == 0
    kinds = Counter(mention.kind for document in documents for mention in document.mentions)
    assert set(kinds) == {
        "GeneOrGeneProduct",
        "DiseaseOrPhenotypicFeature",
        "ChemicalEntity",
        "OrganismTaxon",
        "SequenceVariant",
        "CellLine",
    }


def test_biored_relations_have_types_ids_and_novelty(shared_data: Path) -> None:
    documents = read_bioc(shared_data / "biored" / "Dev.BioC.XML.gz")
    relations = [relation for document in documents for relation in document.relations]
    assert Counter(relation.kind for relation in relations)["Association"] == 560
    assert Counter(relation.novel for relation in relations) == {True: 835, False: 327}
    for document in documents:
        ids = {key for mention in document.mentions for key in mention.concept_ids}
        assert {value for relation in document.relations for _, value in relation.arguments} <= ids


@pytest.mark.parametrize(
    ("part", "disease", "chemical", "relations"),
    [("Training", 4182, 5203, 1038), ("Development", 4244, 5347, 1012)],
)
def test_bc5cdr(shared_data: Path, part: str, disease: int, chemical: int, relations: int) -> None:
    documents = read_bioc(shared_data / "bc5cdr" / f"CDR_{part}Set.BioC.xml.gz")
    whole = Counter(
        mention.kind
        for document in documents
        for mention in document.mentions
        if not mention.inside_composite
    )
    assert (len(documents), whole["Disease"], whole["Chemical"]) == (500, disease, chemical)
    assert _count_misplaced(documents) <= 3  # as published
    annotated = [relation for document in documents for relation in document.relations]
    assert len(annotated) == relations
    for relation in annotated:
        assert [role for role, _ in relation.arguments] == ["Chemical", "Disease"]


def test_a_composite_has_several_ids_and_its_parts_are_marked(shared_data: Path) -> None:
    documents = read_bioc(shared_data / "bc5cdr" / "CDR_DevelopmentSet.BioC.xml.gz")
    mentions = {mention.text: mention for document in documents for mention in document.mentions}
    composite = mentions["cardiovascular, and respiratory depression"]
    assert (composite.concept_ids, composite.inside_composite) == (("D002318", "D012131"), False)
    part = mentions["cardiovascular depression"]
    assert (len(part.spans), part.concept_ids, part.inside_composite) == (2, ("D002318",), True)


def test_raredis(shared_data: Path) -> None:
    documents = read_brat(shared_data / "raredis" / "corpus_train.zip")
    kinds = Counter(mention.kind for document in documents for mention in document.mentions)
    assert (len(documents), kinds["RAREDISEASE"], kinds["SIGN"]) == (729, 3157, 3744)
    assert _count_misplaced(documents) <= 14  # texts with doubled quotation marks
    assert documents[0].relations[0] == GoldRelation(
        "R1", "Produces", (("Arg1", "T1"), ("Arg2", "T2"))
    )


def test_relations_of_raredis_point_to_renumbered_mentions(shared_data: Path) -> None:
    """In half of the documents, as published: no relation may be measured against them."""
    broken = 0
    for document in read_brat(shared_data / "raredis" / "corpus_train.zip"):
        mentions = {mention.mention_id for mention in document.mentions}
        broken += any(
            value not in mentions
            for relation in document.relations
            for _, value in relation.arguments
        )
    assert broken == 356


def test_no_id_is_no_concept_and_a_variant_keeps_its_bars() -> None:
    assert split_ids("D001|D002", "Disease") == ("D001", "D002")
    assert split_ids("11820,351", "GeneOrGeneProduct") == ("11820", "351")
    assert split_ids("-1", "Disease") == split_ids("-", "ChemicalEntity") == ()
    assert split_ids("c|SUB|A|1|T", "SequenceVariant") == ("c|SUB|A|1|T",)


def test_broken_files_are_named(tmp_path: Path) -> None:
    broken = tmp_path / "cut.xml.gz"
    broken.write_bytes(gzip.compress(b"<collection><document>"))
    with pytest.raises(DataError, match=r"cut\.xml\.gz: not a BioC collection"):
        read_bioc(broken)
    pair = tmp_path / "half.zip"
    with zipfile.ZipFile(pair, "w") as archive:
        archive.writestr("train/A.ann", "T1\tSIGN 0 4\tpain\n")
    with pytest.raises(DataError, match=r"half\.zip: not brat"):
        read_brat(pair)
