"""Names of companies and institutions, and when two of them are one.

Two printed names are one company when they are the same legal name written differently. These
differences go away:

- case, accents, punctuation, "&" and "and", "The" at the start, initials with and without stops,
- the FDA's abbreviations that the Orange Book itself spells out, always in one way ("PHARMS",
  "LABS", "INTL", see ``_WORDS``), and the plural of those words,
- legal forms of the English-speaking world ("Inc", "LLC", "Ltd", "Corp", "Co", "PLC"): registries
  leave them out as often as they print them,
- a stated owner ("… SUB PFIZER INC", "…, a Sanofi Company") and a stated trading name ("… DBA …"):
  what is before is the company. The owner is given apart, by ``parse_company_name``,
- an acronym in brackets that is the initials of the name, "(NCI)".

Everything else tells companies apart: a further word ("Teva Pharmaceuticals USA" and "Teva Women's
Health"), a place, "Pharma" and "Pharmaceuticals", and a legal form of one country or language
("Merck KGaA", "Novo Nordisk A/S"), which a namesake elsewhere does not have. Mergers, successors
and short names ("LILLY") are what no name tells; see ``match_short_names``.

Two companies of one name cannot be told apart by it. ``find_shared_names`` lists the names that
sources print with different legal forms, such as "Sun Pharmaceutical Industries" Ltd and Inc.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from medr_ray.core.records import RegistryEntity
from medr_ray.knowledge.name_normalization import fold_name

# Legal forms without a country of their own, in one spelling.
_COMMON_FORMS = {
    "co": "co",
    "company": "co",
    "corp": "corp",
    "corporation": "corp",
    "inc": "inc",
    "incorporated": "inc",
    "incorporation": "inc",
    "limited": "ltd",
    "llc": "llc",
    "llp": "llp",
    "lp": "lp",
    "ltd": "ltd",
    "plc": "plc",
    "private": "pvt",
    "pty": "pty",
    "pvt": "pvt",
}
_NATIONAL_FORMS = frozenset(
    [
        "ab",
        "ag",
        "aktiengesellschaft",
        "as",
        "asa",
        "bv",
        "dac",
        "fze",
        "gmbh",
        "kg",
        "kgaa",
        "kk",
        "nv",
        "oy",
        "oyj",
        "sa",
        "sapi",
        "sarl",
        "sas",
        "se",
        "sl",
        "slu",
        "spa",
        "sro",
        "srl",
    ]
)
# Abbreviations that the Orange Book spells out, and plurals. "Tech" and "Pharma" stay as they are:
# companies are called so.
_WORDS = {
    "assoc": "associate",
    "associates": "associate",
    "biopharmaceuticals": "biopharmaceutical",
    "biopharms": "biopharmaceutical",
    "biosci": "bioscience",
    "biosciences": "bioscience",
    "chemicals": "chemical",
    "chems": "chemical",
    "ctr": "center",
    "dev": "development",
    "doctor": "dr",
    "hlth": "health",
    "hlthcare": "healthcare",
    "hosp": "hospital",
    "inds": "industry",
    "industries": "industry",
    "intl": "international",
    "lab": "laboratory",
    "laboratories": "laboratory",
    "labs": "laboratory",
    "mdcl": "medical",
    "medcl": "medical",
    "mfg": "manufacturing",
    "oncol": "oncology",
    "pharm": "pharmaceutical",
    "pharmaceuticals": "pharmaceutical",
    "pharms": "pharmaceutical",
    "prods": "product",
    "products": "product",
    "res": "research",
    "saint": "st",
    "sci": "science",
    "sciences": "science",
    "services": "service",
    "svcs": "service",
    "technologies": "technology",
    "therap": "therapeutic",
    "therapeutics": "therapeutic",
    "theraps": "therapeutic",
    "univ": "university",
}
_RELATION = r"(?:div(?:ision)?|su[bd](?:sidiary)?|affiliate)"  # "SUDSIDIARY" stands so in Drugs@FDA
_OWNER = re.compile(
    r"[,;]?\s+(?:is\s+now\s+)?(?:an?\s+)?(?:indirect\s+)?(?:wholly[\s-]+owned\s+)?"
    rf"{_RELATION}(?P<of>\s+of)?\s+(?P<owner>\w.*)$",
    re.IGNORECASE,
)
_A_COMPANY_OF = re.compile(r",\s+an?\s+(?P<owner>.+?)\s+company\.?$", re.IGNORECASE)
_TRADING_NAME = re.compile(r"\s+(?:dba|d/b/a)\s+.*$", re.IGNORECASE)
_LAST_BRACKET = re.compile(r"\s*\((?P<inside>[^()]*)\)\s*$")
_APOSTROPHES = re.compile("['’‘`´]")


@dataclass(frozen=True)
class CompanyName:
    """A printed name, taken apart. ``key`` is equal for equal companies, ``legal_form`` is "inc
    ltd" and the like, ``owner`` the printed name of the company that the name says owns it. The
    last two are "" where nothing is printed."""

    key: str
    legal_form: str
    owner: str


def parse_company_name(name: str) -> CompanyName:
    """A company's name as a registry prints it."""
    name, owner = _split_owner(name.strip())
    name = _TRADING_NAME.sub("", name)
    name = _choose_bracket(name)
    words, forms = _split_forms(_split_words(name))
    return CompanyName(" ".join(words), " ".join(forms), owner)


def make_company_id(name: str) -> str:
    """Equal for the names of one company."""
    return f"COMPANY:{parse_company_name(name).key}"


def make_institution_id(name: str) -> str:
    """Equal for the names of one university, hospital or institute."""
    return f"INSTITUTION:{' '.join(_split_words(_drop_acronym(name.strip())))}"


def match_short_names(companies: Iterable[RegistryEntity]) -> dict[str, str]:
    """Ids of companies whose name is the short one of another: that company's id.

    The Orange Book prints each applicant's short name beside the full one ("UNICHEM", "UNICHEM
    LABORATORIES LTD"), and Drugs@FDA prints only the short one. A short name that stands for
    several companies ("TEVA") matches none.
    """
    full_ids: dict[str, set[str]] = defaultdict(set)
    for company in companies:
        if company.source == "orange_book":
            for name in company.names:
                full_ids[make_company_id(name)].add(company.entity_id)
    return {
        short: next(iter(ids))
        for short, ids in sorted(full_ids.items())
        if len(ids) == 1 and short not in ids
    }


def find_shared_names(companies: Iterable[RegistryEntity]) -> Mapping[str, tuple[str, ...]]:
    """Company ids that sources print with different legal forms, and the names so printed.

    These may be two companies of one name, such as a parent and its subsidiary in another country.
    """
    names_by_form: dict[str, dict[str, str]] = defaultdict(dict)
    for company in companies:
        for name in company.names:
            parsed = parse_company_name(name)
            if parsed.legal_form and make_company_id(name) == company.entity_id:
                names_by_form[company.entity_id].setdefault(parsed.legal_form, name)
    return {
        company_id: tuple(names_by_form[company_id].values())
        for company_id in sorted(names_by_form)
        if len(names_by_form[company_id]) > 1
    }


def _split_owner(name: str) -> tuple[str, str]:
    """The name before a stated owner, and the owner. The FDA's "DIV" and "SUB" without "of" are
    followed by the owner or, rarely, by the division; only a legal form tells."""
    match = _A_COMPANY_OF.search(name)
    if match:
        return name[: match.start()], match["owner"]
    match = _OWNER.search(name)
    if not match:
        return name, ""
    words, forms = _split_forms(_split_words(match["owner"]))
    if all(word in _COMMON_FORMS for word in words):
        return name, ""  # "MELINTA SUBSIDIARY CORP"
    owner = match["owner"].strip() if match["of"] or forms else ""
    return name[: match.start()], owner


def _choose_bracket(name: str) -> str:
    """The name without an acronym in brackets; or what is in brackets, where only that has a legal
    form, as labels print the owner of a store's brand ("EQUATE (Wal-Mart Stores, Inc.)")."""
    match = _LAST_BRACKET.search(name)
    if not match:
        return name
    before = name[: match.start()]
    inside_words, inside_forms = _split_forms(_split_words(match["inside"]))
    if inside_words and inside_forms and not _split_forms(_split_words(before))[1]:
        return match["inside"]
    return _drop_acronym(name)


def _drop_acronym(name: str) -> str:
    """The name without an acronym of its own at its end: "National Cancer Institute (NCI)"."""
    match = _LAST_BRACKET.search(name)
    if not match:
        return name
    before = name[: match.start()]
    acronym = match["inside"].split("/")[0].strip()
    if not (acronym.isupper() and acronym.isalpha()):
        return name
    initials = [word[0] for word in _split_words(before)]
    letters = iter(initials)
    # "NIAMS" leaves out the last of its six initials, and small words have none.
    is_acronym = all(letter in letters for letter in acronym.lower())
    return before if is_acronym and len(acronym) > 1 else name


def _split_words(name: str) -> list[str]:
    """The folded words of a name, spelt out; "S.A." and "A H Robins" as "sa", "ah robins"."""
    text = _APOSTROPHES.sub("", name).replace("&", " and ").replace("+", " and ")
    words: list[str] = []
    initials = ""
    for word in fold_name(text).split():
        if len(word) == 1 and word.isalpha():
            initials += word
        elif word[0].isalnum():
            words += filter(None, (initials, _WORDS.get(word, word)))
            initials = ""
    words += filter(None, (initials,))
    return words[1:] if len(words) > 1 and words[0] == "the" else words


def _split_forms(words: list[str]) -> tuple[list[str], list[str]]:
    """The words without common legal forms and an "and" that is left over; and the legal forms,
    those of one country at the end included."""
    forms = [_COMMON_FORMS[word] for word in words[1:] if word in _COMMON_FORMS]
    kept = words[:1] + [word for word in words[1:] if word not in _COMMON_FORMS]
    while len(kept) > 1 and kept[-1] == "and":
        kept.pop()
    if len(kept) > 1 and kept[-1] in _NATIONAL_FORMS:
        forms.append(kept[-1])
    return kept, forms
