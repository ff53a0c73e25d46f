"""Drug labels, one JSON object a line: the structured product labelling that DailyMed publishes, as
openFDA has it.

Format: https://open.fda.gov/apis/drug/label/searchable-fields/. Names and numbers may stand in
``openfda``, as in the API and its downloads, or beside the sections. Every field with a list of
texts that is not a name or number is a section. Labels of animal drugs are unusable.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, Field

from medr_ray.core.errors import DataError
from medr_ray.core.validation_messages import validate_record
from medr_ray.knowledge.registries.record_reading import UnusableRecords, read_json_lines
from medr_ray.retrieval.documents import FDA_LABELS, Document
from medr_ray.retrieval.readers.plain_records import format_text, parse_year, to_single_line

_PUBLISHED_IN = "FDA drug label"
# What a reader looks for first, in the order of the labelling rule (21 CFR 201.56). Other sections
# follow by name.
_FIRST_SECTIONS = (
    "boxed_warning",
    "indications_and_usage",
    "dosage_and_administration",
    "contraindications",
    "warnings_and_cautions",
    "warnings",
    "precautions",
    "adverse_reactions",
    "drug_interactions",
    "use_in_specific_populations",
    "pregnancy",
    "pediatric_use",
    "geriatric_use",
    "overdosage",
)
_NO_SECTIONS = frozenset(
    {
        "brand_name",
        "generic_name",
        "active_ingredients",
        "product_ndc",
        "application_number",
        "package_ndc",
        "substance_name",
        "manufacturer_name",
        "spl_product_data_elements",
        "spl_set_id",
        "spl_id",
        "route",
        "product_type",
    }
)


class _Names(BaseModel):
    brand_name: list[str] = []
    generic_name: list[str] = []
    manufacturer_name: list[str] | str = []
    application_number: list[str] = []
    product_type: list[str] = []


class _Label(_Names):
    # The id that all versions of a label share: an index has the latest only.
    set_id: str = Field(min_length=1)
    title: str = ""
    document_type: str = ""
    effective_time: str = ""
    openfda: _Names = _Names()


def read_labels(paths: Sequence[str], unusable: UnusableRecords) -> Iterator[Document]:
    """``FDA-LABEL:<set id>`` for every label of the files that is for people."""
    for path in paths:
        for where, record in read_json_lines(path, unusable):
            try:
                yield document_from_label(record)
            except DataError as error:
                unusable.add_record(path, where, str(error))


def document_from_label(record: Mapping[str, Any]) -> Document:
    """The document of one label. DataError with the reason where it makes none."""
    label = validate_record(_Label, record)
    if _is_for_animals(label):
        raise DataError("the label of an animal drug")
    brands = label.brand_name or label.openfda.brand_name
    generics = label.generic_name or label.openfda.generic_name
    # Labels may come without a title of their own.
    title = to_single_line(label.title) or _build_title(brands, generics)
    sections = _list_sections(record)
    if not title:
        raise DataError("a label without a name")
    if not sections:
        raise DataError("a label without a section")
    numbers = label.application_number or label.openfda.application_number
    # Text or a list: files of both forms are in use.
    makers = label.manufacturer_name or label.openfda.manufacturer_name
    names = [
        ("Brand name", ", ".join(brands)),
        ("Generic name", ", ".join(generics)),
        ("Manufacturer", makers if isinstance(makers, str) else ", ".join(makers)),
        ("Application", ", ".join(numbers)),
    ]
    return Document(
        document_id=f"FDA-LABEL:{label.set_id}",
        source=FDA_LABELS,
        title=title,
        text=format_text(title, [*names, *sections]),
        year=parse_year(label.effective_time),
        publication_types=(),
        retracted=False,
        journal=_PUBLISHED_IN,
        references=tuple(f"FDA:{number}" for number in dict.fromkeys(numbers)),
    )


def _is_for_animals(label: _Label) -> bool:
    types = (label.document_type, *label.product_type, *label.openfda.product_type)
    return "animal" in " ".join(types).lower()


def _build_title(brands: Sequence[str], generics: Sequence[str]) -> str:
    """A title from the drug's names; "" where there are none."""
    names = ", ".join(brands or generics)
    if brands and generics:
        return f"{names} ({', '.join(generics)}): drug label"
    return f"{names}: drug label" if names else ""


def _list_sections(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(heading, text) of the sections that have text.

    Tables (HTML) are left out, because they repeat the text.
    """
    # Sections are not a closed list: every other list of texts counts as one.
    others = sorted(set(record) - {*_FIRST_SECTIONS} - _NO_SECTIONS)
    sections = []
    for name in (*_FIRST_SECTIONS, *others):
        texts = record.get(name)
        if isinstance(texts, list) and not name.endswith("_table"):
            content = " ".join(text for text in texts if isinstance(text, str))
            if content.strip():
                sections.append((name.replace("_", " ").capitalize(), content))
    return sections
