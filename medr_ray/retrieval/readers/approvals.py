"""Approvals of drugs as documents: applications to the FDA with their products, submissions,
patents and exclusivities.

The formats are those of ``drugs_at_fda`` and ``orange_book`` in ``knowledge.registries``; what a
file is, its content says. One application makes one document; its year is that of the latest
approved submission, or product where only the Orange Book has it. Of several editions of the
Orange Book, the newest that has products, patents or exclusivities of an application gives them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from medr_ray.core.errors import DataError
from medr_ray.knowledge.registries.drugs_at_fda import (
    Application,
    DrugProduct,
    is_drugs_at_fda,
    read_applications,
)
from medr_ray.knowledge.registries.literals import parse_date
from medr_ray.knowledge.registries.orange_book import (
    ExclusivityListing,
    ListedApplication,
    ListedProduct,
    PatentListing,
    read_editions,
)
from medr_ray.knowledge.registries.record_reading import UnusableRecords
from medr_ray.retrieval.documents import FDA_APPROVALS, Document
from medr_ray.retrieval.readers.plain_records import format_text, parse_year, to_single_line

_PUBLISHED_IN = "Drugs@FDA"
_NO_REVIEW = ("", "unknown", "n/a")  # ReviewPriority, in lower case


@dataclass
class ApprovalRecords:
    """What the files have of one application; ``application`` is None where only the Orange Book
    has it."""

    name: str
    application: Application | None = None
    products: list[ListedProduct] = field(default_factory=list)
    patents: list[PatentListing] = field(default_factory=list)
    exclusivities: list[ExclusivityListing] = field(default_factory=list)


# --- documents ------------------------------------------------------------------------


def read_approvals(paths: Sequence[str], unusable: UnusableRecords) -> Iterator[Document]:
    """``FDA:<kind and number>`` for every application with a product, patent or exclusivity."""
    records: dict[tuple[str, str], ApprovalRecords] = {}
    for application in _read_applications(paths, unusable):
        entry = _find_records(application.number, application.kind, records)
        entry.application = entry.application or application
    orange_book = [path for path in paths if not _is_drugs_at_fda(path)]
    for edition in read_editions(orange_book, unusable):
        for listed in edition.list_applications():
            _take_listings(_find_records(listed.number, listed.kind, records), listed)
    for key in sorted(records):
        try:
            yield document_from_records(records[key], unusable)
        except DataError as error:
            unusable.add_record(", ".join(paths), f"application {key[0]}", str(error))


def _read_applications(paths: Sequence[str], unusable: UnusableRecords) -> Iterator[Application]:
    for path in paths:
        if _is_drugs_at_fda(path):
            yield from read_applications(path, unusable)


def _is_drugs_at_fda(path: str) -> bool:
    """A file that cannot be read is listed by the other reader."""
    try:
        return is_drugs_at_fda(path)
    except DataError:
        return False


def _find_records(
    number: str, kind: str, records: dict[tuple[str, str], ApprovalRecords]
) -> ApprovalRecords:
    """The records of an application, made where they are new."""
    return records.setdefault((number, kind), ApprovalRecords(f"{kind}{number}"))


def _take_listings(records: ApprovalRecords, listed: ListedApplication) -> None:
    """Editions come oldest first, so what a newer one has replaces what an older one had."""
    records.products = listed.products or records.products
    records.patents = listed.patents or records.patents
    records.exclusivities = listed.exclusivities or records.exclusivities


def document_from_application(application: Application) -> Document:
    """The document of one application by Drugs@FDA alone. DataError for one that has nothing but a
    number."""
    return document_from_records(ApprovalRecords(application.name, application), UnusableRecords())


def document_from_records(records: ApprovalRecords, unusable: UnusableRecords) -> Document:
    """The document of one application; listings with a bad date are listed and have none.

    DataError for an application that has nothing but a number.
    """
    application = records.application
    approved = application.products if application else ()
    if not (approved or records.products or records.patents or records.exclusivities):
        raise DataError("neither a product nor a patent or an exclusivity")
    products = approved or records.products
    names = ", ".join(dict.fromkeys(product.trade_name for product in products)) or "Unnamed drug"
    ingredients = dict.fromkeys(product.ingredients for product in products)
    if ingredients:
        names += f" ({'; '.join(ingredients)})"
    title = to_single_line(f"{names}: FDA approval {records.name}")
    patents = [_format_patent(listing, unusable) for listing in records.patents]
    exclusivities = [_format_exclusivity(listing, unusable) for listing in records.exclusivities]
    sections = [
        ("Sponsor", _name_sponsor(records)),
        ("Approval", _format_approval(application) if application else ""),
        ("Products", "; ".join(map(_format_product, products))),
        ("Supplements", "; ".join(_list_supplements(application) if application else ())),
        ("Patents", "; ".join(patents)),
        ("Exclusivity", "; ".join(exclusivities)),
    ]
    return Document(
        document_id=f"FDA:{records.name}",
        source=FDA_APPROVALS,
        title=title,
        text=format_text(title, sections),
        year=parse_year(_find_newest_date(records)),
        publication_types=(),
        retracted=False,
        journal=_PUBLISHED_IN,
    )


def _find_newest_date(records: ApprovalRecords) -> str:
    """In ISO 8601; "" where there is none."""
    if records.application and records.application.newest_date:
        return records.application.newest_date
    dates = [_read_date(product.approval_date) for product in records.products]
    return max(dates, default="")


def _name_sponsor(records: ApprovalRecords) -> str:
    if records.application:
        return records.application.sponsor
    names = (product.applicant_full_name or product.applicant for product in records.products)
    return ", ".join(dict.fromkeys(names))


# --- Drugs@FDA ------------------------------------------------------------------------


def _format_approval(application: Application) -> str:
    """The original approval: its date, class, notes and review."""
    original = application.original
    if original is None or not original.date:
        return ""
    notes = (original.class_description, original.notes)
    details = [to_single_line(note) for note in notes if note.strip()]
    review = original.review_priority.lower()
    if review not in _NO_REVIEW:
        details.append(f"{review} review")
    return ", ".join([f"{application.kind} approved on {original.date}", *details])


def _list_supplements(application: Application) -> list[str]:
    """Date, class and notes of every other approved submission."""
    supplements = []
    for submission in application.approvals:
        if submission is not application.original and submission.date:
            notes = (submission.class_description, submission.notes)
            details = [to_single_line(note) for note in notes if note.strip()]
            supplements.append(f"{submission.date} {', '.join(details)}".strip())
    return supplements


def _format_product(product: DrugProduct | ListedProduct) -> str:
    form = product.form.replace(";", ", ").lower()
    if isinstance(product, DrugProduct):
        status = ", ".join(product.marketing_statuses)
    else:
        status = product.marketing_status
    name = f"{product.number} {product.trade_name}"
    return ", ".join(filter(None, map(str.strip, (name, form, product.strength, status.lower()))))


# --- the Orange Book ------------------------------------------------------------------


def _format_patent(listing: PatentListing, unusable: UnusableRecords) -> str:
    expires = _format_date(listing, listing.expiry_date, unusable)
    parts = [f"product {listing.product_number} patent {listing.number}"]
    if expires:
        parts[0] += f" expires {expires}"
    parts += [claim for _, claim in listing.claims]
    if listing.use_code:
        parts.append(f"use {listing.use_code}")
    return ", ".join(parts)


def _format_exclusivity(listing: ExclusivityListing, unusable: UnusableRecords) -> str:
    until = _format_date(listing, listing.end_date, unusable)
    text = f"product {listing.product_number} {listing.code}"
    return f"{text} until {until}" if until else text


def _format_date(
    listing: PatentListing | ExclusivityListing, printed: str, unusable: UnusableRecords
) -> str:
    """ "Aug 24, 2026" as 2026-08-24; "" and listed where it is no date."""
    try:
        return parse_date(printed).text
    except DataError as error:
        unusable.add_record(listing.file, listing.where, str(error))
        return ""


def _read_date(printed: str) -> str:
    """ "" for what is no date, such as "Approved Prior to Jan 1, 1982"."""
    try:
        return parse_date(printed).text
    except DataError:
        return ""
