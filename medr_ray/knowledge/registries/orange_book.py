"""The Orange Book: approved products of drugs with their applicants, patents and exclusivities.

Format: ``products.txt``, ``patent.txt`` and ``exclusivity.txt``, separated by ``~``, as files, gzip
or in a zip (https://www.fda.gov/drugs/drug-approvals-and-databases/orange-book-data-files). What a
table is, its columns say.

- An edition is what stands in one zip, or in the loose files of one folder. An application of an
  edition is one record. ``as_of`` is the date of the edition's newest entry: the latest approval of
  a product or submission of a patent.
- "Approved Prior to Jan 1, 1982" is no date: it becomes ``product_approved_before`` 1982-01-01.
- A patent has one expiry date in nearly all of its listings. Where the listings of an edition
  differ, each date has its product as qualifier; two dates for one product are a problem and no
  fact. "*PED" behind the number marks the end of a paediatric extension, which has the qualifier
  ``extension``.
- A code of exclusivity that one product has several times (mostly PED, which extends another) is
  ``one_of_exclusivity_end_dates``.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from medr_ray.core.errors import DataError
from medr_ray.knowledge.registries.drug_products import add_description, add_flag
from medr_ray.knowledge.registries.fda_tables import (
    Row,
    Table,
    check_columns,
    read_rows,
    read_tables,
)
from medr_ray.knowledge.registries.identifiers import (
    make_application_id,
    make_patent_id,
    make_product_id,
)
from medr_ray.knowledge.registries.literals import make_category, parse_date
from medr_ray.knowledge.registries.record_facts import FactCollector, RecordFacts
from medr_ray.knowledge.registries.record_reading import UnusableRecords

_KEY_COLUMNS = ("Appl_Type", "Appl_No", "Product_No")
_COLUMNS = {  # that are read, of each table
    "products.txt": (
        *_KEY_COLUMNS,
        "Ingredient",
        "DF;Route",
        "Trade_Name",
        "Applicant",
        "Applicant_Full_Name",
        "Strength",
        "TE_Code",
        "Approval_Date",
        "RLD",
        "RS",
        "Type",
    ),
    "patent.txt": (
        *_KEY_COLUMNS,
        "Patent_No",
        "Patent_Expire_Date_Text",
        "Drug_Substance_Flag",
        "Drug_Product_Flag",
        "Patent_Use_Code",
        "Delist_Flag",
        "Submission_Date",
    ),
    "exclusivity.txt": (*_KEY_COLUMNS, "Exclusivity_Code", "Exclusivity_Date"),
}
_REMEDY = "give {} of the Orange Book data files as the FDA publishes it"
_KINDS = {"N": "NDA", "A": "ANDA"}
_NUMBER = re.compile(r"[0-9]{1,6}")
_PATENT_NUMBER = re.compile(r"[A-Z]{0,2}[0-9]+(?:\*PED)?")
_NUMBER_DIGITS = 6
_PAEDIATRIC_MARK = "*PED"
_APPROVED_BEFORE = re.compile(r"Approved Prior to (.+)", re.IGNORECASE)
# Column Type, in the words of Drugs@FDA.
_MARKETING_STATUSES = {"RX": "Prescription", "OTC": "Over-the-counter", "DISCN": "Discontinued"}
_FLAGS = {"Yes": "Yes", "No": "No"}


@dataclass(frozen=True)
class ListedProduct:
    """A row of products.txt, as printed. ``where`` is its place in the file ("line 17")."""

    file: str
    where: str
    number: str
    ingredients: str
    form: str
    trade_name: str
    applicant: str
    applicant_full_name: str
    strength: str
    equivalence_codes: str
    approval_date: str
    reference_listed: str
    reference_standard: str
    marketing_type: str

    @property
    def marketing_status(self) -> str:
        """In the words of Drugs@FDA; "" for an unknown type."""
        return _MARKETING_STATUSES.get(self.marketing_type, "")


@dataclass(frozen=True)
class PatentListing:
    """A row of patent.txt, as printed: ``number`` with the mark of a paediatric extension."""

    file: str
    where: str
    product_number: str
    number: str
    expiry_date: str
    claims_substance: bool
    claims_product: bool
    use_code: str
    delist_requested: bool
    submission_date: str

    @property
    def claims(self) -> tuple[tuple[str, str], ...]:
        """(column, what is claimed)."""
        claims = (
            ("Drug_Substance_Flag", "drug substance", self.claims_substance),
            ("Drug_Product_Flag", "drug product", self.claims_product),
        )
        return tuple((column, claim) for column, claim, is_claimed in claims if is_claimed)


@dataclass(frozen=True)
class ExclusivityListing:
    """A row of exclusivity.txt, as printed."""

    file: str
    where: str
    product_number: str
    code: str
    end_date: str


@dataclass
class ListedApplication:
    """What an edition has of an application: ``number`` has six digits, ``kind`` is NDA or ANDA."""

    number: str
    kind: str
    products: list[ListedProduct] = field(default_factory=list)
    patents: list[PatentListing] = field(default_factory=list)
    exclusivities: list[ExclusivityListing] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Kind and number ("NDA020386")."""
        return f"{self.kind}{self.number}"


@dataclass
class Edition:
    """The tables that belong together. ``as_of`` is the ISO date of the newest entry."""

    applications: dict[tuple[str, str], ListedApplication] = field(default_factory=dict)
    as_of: str = ""

    def list_applications(self) -> list[ListedApplication]:
        """By number."""
        return [self.applications[key] for key in sorted(self.applications)]

    def find_application(self, letter: str, number: str) -> ListedApplication:
        """The application of that number, made where it is new. ``letter`` is N or A."""
        number = number.zfill(_NUMBER_DIGITS)
        kind = _KINDS[letter]
        return self.applications.setdefault((number, kind), ListedApplication(number, kind))

    def note_entry(self, printed_date: str) -> None:
        """Take the date of an entry into account. Raises DataError for a text that is none."""
        if printed_date and not _APPROVED_BEFORE.fullmatch(printed_date):
            self.as_of = max(self.as_of, parse_date(printed_date).text)


# --- facts ----------------------------------------------------------------------------


def read_orange_book_facts(
    paths: Sequence[str], unusable: UnusableRecords
) -> Iterator[RecordFacts]:
    """The facts of every application of every edition, by edition and number; see the module."""
    editions = read_editions(paths, unusable)
    titles = _make_titles(editions)
    for edition in editions:
        disputed = _find_disputed_patents(edition)
        for application in edition.list_applications():
            title = titles[application.name]
            yield collect_listing_facts(application, title, edition.as_of, disputed)


def _make_titles(editions: Sequence[Edition]) -> dict[str, str]:
    """Number and trade names of every application, by the newest edition that has its products:
    tables of patents name none."""
    titles: dict[str, str] = {}
    for edition in editions:
        for application in edition.applications.values():
            names = dict.fromkeys(product.trade_name for product in application.products)
            if names or application.name not in titles:
                titles[application.name] = f"{application.name} {', '.join(names)}".strip()
    return titles


def _find_disputed_patents(edition: Edition) -> set[str]:
    """The numbers, as printed, of the patents that the edition lists with several expiry dates."""
    dates: dict[str, set[str]] = defaultdict(set)
    for application in edition.applications.values():
        for listing in application.patents:
            dates[listing.number].add(listing.expiry_date)
    return {number for number, printed in dates.items() if len(printed) > 1}


def collect_listing_facts(
    application: ListedApplication, title: str, as_of: str, disputed: Collection[str]
) -> RecordFacts:
    """What an edition states of one application. ``disputed`` are the patents, as printed, that
    have several expiry dates in the edition."""
    facts = FactCollector("orange_book", application.name, title, as_of)
    application_id = make_application_id(application.kind, application.number)
    facts.add_entity(application_id, "application", application.name)
    for product in application.products:
        _add_product(facts, application_id, product)
    for patent in application.patents:
        _add_patent(facts, application_id, patent)
    _add_expiry_dates(facts, application_id, application.patents, disputed)
    ends: dict[tuple[str, str], set[str]] = defaultdict(set)
    for exclusivity in application.exclusivities:
        ends[exclusivity.product_number, exclusivity.code].add(exclusivity.end_date)
    for exclusivity in application.exclusivities:
        count = len(ends[exclusivity.product_number, exclusivity.code])
        _add_exclusivity(facts, application_id, exclusivity, count > 1)
    return facts.build()


def _add_product(facts: FactCollector, application_id: str, product: ListedProduct) -> None:
    product_id = make_product_id(application_id, product.number)
    facts.add_entity(product_id, "product", product.trade_name)
    row = f"products[{product.number}]"
    facts.add_link(application_id, "has_product", product_id, f"{row}.Product_No", product.number)
    add_description(
        facts,
        product_id,
        row,
        trade_name=("Trade_Name", product.trade_name),
        ingredients=("Ingredient", product.ingredients),
        form=("DF;Route", product.form),
        strength=("Strength", product.strength),
    )
    flags = (
        ("RLD", "reference_listed", product.reference_listed, _FLAGS),
        ("RS", "reference_standard", product.reference_standard, _FLAGS),
        ("Type", "marketing_status", product.marketing_type, _MARKETING_STATUSES),
    )
    for column, predicate, printed, words in flags:
        add_flag(facts, product_id, predicate, f"{row}.{column}", printed, words.get(printed, ""))
        if printed not in words:
            reason = f"none of {', '.join(words)}: {printed[:20]!r}"
            facts.add_problem(f"{row}.{column}", reason)
    for code in filter(None, map(str.strip, product.equivalence_codes.split(","))):
        printed = product.equivalence_codes
        add_flag(facts, product_id, "therapeutic_equivalence", f"{row}.TE_Code", printed, code)
    _add_applicant(facts, product_id, row, product)
    _add_approval(facts, product_id, f"{row}.Approval_Date", product.approval_date)


def _add_applicant(facts: FactCollector, product_id: str, row: str, product: ListedProduct) -> None:
    """The applicant by the full name where there is one."""
    columns = {
        "Applicant_Full_Name": product.applicant_full_name,
        "Applicant": product.applicant,
    }
    names = [name for name in columns.values() if name]
    if not names:
        return
    column = next(column for column, name in columns.items() if name)
    field_path = f"{row}.{column}"
    company = facts.add_company(names[0], field_path, *names[1:])
    facts.add_link(product_id, "product_applicant", company, field_path, names[0])


def _add_approval(facts: FactCollector, product_id: str, path: str, printed: str) -> None:
    bound = _APPROVED_BEFORE.fullmatch(printed)
    if bound is None:
        facts.try_value(product_id, "product_approval_date", parse_date, path, printed)
        return
    try:
        literal = parse_date(bound[1])
    except DataError as error:
        facts.add_problem(path, str(error))
        return
    facts.add_value(product_id, "product_approved_before", literal, path, printed)


def _add_patent(facts: FactCollector, application_id: str, listing: PatentListing) -> None:
    product_id = make_product_id(application_id, listing.product_number)
    product = product_id.partition(":")[2]
    facts.add_entity(product_id, "product")
    row = f"patent[{listing.product_number}/{listing.number}]"
    printed_number = listing.number.removesuffix(_PAEDIATRIC_MARK)
    patent = facts.add_entity(make_patent_id(listing.number), "patent", printed_number)
    facts.add_link(
        product_id,
        "protected_by_patent",
        patent,
        f"{row}.Patent_No",
        listing.number,
        delist_requested="Y" if listing.delist_requested else "",
    )
    for column, claim in listing.claims:
        literal = make_category(claim)
        facts.add_value(patent, "patent_claim", literal, f"{row}.{column}", "Y", product=product)
    facts.try_value(
        patent,
        "patent_use_code",
        make_category,
        f"{row}.Patent_Use_Code",
        listing.use_code,
        product=product,
    )


def _add_expiry_dates(
    facts: FactCollector,
    application_id: str,
    listings: Sequence[PatentListing],
    disputed: Collection[str],
) -> None:
    dates: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for listing in listings:
        dates[listing.product_number, listing.number][listing.expiry_date] = None
    for (product_number, number), printed in dates.items():
        path = f"patent[{product_number}/{number}].Patent_Expire_Date_Text"
        if len(printed) > 1:
            facts.add_problem(path, f"several dates for one product: {'; '.join(printed)}")
            continue
        product = make_product_id(application_id, product_number).partition(":")[2]
        facts.try_value(
            make_patent_id(number),
            "patent_expiry_date",
            parse_date,
            path,
            next(iter(printed)),
            extension="pediatric" if number.endswith(_PAEDIATRIC_MARK) else "",
            product=product if number in disputed else "",
        )


def _add_exclusivity(
    facts: FactCollector, application_id: str, listing: ExclusivityListing, has_several: bool
) -> None:
    product_id = make_product_id(application_id, listing.product_number)
    facts.add_entity(product_id, "product")
    facts.try_value(
        product_id,
        "one_of_exclusivity_end_dates" if has_several else "exclusivity_end_date",
        parse_date,
        f"exclusivity[{listing.product_number}/{listing.code}].Exclusivity_Date",
        listing.end_date,
        code=listing.code,
    )


# --- the format -----------------------------------------------------------------------


def read_editions(paths: Sequence[str], unusable: UnusableRecords) -> list[Edition]:
    """The editions of the files, oldest first."""
    editions: dict[str, Edition] = defaultdict(Edition)
    for path in paths:
        listed = len(unusable)
        tables = 0
        for table in read_tables(path, "~", unusable):
            tables += 1
            name = _recognise(table)
            try:
                check_columns(table, _COLUMNS[name], _REMEDY.format(name))
            except DataError as error:
                unusable.add_record(table.file, "line 1", str(error))
                continue
            is_loose = table.file == path
            edition = editions[str(PurePosixPath(path).parent) if is_loose else path]
            _read_table(table, name, edition, unusable)
        if not tables and len(unusable) == listed:
            unusable.add_record(path, "the whole file", "an empty zip: download it again")
    return sorted(editions.values(), key=lambda edition: edition.as_of)


def _recognise(table: Table) -> str:
    """The table of the format that has most of its columns in common with this one."""
    columns = set(table.columns)
    return max(_COLUMNS, key=lambda name: len(columns.intersection(_COLUMNS[name])))


def _read_table(table: Table, name: str, edition: Edition, unusable: UnusableRecords) -> None:
    """Add the rows of a table to the edition."""
    for where, row in read_rows(table, unusable):
        problem = _find_problem(row)
        if problem:
            unusable.add_record(table.file, where, problem)
            continue
        application = edition.find_application(row["Appl_Type"], row["Appl_No"])
        place = (table.file, where)
        if name == "products.txt":
            application.products.append(_make_product(place, row))
            column = "Approval_Date"
        elif name == "patent.txt":
            application.patents.append(_make_patent(place, row))
            column = "Submission_Date"
        else:
            application.exclusivities.append(_make_exclusivity(place, row))
            continue
        try:
            edition.note_entry(row[column])
        except DataError as error:
            unusable.add_record(table.file, where, f"{column}: {error}; the row is used")


def _find_problem(row: Row) -> str:
    """Why a row cannot be used; "" where it can."""
    if row["Appl_Type"] not in _KINDS:
        return f"Appl_Type is neither {' nor '.join(_KINDS)}: {row['Appl_Type'][:20]!r}"
    if not _NUMBER.fullmatch(row["Appl_No"]):
        return f"no application number: {row['Appl_No'][:20]!r}"
    if not _NUMBER.fullmatch(row["Product_No"]):
        return f"no product number: {row['Product_No'][:20]!r}"
    patent = row.get("Patent_No")
    if patent is not None and not _PATENT_NUMBER.fullmatch(patent):
        return f"no patent number: {patent[:20]!r}"
    return ""


def _make_product(place: tuple[str, str], row: Row) -> ListedProduct:
    return ListedProduct(
        *place,
        number=row["Product_No"],
        ingredients=row["Ingredient"],
        form=row["DF;Route"],
        trade_name=row["Trade_Name"],
        applicant=row["Applicant"],
        applicant_full_name=row["Applicant_Full_Name"],
        strength=row["Strength"],
        equivalence_codes=row["TE_Code"],
        approval_date=row["Approval_Date"],
        reference_listed=row["RLD"],
        reference_standard=row["RS"],
        marketing_type=row["Type"],
    )


def _make_patent(place: tuple[str, str], row: Row) -> PatentListing:
    return PatentListing(
        *place,
        product_number=row["Product_No"],
        number=row["Patent_No"],
        expiry_date=row["Patent_Expire_Date_Text"],
        claims_substance=row["Drug_Substance_Flag"] == "Y",
        claims_product=row["Drug_Product_Flag"] == "Y",
        use_code=row["Patent_Use_Code"],
        delist_requested=row["Delist_Flag"] == "Y",
        submission_date=row["Submission_Date"],
    )


def _make_exclusivity(place: tuple[str, str], row: Row) -> ExclusivityListing:
    return ExclusivityListing(
        *place, row["Product_No"], row["Exclusivity_Code"], row["Exclusivity_Date"]
    )
