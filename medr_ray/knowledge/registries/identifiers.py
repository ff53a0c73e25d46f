"""Ids of what registries name. One thing has one id, whichever registry names it.

An id is ``KIND:key``. Numbers are keys in their registry's own form; names are folded
(``name_normalization.fold_name``); those of companies, institutions and substances by the rules of
``companies`` and ``substances``.
"""

from medr_ray.knowledge.name_normalization import fold_name
from medr_ray.knowledge.registries.companies import make_company_id, make_institution_id
from medr_ray.knowledge.registries.substances import fold_substance_name

__all__ = [
    "CONDITION",
    "find_application_id",
    "make_application_id",
    "make_company_id",
    "make_institution_id",
    "make_journal_id",
    "make_label_id",
    "make_paper_id",
    "make_patent_id",
    "make_person_id",
    "make_product_id",
    "make_product_prefix",
    "make_registration_id",
    "make_substance_id",
    "make_trial_id",
]

CONDITION = "CONDITION:"  # before the folded name of what a trial names as its condition


def make_trial_id(nct_number: str) -> str:
    return f"NCT:{nct_number.strip().upper()}"


def make_registration_id(registry: str, number: str) -> str:
    """A trial in another registry than ClinicalTrials.gov, such as "ISRCTN"; a number that begins
    with the registry's name has it once."""
    registry = registry.strip().upper()
    return f"{registry}:{number.strip().upper().removeprefix(registry).lstrip('/-')}"


def make_application_id(kind: str, number: str) -> str:
    """``kind`` is NDA, ANDA or BLA; ``number`` has up to six digits."""
    return f"FDA:{kind.strip().upper()}{number.strip().zfill(6)}"


def make_product_id(application_id: str, product_number: str) -> str:
    """``application_id`` is that of ``make_application_id``."""
    return f"{make_product_prefix(application_id)}{product_number.strip().zfill(3)}"


def make_product_prefix(application_id: str) -> str:
    """What the ids of all products of an application begin with."""
    return f"{application_id.replace('FDA:', 'PRODUCT:')}/"


def find_application_id(product_id: str) -> str:
    """The application of a product, the inverse of ``make_product_id``."""
    return product_id.replace("PRODUCT:", "FDA:").rpartition("/")[0]


def make_patent_id(number: str) -> str:
    """A patent of the United States, without the Orange Book's mark of a paediatric extension
    ("6403569*PED")."""
    return f"PATENT:US{number.strip().upper().partition('*')[0]}"


def make_label_id(set_id: str) -> str:
    return f"LABEL:{set_id.strip().lower()}"


def make_paper_id(pmid: str) -> str:
    return f"PMID:{pmid.strip()}"


def make_journal_id(issn: str, name: str) -> str:
    """By ISSN where there is one, else by name."""
    return f"JOURNAL:{issn.strip().upper()}" if issn.strip() else f"JOURNAL:{fold_name(name)}"


def make_person_id(name: str, record_id: str, orcid: str = "") -> str:
    """By ORCID where there is one; else the person of that name in that record, because two people
    may have one name."""
    orcid = orcid.strip().upper()
    return f"ORCID:{orcid}" if orcid else f"PERSON:{record_id}/{fold_name(name)}"


def make_substance_id(name: str, unii: str = "") -> str:
    """By UNII (the FDA's Unique Ingredient Identifier) where it is given, else by name."""
    unii = unii.strip().upper()
    return f"UNII:{unii}" if unii else f"SUBSTANCE:{fold_substance_name(name)}"
