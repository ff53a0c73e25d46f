"""Drug labels as documents.

Their format is that of ``knowledge.registries.drug_labels``. Sections are lines with their names as
headings, in the order of the labelling rule; tables (HTML) are left out, because they repeat the
text.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from medr_ray.core.errors import DataError
from medr_ray.knowledge.registries.drug_labels import Label, parse_label
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
    label = parse_label(record)
    # Labels may come without a title of their own.
    title = to_single_line(label.title) or _build_title(label.brand_names, label.generic_names)
    sections = _list_sections(label)
    if not title:
        raise DataError("a label without a name")
    if not sections:
        raise DataError("a label without a section")
    names = [
        ("Brand name", ", ".join(label.brand_names)),
        ("Generic name", ", ".join(label.generic_names)),
        ("Manufacturer", ", ".join(label.manufacturers)),
        ("Application", ", ".join(label.application_numbers)),
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
        references=tuple(f"FDA:{number}" for number in dict.fromkeys(label.application_numbers)),
    )


def _build_title(brands: Sequence[str], generics: Sequence[str]) -> str:
    """A title from the drug's names; "" where there are none."""
    names = ", ".join(brands or generics)
    if brands and generics:
        return f"{names} ({', '.join(generics)}): drug label"
    return f"{names}: drug label" if names else ""


def _list_sections(label: Label) -> list[tuple[str, str]]:
    """(heading, text) of the sections that have text."""
    # Sections are not a closed list: those that the rule does not name follow by name.
    others = sorted(set(label.sections) - {*_FIRST_SECTIONS})
    return [
        (name.replace("_", " ").capitalize(), label.join_section(name))
        for name in (*_FIRST_SECTIONS, *others)
        if name in label.sections and not name.endswith("_table")
    ]
