"""Facts of Drugs@FDA: what the tables state of an application, and what is set aside and why."""

import zipfile
from collections import defaultdict
from pathlib import Path

import pytest

from medr_ray.knowledge.registries import FACT_PREDICATES, RecordFacts, UnusableRecords
from medr_ray.knowledge.registries.drugs_at_fda import read_drugs_at_fda_facts

TABLES = {
    "Applications.txt": "ApplNo\tApplType\tApplPublicNotes\tSponsorName\n"
    "020386\tNDA\t\tMERCK\n021549\tNDA\t\tMERCK\n060904\tANDA\t\tX\n",
    "Products.txt": "ApplNo\tProductNo\tForm\tStrength\tReferenceDrug\tDrugName\tActiveIngredient\t"
    "ReferenceStandard\n"
    "020386\t001\tTABLET;ORAL\t12.5MG;50MG **Federal Register determination**\t1\tHYZAAR\t"
    "HYDROCHLOROTHIAZIDE; LOSARTAN POTASSIUM\t0\n"
    "020386\t002\tVIAL\t0.03MG,0.15MG;0.01MG,N/A\t2\tPHASES\tA; B\t\n",
    "MarketingStatus.txt": "MarketingStatusID\tApplNo\tProductNo\n1\t020386\t001\n2\t020386\t001\n",
    "MarketingStatus_Lookup.txt": "MarketingStatusID\tMarketingStatusDescription\n"
    "1\tPrescription\n2\tOver-the-counter\n",
    "SubmissionClass_Lookup.txt": "SubmissionClassCodeID\tSubmissionClassCode\t"
    "SubmissionClassCodeDescription\n7\tTYPE 1\tType 1 - New Molecular Entity\n5\tN/A\tNone\n",
    "Submissions.txt": "ApplNo\tSubmissionClassCodeID\tSubmissionType\tSubmissionNo\t"
    "SubmissionStatus\tSubmissionStatusDate\tSubmissionsPublicNotes\tReviewPriority\n"
    "020386\t5\tSUPPL     \t1\tAP\t1990-01-01 00:00:00\t\t\n"
    "020386\t5\tORIG      \t9\tAP\t2010-10-18 00:00:00\t\tSTANDARD\n"
    "020386\t7\tORIG      \t1\tAP\t1995-04-14 00:00:00\t\tPRIORITY\n"
    "021549\t7\tORIG      \t1\tTA\t2001-01-01 00:00:00\t\tPRIORITY\n"
    "060904\t\tORIG      \t1\tAP\t1900-01-01 00:00:00\t\tN/A\n",
    "TE.txt": "ApplNo\tProductNo\tMarketingStatusID\tTECode\n"
    "020386\t001\t1\tAB1\n020386\t001\t1\tAB2\n020386\t002\t1\tTBD\n",
}


def write_archive(path: Path, **changed: str | None) -> Path:
    """The tables as a zip; a table of ``changed`` (without .txt) is another, or missing."""
    tables = {**TABLES, **{f"{name}.txt": text for name, text in changed.items()}}
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in tables.items():
            if text is not None:
                archive.writestr(name, text.replace("\n", "\r\n").encode("cp1252"))
    return path


def read(path: Path) -> tuple[dict[str, RecordFacts], UnusableRecords]:
    unusable = UnusableRecords()
    records = list(read_drugs_at_fda_facts([str(path)], unusable))
    return {record.record_id: record for record in records}, unusable


def list_values(record: RecordFacts, predicate: str) -> list[str]:
    return [
        fact.literal.text if fact.literal else fact.object
        for fact in record.facts
        if fact.predicate == predicate
    ]


def test_an_application_has_the_facts_of_all_tables(tmp_path: Path) -> None:
    records, unusable = read(write_archive(tmp_path / "drugs.zip"))
    assert not unusable
    record = records["NDA020386"]
    assert (record.title, record.as_of) == ("NDA020386 HYZAAR, PHASES", "2010-10-18")
    assert list_values(record, "application_sponsor") == ["COMPANY:merck"]
    # The earliest approved original submission, whatever its number and place in the file.
    assert list_values(record, "original_approval_date") == ["1995-04-14"]
    assert list_values(record, "review_priority") == ["PRIORITY"]
    assert list_values(record, "submission_class") == ["Type 1 - New Molecular Entity"]
    assert list_values(record, "marketing_status") == ["Prescription", "Over-the-counter"]
    assert list_values(record, "therapeutic_equivalence") == ["AB1", "AB2"]
    assert list_values(record, "reference_listed") == ["Yes"]  # 2 is "to be determined"
    assert list_values(record, "strength") == ["12.5MG;50MG", "0.03MG,0.15MG;0.01MG,N/A"]
    assert list_values(record, "dosage_form") == ["TABLET", "VIAL"]
    assert list_values(record, "product_route") == ["ORAL"]
    strength = next(fact for fact in record.facts if fact.predicate == "strength")
    assert strength.evidence.value == "12.5MG;50MG **Federal Register determination**"
    assert strength.evidence.field == "Products[001].Strength"


def test_an_ingredient_has_its_strength_where_the_table_says_whose_it_is(tmp_path: Path) -> None:
    records, _ = read(write_archive(tmp_path / "drugs.zip"))
    ingredients = {
        fact.object: [qualifier.value for qualifier in fact.qualifiers]
        for fact in records["NDA020386"].facts
        if fact.predicate == "active_ingredient"
    }
    assert ingredients == {
        "SUBSTANCE:hydrochlorothiazide": ["12.5MG"],
        "SUBSTANCE:losartan potassium": ["50MG"],
        "SUBSTANCE:a": [],  # two phases, or two ingredients: not said
        "SUBSTANCE:b": [],
    }


def test_neither_a_tentative_approval_nor_the_empty_date_is_an_approval(tmp_path: Path) -> None:
    records, _ = read(write_archive(tmp_path / "drugs.zip"))
    assert list_values(records["NDA021549"], "original_approval_date") == []
    assert list_values(records["NDA021549"], "review_priority") == []
    assert list_values(records["ANDA060904"], "original_approval_date") == []
    assert "1900-01-01" in records["ANDA060904"].problems[0][1]


def test_a_bad_field_costs_that_field_only(tmp_path: Path) -> None:
    text = TABLES["Submissions.txt"].replace("1995-04-14", "1995-13-14")
    text += "060904\t\tSUPPL\t2\tAP\t2019-13\t\t\n"
    records, unusable = read(write_archive(tmp_path / "drugs.zip", Submissions=text))
    record = records["NDA020386"]
    assert [field for field, _ in record.problems] == ["Submissions[ORIG 1].SubmissionStatusDate"]
    assert list_values(record, "original_approval_date") == []
    assert list_values(record, "review_priority") == ["PRIORITY"]
    assert record.as_of == "2010-10-18"  # the newest date that is one
    assert not unusable


@pytest.mark.parametrize(
    ("table", "text", "reason", "lost"),
    [
        (
            "Submissions",
            TABLES["Submissions.txt"].replace("SubmissionStatusDate", "Date"),
            "no column SubmissionStatusDate",
            {"original_approval_date", "review_priority", "submission_class"},
        ),
        ("TE", None, "no TE.txt in the archive", {"therapeutic_equivalence"}),
        (
            "MarketingStatus",
            "MarketingStatusID\tApplNo\tProductNo\n1\t020386\n",
            "2 columns where the first line has 3",
            {"marketing_status"},
        ),
    ],
)
def test_a_damaged_table_costs_its_own_facts_only(
    tmp_path: Path, table: str, text: str | None, reason: str, lost: set[str]
) -> None:
    whole, _ = read(write_archive(tmp_path / "whole.zip"))
    damaged, unusable = read(write_archive(tmp_path / "damaged.zip", **{table: text}))
    assert [reason in record.reason for record in unusable] == [True]
    assert table in unusable[0].file + unusable[0].where
    expected = {fact.fact_id for fact in whole["NDA020386"].facts if fact.predicate not in lost}
    assert {fact.fact_id for fact in damaged["NDA020386"].facts} == expected


def test_rows_of_no_application_are_named(tmp_path: Path) -> None:
    text = TABLES["TE.txt"] + "x\t001\t1\tAB\n"
    products = TABLES["Products.txt"] + "099999\t001\tTABLET;ORAL\t1MG\t0\tY\tY\t0\n"
    records, unusable = read(write_archive(tmp_path / "drugs.zip", TE=text, Products=products))
    assert len(records) == 3
    assert [(record.where, record.reason.split(":")[0]) for record in unusable] == [
        ("line 5", "no application number"),
        (
            "application 099999",
            "products or submissions of an application that Applications.txt does not have",
        ),
    ]


def test_real_files_damaged_give_all_that_is_whole(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "fda" / "drugsatfda.zip"
    half = tmp_path / "half.zip"
    half.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    records, unusable = read(half)
    assert not records
    assert [(record.file, "download it again" in record.reason) for record in unusable] == [
        (str(half), True)
    ]
    half.write_bytes(b"PK\x03\x04 and nothing more")
    assert not read(half)[0]
    assert "download it again" in read(half)[1][0].reason
    orange_book, unusable = read(shared_data / "fda" / "orange_book_2018-03.zip")
    assert not orange_book
    assert ["none of the tables of Drugs@FDA" in record.reason for record in unusable] == [True]


def test_a_functional_fact_of_the_real_file_has_one_value(real_slice: Path) -> None:
    records, unusable = read(real_slice)
    assert len(records) > 500
    assert not unusable
    values = defaultdict(set)
    for record in records.values():
        for fact in record.facts:
            if FACT_PREDICATES[fact.predicate].cardinality == "functional":
                value = (fact.object, fact.literal)
                values[fact.subject, fact.predicate, fact.qualifiers].add(value)
    assert not [key for key, stated in values.items() if len(stated) > 1]


@pytest.fixture
def real_slice(shared_data: Path, tmp_path: Path) -> Path:
    """Every fortieth application of the real file with all its rows."""
    path = tmp_path / "slice.zip"
    with (
        zipfile.ZipFile(shared_data / "fda" / "drugsatfda.zip") as archive,
        zipfile.ZipFile(path, "w") as sliced,
    ):
        numbers = [line[:6] for line in archive.read("Applications.txt").splitlines()[1::40]]
        for name in TABLES:
            header, *lines = archive.read(name).splitlines()
            if b"ApplNo" in header:
                column = header.split(b"\t").index(b"ApplNo")
                lines = [line for line in lines if line.split(b"\t")[column] in set(numbers)]
            sliced.writestr(name, b"\r\n".join([header, *lines]))
    return path
