"""Drug labels, one JSON object a line: the structured product labelling that DailyMed publishes, as
openFDA has it.

Format: https://open.fda.gov/apis/drug/label/searchable-fields/. Names and numbers may stand in
``openfda``, as in the API and its downloads, or beside the sections. Every field with a list of
texts that is not a name or number is a section. Labels of animal drugs are unusable. ``as_of`` is
the label's own ``effective_time``.

- A label without the section ``boxed_warning`` may have one all the same, printed among its
  warnings (of 25 prescription labels without it in a sample of 300, most are of drugs that must
  carry one): only its presence is a fact.
- openFDA lists substances and UNIIs apart and in no common order: a UNII is taken where there is
  one of each.
- Shares of adverse reactions: see ``reaction_shares``.
- A molecular weight is that of the substance which the sentence names, or of the only one.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field

from medr_ray.core.errors import DataError
from medr_ray.core.records import LiteralValue
from medr_ray.knowledge.registries.identifiers import (
    make_application_id,
    make_label_id,
    make_substance_id,
)
from medr_ray.knowledge.registries.literals import (
    make_category,
    make_number,
    make_text,
    parse_date,
)
from medr_ray.knowledge.registries.reaction_shares import read_reaction_shares
from medr_ray.knowledge.registries.record_facts import FactCollector, RecordFacts
from medr_ray.knowledge.registries.record_reading import (
    UnusableRecords,
    read_json_lines,
    validate_leniently,
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
        "unii",
        "pharm_class_epc",
        "pharm_class_moa",
        "pharm_class_pe",
        "pharm_class_cs",
    }
)
_CLASS_KINDS = {"epc": "EPC", "moa": "MoA", "pe": "PE", "cs": "CS"}
_CLASS_MARK = re.compile(r"\s*\[[A-Za-z/]+\]$")
_APPLICATION = re.compile(r"(NDA|ANDA|BLA)(\d{1,6})")
# Over-the-counter monographs, under which drugs are sold without an application ("part348",
# "M013"), as openFDA prints them in the same field.
_MONOGRAPH = re.compile(r"(?:part\d+[A-Z]?|M\d{3}|505G\(a\)\(3\))", re.IGNORECASE)
_SHOWN_WARNING_CHARS = 60  # of a boxed warning, as evidence that there is one
_FIGURE = r"(?P<number>\d{2,3}(?:,\d{3})*(?:\.\d+)?)(?![\d%])"
_WEIGHT = re.compile(
    r"molecular\s+(?:weight|mass)\s*(?:of\s+(?:the\s+)?(?P<name>[a-z][\w ,-]{2,60}?)\s+is|is|of)?"
    rf"\s*:?\s*{_FIGURE}",
    re.IGNORECASE,
)
# "Naproxen, USP has a" before the weight.
_NAMED_BEFORE = re.compile(
    r"(?:^|[.:)]\s+)(?P<name>[A-Z][\w-]*(?: [\w-]+){0,3}(?:, USP)?) has an? $"
)
_NAME_CHARS = 120  # before a weight, within which its substance is named
_FORMS = frozenset({"base", "free base", "free acid", "anhydrous form"})
_QUALITY = re.compile(r",? \(?USP\)?$")  # United States Pharmacopeia, a standard of purity


class _Names(BaseModel):
    """In the file's own names. Text or a list: files of both forms are in use."""

    brand_name: list[str] = []
    generic_name: list[str] = []
    active_ingredients: list[str] = []
    substance_name: list[str] = []
    unii: list[str] = []
    manufacturer_name: list[str] | str = []
    application_number: list[str] = []
    product_type: list[str] = []
    route: list[str] = []
    pharm_class_epc: list[str] = []
    pharm_class_moa: list[str] = []
    pharm_class_pe: list[str] = []
    pharm_class_cs: list[str] = []


class _LabelRecord(_Names):
    # The id that all versions of a label share: an index has the latest only.
    set_id: str = Field(min_length=1)
    title: str = ""
    document_type: str = ""
    effective_time: str = ""
    openfda: _Names = _Names()


@dataclass(frozen=True)
class Label:
    """A label: its names and numbers, and the texts of its sections and tables (HTML) by name."""

    set_id: str
    title: str
    kinds: tuple[str, ...]
    effective_time: str
    brand_names: tuple[str, ...]
    generic_names: tuple[str, ...]
    substances: tuple[str, ...]
    uniis: tuple[str, ...]
    manufacturers: tuple[str, ...]
    application_numbers: tuple[str, ...]
    routes: tuple[str, ...]
    classes: tuple[tuple[str, str], ...]
    sections: Mapping[str, tuple[str, ...]]
    problems: tuple[tuple[str, str], ...] = ()

    def join_section(self, name: str) -> str:
        """The text of a section; "" where there is none."""
        return " ".join(self.sections.get(name, ()))


# --- facts ----------------------------------------------------------------------------


def read_drug_label_facts(paths: Sequence[str], unusable: UnusableRecords) -> Iterator[RecordFacts]:
    """The facts of every label of the files that is for people."""
    for path in paths:
        for where, record in read_json_lines(path, unusable):
            try:
                yield collect_label_facts(parse_label(record))
            except DataError as error:
                unusable.add_record(path, where, str(error))


def collect_label_facts(label: Label) -> RecordFacts:
    """What one label states."""
    title = " ".join(label.title.split()) or ", ".join(label.brand_names or label.generic_names)
    facts = FactCollector("drug_labels", label.set_id, title, _find_date(label.effective_time))
    label_id = facts.add_entity(make_label_id(label.set_id), "label", title)
    for field, reason in label.problems:
        facts.add_problem(field, reason)
    texts = (
        ("brand_name", "label_trade_name", label.brand_names),
        ("generic_name", "label_generic_name", label.generic_names),
    )
    for field, predicate, names in texts:
        for name in names:
            facts.try_value(label_id, predicate, make_text, field, name)
    facts.try_value(
        label_id, "label_effective_date", parse_date, "effective_time", label.effective_time
    )
    _add_numbers(facts, label_id, label)
    _add_substances(facts, label_id, label)
    _add_manufacturer(facts, label_id, label)
    for kind, name in label.classes:
        literal = make_category(_CLASS_MARK.sub("", name))
        field = f"openfda.pharm_class_{kind}"
        kind_name = _CLASS_KINDS[kind]
        facts.add_value(label_id, "pharmacologic_class", literal, field, name, kind=kind_name)
    for route in label.routes:
        facts.try_value(label_id, "label_route", make_category, "openfda.route", route)
    _add_sections(facts, label_id, label)
    return facts.build()


def _find_date(effective_time: str) -> str:
    """In ISO 8601; "" where it is none, which is a problem of its fact."""
    try:
        return parse_date(effective_time).text
    except DataError:
        return ""


def _add_numbers(facts: FactCollector, label_id: str, label: Label) -> None:
    for printed in label.application_numbers:
        match = _APPLICATION.fullmatch(printed.strip().upper())
        if match:
            application_id = make_application_id(match[1], match[2])
            application = facts.add_entity(
                application_id, "application", application_id.removeprefix("FDA:")
            )
            facts.add_link(
                label_id, "label_of_application", application, "application_number", printed
            )
        elif not _MONOGRAPH.fullmatch(printed.strip()):
            facts.add_problem("application_number", f"no application number: {printed[:30]!r}")


def _add_substances(facts: FactCollector, label_id: str, label: Label) -> None:
    is_paired = len(label.substances) == len(label.uniis) == 1
    unii = label.uniis[0] if is_paired else ""
    for name in label.substances:
        identifiers = (f"UNII:{unii.strip().upper()}",) if unii else ()
        substance = facts.add_entity(
            make_substance_id(name, unii), "substance", name, identifiers=identifiers
        )
        facts.add_link(label_id, "label_substance", substance, "active_ingredients", name)


def _add_manufacturer(facts: FactCollector, label_id: str, label: Label) -> None:
    if len(label.manufacturers) > 1:
        names = "; ".join(label.manufacturers)
        facts.add_problem("manufacturer_name", f"several manufacturers: {names}")
        return
    for name in label.manufacturers:
        company = facts.add_company(name, "manufacturer_name")
        facts.add_link(label_id, "label_manufacturer", company, "manufacturer_name", name)


def _add_sections(facts: FactCollector, label_id: str, label: Label) -> None:
    _add_boxed_warning(facts, label_id, label)
    for section, predicate in (
        ("mechanism_of_action", "mechanism_of_action"),
        ("indications_and_usage", "label_indication"),
    ):
        text = label.join_section(section)
        facts.try_value(label_id, predicate, make_text, section, text)
    for name, weight, printed in find_molecular_weights(label):
        facts.add_value(
            label_id, "molecular_weight", weight, "description", printed, substance=name
        )
    names = [*label.brand_names, *label.generic_names]
    if len(label.substances) == 1:
        names += label.substances
    for row in read_reaction_shares(label.join_section("adverse_reactions"), names):
        facts.add_value(
            label_id,
            "adverse_reaction_share",
            make_number(row.share, "%"),
            "adverse_reactions",
            row.printed,
            reaction=row.reaction,
            arm=row.arm,
            patients=row.patients,
            comparator=row.comparator,
            comparator_share=f"{row.comparator_share}%",
            comparator_patients=row.comparator_patients,
            population=row.population,
        )


def _add_boxed_warning(facts: FactCollector, label_id: str, label: Label) -> None:
    warning = label.join_section("boxed_warning").strip()
    if warning:
        printed = warning[:_SHOWN_WARNING_CHARS]
        facts.add_value(
            label_id, "has_boxed_warning", make_category("Yes"), "boxed_warning", printed
        )


def find_molecular_weights(label: Label) -> list[tuple[str, LiteralValue, str]]:
    """(substance as the sentence names it, weight in g/mol, the words with the figure).

    The name is "" for the only substance of a label with one weight. Of several weights those count
    whose sentence says whose they are.
    """
    text = " ".join(label.join_section("description").split())
    weights: dict[tuple[str, str], tuple[str, LiteralValue, str]] = {}
    for match in _WEIGHT.finditer(text):
        before = _NAMED_BEFORE.search(text[max(0, match.start() - _NAME_CHARS) : match.start()])
        name = match["name"] or (before["name"] if before else "")
        name = _QUALITY.sub("", name) if _names_substance(name, label) else ""
        weight = make_number(match["number"], "g/mol")
        weights.setdefault((name, weight.text), (name, weight, match[0]))
    named = [(name, weight, words) for name, weight, words in weights.values() if name]
    has_several = len({weight.text for _, weight, _ in weights.values()}) > 1
    if has_several or len(label.substances) > 1:
        return named
    # One weight, perhaps stated twice.
    return named[:1] or list(weights.values())


def _names_substance(name: str, label: Label) -> bool:
    """Whether a word of a sentence names a substance of the label, or a form of it, and is no
    pronoun."""
    names = " ".join([*label.substances, *label.generic_names]).lower()
    words = name.lower().replace(",", " ").split()
    return name.lower() in _FORMS or any(word in names for word in words if len(word) > 3)


# --- the format -----------------------------------------------------------------------


def parse_label(record: Mapping[str, Any]) -> Label:
    """The label of a record.

    DataError with the reason for a record that is no label, and for that of an animal drug.
    """
    fields, problems = validate_leniently(_LabelRecord, record)
    names = fields.openfda
    makers = fields.manufacturer_name or names.manufacturer_name
    classes = [
        (kind, name)
        for kind in _CLASS_KINDS
        for name in (
            getattr(fields, f"pharm_class_{kind}") or getattr(names, f"pharm_class_{kind}")
        )
    ]
    label = Label(
        set_id=fields.set_id,
        title=fields.title,
        kinds=(fields.document_type, *fields.product_type, *names.product_type),
        effective_time=fields.effective_time,
        brand_names=tuple(fields.brand_name or names.brand_name),
        generic_names=tuple(fields.generic_name or names.generic_name),
        substances=tuple(
            fields.active_ingredients
            or fields.substance_name
            or names.active_ingredients
            or names.substance_name
        ),
        uniis=tuple(fields.unii or names.unii),
        manufacturers=(makers,) if isinstance(makers, str) else tuple(makers),
        application_numbers=tuple(fields.application_number or names.application_number),
        routes=tuple(fields.route or names.route),
        classes=tuple(classes),
        sections=_list_sections(record),
        problems=tuple(problems),
    )
    if "animal" in " ".join(label.kinds).lower():
        raise DataError("the label of an animal drug")
    return label


def _list_sections(record: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The texts of every section. Sections are not a closed list: every list of texts that is no
    name counts as one."""
    sections = {}
    for name, value in record.items():
        if name not in _NO_SECTIONS and isinstance(value, list):
            texts = tuple(text for text in value if isinstance(text, str))
            if any(text.strip() for text in texts):
                sections[name] = texts
    return sections
