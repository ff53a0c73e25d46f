"""Facts of the Orange Book: products, patents and exclusivities, and what is set aside and why."""

import gzip
import zipfile
from pathlib import Path

import pytest

from medr_ray.core.records import Fact
from medr_ray.knowledge.registries import FACT_PREDICATES, RecordFacts, UnusableRecords
from medr_ray.knowledge.registries.orange_book import read_orange_book_facts

PRODUCTS = (
    "Ingredient~DF;Route~Trade_Name~Applicant~Strength~Appl_Type~Appl_No~Product_No~TE_Code~"
    "Approval_Date~RLD~RS~Type~Applicant_Full_Name\n"
    "LOSARTAN POTASSIUM~TABLET;ORAL~COZAAR~MERCK~25MG~N~020386~001~AB1,AB2~Apr 14, 1995~Yes~No~RX~"
    "MERCK SHARP AND DOHME CORP\n"
    "IODINE~SOLUTION;ORAL~OLD~X~1%~A~000552~001~~Approved Prior to Jan 1, 1982~No~No~DISCN~X INC\n"
)
PATENTS = (
    "Appl_Type~Appl_No~Product_No~Patent_No~Patent_Expire_Date_Text~Drug_Substance_Flag~"
    "Drug_Product_Flag~Patent_Use_Code~Delist_Flag~Submission_Date\n"
    "N~020386~001~5138069~Aug 11, 2009~Y~Y~U-3~~Jan 17, 2010\n"
    "N~020386~001~5138069*PED~Feb 11, 2010~~~~~\n"
    "N~020386~001~7~Aug 1, 2009~~~~Y~\n"
    "N~020387~001~7~Aug 2, 2009~~~~~\n"
    "N~020386~002~8~Aug 1, 2009~~~~~\n"
    "N~020386~002~8~Aug 2, 2009~~~~~\n"
)
EXCLUSIVITIES = (
    "Appl_Type~Appl_No~Product_No~Exclusivity_Code~Exclusivity_Date\n"
    "N~020386~001~NCE~Apr 14, 2000\n"
    "N~020386~001~PED~Feb 11, 2010\n"
    "N~020386~001~PED~Oct 14, 2000\n"
)


def write_files(folder: Path, **changed: str) -> list[Path]:
    """The three tables as files."""
    tables = {"products": PRODUCTS, "patent": PATENTS, "exclusivity": EXCLUSIVITIES, **changed}
    paths = []
    for name, text in tables.items():
        path = folder / f"{name}.txt"
        path.write_text(text.replace("\n", "\r\n"))
        paths.append(path)
    return paths


def read(*paths: Path) -> tuple[list[RecordFacts], UnusableRecords]:
    unusable = UnusableRecords()
    return list(read_orange_book_facts([str(path) for path in paths], unusable)), unusable


def list_facts(records: list[RecordFacts], *predicates: str) -> list[Fact]:
    return [fact for record in records for fact in record.facts if fact.predicate in predicates]


def describe(fact: Fact) -> tuple[str, str, dict[str, str]]:
    value = fact.literal.text if fact.literal else fact.object
    qualifiers = {qualifier.name: qualifier.value for qualifier in fact.qualifiers}
    return fact.subject, value, qualifiers


def test_a_product_has_its_applicant_by_the_full_name(tmp_path: Path) -> None:
    records, unusable = read(*write_files(tmp_path))
    assert not unusable
    # A submission of a patent is the newest entry of these loose files of one folder.
    assert {record.as_of for record in records} == {"2010-01-17"}
    applicant = list_facts(records, "product_applicant")[1]
    assert applicant.object == "COMPANY:merck sharp and dohme"
    assert applicant.evidence.field == "products[001].Applicant_Full_Name"
    company = next(
        entity
        for record in records
        for entity in record.entities
        if entity.entity_id == applicant.object
    )
    assert company.names == ("MERCK SHARP AND DOHME CORP", "MERCK")
    codes = list_facts(records, "therapeutic_equivalence")
    assert [describe(fact)[1] for fact in codes] == ["AB1", "AB2"]
    statuses = list_facts(records, "marketing_status")
    assert [describe(fact)[1] for fact in statuses] == ["Discontinued", "Prescription"]


def test_approved_before_1982_is_a_bound_and_no_date(tmp_path: Path) -> None:
    records, _ = read(*write_files(tmp_path))
    dates = [describe(fact)[:2] for fact in list_facts(records, "product_approval_date")]
    assert dates == [("PRODUCT:NDA020386/001", "1995-04-14")]
    bound = list_facts(records, "product_approved_before")[0]
    assert describe(bound)[:2] == ("PRODUCT:ANDA000552/001", "1982-01-01")
    assert bound.evidence.value == "Approved Prior to Jan 1, 1982"


def test_a_patent_has_one_date_and_another_for_a_paediatric_extension(tmp_path: Path) -> None:
    records, _ = read(*write_files(tmp_path))
    assert [describe(fact) for fact in list_facts(records, "patent_expiry_date")] == [
        ("PATENT:US5138069", "2009-08-11", {}),
        ("PATENT:US5138069", "2010-02-11", {"extension": "pediatric"}),
        # Two products list patent 7 with different dates.
        ("PATENT:US7", "2009-08-01", {"product": "NDA020386/001"}),
        ("PATENT:US7", "2009-08-02", {"product": "NDA020387/001"}),
    ]
    problems = [problem for record in records for problem in record.problems]
    assert problems == [
        (
            "patent[002/8].Patent_Expire_Date_Text",
            "several dates for one product: Aug 1, 2009; Aug 2, 2009",
        )
    ]


def test_claims_and_use_codes_belong_to_a_listing(tmp_path: Path) -> None:
    records, _ = read(*write_files(tmp_path))
    product = {"product": "NDA020386/001"}
    claims = list_facts(records, "patent_claim", "patent_use_code")
    assert [describe(fact) for fact in claims] == [
        ("PATENT:US5138069", "drug substance", product),
        ("PATENT:US5138069", "drug product", product),
        ("PATENT:US5138069", "U-3", product),
    ]
    delisted = [
        fact.object for fact in list_facts(records, "protected_by_patent") if fact.qualifiers
    ]
    assert delisted == ["PATENT:US7"]


def test_a_code_with_several_ends_is_set_apart(tmp_path: Path) -> None:
    records, _ = read(*write_files(tmp_path))
    ends = list_facts(records, "exclusivity_end_date")
    assert [describe(fact)[1:] for fact in ends] == [("2000-04-14", {"code": "NCE"})]
    others = list_facts(records, "one_of_exclusivity_end_dates")
    assert [describe(fact)[1] for fact in others] == ["2010-02-11", "2000-10-14"]


def test_editions_keep_their_dates(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    archive = tmp_path / "old" / "orange_book.zip"
    with zipfile.ZipFile(archive, "w") as old:
        old.writestr("products.txt", PRODUCTS)
        old.writestr("patent.txt", PATENTS.replace("Jan 17, 2010", "Jan 17, 1999"))
    newer = write_files(tmp_path)[1]
    records, unusable = read(newer, archive)
    assert not unusable
    assert [(record.record_id, record.as_of) for record in records] == [
        ("ANDA000552", "1999-01-17"),
        ("NDA020386", "1999-01-17"),
        ("NDA020387", "1999-01-17"),
        ("NDA020386", "2010-01-17"),
        ("NDA020387", "2010-01-17"),
    ]
    # The newer one has no table of products, which name a record.
    assert {record.title for record in records[1::2]} == {"NDA020386 COZAAR"}
    # A newer edition that says the same says it by the same id.
    old_ids, new_ids = ({fact.fact_id for fact in record.facts} for record in records[1::2])
    assert new_ids < old_ids


@pytest.mark.parametrize(
    ("table", "old", "new", "where", "reason"),
    [
        (
            "patent",
            "Patent_No~",
            "PatentNumber~",
            "line 1",
            "no column Patent_No in the first line (Appl_Type, Appl_No, Product_No, PatentNumber, "
            "Patent_Expire_Date_Text, Drug_Substance_Flag …): give patent.txt of the Orange Book",
        ),
        ("patent", "N~020387~", "N~x~", "line 5", "no application number: 'x'"),
        ("exclusivity", "~NCE~", "~", "line 2", "4 columns where the first line has 5"),
        ("products", "A~000552~", "B~000552~", "line 3", "Appl_Type is neither N nor A: 'B'"),
        ("patent", "~7~Aug 2,", "~seven~Aug 2,", "line 5", "no patent number: 'seven'"),
        ("patent", "Jan 17, 2010", "2010-13", "line 2", "Submission_Date: no date: '2010-13'"),
    ],
)
def test_what_cannot_be_used_is_named_and_hides_nothing_else(
    tmp_path: Path, table: str, old: str, new: str, where: str, reason: str
) -> None:
    whole, _ = read(*write_files(tmp_path))
    text = {"products": PRODUCTS, "patent": PATENTS, "exclusivity": EXCLUSIVITIES}[table]
    records, unusable = read(*write_files(tmp_path, **{table: text.replace(old, new)}))
    assert [(Path(record.file).name, record.where) for record in unusable] == [
        (f"{table}.txt", where)
    ]
    assert reason in unusable[0].reason
    others = {"products": "patent", "patent": "exclusivity", "exclusivity": "products"}[table]
    kept = [fact for fact in list_facts(whole, *FACT_PREDICATES) if others in fact.evidence.field]
    assert kept
    assert {fact.fact_id for fact in kept} <= {
        fact.fact_id for fact in list_facts(records, *FACT_PREDICATES)
    }


def test_a_date_that_is_none_costs_that_date_only(tmp_path: Path) -> None:
    text = PATENTS.replace("Aug 11, 2009", "2019-13")
    records, unusable = read(*write_files(tmp_path, patent=text))
    assert not unusable
    problems = dict(problem for record in records for problem in record.problems)
    assert "2019-13" in problems["patent[001/5138069].Patent_Expire_Date_Text"]
    assert len(list_facts(records, "patent_claim")) == 2


def test_a_gzip_cut_in_half_gives_what_came_before(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "fda" / "patent.txt.gz"
    half = tmp_path / "patent.txt.gz"
    half.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    whole, _ = read(source)
    records, unusable = read(half, shared_data / "fda" / "exclusivity.txt.gz")
    assert [(record.file, "breaks off" in record.reason) for record in unusable] == [
        (str(half), True)
    ]
    assert "the rest of the file, from line " in unusable[0].where
    kept = len(list_facts(records, "protected_by_patent"))
    assert 0.4 < kept / len(list_facts(whole, "protected_by_patent")) < 0.6
    assert len(list_facts(records, "exclusivity_end_date")) > 1500


def test_a_file_of_another_registry_is_named(shared_data: Path, tmp_path: Path) -> None:
    labels = tmp_path / "drug_labels.jsonl.gz"
    labels.write_bytes(gzip.compress(b'{"set_id": "x"}\n'))
    drugs = shared_data / "fda" / "drugsatfda.zip"
    records, unusable = read(labels, drugs)
    assert not records
    assert {Path(record.file).parts[-1] for record in unusable} >= {labels.name, "Products.txt"}
    assert all("of the Orange Book data files" in record.reason for record in unusable)
