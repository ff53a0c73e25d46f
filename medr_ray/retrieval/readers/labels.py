"""Drug labels, one JSON object a line: the structured product labelling that DailyMed publishes, as
openFDA has it.

Format: https://open.fda.gov/apis/drug/label/searchable-fields/ (names and numbers may stand in
``openfda``, as in the API and its downloads, or beside the sections). Every field that holds a list
of texts and is no name or number is a section. Labels of animal drugs are set aside.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, Field

from medr_ray.core.errors import DataError
from medr_ray.retrieval.documents import FDA_LABELS, Document
from medr_ray.retrieval.readers.plain_records import (
    Aside,
    json_lines,
    lines,
    parsed,
    single,
    year_in,
)

_PUBLISHED_IN = "FDA drug label"
_FIRST = (  # what a reader looks for first, in the order of the labelling rule (21 CFR 201.56); the rest by name
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
    set_id: str = Field(min_length=1)
    title: str = ""
    document_type: str = ""
    effective_time: str = ""
    openfda: _Names = _Names()


def read_labels(paths: Sequence[str], aside: Aside) -> Iterator[Document]:
    """``FDA-LABEL:<set id>`` for every label of the files that is for people."""
    for path in paths:
        for where, record in json_lines(path, aside):
            try:
                yield from_label(record)
            except DataError as error:
                aside.put(path, where, str(error))


def from_label(record: Mapping[str, Any]) -> Document:
    """The document of one label. DataError says what keeps it from being one."""
    label = parsed(_Label, record)
    if (
        "animal"
        in " ".join((label.document_type, *label.product_type, *label.openfda.product_type)).lower()
    ):
        raise DataError("the label of an animal drug")
    brands = label.brand_name or label.openfda.brand_name
    generics = label.generic_name or label.openfda.generic_name
    title = single(label.title) or _title(brands, generics)
    sections = _sections(record)
    if not title or not sections:
        raise DataError("a label without a name" if not title else "a label without a section")
    numbers = label.application_number or label.openfda.application_number
    makers = label.manufacturer_name or label.openfda.manufacturer_name
    told = [
        ("Brand name", ", ".join(brands)),
        ("Generic name", ", ".join(generics)),
        ("Manufacturer", makers if isinstance(makers, str) else ", ".join(makers)),
        ("Application", ", ".join(numbers)),
        *sections,
    ]
    return Document(
        f"FDA-LABEL:{label.set_id}",
        FDA_LABELS,
        title,
        lines(title, told),
        year_in(label.effective_time),
        (),
        False,
        _PUBLISHED_IN,
        references=tuple(f"FDA:{one}" for one in dict.fromkeys(numbers)),
    )


def _title(brands: Sequence[str], generics: Sequence[str]) -> str:
    names = ", ".join(brands or generics)
    return (
        f"{names} ({', '.join(generics)}): drug label"
        if brands and generics
        else names and f"{names}: drug label"
    )


def _sections(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(heading, text) of the sections that have one; tables (HTML) repeat what the text says."""
    names = [*_FIRST, *sorted(set(record) - {*_FIRST} - _NO_SECTIONS)]
    found = []
    for name in names:
        texts = record.get(name)
        if isinstance(texts, list) and not name.endswith("_table"):
            content = " ".join(one for one in texts if isinstance(one, str))
            if content.strip():
                found.append((name.replace("_", " ").capitalize(), content))
    return found
