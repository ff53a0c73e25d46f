"""Drugs@FDA: applications to the FDA with their sponsor, products and submissions.

Format: tab-separated tables in a zip
(https://www.fda.gov/drugs/drug-approvals-and-databases/drugsfda-data-files). One application is one
record. ``as_of`` is the date of the newest submission in the file.

- The original approval is the earliest approved submission of type ORIG; 94 of 20,294 applications
  of July 2019 have more than one. Tentative approvals (TA) are none.
- 1900-01-01 is the tables' empty date and no date.
- A product on sale both on prescription and over the counter has two marketing statuses.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from medr_ray.core.errors import DataError
from medr_ray.core.records import LiteralValue
from medr_ray.knowledge.registries.drug_products import add_description, add_flag
from medr_ray.knowledge.registries.fda_tables import (
    Row,
    check_columns,
    is_zip,
    list_table_names,
    read_rows,
    read_tables,
)
from medr_ray.knowledge.registries.identifiers import make_application_id, make_product_id
from medr_ray.knowledge.registries.literals import make_category, parse_date
from medr_ray.knowledge.registries.record_facts import FactCollector, RecordFacts
from medr_ray.knowledge.registries.record_reading import UnusableRecords

APPROVED = "AP"  # SubmissionStatus; TA is a tentative approval
ORIGINAL = "ORIG"  # SubmissionType; the others are supplements
_APPLICATIONS = "Applications.txt"
_COLUMNS = {  # that are read, of each table
    _APPLICATIONS: ("ApplNo", "ApplType", "SponsorName"),
    "Products.txt": (
        "ApplNo",
        "ProductNo",
        "Form",
        "Strength",
        "ReferenceDrug",
        "DrugName",
        "ActiveIngredient",
        "ReferenceStandard",
    ),
    "Submissions.txt": (
        "ApplNo",
        "SubmissionType",
        "SubmissionNo",
        "SubmissionStatus",
        "SubmissionStatusDate",
        "SubmissionClassCodeID",
        "SubmissionsPublicNotes",
        "ReviewPriority",
    ),
    "MarketingStatus.txt": ("ApplNo", "ProductNo", "MarketingStatusID"),
    "MarketingStatus_Lookup.txt": ("MarketingStatusID", "MarketingStatusDescription"),
    "SubmissionClass_Lookup.txt": (
        "SubmissionClassCodeID",
        "SubmissionClassCode",
        "SubmissionClassCodeDescription",
    ),
    "TE.txt": ("ApplNo", "ProductNo", "TECode"),
}
_REMEDY = "give the zip of Drugs@FDA data files as the FDA publishes it"
_KINDS = frozenset({"NDA", "ANDA", "BLA"})
_NUMBER = re.compile(r"[0-9]{1,6}")
_NUMBER_DIGITS = 6
_EMPTY_DATE = "1900-01-01"
_NO_REVIEW = frozenset({"", "UNKNOWN", "N/A"})
_NO_CLASS = frozenset({"", "UNKNOWN", "Unspecified", "N/A"})  # SubmissionClassCode
_REFERENCE = {"0": "No", "1": "Yes"}  # 2: to be determined
_NO_CODE = frozenset({"", "TBD"})  # TECode


@dataclass(frozen=True)
class DrugProduct:
    """A row of Products.txt with its rows of other tables, as printed."""

    number: str
    trade_name: str
    ingredients: str
    form: str
    strength: str
    reference_drug: str = ""
    reference_standard: str = ""
    marketing_statuses: tuple[str, ...] = ()
    equivalence_codes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Submission:
    """A row of Submissions.txt, as printed; ``date`` without the time of day."""

    kind: str
    number: str
    status: str
    date: str
    class_code: str
    class_description: str
    review_priority: str
    notes: str = ""


@dataclass(frozen=True)
class Application:
    """An application: ``number`` has six digits, ``kind`` is NDA, ANDA or BLA. Submissions are in
    the order of their dates."""

    number: str
    kind: str
    sponsor: str
    products: tuple[DrugProduct, ...]
    submissions: tuple[Submission, ...]

    @property
    def name(self) -> str:
        """Kind and number ("NDA020386")."""
        return f"{self.kind}{self.number}"

    @property
    def original(self) -> Submission | None:
        """The earliest approved original submission; None where there is none."""
        for submission in self.approvals:
            if submission.kind == ORIGINAL:
                return submission
        return None

    @property
    def newest_date(self) -> str:
        """Of an approved submission; "" where none has one."""
        return max((submission.date for submission in self.approvals), default="")

    @property
    def approvals(self) -> tuple[Submission, ...]:
        """The approved submissions."""
        return tuple(submission for submission in self.submissions if submission.status == APPROVED)


# --- facts ----------------------------------------------------------------------------


def read_drugs_at_fda_facts(
    paths: Sequence[str], unusable: UnusableRecords
) -> Iterator[RecordFacts]:
    """The facts of every application of the zip files, by number."""
    for path in paths:
        applications = list(read_applications(path, unusable))
        as_of = find_newest_date(applications)
        for application in applications:
            yield collect_application_facts(application, as_of)


def find_newest_date(applications: Sequence[Application]) -> str:
    """The ISO date of the newest submission; "" where none has one."""
    dates = {
        submission.date for application in applications for submission in application.submissions
    }
    for printed in sorted(dates, reverse=True):
        try:
            return parse_date(printed).text
        except DataError:
            continue  # a problem of the fact that has it
    return ""


def collect_application_facts(application: Application, as_of: str) -> RecordFacts:
    """What Drugs@FDA states of one application."""
    names = dict.fromkeys(product.trade_name for product in application.products)
    title = " ".join(filter(None, [application.name, ", ".join(names)]))
    facts = FactCollector("drugs_at_fda", application.name, title, as_of)
    application_id = make_application_id(application.kind, application.number)
    facts.add_entity(application_id, "application", application.name)
    if application.sponsor:
        field = "Applications.SponsorName"
        company = facts.add_company(application.sponsor, field)
        facts.add_link(application_id, "application_sponsor", company, field, application.sponsor)
    _add_original(facts, application_id, application.original)
    for product in application.products:
        _add_product(facts, application_id, product)
    return facts.build()


def _add_original(facts: FactCollector, application_id: str, original: Submission | None) -> None:
    if original is None:
        return
    field = f"Submissions[{original.kind} {original.number}]"
    date_field = f"{field}.SubmissionStatusDate"
    facts.try_value(
        application_id, "original_approval_date", _parse_date, date_field, original.date
    )
    priority = original.review_priority
    if priority.upper() not in _NO_REVIEW:
        literal = make_category(priority)
        priority_field = f"{field}.ReviewPriority"
        facts.add_value(application_id, "review_priority", literal, priority_field, priority)
    submission_class = original.class_description or original.class_code
    if original.class_code not in _NO_CLASS:
        literal = make_category(submission_class)
        class_field = f"{field}/SubmissionClass_Lookup[{original.class_code}]"
        facts.add_value(application_id, "submission_class", literal, class_field, submission_class)


def _parse_date(text: str) -> LiteralValue:
    if text == _EMPTY_DATE:
        raise DataError(f"no date, but the tables' empty one: {text}")
    return parse_date(text)


def _add_product(facts: FactCollector, application_id: str, product: DrugProduct) -> None:
    product_id = make_product_id(application_id, product.number)
    facts.add_entity(product_id, "product", product.trade_name)
    field = f"Products[{product.number}]"
    number_field = f"{field}.ProductNo"
    facts.add_link(application_id, "has_product", product_id, number_field, product.number)
    add_description(
        facts,
        product_id,
        field,
        trade_name=("DrugName", product.trade_name),
        ingredients=("ActiveIngredient", product.ingredients),
        form=("Form", product.form),
        strength=("Strength", product.strength),
    )
    for column, predicate, printed in (
        ("ReferenceDrug", "reference_listed", product.reference_drug),
        ("ReferenceStandard", "reference_standard", product.reference_standard),
    ):
        value = _REFERENCE.get(printed, "")
        add_flag(facts, product_id, predicate, f"{field}.{column}", printed, value)
    field = f"MarketingStatus[{product.number}]/MarketingStatus_Lookup"
    for status in product.marketing_statuses:
        add_flag(facts, product_id, "marketing_status", field, status, status)
    field = f"TE[{product.number}].TECode"
    for code in product.equivalence_codes:
        add_flag(facts, product_id, "therapeutic_equivalence", field, code, code)


# --- the format -----------------------------------------------------------------------


def is_drugs_at_fda(path: str) -> bool:
    """Whether a file is a zip with the tables of Drugs@FDA. Raises DataError when it cannot be
    read."""
    return is_zip(path) and _APPLICATIONS in list_table_names(path)


def read_applications(path: str, unusable: UnusableRecords) -> Iterator[Application]:
    """The applications of a zip, by number.

    Listed as unusable: a table that is missing or lacks a column, which costs its own values only;
    rows that belong to no application.
    """
    tables = _read_tables(path, unusable)
    products = _group_products(tables)
    submissions = _group_submissions(tables)
    numbers: set[str] = set()
    for row in sorted(tables[_APPLICATIONS], key=lambda row: row["ApplNo"]):
        number = row["ApplNo"]
        if number in numbers:
            unusable.add_record(path, f"application {number}", f"twice in {_APPLICATIONS}")
            continue
        numbers.add(number)
        yield Application(
            number.zfill(_NUMBER_DIGITS),
            row["ApplType"],
            row["SponsorName"],
            tuple(products.get(number, ())),
            tuple(submissions.get(number, ())),
        )
    for number in sorted({*products, *submissions} - numbers):
        reason = f"products or submissions of an application that {_APPLICATIONS} does not have"
        unusable.add_record(path, f"application {number}", reason)


def _read_tables(path: str, unusable: UnusableRecords) -> dict[str, list[Row]]:
    """The sound rows by table; all tables of the format are there, if need be without rows."""
    rows: dict[str, list[Row]] = {name: [] for name in _COLUMNS}
    missing = list(_COLUMNS)
    listed = len(unusable)
    for table in read_tables(path, "\t", unusable):
        columns = _COLUMNS.get(table.name)
        if columns is None or table.name not in missing:
            continue
        missing.remove(table.name)
        try:
            check_columns(table, columns, _REMEDY)
        except DataError as error:
            unusable.add_record(table.file, "line 1", str(error))
            continue
        for where, row in read_rows(table, unusable):
            problem = _find_problem(row)
            if problem:
                unusable.add_record(table.file, where, problem)
            else:
                rows[table.name].append(row)
    if len(missing) < len(_COLUMNS):
        for name in missing:
            unusable.add_record(path, name, f"no {name} in the archive: {_REMEDY}")
    elif len(unusable) == listed:
        reason = f"none of the tables of Drugs@FDA ({_APPLICATIONS} and others): {_REMEDY}"
        unusable.add_record(path, "the whole file", reason)
    return rows


def _find_problem(row: Row) -> str:
    """Why a row cannot be used; "" where it can."""
    number = row.get("ApplNo")
    if number is not None and not _NUMBER.fullmatch(number):
        return f"no application number: {number[:20]!r}"
    kind = row.get("ApplType")
    if kind is not None and kind not in _KINDS:
        return f"no kind of application ({', '.join(sorted(_KINDS))}): {kind[:20]!r}"
    return ""


def _group_products(tables: Mapping[str, Sequence[Row]]) -> dict[str, list[DrugProduct]]:
    """The products of each application."""
    descriptions = {
        row["MarketingStatusID"]: row["MarketingStatusDescription"]
        for row in tables["MarketingStatus_Lookup.txt"]
    }
    statuses: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for row in tables["MarketingStatus.txt"]:
        status = descriptions.get(row["MarketingStatusID"], "")
        if status:
            statuses[row["ApplNo"], row["ProductNo"]][status] = None
    codes: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for row in tables["TE.txt"]:
        if row["TECode"] not in _NO_CODE:
            codes[row["ApplNo"], row["ProductNo"]][row["TECode"]] = None
    products: dict[str, list[DrugProduct]] = defaultdict(list)
    for row in tables["Products.txt"]:
        key = (row["ApplNo"], row["ProductNo"])
        product = DrugProduct(
            number=row["ProductNo"],
            trade_name=row["DrugName"],
            ingredients=row["ActiveIngredient"],
            form=row["Form"],
            strength=row["Strength"],
            reference_drug=row["ReferenceDrug"],
            reference_standard=row["ReferenceStandard"],
            marketing_statuses=tuple(statuses.get(key, ())),
            equivalence_codes=tuple(codes.get(key, ())),
        )
        products[row["ApplNo"]].append(product)
    return products


def _group_submissions(tables: Mapping[str, Sequence[Row]]) -> dict[str, list[Submission]]:
    """The submissions of each application by date; those of a day by their numbers."""
    classes = {row["SubmissionClassCodeID"]: row for row in tables["SubmissionClass_Lookup.txt"]}
    submissions: dict[str, list[Submission]] = defaultdict(list)
    for row in tables["Submissions.txt"]:
        submission_class = classes.get(row["SubmissionClassCodeID"], {})
        submission = Submission(
            kind=row["SubmissionType"],
            number=row["SubmissionNo"],
            status=row["SubmissionStatus"],
            date=row["SubmissionStatusDate"].partition(" ")[0],
            class_code=submission_class.get("SubmissionClassCode", ""),
            class_description=submission_class.get("SubmissionClassCodeDescription", ""),
            review_priority=row["ReviewPriority"],
            notes=row["SubmissionsPublicNotes"],
        )
        submissions[row["ApplNo"]].append(submission)
    for rows in submissions.values():
        rows.sort(key=lambda submission: (submission.date, submission.number))
    return submissions
