"""Files of foreign sources: what becomes a document, and what is set aside and why."""

import gzip
import json
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support.question_moulds import find_mould

from medr_ray.core.errors import DataError
from medr_ray.retrieval.authority import LEVELS, evidence_kind
from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.readers import READERS, UnusableRecords
from medr_ray.retrieval.readers.labels import document_from_label
from medr_ray.retrieval.readers.trials import document_from_study


def read(source: str, *paths: Path) -> tuple[dict[str, Document], UnusableRecords]:
    unusable = UnusableRecords()
    documents = READERS[source]([str(path) for path in paths], unusable)
    return {document.document_id: document for document in documents}, unusable


def write_lines(path: Path, *rows: Any) -> Path:
    path.write_text(
        "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    )
    return path


def study(nct_id: str = "NCT00000001", **design: Any) -> dict[str, Any]:
    return {
        "protocolSection": {
            "identificationModule": {"nctId": nct_id, "briefTitle": "Losartan in\nMarfan syndrome"},
            "statusModule": {"lastUpdatePostDateStruct": {"date": "2019-05-02"}},
            "designModule": {"studyType": "INTERVENTIONAL", "phases": ["NA"], **design},
            "referencesModule": {"references": [{"pmid": "19339721"}, {"citation": "a book"}]},
        }
    }


MEASURED = {
    "outcomeMeasuresModule": {
        "outcomeMeasures": [
            {
                "type": "PRIMARY",
                "title": "Aortic root z score",
                "timeFrame": "3 years",
                "unitOfMeasure": "z score per year",
                "groups": [
                    {"id": "OG000", "title": "Atenolol"},
                    {"id": "OG001", "title": "Losartan"},
                ],
                "classes": [
                    {
                        "categories": [
                            {
                                "measurements": [
                                    {"groupId": "OG000", "value": "-0.139", "spread": "0.013"},
                                    {"groupId": "OG001", "value": "-0.107"},
                                ]
                            }
                        ]
                    }
                ],
                "analyses": [{"pValue": "0.08"}],
            }
        ]
    }
}


def test_a_study_without_results_is_a_registration() -> None:
    document = document_from_study(study())
    assert (document.document_id, document.year, document.title) == (
        "NCT:NCT00000001",
        2019,
        "Losartan in Marfan syndrome",
    )
    assert evidence_kind(document) == "registration"
    assert document.references == ("PMID:19339721",)
    assert document.url == "https://clinicaltrials.gov/study/NCT00000001"
    assert "Design: interventional\n" in f"{document.text}\n"  # phase NA is none


@pytest.mark.parametrize(
    ("design", "kind"),
    [
        ({"designInfo": {"allocation": "RANDOMIZED"}}, "randomised_trial"),
        ({"designInfo": {"allocation": "NON_RANDOMIZED"}}, "trial"),
        ({"studyType": "OBSERVATIONAL"}, "observational"),
    ],
)
def test_results_make_a_study_evidence_of_its_design(design: dict[str, Any], kind: str) -> None:
    document = document_from_study(
        {**study(**design), "hasResults": True, "resultsSection": MEASURED}
    )
    assert evidence_kind(document) == kind
    assert document.text.endswith(
        "\nResult, primary outcome: Aortic root z score (3 years), in z score per year: "
        "Atenolol -0.139 (± 0.013); Losartan -0.107; p 0.08"
    )


def test_a_bad_record_is_named_and_hides_no_other(tmp_path: Path) -> None:
    nested = "[" * 100_000
    path = write_lines(
        tmp_path / "studies.jsonl",
        study(),
        "{broken",
        "[1]",
        study("NCT1"),
        "",
        nested,
        study("NCT00000003", designInfo={"allocation": "\ud800"}),
        study("NCT00000002"),
    )
    documents, unusable = read("trials", path)
    assert list(documents) == ["NCT:NCT00000001", "NCT:NCT00000002"]
    assert [record.where for record in unusable] == [
        "line 2",
        "line 3",
        "line 4",
        "line 6",
        "line 7",
    ]
    assert {record.file for record in unusable} == {str(path)}
    assert "protocolSection.identificationModule.nctId" in unusable[2].reason


def test_a_file_that_breaks_off_gives_what_came_before(tmp_path: Path) -> None:
    rows = "".join(json.dumps(study(f"NCT{number:08d}")) + "\n" for number in range(5000)).encode()
    path = tmp_path / "studies.jsonl.gz"
    path.write_bytes(gzip.compress(rows)[:-2000])
    documents, unusable = read("trials", path)
    assert 0 < len(documents) < 5000
    assert "broken gzip" in unusable[-1].reason


def test_sections_of_a_label_are_lines_with_the_boxed_warning_first() -> None:
    document = document_from_label(
        {
            "set_id": "s1",
            "effective_time": "20190703",
            "adverse_reactions": ["Nausea."],
            "boxed_warning": ["WARNING: FETAL\nTOXICITY"],
            "indications_and_usage_table": ["<table>"],
            "zinc": ["Not in the rule."],
            "openfda": {
                "brand_name": ["Cozaar"],
                "generic_name": ["losartan"],
                "application_number": ["NDA020386"],
            },
        }
    )
    assert document.text.split("\n") == [
        "Cozaar (losartan): drug label",
        "Brand name: Cozaar",
        "Generic name: losartan",
        "Application: NDA020386",
        "Boxed warning: WARNING: FETAL TOXICITY",
        "Adverse reactions: Nausea.",
        "Zinc: Not in the rule.",
    ]
    assert (document.year, document.references, evidence_kind(document)) == (
        2019,
        ("FDA:NDA020386",),
        "label",
    )


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        (
            {
                "set_id": "s",
                "title": "T",
                "document_type": "PRESCRIPTION ANIMAL DRUG LABEL",
                "warnings": ["w"],
            },
            "animal",
        ),
        ({"set_id": "s", "title": "T"}, "section"),
        ({"set_id": "s", "warnings": ["w"]}, "name"),
        ({"title": "T", "warnings": ["w"]}, "set_id"),
    ],
)
def test_what_is_no_label_for_people_is_refused(label: dict[str, Any], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        document_from_label(label)


def test_a_monograph_keeps_its_citations_and_drops_the_page_around_it(tmp_path: Path) -> None:
    page = {
        "drug": "Calcium Channel Blockers",
        "pmids": ["1", "2", "1", "31643963"],
        "sections": {
            "intro": "NCBI Bookshelf.",
            "Calcium Channel Blockers": "Last Update: January 4, 2016.",
            "Hepatotoxicity": "ALT rises\nin 6%.",
            "ANNOTATED BIBLIOGRAPHY": "Zimmerman HJ. PMID 1. Kaplan MM. PMID 2.",
        },
    }
    refused = {"drug": "Statins", "sections": {"Access denied": "Your access was blocked."}}
    documents, unusable = read("livertox", write_lines(tmp_path / "pages.jsonl", page, refused))
    document = documents["LIVERTOX:Calcium_Channel_Blockers"]
    assert document.text == "Calcium Channel Blockers (LiverTox)\nHepatotoxicity: ALT rises in 6%."
    assert (document.year, document.references) == (2016, ("PMID:1", "PMID:2"))
    assert [(record.where, "refused" in record.reason) for record in unusable] == [("line 2", True)]


DRUGS = {
    "Applications.txt": "ApplNo\tApplType\tApplPublicNotes\tSponsorName\n"
    "020386\tNDA\t\tMERCK\n000001\tNDA\t\tX\n",
    "Products.txt": "ApplNo\tProductNo\tForm\tStrength\tReferenceDrug\tDrugName\tActiveIngredient\t"
    "ReferenceStandard\n"
    "020386\t001\tTABLET;ORAL\t25MG\t1\tCOZAAR\tLOSARTAN POTASSIUM\t0\n020386\t002\ttoo short\n"
    "x\t1\t\t\t\t\t\t\n",
    "MarketingStatus.txt": "MarketingStatusID\tApplNo\tProductNo\n1\t020386\t001\n",
    "TE.txt": "ApplNo\tProductNo\tMarketingStatusID\tTECode\n",
    "MarketingStatus_Lookup.txt": "MarketingStatusID\tMarketingStatusDescription\n"
    "1\tPrescription\n",
    "SubmissionClass_Lookup.txt": "SubmissionClassCodeID\tSubmissionClassCode\t"
    "SubmissionClassCodeDescription\n"
    "7\tN\tType 1 - New Molecular Entity\n2\tEFFICACY\tEfficacy\n",
    "Submissions.txt": "ApplNo\tSubmissionClassCodeID\tSubmissionType\tSubmissionNo\t"
    "SubmissionStatus\tSubmissionStatusDate\tSubmissionsPublicNotes\tReviewPriority\n"
    "020386\t2\tSUPPL\t32\tAP\t2005-10-18 00:00:00\t\t\n"
    "020386\t7\tORIG\t1\tAP\t1995-04-14 00:00:00\tcaf\xe9\tPRIORITY\n",
}


def approvals(folder: Path) -> list[Path]:
    with zipfile.ZipFile(folder / "drugs.zip", "w") as archive:
        for name, text in DRUGS.items():
            archive.writestr(name, text.replace("\n", "\r\n").encode("cp1252"))
    (folder / "patent.txt").write_text(
        "Appl_Type~Appl_No~Product_No~Patent_No~Patent_Expire_Date_Text~Drug_Substance_Flag~"
        "Drug_Product_Flag~Patent_Use_Code~Delist_Flag~Submission_Date\n"
        "N~020386~001~5138069~Aug 11, 2009~Y~~U-3~~\n"
        "N~020386~001~1~someday~~~~~\nA~077777~001~9~Jan 1, 2030~~Y~~~\n"
    )
    (folder / "exclusivity.txt").write_text(
        "Appl_Type~Appl_No~Product_No~Exclusivity_Code~Exclusivity_Date\n"
        "N~020386~001~PED~Feb 11, 2010\n"
    )
    return [folder / "drugs.zip", folder / "patent.txt", folder / "exclusivity.txt"]


def test_an_application_is_read_from_all_its_files(tmp_path: Path) -> None:
    documents, unusable = read("fda_approvals", *approvals(tmp_path))
    document = documents["FDA:NDA020386"]
    assert document.text.split("\n") == [
        "COZAAR (LOSARTAN POTASSIUM): FDA approval NDA020386",
        "Sponsor: MERCK",
        "Approval: NDA approved on 1995-04-14, Type 1 - New Molecular Entity, café, "
        "priority review",
        "Products: 001 COZAAR, tablet, oral, 25MG, prescription",
        "Supplements: 2005-10-18 Efficacy",
        "Patents: product 001 patent 5138069 expires 2009-08-11, drug substance, use U-3; "
        "product 001 patent 1",
        "Exclusivity: product 001 PED until 2010-02-11",
    ]
    assert (document.year, evidence_kind(document)) == (2005, "record")
    assert document.url.endswith("ApplNo=020386")
    assert "patent 9 expires 2030-01-01" in documents["FDA:ANDA077777"].text  # newer than the zip
    assert [(Path(record.file).name, record.where) for record in unusable] == [
        ("Products.txt", "line 3"),
        ("Products.txt", "line 4"),
        (", ".join(Path(record.file).name for record in unusable[2:3]), "application 000001"),
        ("patent.txt", "line 3"),  # which costs the patent its date only
    ]


def test_a_file_of_another_kind_is_set_aside_whole(tmp_path: Path) -> None:
    (tmp_path / "not.zip").write_bytes(b"PK\x03\x04 and nothing more")
    documents, unusable = read("fda_approvals", tmp_path / "not.zip")
    assert not documents
    assert [record.where for record in unusable] == ["the rest of the file"]


def test_real_files_give_what_they_hold(shared_data: Path) -> None:
    fda = shared_data / "fda"
    trials, unusable = read("trials", shared_data / "trials" / "ctgov_v2_all.jsonl.gz")
    assert (len(trials), len(unusable)) == (1656, 0)
    assert sum(evidence_kind(document) != "registration" for document in trials.values()) == 172
    labels, unusable = read("fda_labels", fda / "drug_labels.jsonl.gz")
    assert len(labels) + len(unusable) == 300
    assert sum("\nIndications and usage: " in document.text for document in labels.values()) > 290
    monographs, unusable = read("livertox", fda / "livertox_pages.jsonl.gz")
    assert (len(monographs), len(unusable)) == (910, 185)
    assert all(
        document.year and evidence_kind(document) in LEVELS for document in monographs.values()
    )
    products, unusable = read(
        "fda_approvals", fda / "drugsatfda.zip", fda / "patent.txt.gz", fda / "exclusivity.txt.gz"
    )
    assert len(products) > 20_000
    assert Counter(record.reason.partition(" ")[0] for record in unusable) == {
        "products": 1296,  # or submissions, of no application
        "neither": 216,
        "9": 3,
    }


def test_no_rendering_is_worded_by_a_template(tmp_path: Path) -> None:
    protocol = study(enrollmentInfo={"count": 604})["protocolSection"]
    protocol["sponsorCollaboratorsModule"] = {"leadSponsor": {"name": "NHLBI"}}
    protocol["conditionsModule"] = {"conditions": ["Marfan Syndrome"], "keywords": ["aorta"]}
    protocol["statusModule"]["startDateStruct"] = {"date": "2007-01"}
    protocol["armsInterventionsModule"] = {
        "interventions": [{"type": "DRUG", "name": "Losartan", "description": "tablets"}]
    }
    trial = document_from_study(
        {"protocolSection": protocol, "hasResults": True, "resultsSection": MEASURED}
    )
    label = document_from_label(
        {
            "set_id": "s1",
            "boxed_warning": ["WARNING"],
            "indications_and_usage": ["Hypertension."],
            "openfda": {"brand_name": ["Cozaar"], "manufacturer_name": ["Merck"]},
        }
    )
    page = {"drug": "Losartan", "sections": {"Hepatotoxicity": "ALT rises."}}
    monographs, _ = read("livertox", write_lines(tmp_path / "pages.jsonl", page))
    applications, _ = read("fda_approvals", *approvals(tmp_path))
    for document in (trial, label, *monographs.values(), *applications.values()):
        assert find_mould(document.text) is None, document.document_id
