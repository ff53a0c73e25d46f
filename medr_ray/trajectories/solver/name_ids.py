"""Ids of what a question or a record names, made from the name alone.

The teacher knows no entity but by its name. Two names have one id where they are plainly one name:
blind to case, accents and the order of an inverted name ("cardiomyopathy, dilated"), a salt and its
drug, a company with and without its legal form. Numbers of registries are ids in their own form.
"""

import re

from medr_ray.knowledge.name_normalization import fold_name
from medr_ray.knowledge.registries.identifiers import make_company_id
from medr_ray.knowledge.registries.substances import moiety

NUMBERED_PREFIXES = ("NCT:", "FDA:", "PMID:", "PATENT:", "PRODUCT:")
TITLE_PREFIX = "TITLE:"  # of a paper that is named by its title
_SPONSORS = ("company", "institution")
_DRUGS = ("drug", "substance")
_INHERITANCE = " inheritance"


def make_name_id(name_type: str, name: str) -> str:
    """The id of a name of something of that type."""
    if name_type in _SPONSORS:
        return make_company_id(name)
    if name_type in _DRUGS:
        return f"DRUG:{moiety(name)}"
    if name_type in ("disease", "phenotype"):
        # The comma of an inverted name goes with the inversion.
        return f"DISEASE:{' '.join(sorted(fold_name(name.replace(',', ' ')).split()))}"
    if name_type == "value":
        # "Autosomal recessive" and "Autosomal recessive inheritance" are one mode.
        return f"MODE:{fold_name(name).removesuffix(_INHERITANCE)}"
    return f"{name_type.upper()}:{fold_name(name)}"


def make_title_id(title: str) -> str:
    """The id of a paper by its title, as long as its number is not known."""
    return f"{TITLE_PREFIX}{fold_name(title.strip().rstrip('.'))}"


def print_number(entity_id: str) -> str:
    """The number of what is known by a number, as its registry prints it."""
    number = entity_id.partition(":")[2]
    return re.sub("^US", "", number) if entity_id.startswith("PATENT:") else number
