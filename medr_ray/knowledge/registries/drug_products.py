"""Products as both Drugs@FDA and the Orange Book print them: ingredients with their strengths, form
and route.

Format: https://www.fda.gov/drugs/development-approval-process-drugs/orange-book-data-files
(ingredients in alphabetical order, separated by semicolons; strengths in the same order).
"""

import re

from medr_ray.core.errors import DataError
from medr_ray.knowledge.registries.identifiers import make_substance_id
from medr_ray.knowledge.registries.literals import make_category, make_text
from medr_ray.knowledge.registries.record_facts import FactCollector

# "**Federal Register determination that product was not discontinued or withdrawn for safety or
# efficacy reasons**" stands behind a strength and is no part of it.
_REMARK = re.compile(r"\s*\*\*.*?(?:\*\*|$)")
# Parts of one strength that belong to phases or to tablets of a kit ("0.03MG,0.15MG;0.01MG,N/A"):
# whether semicolons separate ingredients or phases is not said. "20,000 UNITS" is one number.
_SEVERAL_PARTS = re.compile(r"[A-Z%/],", re.IGNORECASE)
_JOINED_NAMES = re.compile(r"[,:]")
_NO_VALUES = frozenset({"", "N/A", "UNKNOWN"})


def split_ingredients(printed: str, strength: str) -> list[tuple[str, str]]:
    """(name, strength) of every active ingredient; the strength is "" where the table does not say
    which of them has it.

    DataError for several ingredients in one name ("IRBESARTAN: HYDROCHLOROTHIAZIDE").
    """
    names = [name for name in map(str.strip, printed.split(";")) if name]
    strengths = [part.strip() for part in remove_remark(strength).split(";")]
    if len(names) == 1 < len(strengths) and _JOINED_NAMES.search(names[0]):
        raise DataError(f"several ingredients in one name: {printed[:60]!r}")
    is_paired = len(names) == len(strengths) and not _SEVERAL_PARTS.search(strength)
    if not is_paired:
        strengths = [""] * len(names)
    return list(zip(names, strengths, strict=True))


def split_form(printed: str) -> tuple[str, str]:
    """(dosage form, route) of "TABLET;ORAL"; the route is "" where none is given.

    DataError where the form has several parts ("SOLUTION; ORAL AND TABLET; DELAYED RELEASE").
    """
    form, *routes = [part.strip() for part in printed.split(";")]
    if len(routes) > 1:
        raise DataError(f"several forms in one: {printed[:60]!r}")
    route = routes[0] if routes else ""
    return _drop_placeholder(form), _drop_placeholder(route)


def _drop_placeholder(text: str) -> str:
    return "" if text.upper() in _NO_VALUES else text


def remove_remark(strength: str) -> str:
    """The strength without what the FDA determined about its withdrawal."""
    return _REMARK.sub("", strength).strip()


def add_description(
    facts: FactCollector,
    product: str,
    field: str,
    *,
    trade_name: tuple[str, str],
    ingredients: tuple[str, str],
    form: tuple[str, str],
    strength: tuple[str, str],
) -> None:
    """Add what a product is. ``field`` is the path of its row, ``product`` its id; the others are
    (column, value as printed)."""
    facts.try_value(product, "trade_name", make_text, f"{field}.{trade_name[0]}", trade_name[1])
    column, printed = strength
    if remove_remark(printed):
        literal = make_text(remove_remark(printed))
        facts.add_value(product, "strength", literal, f"{field}.{column}", printed)
    column, printed = form
    try:
        dosage_form, route = split_form(printed)
    except DataError as error:
        facts.add_problem(f"{field}.{column}", str(error))
    else:
        if dosage_form:
            literal = make_category(dosage_form)
            facts.add_value(product, "dosage_form", literal, f"{field}.{column}", printed)
        if route:
            literal = make_category(route)
            facts.add_value(product, "product_route", literal, f"{field}.{column}", printed)
    column, printed = ingredients
    try:
        pairs = split_ingredients(printed, strength[1])
    except DataError as error:
        facts.add_problem(f"{field}.{column}", str(error))
        return
    for name, amount in pairs:
        substance = facts.add_entity(make_substance_id(name), "substance", name)
        facts.add_link(
            product,
            "active_ingredient",
            substance,
            f"{field}.{column}",
            printed,
            strength=amount,
        )


def add_flag(
    facts: FactCollector, product: str, predicate: str, field: str, printed: str, value: str
) -> None:
    """Add a flag of a product in the FDA's word for it; none where ``value`` is ""."""
    if value:
        facts.add_value(product, predicate, make_category(value), field, printed)
